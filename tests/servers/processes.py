"""
Real ASGI servers as processes of their own, each on a port that nobody else has.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from .client import TIMEOUT, Address, Client, Http1Stream, Http2Stream, Stream

APPLICATION: Final = "tests.servers.application:application"
ROOT: Final = Path(__file__).parents[2]

# From the start of a process to its first answer, on a machine busy with others.
START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 15.0

# Gets the descriptor of the listening socket, and its port.
Command = Callable[[int, int], list[str]]


@dataclass(frozen=True)
class Kind:
    """
    A server: how it is started, how to speak to it, and in what it is unlike others.

    ``opens_port`` says that it takes no listening socket. ``scheme`` and
    ``http_version`` are what it writes into a scope. ``forwarded_proto`` says that it
    reads ``X-Forwarded-Proto`` itself, ``denial_body`` and ``close_reason`` that it
    delivers these. Before it calls any application, it answers 500 by itself to bytes
    beyond ASCII in a header of those in ``fails_outside_ascii`` (``*`` are all), and
    nothing at all to control characters where it is ``silent_on_controls``.
    """

    name: str
    command: Command
    stream: type[Http1Stream | Http2Stream] = Http1Stream
    opens_port: bool = False
    scheme: str | None = "ws"
    http_version: str | None = "1.1"
    forwarded_proto: bool = False
    denial_body: bool = True
    close_reason: bool = True
    fails_outside_ascii: str = ""
    silent_on_controls: bool = False


def daphne(descriptor: int, port: int) -> list[str]:
    return ["daphne", "--fd", str(descriptor), "-v", "0", APPLICATION]


def uvicorn(backend: str) -> Command:
    def command(descriptor: int, port: int) -> list[str]:
        # Without a time-out it waits for ever for connections that it has dropped.
        options = ["--ws", backend, "--timeout-graceful-shutdown", "1"]
        return ["uvicorn", "--fd", str(descriptor), *options, APPLICATION]

    return command


def hypercorn(descriptor: int, port: int) -> list[str]:
    options = ["--workers", "0", "--graceful-timeout", "1"]
    return ["hypercorn", "--bind", f"fd://{descriptor}", *options, APPLICATION]


def granian(descriptor: int, port: int) -> list[str]:
    # Now and then its worker misses the signal to end, and it waits for that for ever.
    options = ["--interface", "asginl", "--workers-kill-timeout", "2"]
    return ["granian", *options, "--port", str(port), APPLICATION]


KINDS: Final = [
    Kind(
        "daphne",
        daphne,
        scheme=None,
        http_version=None,
        denial_body=False,
        close_reason=False,
        fails_outside_ascii="Sec-WebSocket-Protocol",
    ),
    Kind(
        "uvicorn-websockets",
        uvicorn("websockets"),
        forwarded_proto=True,
        fails_outside_ascii="*",
    ),
    Kind(
        "uvicorn-sansio",
        uvicorn("websockets-sansio"),
        forwarded_proto=True,
        silent_on_controls=True,
    ),
    Kind("uvicorn-wsproto", uvicorn("wsproto"), forwarded_proto=True),
    Kind("hypercorn-h1", hypercorn),
    Kind("hypercorn-h2", hypercorn, Http2Stream, http_version="2"),
    Kind("granian", granian, opens_port=True),
]


class Account(NamedTuple):
    """What happened behind a server since it was last asked."""

    handshakes: int
    connected: int
    reasons: list[str]


@dataclass
class Server:
    """A running server."""

    kind: Kind
    address: Address
    process: subprocess.Popen[bytes]
    log: Path
    reserved: socket.socket
    streams: list[Stream] = field(default_factory=list)

    @classmethod
    def start(cls, kind: Kind, log: Path, variables: dict[str, str]) -> Server:
        """Start a process; it is not ready at once."""
        listener = socket.socket()
        # A server that opens the port itself shares it with this socket, which then
        # never listens: so nobody else can take the port in between.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        host, port = listener.getsockname()
        descriptor = listener.fileno()
        with log.open("wb") as output:
            if not kind.opens_port:
                listener.listen(128)
            process = subprocess.Popen(  # noqa: S603  # our own command
                [sys.executable, "-m", *kind.command(descriptor, port)],
                pass_fds=[descriptor],
                cwd=ROOT,
                env=variables,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            if not kind.opens_port:
                # It is the process's now, and goes with it.
                listener.close()
        return cls(kind, (host, port), process, log, listener)

    def send_handshake(
        self,
        path: str,
        *,
        origin: str | bytes | None = None,
        host: str | bytes = "site.example",
        headers: Sequence[tuple[str, str | bytes]] = (),
        subprotocols: Sequence[str] = (),
        timeout: float = TIMEOUT,
    ) -> Stream:
        """Send one handshake, and wait for nothing."""
        fields = list(headers)
        if origin is not None:
            fields.insert(0, ("Origin", origin))
        if subprotocols:
            fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
        return self.kind.stream(
            self.address,
            path,
            octets(host),
            [(name.encode(), octets(value)) for name, value in fields],
            timeout,
        )

    def connect(self, path: str, **handshake: Any) -> Client:
        """Send one handshake and wait for the answer; `hang_up` ends it."""
        stream = self.send_handshake(path, **handshake)
        self.streams.append(stream)
        return Client(stream)

    def account(self) -> Account:
        """Ask what the application has seen since the last time."""
        return Account(*self.connect("/witness/").receive_json())

    def hang_up(self) -> None:
        """Close what is still open."""
        while self.streams:
            self.streams.pop().close()

    def wait_until_ready(self) -> None:
        """Return as soon as the server answers a handshake."""
        deadline = time.monotonic() + START_TIMEOUT
        ready = False
        while not ready:
            time.sleep(0.02)
            with suppress(ConnectionError):
                ready = self.connect("/witness/", timeout=START_TIMEOUT).opened
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()

    def stop(self) -> None:
        """Ask the process to end, as Ctrl-C does: it is what all of them obey."""
        self.hang_up()
        self.process.send_signal(signal.SIGINT)

    def wait_until_gone(self) -> None:
        """Return when the process has ended; leave nothing of it behind."""
        try:
            self.process.wait(STOP_TIMEOUT)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.reserved.close()


def octets(value: str | bytes) -> bytes:
    """Return a header's value as it travels."""
    return value if isinstance(value, bytes) else value.encode()


def environment(database: Path, **settings: Any) -> dict[str, str]:
    """Return the environment for the served site, with some settings replaced."""
    settings["DATABASES"] = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database)}
    }
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.servers.settings",
        "SERVED_SETTINGS": json.dumps(settings),
    }


def make_database(path: Path) -> None:
    """Make the database of the served site."""
    subprocess.run(
        [sys.executable, "-m", "tests.servers"],
        cwd=ROOT,
        env=environment(path),
        check=True,
    )


@contextmanager
def running(
    kind: Kind, folder: Path, database: Path, variants: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Server]]:
    """Run one kind of server, a process for each variant of the settings."""
    servers: dict[str, Server] = {}
    try:
        for name, settings in variants.items():
            own, log = folder / f"{name}.sqlite3", folder / f"{name}.log"
            shutil.copy(database, own)
            servers[name] = Server.start(kind, log, environment(own, **settings))
        for server in servers.values():
            server.wait_until_ready()
        yield servers
    finally:
        for server in servers.values():
            server.stop()
        for server in servers.values():
            server.wait_until_gone()
