"""
A crowd of WebSocket clients in one process, and when each of them was closed.

They are the benchmarks' clients; `tests.servers.client` speaks more of the protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Final

from benchmarks.clients import ABNORMAL, Client, Clients, request
from tests.servers.client import Address

__all__ = ["ABNORMAL", "Crowd", "Member", "codes", "crowded"]

# Of handshakes that no answer has come for: a server's queue holds 128 (processes.py).
_AT_A_TIME: Final = 100


class Member(Client):
    """One client, and what it has asked whom for."""

    def __init__(self, address: Address, path: str) -> None:
        super().__init__(address)
        self.address = address
        self.path = path

    @property
    def is_open(self) -> bool:
        """Whether the socket was opened, and not closed since."""
        return self.status == 101 and not self.code


class Crowd:
    """Clients by the thousand, looked after while somebody waits for something."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.wait = clients.wait

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
        if origin:
            headers["Origin"] = origin
        handshake = request(path, Host="site.example", **headers)
        turns = cycle(addresses)
        members: list[Member] = []
        while len(members) < count:
            batch = [
                Member(next(turns), path)
                for _ in range(min(_AT_A_TIME, count - len(members)))
            ]
            # All connected first, so that these handshakes are parallel.
            for member in batch:
                member.knock(handshake)
                self._clients.look_after(member)
            assert self._clients.wait_for_answers(batch, timeout)
            members += batch
        return members

    def answers(self, members: Sequence[Member], timeout: float = 60.0) -> bool:
        """Say something on each socket; return whether each was answered, none closed."""
        pairs = [(member, member.heard) for member in members]
        for member in members:
            member.say()
        self.wait(
            lambda: all(m.heard > heard or not m.is_open for m, heard in pairs), timeout
        )
        return all(m.heard > heard and m.is_open for m, heard in pairs)


@contextmanager
def crowded() -> Iterator[Crowd]:
    """Have a crowd; in the end all hang up."""
    with Clients() as clients:
        yield Crowd(clients)


def codes(members: Iterable[Member]) -> Counter[int | None]:
    """Count how the sockets ended; None stands for those still open."""
    return Counter(member.code or None for member in members)
