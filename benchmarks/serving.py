"""
Starting what is measured from outside: ASGI servers, Redis, and a trivial server.

Each in a process of its own, on a free port, and ended whatever happens.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

from django.conf import settings

from tests.services import Redis

from .clients import Address, Clients, request

ROOT: Final = Path(__file__).parents[1]
DAPHNE: Final = "Daphne"
UVICORN: Final = "uvicorn"
SERVERS: Final = (DAPHNE, UVICORN)
TRIVIAL: Final = "trivial"
APPLICATION: Final = "benchmarks.site:application"

# From the start of a process to its first answer, on a machine busy with others.
_START_TIMEOUT: Final = 60.0
_STOP_TIMEOUT: Final = 10.0
_BACKLOG: Final = 256
_SETTLED: Final = 0.02


@dataclass
class Server:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    address: Address
    log: IO[bytes]

    def cpu_seconds(self) -> float:
        """Return the CPU time that all its threads have taken so far."""
        # The CPU clock of another process, as clock_getcpuclockid(3) computes it.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def resident(self) -> float:
        """Return its memory in KiB."""
        statm = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024

    def settle(self) -> None:
        """Wait until it has nothing left to do; ten seconds at most."""
        deadline = time.monotonic() + 10
        before, now = -1.0, self.cpu_seconds()
        while now - before > _SETTLED / 20 and time.monotonic() < deadline:
            time.sleep(_SETTLED)
            before, now = now, self.cpu_seconds()

    def wait_until_open(self, handshake: bytes) -> None:
        """Wait until it lets in who sends this handshake."""
        deadline = time.monotonic() + _START_TIMEOUT
        with Clients() as clients:
            while True:
                client = clients.add(self.address, handshake)
                clients.wait_for_answers([client], _START_TIMEOUT)
                if client.status == 101:
                    return
                if time.monotonic() > deadline:
                    raise RuntimeError(f"a server lets nobody in: {self.said()}")
                clients.forget(client)
                time.sleep(_SETTLED)

    def said(self) -> str:
        """Return what it has printed so far."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP_TIMEOUT)
        self.process.kill()
        self.process.wait()
        self.log.close()


def command(name: str, descriptor: int, application: str) -> list[str]:
    """Return the module and the options that serve on a socket which listens."""
    if name == TRIVIAL:
        return ["benchmarks.trivial", str(descriptor)]
    fd = ["--fd", str(descriptor)]
    if name == DAPHNE:
        return ["daphne", *fd, "-v", "0", application]
    return [
        *("uvicorn", *fd, "--ws", "auto", "--loop", "asyncio"),
        *("--log-level", "error", "--no-access-log", "--lifespan", "off"),
        # Nobody compresses here, and nobody is waited for in the end.
        *("--ws-per-message-deflate", "false", "--timeout-graceful-shutdown", "1"),
        application,
    ]


def start(name: str, env: Mapping[str, str], application: str = APPLICATION) -> Server:
    """Start a server; it is not ready at once."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(_BACKLOG)
        log = TemporaryFile()  # noqa: SIM115  # closed when the server is stopped
        process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", *command(name, listener.fileno(), application)],
            pass_fds=[listener.fileno()],
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=log,
        )
        return Server(process, listener.getsockname(), log)


@contextmanager
def serving(name: str, count: int = 1, **more: Any) -> Iterator[list[Server]]:
    """
    Run so many processes of a server, on the database that this process has.

    ``more`` are settings of the served site.
    """
    # As who serves many would have it; a new one for each look costs more than the look.
    database = {**settings.DATABASES["default"], "CONN_MAX_AGE": 600}
    site = {
        "SECRET_KEY": settings.SECRET_KEY,
        "DATABASES": {"default": database},
        **more,
    }
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.served",
        "SERVED_SETTINGS": json.dumps(site),
    }
    servers: list[Server] = []
    try:
        for _ in range(count):
            servers.append(start(name, env))
        for server in servers:
            server.wait_until_open(request("/accept/"))
        yield servers
    finally:
        for server in servers:
            server.stop()


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis server that keeps nothing; give its URL, empty where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        yield ""
        return
    server = Redis.make(program)
    try:
        server.start()
        yield server.url
    finally:
        server.destroy()


@contextmanager
def apart() -> Iterator[Callable[[], None]]:
    """
    Keep this process and those that it starts on different processors, if it can.

    What it starts before it calls what this gives has the first one; itself gets the
    others. Of one processor both have what there is.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        os.sched_setaffinity(0, cpus[:1])
    try:
        yield lambda: os.sched_setaffinity(0, cpus[1:] or cpus)
    finally:
        os.sched_setaffinity(0, cpus)
