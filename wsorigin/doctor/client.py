"""
A raw client: it sends the handshake that it is told to, however wrong, and waits.

Whatever happens becomes a value, within the time-out: no step here raises. What the
answer means is not here.
"""

from __future__ import annotations

import base64
import hashlib
import io
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http.client import HTTPException, HTTPResponse
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from wsorigin import __version__

from .answer import Answer, Failure, excerpt
from .frames import CLOSE, PING, PONG, TEXT, Reader, client_frame, read_frame
from .target import Target, WrongQuestion

# RFC 6455, section 1.3.
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_BODY: Final = 1 << 16
_BODY_PATIENCE: Final = 0.5
_NORMAL: Final = (1000).to_bytes(2)

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Client:
    """
    Knocks at one target; each wait ends ``timeout`` seconds after it began.

    ``trusted`` are the certificates that count, as `trust` gives them. ``addresses``
    are the target's, asked for once.
    """

    target: Target
    timeout: float
    trusted: ssl.SSLContext
    addresses: list[Any] = field(default_factory=list)

    def handshake(
        self,
        fields: Fields,
        *,
        path: str = "",
        listen: float = 1.0,
        until_message: bool = True,
    ) -> Answer:
        """
        Send an opening handshake, with these headers besides the necessary ones.

        A socket that opens is listened to for ``listen`` seconds, or until the first
        message, and closed.
        """
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [
            f"GET {path or self.target.path} HTTP/1.1",
            f"Host: {self.target.host_header}",
            f"User-Agent: wsorigin-doctor/{__version__}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *(f"{name}: {value}" for name, value in fields),
        ]

        def opened(answer: Answer, wire: _Wire, stream: Reader) -> None:
            problem = upgrade_problem(answer, key)
            if problem:
                raise _Failed(Failure.BROKEN_UPGRADE, problem)
            _listen(answer, wire, stream, listen, until_message)

        request = "\r\n".join(lines) + "\r\n\r\n"
        return self._exchange(request.encode("latin-1"), opened)

    def send(self, request: bytes) -> Answer:
        """Send these bytes, whatever they are, and return the answer to them."""
        return self._exchange(request)

    def speaks_tls(self) -> bool:
        """Whether the port completes a TLS handshake, with whatever certificate."""
        anybody = ssl.create_default_context()
        anybody.check_hostname = False
        anybody.verify_mode = ssl.CERT_NONE
        deadline = _Deadline(self.timeout)
        try:
            connection = self._connect(deadline)
            _wrapped(connection, self.target, anybody, deadline).close()
        except _Failed:
            return False
        return True

    def speaks_plainly(self) -> bool:
        """Whether the port answers HTTP without TLS."""
        plain = replace(self, target=self.target._replace(tls=False))
        return plain.handshake([], listen=0.1).status != 0

    def _connect(self, deadline: _Deadline) -> socket.socket:
        if not self.addresses:
            self.addresses.extend(_resolved(self.target, deadline))
        problem: object = ""
        for family, kind, protocol, _, address in self.addresses:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(deadline.left())
                connection.connect(address)
            except OSError as exc:
                connection.close()
                problem = exc.strerror or f"no answer within {deadline.seconds:g} s"
            else:
                return connection
        raise _Failed(Failure.NO_CONNECTION, problem)

    def _exchange(self, request: bytes, opened: Opened | None = None) -> Answer:
        answer, began = Answer(), time.monotonic()
        deadline = _Deadline(self.timeout)
        try:
            connection = self._connect(deadline)
            if self.target.tls:
                connection = _wrapped(connection, self.target, self.trusted, deadline)
            with connection:
                wire = _Wire(connection, deadline)
                response = _response(wire, request)
                answer.elapsed = time.monotonic() - began
                answer.status, answer.phrase = (
                    response.status,
                    excerpt(response.reason),
                )
                answer.fields = response.getheaders()
                if answer.status != 101:
                    answer.body = _body(wire, response)
                elif opened:
                    opened(answer, wire, response.fp)
        except _Failed as exc:
            answer.failure, answer.detail = exc.failure, exc.detail
            answer.elapsed = answer.elapsed or time.monotonic() - began
        return answer


def trust(cafile: str | None = None) -> ssl.SSLContext:
    """
    Return what TLS has to be like: certificates that the system or ``cafile`` vouches for.

    Raises WrongQuestion where there is no such file.
    """
    context = ssl.create_default_context()
    # In HTTP/2, an Upgrade header would be illegal.
    context.set_alpn_protocols(["http/1.1"])
    if cafile is not None:
        try:
            context.load_verify_locations(cafile)
        except OSError as exc:
            raise WrongQuestion(f"{cafile!a} has no certificates: {exc}.") from exc
    return context


