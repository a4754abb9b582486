"""
A client without manners: it does what a case says, and keeps what comes back.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Final

from tests.servers.client import Address

from .case import Act, Case, Slowly, Step

# Until a server that has said nothing is said to wait for more.
PATIENCE: Final = 2.5
# From the last bytes of an answer until it is taken for whole.
QUIET: Final = 0.5
# A kernel's way to drop a connection: close() sends a reset (socket(7), SO_LINGER).
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass
class Client:
    """
    One connection to a server, and what came back.

    ``began`` is when it was opened; ``events`` are the requests on it that reached the
    application, as `Siege` finds them; ``was_answered`` is set as soon as there is
    something to read, or the end.
    """

    case: Case
    port: int = 0
    began: float = 0
    data: bytes = b""
    closed: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)
    was_answered: Event = field(default_factory=Event)

    def play(self, address: Address) -> None:
        """Do all that the case says, and read until nothing more comes."""
        with socket.socket() as connection:
            connection.settimeout(PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.began = time.monotonic()
            connection.connect(address)
            self.port = connection.getsockname()[1]
            for step in self.case.steps:
                self.take(step, connection)
            while not self.closed and self.listen(connection):
                pass

    def owns(self, event: dict[str, Any]) -> bool:
        """Whether an event may be of this connection; a later one can have its port."""
        return event["port"] == self.port and event["time"] >= self.began

    def take(self, step: Step, connection: socket.socket) -> None:
        """Do one thing; a server may have hung up by then."""
        match step:
            case Act.HALF_CLOSE:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
            case Act.RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.close()
                self.closed = True
                self.was_answered.set()
            case Act.LISTEN:
                self.listen(connection)
            case _:
                size = 1 if isinstance(step, Slowly) else max(len(step), 1)
                with suppress(ConnectionError, TimeoutError):
                    for start in range(0, len(step), size):
                        connection.sendall(step[start : start + size])

    def listen(self, connection: socket.socket) -> bool:
        """Read what there is, or the end; say whether there was either."""
        connection.settimeout(QUIET if self.data else PATIENCE)
        try:
            received = connection.recv(65536)
        except ConnectionError:
            received = b""
        except TimeoutError:
            return False
        self.data += received
        self.closed = not received
        self.was_answered.set()
        return True
