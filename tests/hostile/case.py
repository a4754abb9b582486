"""
What a hostile client does, as bytes and acts; no word about what comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from wsorigin.policy import Reason

APP: Final = b"https://app.example"
EVIL: Final = b"https://evil.example"
FRIENDLY: Final = "/friendly/"
COOKIE: Final = b"sessionid=taken-along"

_LINES: Final = {
    "request": b"GET /hostile/ HTTP/1.1",
    "host": b"Host: site.example",
    "upgrade": b"Upgrade: websocket",
    "connection": b"Connection: Upgrade",
    "version": b"Sec-WebSocket-Version: 13",
    "key": b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "origin": b"Origin: " + EVIL,
    "cookie": b"Cookie: " + COOKIE,
}


# What a server makes of too many bytes depends on how many it reads at once; and one
# that hangs up on what it has not read drops its own answer with it.
TOO_MUCH: Final = tuple(f"server: {word}" for word in ("closed", "waits", "400", "431"))


class Act(Enum):
    """What a client does besides sending."""

    HALF_CLOSE = "end what it sends, and go on reading"
    RESET = "drop the connection without a good-bye"
    LISTEN = "wait for the first bytes of an answer"


class Slowly(bytes):
    """Bytes that are sent one at a time."""


Step = bytes | Act


@dataclass(frozen=True)
class Case:
    """
    One client: its name, what it tries, and what it does in which order.

    ``reason`` is the guard's, where it is the guard that denies. ``timing`` holds
    outcomes that depend on what a server sees first, besides the one in the table.
    Strangers ask for other paths than ``/friendly/``, which is for who is trusted.
    """

    name: str
    tries: str
    steps: tuple[Step, ...]
    reason: Reason = Reason.UNLISTED
    timing: tuple[str, ...] = ()


def lines(*values: bytes) -> bytes:
    """Return several header lines as one."""
    return b"\r\n".join(values)


def handshake(**replaced: bytes | None) -> bytes:
    """
    Return a stranger's handshake, with some lines replaced; None leaves one out.

    ``more`` adds lines at the end, ``end`` replaces the line ends.
    """
    end = replaced.pop("end", None) or b"\r\n"
    parts = [line for line in {**_LINES, **replaced}.values() if line is not None]
    return end.join(parts) + end * 2


def friendly(**replaced: bytes | None) -> bytes:
    """Return the handshake of a page that is trusted, with some lines replaced."""
    trusted = {"request": b"GET /friendly/ HTTP/1.1", "origin": b"Origin: " + APP}
    return handshake(**{**trusted, **replaced})


def page(*more: bytes) -> bytes:
    """Return a request for a page over plain HTTP."""
    first = (b"GET /page/ HTTP/1.1", b"Host: site.example", b"Origin: " + EVIL)
    return lines(*first, *more) + b"\r\n\r\n"


def origins(*values: bytes) -> bytes:
    """Return a stranger's handshake with these origins, each on a line."""
    return handshake(origin=lines(*(b"Origin: " + value for value in values)))


# Masked, as a client's frames are (RFC 6455, section 5.2): the text "hello".
FRAME: Final = b"\x81\x85\x00\x00\x00\x00hello"
