"""
Raw WebSocket clients: they send exactly what a test says, however wrong.

One over HTTP/1.1, one over HTTP/2 (RFC 8441); a test cannot tell them apart.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, NamedTuple, Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, TextMessage

# Of any single wait. Daphne's own time-out for an unanswered handshake is five
# seconds, so that a denial which hangs fails a test.
TIMEOUT: Final = 4.0

Address = tuple[str, int]
Headers = Sequence[tuple[bytes, bytes]]


class Closed(NamedTuple):
    """How the server closed a socket."""

    code: int
    reason: str


class Stream(Protocol):
    """A handshake that was sent, its answer, and the bytes in both directions after it."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    opened: bool

    def await_answer(self) -> None: ...

    def read(self) -> bytes: ...

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Http1Stream:
    """``GET`` with ``Upgrade`` (RFC 6455, section 4.1)."""

    def __init__(
        self,
        address: Address,
        path: str,
        host: bytes,
        headers: Headers,
        timeout: float = TIMEOUT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.opened = False
        lines = [
            b"GET %s HTTP/1.1" % path.encode(),
            b"Host: %s" % host,
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *(b"%s: %s" % header for header in headers),
        ]
        self._socket = socket.create_connection(address, timeout)
        if tls:
            self._socket = tls.wrap_socket(self._socket, server_hostname=address[0])
        self._socket.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        self._response = HTTPResponse(self._socket)

    def await_answer(self) -> None:
        with suppress(HTTPException, ConnectionError, TimeoutError):
            self._response.begin()
            self.status = self._response.status
            self.headers = {k.lower(): v for k, v in self._response.getheaders()}
            self.opened = self.status == 101
            if not self.opened:
                self.body = self._response.read()

    def read(self) -> bytes:
        return self._response.fp.read1()

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self._response.close()
        self._socket.close()


class Http2Stream:
    """Extended ``CONNECT`` (RFC 8441, section 4): no key, no ``Upgrade``."""

    def __init__(
        self,
        address: Address,
        path: str,
        host: bytes,
        headers: Headers,
        timeout: float = TIMEOUT,
    ) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.opened = False
        self._unread = b""
        self._ended = False
        self._socket = socket.create_connection(address, timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._http2 = H2Connection(
            H2Configuration(
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        with ExitStack() as cleanup:
            cleanup.enter_context(self._socket)
            self._http2.initiate_connection()
            self._flush()
            while not self._http2.remote_settings.enable_connect_protocol:
                assert not self._ended
                self._pump()
            self._http2.send_headers(
                1,
                [
                    (b":method", b"CONNECT"),
                    (b":protocol", b"websocket"),
                    (b":scheme", b"http"),
                    (b":authority", host),
                    (b":path", path.encode()),
                    (b"sec-websocket-version", b"13"),
                    *((name.lower(), value) for name, value in headers),
                ],
            )
            self._flush()
            cleanup.pop_all()

    def await_answer(self) -> None:
        while not self.opened and not self._ended:
            self._pump()
        if not self.opened:
            self.body = self.read()

    def read(self) -> bytes:
        while not self._unread and not self._ended:
            self._pump()
        data, self._unread = self._unread, b""
        return data

    def write(self, data: bytes) -> None:
        self._http2.send_data(1, data)
        self._flush()

    def close(self) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(self._http2.data_to_send())

    def _pump(self) -> None:
        """Wait for bytes, and take in what they say."""
        received = b""
        with suppress(ConnectionError):
            received = self._socket.recv(65536)
        self._ended = not received
        for event in self._http2.receive_data(received):
            match event:
                case ResponseReceived():
                    fields = {k.decode(): v.decode("latin-1") for k, v in event.headers}
                    self.status = int(fields.pop(":status"))
                    self.headers = fields
                    self.opened = self.status == 200
                case DataReceived():
                    self._unread += event.data
                case StreamEnded() | StreamReset() | ConnectionTerminated():
                    self._ended = True
        self._flush()


class Client:
    """
    One handshake, what it was answered with, and the socket if that opened.

    ``status`` is None where the server hung up instead of answering, or stayed silent.
    """

    def __init__(self, stream: Stream) -> None:
        stream.await_answer()
        self._stream = stream
        self._frames = Connection(ConnectionType.CLIENT)
        self._events: deque[Event] = deque()
        self.status = stream.status
        self.headers = stream.headers
        self.body = stream.body
        self.opened = stream.opened

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server selected."""
        return self.headers.get("sec-websocket-protocol")

    def send(self, text: str) -> None:
        """Send one text message."""
        self._stream.write(self._frames.send(TextMessage(text)))

    def receive(self) -> str | Closed:
        """Wait for one text message, or for the end."""
        text, finished = "", False
        while not finished:
            while not self._events:
                self._frames.receive_data(self._stream.read() or None)
                self._events.extend(self._frames.events())
            event = self._events.popleft()
            if isinstance(event, CloseConnection):
                return Closed(event.code, event.reason or "")
            assert isinstance(event, TextMessage), event
            text += event.data
            finished = event.message_finished
        return text

    def receive_json(self) -> Any:
        """Wait for one message, and read it as JSON."""
        message = self.receive()
        assert isinstance(message, str), message
        return json.loads(message)
