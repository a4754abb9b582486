"""
A load generator: WebSocket clients by the thousand, in one thread over epoll.

It speaks as little of the protocol as that takes. Where the servers come from, and what
the figures mean, is the callers' business.
"""

from __future__ import annotations

import resource
import select
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from math import inf
from types import TracebackType
from typing import Final

Address = tuple[str, int]

# Handshakes under way at the same time: fewer than a server's queue holds (serving.py).
AT_ONCE: Final = 64
_PATIENCE: Final = 60.0
# Closing with a reset leaves no port in TIME_WAIT, of which there would be too many.
_RESET: Final = struct.pack("ii", 1, 0)
_TEXT: Final = 0x81
_CLOSE: Final = 0x88
_PING: Final = 0x89
_PONG: Final = 0x8A
ABNORMAL: Final = 1006  # as a browser would call it
MESSAGE: Final = b"sixteen octets.."


def request(path: str, **headers: str) -> bytes:
    """Return a handshake, with the headers that Chromium sends and these."""
    all_headers = {
        "Host": "chat.example.com",
        "Connection": "Upgrade",
        "Pragma": "no-cache",
        "Cache-Control": "no-cache",
        "User-Agent": (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/141.0.0.0 Safari/537.36"
        ),
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": "en-GB,en;q=0.9",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    lines = [f"{name}: {value}" for name, value in all_headers.items()]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


class Client:
    """
    One socket.

    ``status`` is the handshake's answer, ``code`` how the server closed it, at
    ``closed_at`` (`time.perf_counter`), ``heard`` how many messages came, ``last`` the
    last of them.
    """

    __slots__ = (
        "_received",
        "answers_close",
        "closed_at",
        "code",
        "heard",
        "last",
        "socket",
        "started_at",
        "status",
    )

    def __init__(self, address: Address, *, answers_close: bool = True) -> None:
        self.status = self.code = self.heard = 0
        self.closed_at = 0.0
        self.last = b""
        self.answers_close = answers_close
        self._received = b""
        self.started_at = time.perf_counter()
        self.socket = socket.create_connection(address, _PATIENCE)

    def knock(self, handshake: bytes) -> None:
        """Send a handshake; nobody waits for the answer."""
        self.socket.sendall(handshake)
        self.socket.setblocking(False)

    @property
    def is_answered(self) -> bool:
        """Whether the handshake is over, one way or the other."""
        return bool(self.status or self.code)

    def say(self) -> None:
        """Send one message."""
        self._send(_TEXT, MESSAGE)

    def read(self) -> bool:
        """Take in what has come; say whether more can."""
        try:
            received = self.socket.recv(65536)
        except ConnectionError:
            received = b""
        self._received += received
        if not self.status:
            head, ended, rest = self._received.partition(b"\r\n\r\n")
            if ended:
                self.status, self._received = int(head[9:12]), rest
        if self.status == 101:
            while self._read_frame():
                pass
        if not received and not self.code:
            self.code, self.closed_at = ABNORMAL, time.perf_counter()
        return bool(received)

    def _read_frame(self) -> bool:
        if len(self._received) < 2:
            return False
        kind, length = self._received[:2]
        end = 2 + length  # all that is sent here is short
        if len(self._received) < end:
            return False
        payload, self._received = self._received[2:end], self._received[end:]
        if kind == _CLOSE:
            self.code = int.from_bytes(payload[:2], "big")
            self.closed_at = time.perf_counter()
            if self.answers_close:
                self._send(_CLOSE, payload[:2])
        elif kind == _PING:
            self._send(_PONG, payload)  # or the server would think that it has gone
        else:
            self.heard += 1
            self.last = payload
        return True

    def _send(self, kind: int, payload: bytes) -> None:
        # A client has to mask (RFC 6455, section 5.3); with zeros it is a copy. That
        # the server has hung up will be seen when reading.
        frame = bytes([kind, 0x80 | len(payload), 0, 0, 0, 0]) + payload
        with suppress(ConnectionError):
            self.socket.sendall(frame)

    def drop(self) -> None:
        """Vanish."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()


@dataclass
class Handshakes:
    """What a number of handshakes came to; seconds, also in ``latencies``."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """How many were answered in a second."""
        return len(self.latencies) / self.seconds

    def add(self, more: Handshakes) -> None:
        """Take in what another turn came to."""
        self.seconds += more.seconds
        self.cpu_seconds += more.cpu_seconds
        self.latencies += more.latencies
        self.statuses += more.statuses


def percentile(seconds: Sequence[float], percent: float) -> float:
    """Return the milliseconds below which so many percent of these are."""
    ranked = sorted(seconds)
    return 1000 * ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


class Clients:
    """Sockets in one epoll, looked after while somebody waits for something."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def __enter__(self) -> Clients:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in list(self._clients.values()):
            self.forget(client)
        self._epoll.close()

    def add(
        self, address: Address, handshake: bytes, *, answers_close: bool = True
    ) -> Client:
        """Open a socket and send a handshake."""
        client = Client(address, answers_close=answers_close)
        client.knock(handshake)
        self.look_after(client)
        return client

    def look_after(self, client: Client) -> None:
        """Read from a socket whenever it has something, from now on."""
        self._clients[client.socket.fileno()] = client
        self._epoll.register(client.socket.fileno(), select.EPOLLIN)

    def forget(self, client: Client) -> None:
        """Drop a socket."""
        number = client.socket.fileno()
        if self._clients.pop(number, None):
            self._epoll.unregister(number)
            client.drop()

    def ready(self, timeout: float) -> Iterator[Client]:
        """Read from whatever has something; yield those sockets."""
        for number, _ in self._epoll.poll(timeout):
            client = self._clients[number]
            if not client.read():
                self.forget(client)
            yield client

    def next_ready(self) -> list[Client]:
        """Wait for whatever comes; raises TimeoutError where nothing does."""
        found = list(self.ready(_PATIENCE))
        if not found:
            raise TimeoutError(f"nothing has come for {_PATIENCE:.0f} seconds")
        return found

    def wait(self, until: Callable[[], bool], timeout: float = _PATIENCE) -> bool:
        """Look after all until something is so; say whether it is."""
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() > deadline:
                return False
            for _ in self.ready(0.02):
                pass
        return True

    def wait_for_answers(
        self, clients: Sequence[Client], timeout: float = _PATIENCE
    ) -> bool:
        """Look after all until each of some has its answer; say whether it has."""
        return self.wait(lambda: all(one.is_answered for one in clients), timeout)

    def open(
        self,
        addresses: Sequence[Address],
        handshake: bytes,
        count: int,
        *,
        answers_close: bool = True,
    ) -> list[Client]:
        """Open so many sockets, on one address after the other; all are let in."""
        turns, clients = cycle(addresses), list[Client]()
        while len(clients) < count:
            batch = [
                self.add(address, handshake, answers_close=answers_close)
                for address in islice(turns, min(AT_ONCE, count - len(clients)))
            ]
            self.wait_for_answers(batch)
            clients += batch
        refused = Counter(one.status for one in clients if one.status != 101)
        if refused:
            raise RuntimeError(f"not let in, by status: {dict(refused)}")
        return clients

    def shake_hands(self, address: Address, handshake: bytes, count: int) -> Handshakes:
        """Send so many handshakes, `AT_ONCE` at a time, each on a new connection."""
        done = Handshakes()
        under_way, left = 0, count
        started, cpu = time.perf_counter(), time.thread_time()
        while len(done.latencies) < count:
            while left and under_way < AT_ONCE:
                self.add(address, handshake)
                left -= 1
                under_way += 1
            for client in self.next_ready():
                if client.is_answered:
                    done.latencies.append(time.perf_counter() - client.started_at)
                    done.statuses[client.status] += 1
                    under_way -= 1
                    self.forget(client)
        done.seconds = time.perf_counter() - started
        done.cpu_seconds = time.thread_time() - cpu
        return done

    def echo(self, clients: Sequence[Client], count: int) -> float:
        """Exchange so many messages, one under way on each socket; return seconds."""
        left = count - len(clients)
        started = time.perf_counter()
        heard = {client: client.heard for client in clients}
        for client in clients:
            client.say()
        waiting = len(clients)
        while waiting:
            for client in self.next_ready():
                if client.code:
                    raise RuntimeError(f"closed while it was talked to: {client.code}")
                if client.heard > heard[client]:
                    heard[client] = client.heard
                    waiting -= 1
                    if left > 0:
                        left -= 1
                        waiting += 1
                        client.say()
        return time.perf_counter() - started

    def beside(
        self,
        talkers: Sequence[Client],
        interval: float,
        address: Address,
        handshake: bytes,
        rate: float,
        seconds: float,
    ) -> tuple[list[float], Counter[int]]:
        """
        Have clients talk while others knock, both by the clock and not by the answers.

        Each of ``talkers`` sends a message every ``interval``, spread evenly, and
        ``rate`` handshakes a second are sent to ``address``. Returns how long each
        message took to come back, from when it was due, and the handshakes by status:
        0 are those without an answer in the end.
        """
        due = {one: deque[float]() for one in talkers}
        heard = {one: one.heard for one in talkers}
        knocking, statuses, latencies = set[Client](), Counter[int](), list[float]()

        def listen(timeout: float) -> None:
            for client in self.ready(timeout):
                while heard.get(client, client.heard) < client.heard:
                    heard[client] += 1
                    latencies.append(time.perf_counter() - due[client].popleft())
                if client in knocking and client.is_answered:
                    statuses[client.status] += 1
                    knocking.discard(client)
                    self.forget(client)

        turns, step = cycle(talkers), interval / len(talkers)
        start = time.perf_counter()
        next_word, next_knock = start, start if rate else inf
        while (now := time.perf_counter()) < start + seconds:
            while next_word <= now:
                talker = next(turns)
                due[talker].append(next_word)
                talker.say()
                next_word += step
            while next_knock <= now:
                knocking.add(self.add(address, handshake))
                next_knock += 1 / rate
            listen(max(0.0, min(next_word, next_knock) - time.perf_counter()))
        for client in knocking:
            statuses[0] += 1
            self.forget(client)
        knocking.clear()
        deadline = time.monotonic() + _PATIENCE
        while any(due.values()):
            if time.monotonic() > deadline:
                raise TimeoutError("some messages have not come back")
            listen(0.1)
        return latencies, statuses
