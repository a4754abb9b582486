"""
Starting the site to which something happens, and asking it for a while.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from tests.processes import servers as processes
from tests.servers.processes import Server

KNOWN: Final = "https://known.example"
STRANGER: Final = "https://{}.stranger.example"
# What the hooks of the site would answer if they did not fail.
ANSWERED: Final = "http://site.example"
INTERVAL: Final = processes.INTERVAL
APPLICATION: Final = "tests.faults.application:application"

DAPHNE: Final = replace(
    processes.DAPHNE,
    command=lambda descriptor, port: [
        *processes.DAPHNE.command(descriptor, port)[:-1],
        # It measures these two by the clock that we move.
        *("--websocket_timeout", "-1", "--ping-interval", "1000000000"),
        APPLICATION,
    ],
)
UVICORN: Final = replace(
    DAPHNE,
    name="uvicorn",
    command=lambda descriptor, port: [
        *("uvicorn", "--fd", str(descriptor), "--timeout-graceful-shutdown", "1"),
        APPLICATION,
    ],
)
_APPS: Final = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "wsorigin",
]


def environment(database: dict[str, Any], **more: Any) -> dict[str, str]:
    """Return the environment of the site; ``more`` are settings of it."""
    more = {
        "INSTALLED_APPS": _APPS,
        "ROOT_URLCONF": "tests.faults.application",
        **more,
    }
    return processes.environment(database, **more)


@contextmanager
def served(folder: Path, env: dict[str, str]) -> Iterator[Server]:
    """Run one Daphne process that knows an origin."""
    server = Server.start(DAPHNE, folder / "server.log", env)
    try:
        server.wait_until_ready()
        processes.change(server, "save", KNOWN)
        processes.wait_until(server, KNOWN, opened=True, within=processes.SLACK)
        yield server
    finally:
        # What hangs on purpose would keep the process from ending.
        server.connect("/release/")
        server.stop()
        server.wait_until_gone()


def get(server: Server, url: str) -> tuple[int, str]:
    """Ask for a page; return its status and its text."""
    connection = HTTPConnection(*server.address, timeout=20)
    try:
        connection.request("GET", url, headers={"Host": "site.example"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@dataclass
class Visitors:
    """
    Who knocks while something happens: an origin that is known, and ever new strangers.

    ``longest`` is how long the slowest answer took, in seconds; ``refused`` how many
    strangers there were.
    """

    server: Server
    longest: float = 0.0
    refused: int = 0

    def knock(self, seconds: float) -> None:
        """Come again and again; the known get in and the strangers do not."""
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            assert self._status(KNOWN) == 101, self.server.log.read_text()
            assert self._status(STRANGER.format(self.refused)) == 403
            self.refused += 1

    def _status(self, origin: str) -> int | None:
        asked = time.monotonic()
        client = self.server.connect("/ws/", origin=origin, timeout=20)
        self.longest = max(self.longest, time.monotonic() - asked)
        self.server.hang_up()
        return client.status
