"""
Starting the processes: Daphne servers on one database, ready to be asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tests.servers import processes, sites
from tests.servers.processes import Server, running

INTERVAL: Final = 0.6
# What a busy machine may add to the interval.
SLACK: Final = 5.0

DAPHNE: Final = processes.DAPHNE.serving("tests.processes.application:application")


def environment(database: dict[str, Any], **settings: Any) -> dict[str, str]:
    """Return the environment of a process on this database."""
    settings["WSORIGIN_REFRESH_INTERVAL"] = INTERVAL
    return sites.environment("tests.processes.settings", database, **settings)


@contextmanager
def serving(
    names: Sequence[str], folder: Path, env: dict[str, str]
) -> Iterator[list[Server]]:
    """Run Daphne processes with the same settings."""
    with running(*((DAPHNE, folder / f"{name}.log", env) for name in names)) as servers:
        yield servers


def change(server: Server, what: str, origin: str = "") -> float:
    """Let a process change rows; return the age of its last look at the database."""
    answer = server.ask(f"/change/?what={quote(what)}&origin={quote(origin)}")
    assert answer.status == 200, answer.body
    return float(answer.body)


def opens(server: Server, origin: str) -> bool:
    """Whether a process lets this origin open a socket."""
    client = server.connect("/ws/", origin=origin, timeout=20)
    server.hang_up()
    assert client.status in (101, 403), client.status
    return client.opened


def wait_until(server: Server, origin: str, *, opened: bool, within: float) -> float:
    """Ask until the answer is this one; return the seconds that it took."""
    started = time.monotonic()
    while opens(server, origin) is not opened:
        passed = time.monotonic() - started
        assert passed < within, server.log.read_text()
    return time.monotonic() - started


def look_again(server: Server, origin: str) -> None:
    """Ask until the process has looked at the database since the call."""
    called = time.monotonic()
    while True:
        opens(server, origin)
        if change(server, "nothing") < time.monotonic() - called - 0.05:
            return
        assert time.monotonic() - called < SLACK, server.log.read_text()
