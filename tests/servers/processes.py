"""
Real ASGI servers as processes of their own, each on a port that nobody else has.

What they serve is next door.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple

from .client import TIMEOUT, Address, Client, Http1Stream, Http2Stream, Stream
from .sites import ROOT

APPLICATION: Final = "tests.servers.application:application"

# From the start of a process to its first answer, on a machine busy with others.
START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 15.0
# Of one answer over HTTP, while something else may be away.
_PAGE_TIMEOUT: Final = 20.0

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

    def serving(self, application: str, *options: str) -> Kind:
        """Return the same kind of server for another application, with more options."""

        def command(descriptor: int, port: int) -> list[str]:
            *words, _ = self.command(descriptor, port)
            return [*words, *options, application]

        return replace(self, command=command)


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


DAPHNE: Final = Kind(
    "daphne",
    daphne,
    scheme=None,
    http_version=None,
    denial_body=False,
    close_reason=False,
    fails_outside_ascii="Sec-WebSocket-Protocol",
)
UVICORN: Final = Kind(
    "uvicorn-websockets",
    uvicorn("websockets"),
    forwarded_proto=True,
    fails_outside_ascii="*",
)
SANSIO: Final = Kind(
    "uvicorn-sansio",
    uvicorn("websockets-sansio"),
    forwarded_proto=True,
    silent_on_controls=True,
)
WSPROTO: Final = Kind("uvicorn-wsproto", uvicorn("wsproto"), forwarded_proto=True)
HYPERCORN: Final = Kind("hypercorn-h1", hypercorn)
HTTP2: Final = Kind("hypercorn-h2", hypercorn, Http2Stream, http_version="2")
GRANIAN: Final = Kind("granian", granian, opens_port=True)

KINDS: Final = [DAPHNE, UVICORN, SANSIO, WSPROTO, HYPERCORN, HTTP2, GRANIAN]


class Answer(NamedTuple):
    """What a site answered over HTTP; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


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

    def ask(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
    ) -> Answer:
        """Ask for a page over HTTP."""
        connection = HTTPConnection(*self.address, timeout=_PAGE_TIMEOUT)
        try:
            sent = {"Host": "site.example", **(headers or {})}
            connection.request(method, path, headers=sent)
            response = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read().decode(),
            )
        finally:
            connection.close()

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


# A kind of server, the file for its log, and its environment.
Start = tuple[Kind, Path, dict[str, str]]


@contextmanager
def ending(servers: Sequence[Server]) -> Iterator[None]:
    """Leave nothing of these servers behind, nor of those that are added meanwhile."""
    try:
        yield
    finally:
        with ExitStack() as stack:
            for server in servers:
                stack.callback(server.wait_until_gone)
            for server in servers:
                server.stop()


@contextmanager
def running(*starts: Start) -> Iterator[list[Server]]:
    """Run servers side by side, from when each of them answers."""
    servers: list[Server] = []
    with ending(servers):
        for start in starts:
            servers.append(Server.start(*start))
        for server in servers:
            server.wait_until_ready()
        yield servers
