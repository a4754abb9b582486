"""
Starting the site to which something happens, and asking it for a while.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.processes import servers as processes
from tests.servers.processes import DAPHNE as PLAIN_DAPHNE
from tests.servers.processes import UVICORN as PLAIN_UVICORN
from tests.servers.processes import Server, running

KNOWN: Final = "https://known.example"
STRANGER: Final = "https://{}.stranger.example"
# What the hooks of the site would answer if they did not fail.
ANSWERED: Final = "http://site.example"
INTERVAL: Final = processes.INTERVAL
APPLICATION: Final = "tests.faults.application:application"

# Daphne measures these two by the clock that we move.
DAPHNE: Final = PLAIN_DAPHNE.serving(
    APPLICATION, "--websocket_timeout", "-1", "--ping-interval", "1000000000"
)
UVICORN: Final = PLAIN_UVICORN.serving(APPLICATION)
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
    with running((DAPHNE, folder / "server.log", env)) as (server,):
        try:
            processes.change(server, "save", KNOWN)
            processes.wait_until(server, KNOWN, opened=True, within=processes.SLACK)
            yield server
        finally:
            # What hangs on purpose would keep the process from ending.
            server.connect("/release/")


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
