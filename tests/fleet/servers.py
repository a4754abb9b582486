"""
Starting the fleet: Daphne processes on one database and one channel layer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any, Final

from tests.servers.client import Address
from tests.servers.processes import ROOT, STOP_TIMEOUT, Kind, Server

DAPHNE: Final = Kind(
    "daphne",
    lambda descriptor, _port: [
        "daphne",
        *("--fd", str(descriptor), "-v", "0", "--ping-interval", "3600"),
        "tests.fleet.application:application",
    ],
    scheme=None,
    http_version=None,
    denial_body=False,
    close_reason=False,
)
# What makes a process several times slower, for the sake of finding mistakes.
WATCHING: Final = ("PYTHONDEVMODE", "PYTHONASYNCIODEBUG", "COVERAGE_PROCESS_CONFIG")
# Of one thing that the operator does, while something else may be away.
TIMEOUT: Final = 20.0


def layer(name: str, url: str) -> dict[str, Any]:
    """Return Django's settings for one of the two layers of channels_redis."""
    backends = {
        "core": "channels_redis.core.RedisChannelLayer",
        "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    }
    # With redis-py 8's own time-out, consumers end after five idle seconds
    # (django/channels_redis#422).
    config = {"hosts": [{"address": url, "socket_timeout": None}]}
    return {"default": {"BACKEND": backends[name], "CONFIG": config}}


def environment(
    database: dict[str, Any],
    layers: dict[str, Any],
    *,
    interval: float,
    watched: bool = True,
) -> dict[str, str]:
    """Return the environment of the site; not ``watched`` it runs at full speed."""
    settings = {
        "DATABASES": {"default": database},
        "CHANNEL_LAYERS": layers,
        "WSORIGIN_REFRESH_INTERVAL": interval,
    }
    inherited = {
        name: value
        for name, value in os.environ.items()
        if watched or name not in WATCHING
    }
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "tests.fleet.settings",
        "SERVED_SETTINGS": json.dumps(settings),
    }


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
        answer = self._process.stdout.readline()
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
    """What runs: the servers, and their operator."""

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
        connection = HTTPConnection(*self.servers[0].address, timeout=TIMEOUT)
        try:
            headers = {"Host": "site.example", "Cookie": f"sessionid={session}"}
            connection.request("GET", "/log-out/", headers=headers)
            response = connection.getresponse()
            body = response.read().decode()
            assert (response.status, bool(body)) == (200, True), body
        finally:
            connection.close()

    def logs(self) -> str:
        """Return what the servers have written."""
        return "".join(server.log.read_text() for server in self.servers)


@contextmanager
def fleet(folder: Path, env: dict[str, str]) -> Iterator[Fleet]:
    """Make the tables, and have an operator; `Fleet.launch` starts the servers."""
    migrate = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
    subprocess.run(migrate, cwd=ROOT, env=env, check=True)  # noqa: S603  # our own
    running = Fleet(env, folder, Operator(folder / "operator.log", env))
    try:
        yield running
    finally:
        running.operator.stop()
        for server in running.servers:
            server.stop()
        for server in running.servers:
            server.wait_until_gone()