def upgrade_problem(answer: Answer, key: str) -> str:
    """Say what is wrong with a 101 (RFC 6455, section 4.1); empty if nothing is."""
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    if answer.get("upgrade").lower() != "websocket":
        return "its Upgrade header isn't 'websocket'"
    if "upgrade" not in answer.get("connection").lower():
        return "its Connection header has no 'Upgrade'"
    if answer.get("sec-websocket-accept") != base64.b64encode(digest).decode():
        return "its Sec-WebSocket-Accept doesn't fit the key"
    return ""


# Inside -----------------------------------------------------------------------------


class _Failed(Exception):
    """There is no answer; ends the exchange, and nothing else."""

    def __init__(self, failure: Failure, detail: object = "") -> None:
        super().__init__(failure, detail)
        self.failure = failure
        self.detail = excerpt(detail)


class _Deadline:
    """A moment after which nobody waits any more."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds until then; raises TimeoutError where there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Wire(io.RawIOBase):
    """A connection as a file whose reads end with the deadline."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self.connection = connection
        self.deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.connection.settimeout(self.deadline.left())
        return self.connection.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what HTTPResponse reads from."""
        return io.BufferedReader(self)

    def send(self, data: bytes) -> None:
        self.connection.settimeout(self.deadline.left())
        self.connection.sendall(data)


Opened = Callable[[Answer, _Wire, Reader], None]


def _resolved(target: Target, deadline: _Deadline) -> list[Any]:
    """Return the addresses of a target, as `socket.getaddrinfo` gives them."""
    where = target.host.strip("[]"), target.port
    look = partial(socket.getaddrinfo, *where, type=socket.SOCK_STREAM)
    with suppress(OSError):
        return look(flags=socket.AI_NUMERICHOST)
    found: SimpleQueue[Any] = SimpleQueue()

    def ask() -> None:
        try:
            found.put(look())
        except OSError as exc:
            found.put(exc)

    # In a thread, since the system's resolver knows no time-out.
    Thread(target=ask, daemon=True).start()
    try:
        result = found.get(timeout=deadline.left())
    except (Empty, TimeoutError):
        raise _Failed(Failure.NO_NAME, "its name servers do not answer") from None
    if isinstance(result, OSError):
        raise _Failed(Failure.NO_NAME, result.strerror)
    return list(result)


def _wrapped(
    connection: socket.socket,
    target: Target,
    context: ssl.SSLContext,
    deadline: _Deadline,
) -> ssl.SSLSocket:
    name = target.host.strip("[]").removesuffix(".")
    try:
        connection.settimeout(deadline.left())
        return context.wrap_socket(connection, server_hostname=name)
    except OSError as exc:
        connection.close()
        match exc:
            case ssl.SSLCertVerificationError():
                failed = _Failed(Failure.CERTIFICATE, exc.verify_message)
            case TimeoutError():
                failed = _Failed(Failure.TLS, "the server says nothing")
            case _:
                failed = _Failed(Failure.TLS, exc.strerror)
        raise failed from exc


def _response(wire: _Wire, request: bytes) -> HTTPResponse:
    response = HTTPResponse(wire)  # type: ignore[arg-type]  # asks for makefile() alone
    try:
        wire.send(request)
        response.begin()
    except TimeoutError as exc:
        raise _Failed(Failure.SILENT, f"after {wire.deadline.seconds:g} s") from exc
    except OSError as exc:  # RemoteDisconnected is one
        raise _Failed(Failure.CLOSED) from exc
    except (HTTPException, ValueError) as exc:
        raise _Failed(Failure.NOT_HTTP, exc) from exc
    return response


def _body(wire: _Wire, response: HTTPResponse) -> str:
    """Return what comes of a body at once; no finding depends on its end."""
    wire.deadline = _Deadline(min(_BODY_PATIENCE, wire.deadline.seconds))
    body = b""
    with suppress(HTTPException, OSError, ValueError):
        while len(body) < _MAX_BODY and (part := response.read1(_MAX_BODY)):
            body += part
    return body.decode("utf-8", "replace")


def _listen(
    answer: Answer, wire: _Wire, stream: Reader, seconds: float, until_message: bool
) -> None:
    began = time.monotonic()
    wire.deadline = _Deadline(seconds)
    try:
        while not (until_message and answer.message) and answer.close_code is None:
            frame = read_frame(stream)
            if frame.opcode == TEXT:
                answer.message = frame.payload.decode("utf-8", "replace")
            elif frame.opcode == PING:
                wire.send(client_frame(PONG, frame.payload[:125]))
            elif frame.opcode == CLOSE:
                answer.close_code = frame.close_code
    except TimeoutError:
        pass  # still open
    except (EOFError, OSError):
        answer.cut = True
    answer.lasted = time.monotonic() - began
    with suppress(OSError):
        wire.deadline = _Deadline(1)
        wire.send(client_frame(CLOSE, _NORMAL))
