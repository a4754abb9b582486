"""
The few frames that the doctor needs: it listens, answers pings, and says goodbye.

Whether a frame is a good or a bad sign, others judge.
"""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple, Protocol

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

# Of one frame. The doctor waits for small messages; what is longer is not for it.
MAX_LENGTH: Final = 1 << 16


class Reader(Protocol):
    """Where bytes come from; fewer than asked for means the end."""

    def read(self, size: int, /) -> bytes: ...


class Frame(NamedTuple):
    """A frame as it was received."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int:
        """The code of a close frame; 1005 where it has none (RFC 6455, section 7.1.5)."""
        return int.from_bytes(self.payload[:2]) if len(self.payload) >= 2 else 1005


def read_frame(stream: Reader) -> Frame:
    """
    Read one frame (RFC 6455, section 5.2); servers do not mask.

    Raises EOFError at the end of the stream, and for a frame too long to care about.
    """
    first, second = exactly(stream, 2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(exactly(stream, 2 if length == 126 else 8))
    if length > MAX_LENGTH:
        raise EOFError
    return Frame(first & 0x0F, exactly(stream, length))


def exactly(stream: Reader, size: int) -> bytes:
    """Read so many bytes; raises EOFError where there are fewer."""
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def client_frame(opcode: int, payload: bytes = b"") -> bytes:
    """Return a frame as a client sends it: complete, short and masked."""
    mask = secrets.token_bytes(4)
    masked = bytes(octet ^ mask[i % 4] for i, octet in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked
