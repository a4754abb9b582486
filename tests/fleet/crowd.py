"""
A crowd of WebSocket clients in one process, and when each of them was closed.

They speak as little of the protocol as that takes; `tests.servers.client` has more.
"""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import cycle
from types import TracebackType
from typing import Final

from tests.servers.client import Address

# Of handshakes that no answer has come for: a server's queue holds 128 (processes.py).
_AT_A_TIME: Final = 100
_TEXT: Final = 0x81
_CLOSE: Final = 0x88
ABNORMAL: Final = 1006  # as a browser would call it


class Member:
    """
    One client.

    ``status`` is the handshake's answer; ``code`` how the server closed the socket, at
    ``closed_at`` (`time.monotonic`); ``heard`` counts the messages.
    """

    def __init__(self, address: Address, path: str, timeout: float) -> None:
        self.address = address
        self.path = path
        self.status: int | None = None
        self.code: int | None = None
        self.closed_at = 0.0
        self.heard = 0
        self._received = b""
        self.socket = socket.create_connection(address, timeout)
        self.socket.setblocking(False)

    @property
    def is_open(self) -> bool:
        """Whether the socket was opened, and not closed since."""
        return self.status == 101 and self.code is None

    def say(self) -> None:
        """Send one message, if the server has not hung up."""
        self._send(_TEXT, b"x")

    def read(self) -> bool:
        """Take in what has come; return whether more can."""
        received = b""
        with suppress(ConnectionError):
            received = self.socket.recv(65536)
        self._received += received
        if received and self.status is None:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self.status = int(head.split()[1])
        while self.status == 101 and self._read_frame():
            pass
        if not received and self.code is None:
            self._closed(ABNORMAL)
        return bool(received)

    def _read_frame(self) -> bool:
        if len(self._received) < 2:
            return False
        kind, length = self._received[:2]
        payload = self._received[2 : 2 + length]
        self._received = self._received[2 + length :]
        # Whatever is sent here is short, and arrives in one piece, as does a head.
        assert length < 126
        assert len(payload) == length
        if kind == _CLOSE:
            self._closed(int.from_bytes(payload[:2], "big"))
            self._send(_CLOSE, payload[:2])
        else:
            assert kind == _TEXT, kind
            self.heard += 1
        return True

    def _closed(self, code: int) -> None:
        self.code, self.closed_at = code, time.monotonic()

    def _send(self, kind: int, payload: bytes) -> None:
        # A client has to mask (RFC 6455, section 5.3); with zeros it is a copy.
        with suppress(ConnectionError):
            self.socket.sendall(
                bytes([kind, 0x80 | len(payload), 0, 0, 0, 0]) + payload
            )


class Crowd:
    """Clients by the thousand, looked after while somebody waits for something."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def open(
        self,
        addresses: Iterable[Address],
        path: str,
        count: int,
        *,
        origin: str | None = "https://site.example",
        timeout: float = 60.0,
        **headers: str,
    ) -> list[Member]:
        """Send so many handshakes, to one address after the other; await the answers."""
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: site.example",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *([f"Origin: {origin}"] if origin else []),
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        handshake = "\r\n".join([*lines, "", ""]).encode()
        turns = cycle(addresses)
        members: list[Member] = []
        while len(members) < count:
            batch = [
                Member(next(turns), path, timeout)
                for _ in range(min(_AT_A_TIME, count - len(members)))
            ]
            # All connected first, so that these handshakes are parallel.
            for member in batch:
                self._selector.register(member.socket, selectors.EVENT_READ, member)
                member.socket.sendall(handshake)
            assert self.wait(partial(all_answered, batch), timeout)
            members += batch
        return members

    def wait(self, until: Callable[[], bool], timeout: float) -> bool:
        """Look after all clients until something is so; return whether it is."""
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() > deadline:
                return False
            for key, _ in self._selector.select(0.05):
                member: Member = key.data
                if not member.read():
                    self._selector.unregister(member.socket)
                    member.socket.close()
        return True

    def answers(self, members: Sequence[Member], timeout: float = 60.0) -> bool:
        """Say something on each socket; return whether each was answered, none closed."""
        pairs = [(member, member.heard) for member in members]
        for member in members:
            member.say()
        self.wait(
            lambda: all(m.heard > heard or not m.is_open for m, heard in pairs), timeout
        )
        return all(m.heard > heard and m.is_open for m, heard in pairs)


def all_answered(members: Iterable[Member]) -> bool:
    """Whether each handshake was answered, if only by hanging up."""
    return all(m.status is not None or m.code is not None for m in members)


def codes(members: Iterable[Member]) -> Counter[int | None]:
    """Count how the sockets ended; None stands for those still open."""
    return Counter(member.code for member in members)
