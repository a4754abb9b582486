"""
Who looks after the live connections of an event loop, and ends those that lost a right.

It looks when it was told to, and in any case every ``WSORIGIN_REFRESH_INTERVAL``
seconds: the hint is for speed, the look is the truth.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from math import inf
from typing import Final
from weakref import WeakKeyDictionary, ref

from wsorigin.conf import conf
from wsorigin.database import Database
from wsorigin.denial import CLOSE_EXPIRED, CLOSE_ORIGIN
from wsorigin.policy import Policy
from wsorigin.refresh import aget_policy, current

from .claims import NOTHING, Claim
from .connection import Connection
from .hints import Hint, Hints, Process, session_name
from .looks import Findings, look

logger = logging.getLogger(__name__)

# Connections dealt with before other work of the event loop has its turn.
_DECIDED_AT_ONCE: Final = 100
_CLOSED_AT_ONCE: Final = 50
_RELEASED_AT_ONCE: Final = 10
# A log-out is told before the session is deleted, and some changes are committed after
# they are told: so what a hint says is looked into once more, after so many seconds.
_LOOK_AGAIN_AFTER: Final = 0.4
_CLEAR_OF_THE_SECOND: Final = 0.15
# Hints come as fast as people change things; between two looks there is a rest.
_REST: Final = 0.05

# A connection, its close code, and why, for the log.
_Doomed = tuple[Connection, int, str]


class Watcher:
    """
    The live connections of one event loop, and what looks after them.

    Between two looks there is a timer and no task: who closes an event loop leaves
    nothing half done behind.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self.connections: set[Connection] = set()
        self._policy: Policy | None = None
        self._hints: set[Hint] = set()
        self._again: dict[Hint, float] = {}
        self._timer: asyncio.Handle | None = None
        self._database: Database | None = None
        self._looking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._looked_at = self._poll_at = -inf
        self._answered_at = time.monotonic()
        self._expires_at = self._known_until = inf

    def add(self, connection: Connection, policy: Policy) -> None:
        """Look after a connection that this policy of the site has allowed."""
        if not self.connections:
            self._begin(connection, policy)
        elif policy is not self._policy:
            # It changed in between, in one direction or the other: decide again.
            self._policy = None
            self.hear(Hint("origins"))
        self.connections.add(connection)
        if connection.claim.until < self._expires_at:
            self._expires_at = connection.claim.until
            self._wake()

    def _begin(self, connection: Connection, policy: Policy) -> None:
        self._policy = policy
        self._answered_at = connection.opened_at
        self._poll_at = connection.opened_at + conf.WSORIGIN_REFRESH_INTERVAL
        if self._timer is None or current.database is not self._database:
            # The timer of the last ones, if there still is one, comes sooner.
            self._wake()
            hints.listen()

    def discard(self, connection: Connection) -> None:
        """Forget a connection that is over; the last one takes the look with it."""
        connection.closed = True
        self.connections.discard(connection)
        if self._looking is not None and not self.connections:
            self._looking.cancel()

    def hear(self, hint: Hint) -> None:
        """Look into a hint, now and once more a moment later."""
        self._hints.add(hint)
        self._again[hint] = time.monotonic() + _LOOK_AGAIN_AFTER
        self._wake()

    def _wake(self) -> None:
        """Have a tick as soon as the event loop comes to it."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        """Do what is due, and come back when the next thing is."""
        self._timer = None
        if not self.connections:
            self._hints.clear()
            self._again.clear()
            return
        self._database = current.database
        self._start_ending(self._expired())
        self._collect_hints()
        now = time.monotonic()
        is_due = now >= self._poll_at or self._hints
        if self._looking is None and is_due and now >= self._rested_at:
            self._start_look()
        self._timer = asyncio.get_running_loop().call_later(
            self._idle_for(), self._tick
        )

    def _start_ending(self, doomed: list[_Doomed]) -> None:
        """Close in a task of its own: when the last connection goes, the look does too."""
        if doomed:
            self.connections.difference_update(one for one, _, _ in doomed)
            task = asyncio.get_running_loop().create_task(_end(doomed))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    @property
    def _rested_at(self) -> float:
        """When the next look may start."""
        return self._looked_at + _REST

    def _collect_hints(self) -> None:
        """Add the hints that are due again, and that a trusted origin has expired."""
        now = time.monotonic()
        for hint in [hint for hint, due in self._again.items() if due <= now]:
            del self._again[hint]
            self._hints.add(hint)
        until = self._database.until if self._database else inf
        if until != self._known_until and until <= time.time():
            # Once for each moment: where the database is away it stays in the past.
            self._known_until = until
            self._hints.add(Hint("origins"))

    def _idle_for(self) -> float:
        """Return for how many seconds there is nothing to do."""
        now, wall = time.monotonic(), time.time()
        dues = [self._expires_at - wall + now]
        if self._database and self._database.until != self._known_until:
            dues.append(self._database.until - wall + now)
        if self._looking is None:
            dues.append(max(self._poll_at, self._rested_at))
            dues.extend(max(due, self._rested_at) for due in self._again.values())
            if self._hints:
                dues.append(self._rested_at)
        return max(0.0, min(dues) - now)

    def _start_look(self) -> None:
        """Look in a task of its own: timers go on where the database hangs."""
        now = self._looked_at = time.monotonic()
        told, self._hints = self._hints, set()
        is_poll = now >= self._poll_at
        if is_poll:
            self._poll_at = now + conf.WSORIGIN_REFRESH_INTERVAL
        self._looking = asyncio.get_running_loop().create_task(
            self._look(told, is_poll=is_poll)
        )
        self._looking.add_done_callback(self._looked)

    def _looked(self, _: asyncio.Task[None]) -> None:
        self._looking = None
        self._wake()

    async def _look(self, told: set[Hint], *, is_poll: bool) -> None:
        if is_poll or any(hint.what == "origins" for hint in told):
            await self._look_at_policy(told)
        claims = {
            connection.claim
            for connection in self.connections
            if connection.claim is not NOTHING
            and (is_poll or _is_meant(connection.claim, told))
        }
        wants_orders = is_poll or any(hint.what == "disconnection" for hint in told)
        if not claims and not wants_orders:
            return
        asked_at = time.monotonic()
        since = asked_at - self._answered_at if wants_orders else None
        findings = await look(claims, since)
        if findings is None:
            return  # no answer ends nothing
        if wants_orders:
            self._answered_at = asked_at
        self._start_ending(list(self._found(findings)))

    async def _look_at_policy(self, told: set[Hint]) -> None:
        if Hint("origins") in told:
            current.expire()
        policy = await aget_policy()
        if policy is self._policy:
            return
        # At once: who was let in by another policy meanwhile has to be told apart.
        self._policy = policy
        connections, doomed = list(self.connections), list[_Doomed]()
        for number, connection in enumerate(connections, start=1):
            decision = connection.decide(policy)
            if not decision:
                doomed.append((connection, CLOSE_ORIGIN, decision.reason))
            elif connection.with_session and not decision.credentials:
                # It has the visitor's session, which its origin may no more have.
                doomed.append((connection, CLOSE_ORIGIN, "session withheld"))
            if number % _DECIDED_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._start_ending(doomed)

    def _found(self, findings: Findings) -> Iterator[_Doomed]:
        for connection in list(self.connections):
            code = findings.ended.get(connection.claim)
            if code:
                yield connection, code, "credential ended"
                continue
            for order in findings.orders:
                if order.means(connection):
                    yield connection, order.code, "disconnected by an operator"
                    break

    def _expired(self) -> list[_Doomed]:
        """Return the connections whose token has expired; walk only when one has."""
        now = time.time()
        if now < self._expires_at:
            return []
        ends = {one: one.claim.until for one in self.connections}
        self._expires_at = min(
            filter(lambda end: end > now, ends.values()), default=inf
        )
        return [
            (connection, CLOSE_EXPIRED, "token expired")
            for connection, end in ends.items()
            if end <= now
        ]


async def _end(doomed: Iterable[_Doomed]) -> None:
    """
    Close connections, a few at a time, and log a line for each kind.

    All clients first, then the applications: what those do at their end takes several
    times as long as to close.
    """
    remaining = iter(doomed)
    counts: Counter[tuple[int, str, bool]] = Counter()
    closed: list[Connection] = []
    while batch := list(islice(remaining, _CLOSED_AT_ONCE)):
        await _keep_clear_of_the_second()
        for connection, code, why in batch:
            counts[code, why, connection.enforced] += 1
            if connection.enforced:
                connection.close(code)
                closed.append(connection)
        await asyncio.sleep(0)
    for (code, why, enforced), count in counts.items():
        done = "closed" if enforced else "would close (report-only)"
        logger.warning("%s connections=%d code=%d reason=%s", done, count, code, why)
    for number, connection in enumerate(closed, start=1):
        connection.release()
        if number % _RELEASED_AT_ONCE == 0:
            await asyncio.sleep(0)


async def _keep_clear_of_the_second() -> None:
    """
    Wait, where a second of the clock is about to begin.

    On Daphne the time-out of a closing handshake is rounded down to it (txaio's batched
    timers), and what was sent in that very moment is cut off with the connection: the
    client would see 1006 instead of its code.
    """
    left = 1 - time.time() % 1
    if left < _CLEAR_OF_THE_SECOND:
        await asyncio.sleep(left)


def _is_meant(claim: Claim, told: set[Hint]) -> bool:
    """Whether a hint may be about a claim."""
    return (
        (claim.token and Hint("token", str(claim.token)) in told)
        or (claim.user is not None and Hint("user", str(claim.user)) in told)
        or bool(
            claim.session_key
            and Hint("session", session_name(claim.session_key)) in told
        )
    )


# Tests, and those who serve from several threads, have several loops.
_watchers: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Watcher]] = (
    WeakKeyDictionary()
)
_lock: Final = threading.Lock()
_latest: Watcher | None = None


def watcher() -> Watcher:
    """Return the watcher of the running event loop."""
    global _latest
    loop, latest = asyncio.get_running_loop(), _latest
    if latest is not None and latest.loop() is loop:
        return latest
    with _lock:
        _latest = _watchers.get(loop) or _watchers.setdefault(loop, Watcher(loop))
        return _latest


def watch(connection: Connection, policy: Policy) -> Watcher:
    """Look after a connection that this policy of the site has just allowed."""
    watching = watcher()
    watching.add(connection, policy)
    return watching


def open_connections() -> int:
    """Return how many connections of this process are looked after."""
    with _lock:
        return sum(len(one.connections) for one in _watchers.values())


def hear(hint: Hint) -> None:
    """Have every event loop of this process look into a hint; from any thread."""
    with _lock:
        watching = list(_watchers.items())
    for loop, one in watching:
        if one.connections:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(one.hear, hint)


def tell(hint: Hint) -> None:
    """Have every process look into a hint: this one, and those on the channel layer."""
    hear(hint)
    hints.send(hint)


def processes() -> list[Process] | None:
    """
    Ask the processes of this site what policy they have, and how many connections.

    Those answer that look after connections. None without a shared channel layer.
    """
    return hints.ask()


def _this_process() -> Process:
    name = f"{socket.gethostname()}:{os.getpid()}"
    return Process(name, current.fingerprint, open_connections())


hints: Final = Hints(hear, _this_process)
