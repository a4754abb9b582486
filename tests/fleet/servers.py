"""
Starting the fleet: Daphne processes on one database and one channel layer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Timer
from typing import Any, Final

from tests.servers import processes, sites
from tests.servers.client import Address
from tests.servers.processes import STOP_TIMEOUT, Server, ending
from tests.servers.sites import ROOT, manage, unwatched

DAPHNE: Final = processes.DAPHNE.serving(
    "tests.fleet.application:application", "--ping-interval", "3600"
)
# Of what servers do, while something else may be away.
TIMEOUT: Final = 20.0
# Of one thing that the operator does.
_PATIENCE: Final = 60.0


def environment(
    database: dict[str, Any], layers: dict[str, Any], *, interval: float
) -> dict[str, str]:
    """Return the environment of the site."""
    return sites.environment(
        "tests.fleet.settings",
        database,
        CHANNEL_LAYERS=layers,
        WSORIGIN_REFRESH_INTERVAL=interval,
    )


class Operator:
    """A process beside the servers; see `tests.fleet.operator` for what it can do."""

    def __init__(self, log: Path, env: dict[str, str]) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fleet.operator"],
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )

    def __call__(self, command: str, **arguments: Any) -> Any:
        """Do something, and wait until it is done."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([command, arguments]), file=self._process.stdin, flush=True)
        # What waits for the answer, waits for the end of the process too: this bounds it.
        watchdog = Timer(_PATIENCE, self._process.kill)
        watchdog.start()
        answer = self._process.stdout.readline()
        watchdog.cancel()
        assert answer, self._log.read_text()
        return json.loads(answer)

    def stop(self) -> None:
        """Let it end."""
        try:
            self._process.communicate(timeout=STOP_TIMEOUT)
        finally:
            self._process.kill()
            self._process.wait()


@dataclass
class Fleet:
    """What runs: the servers, in their environment, and their operator."""

    env: dict[str, str]
    folder: Path
    operator: Operator
    servers: list[Server] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)

    @property
    def addresses(self) -> list[Address]:
        """Where the servers are."""
        return [server.address for server in self.servers]

    def launch(self, count: int) -> None:
        """Start so many more servers, and wait until they answer."""
        for _ in range(count):
            log = self.folder / f"server-{next(self._numbers)}.log"
            self.servers.append(Server.start(DAPHNE, log, self.env))
        for server in self.servers[-count:]:
            server.wait_until_ready()

    def kill(self, index: int) -> None:
        """Let a server die on the spot."""
        self.servers[index].process.kill()
        self.servers.pop(index).wait_until_gone()

    def ended(self) -> Counter[tuple[str, int]]:
        """Return how often ``disconnect()`` has run, for each kind and code."""
        total: Counter[tuple[str, int]] = Counter()
        for server in self.servers:
            said = server.connect("/witness/", timeout=TIMEOUT).receive_json()
            server.hang_up()
            for kind, codes in said.items():
                total.update({(kind, int(code)): codes[code] for code in codes})
        return total

    def log_out(self, session: str) -> None:
        """Log out as a browser with this session does, on the first of the servers."""
        cookie = {"Cookie": f"sessionid={session}"}
        answer = self.servers[0].ask("/log-out/", cookie)
        assert (answer.status, bool(answer.body)) == (200, True), answer.body

    def logs(self) -> str:
        """Return what the servers have written."""
        return "".join(server.log.read_text() for server in self.servers)


@contextmanager
def fleet(
    folder: Path, env: dict[str, str], *, watched: bool = True
) -> Iterator[Fleet]:
    """
    Make the tables, and have an operator; `Fleet.launch` starts the servers.

    Not ``watched``, these run at full speed.
    """
    manage("migrate", "--verbosity=0", env=env)
    operator = Operator(folder / "operator.log", env)
    running = Fleet(env if watched else unwatched(env), folder, operator)
    try:
        with ending(running.servers):
            yield running
    finally:
        operator.stop()
