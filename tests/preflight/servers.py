"""
Starting the site on real servers, also on such that speak no WebSocket.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

from tests.servers import processes, sites
from tests.servers.processes import START_TIMEOUT, Kind, Server, ending

APPLICATION: Final = "tests.preflight.application:application"

DAPHNE: Final = processes.DAPHNE.serving(APPLICATION)
UVICORN: Final = processes.UVICORN.serving(APPLICATION)
HYPERCORN: Final = processes.HYPERCORN.serving(APPLICATION)
GRANIAN: Final = processes.GRANIAN.serving(APPLICATION)
# These two speak no WebSocket.
UVICORN_WITHOUT: Final = replace(
    processes.UVICORN.serving(APPLICATION, "--ws", "none"), name="uvicorn-none"
)
WSGI: Final = Kind(
    "wsgi", lambda descriptor, _port: ["tests.preflight.wsgi", str(descriptor)]
)


def environment(database: dict[str, Any]) -> dict[str, str]:
    """Return the environment of the site on a database."""
    return sites.environment("tests.preflight.settings", database)


@contextmanager
def serving(kind: Kind, database: dict[str, Any], log: Path) -> Iterator[Server]:
    """Run the site on one server, on a database with its tables."""
    server = Server.start(kind, log, environment(database))
    with ending([server]):
        wait_until_ready(server)
        yield server


def wait_until_ready(server: Server) -> None:
    """Return as soon as the server answers over HTTP: not all of them do otherwise."""
    deadline = time.monotonic() + START_TIMEOUT
    status = None
    while status != 200:
        time.sleep(0.02)
        assert server.process.poll() is None, server.log.read_text()
        assert time.monotonic() < deadline, server.log.read_text()
        with suppress(ConnectionError, HTTPException):
            status = server.ask("/denied/").status
