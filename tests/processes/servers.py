"""
Starting the processes: Daphne servers on one database, ready to be asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tests.servers.processes import ROOT, Kind, Server

INTERVAL: Final = 0.6
# What a busy machine may add to the interval.
SLACK: Final = 5.0

DAPHNE: Final = Kind(
    "daphne",
    lambda descriptor, _port: [
        "daphne",
        *("--fd", str(descriptor), "-v", "0"),
        "tests.processes.application:application",
    ],
    scheme=None,
    http_version=None,
    denial_body=False,
    close_reason=False,
)


def environment(database: dict[str, Any], **settings: Any) -> dict[str, str]:
    """Return the environment of a process on this database."""
    settings["DATABASES"] = {"default": database}
    settings["WSORIGIN_REFRESH_INTERVAL"] = INTERVAL
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.processes.settings",
        "SERVED_SETTINGS": json.dumps(settings),
    }


def program(module: str, *arguments: str, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start a Python program of ours."""
    return subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def manage(*arguments: str, env: dict[str, str]) -> None:
    """Run one of Django's commands, which has to succeed."""
    process = program("django", *arguments, env=env)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


@contextmanager
def serving(
    names: Sequence[str], folder: Path, env: dict[str, str]
) -> Iterator[list[Server]]:
    """Run Daphne processes with the same settings."""
    servers: list[Server] = []
    try:
        for name in names:
            servers.append(Server.start(DAPHNE, folder / f"{name}.log", env))
        for server in servers:
            server.wait_until_ready()
        yield servers
    finally:
        for server in servers:
            server.stop()
        for server in servers:
            server.wait_until_gone()


def change(server: Server, what: str, origin: str = "") -> float:
    """Let a process change rows; return the age of its last look at the database."""
    connection = HTTPConnection(*server.address, timeout=20)
    try:
        connection.request(
            "GET",
            f"/change/?what={quote(what)}&origin={quote(origin)}",
            headers={"Host": "site.example"},
        )
        response = connection.getresponse()
        body = response.read().decode()
        assert response.status == 200, body
        return float(body)
    finally:
        connection.close()


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
