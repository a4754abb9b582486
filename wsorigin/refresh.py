"""
The policy in force, in memory, and how it keeps up with the database.

One thread looks whether the trusted origins changed, and has them read if so. What the
settings say is the sources' business.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from math import inf
from typing import Any, Final

from django.core.signals import setting_changed
from django.db import DatabaseError, close_old_connections, connections

from .announcing import announce
from .conf import conf
from .database import Database, database_version, in_words, let_go, read_database
from .policy import Policy
from .signals import policy_changed
from .sources import collect, current_site

logger = logging.getLogger(__name__)

# How long a handshake waits for a look at the database that is overdue, in seconds.
_PATIENCE: Final = 1.0
# The first one may take longer, since without it nobody listed there is let in. Daphne
# gives up on a handshake after five seconds.
_FIRST_PATIENCE: Final = 4.0
# And how long code that cannot await holds up an event loop for it.
_LOOP_PATIENCE: Final = 0.02
# Threads that tell receivers of a change, each for as long as they take.
_MAX_TELLING: Final = 10
# Without triggers nothing tells what raw SQL has changed, so all is read now and then.
_FULL_READ_INTERVAL: Final = 60.0


class CurrentPolicy:
    """
    The site's policy in memory, and how it keeps up with the database.

    Settings count at once. The database is looked at by one thread, when somebody asks
    and the last look is older than half of ``WSORIGIN_REFRESH_INTERVAL``; nobody waits
    for it until the look is older than the whole. Where the database does not answer,
    what was last read of it stays in force, and the outage is logged once.
    """

    def __init__(self) -> None:
        self._policy: Policy | None = None
        self._fingerprint = ""
        self._generation = 0
        self._database: Database | None = None
        self._looked_at = self._due_at = -inf
        self._expiries = self._seen_expiries = 0
        self._look: Future[None] | None = None
        self._look_started_at = -inf
        self._is_away = False
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def get(self) -> Policy:
        """
        Return the policy in force; wait a moment where the last look is too old.

        On an event loop the moment is 20 ms, enough to see that nothing changed: then
        the look goes on, and the answer is from memory.
        """
        if time.monotonic() >= self._due_at:
            look = self._start_look()
            if look and self._is_overdue():
                patience = self._patience()
                if _on_event_loop():
                    patience = min(patience, _LOOP_PATIENCE)
                with suppress(TimeoutError):
                    look.result(patience)
        return self._policy or self.compile()

    async def aget(self) -> Policy:
        """Return the policy in force; wait a moment where the last look is too old."""
        if time.monotonic() >= self._due_at:
            look = self._start_look()
            if look and self._is_overdue():
                with suppress(TimeoutError):
                    waiting = asyncio.shield(asyncio.wrap_future(look))
                    await asyncio.wait_for(waiting, self._patience())
        return self._policy or self.compile()

    def in_memory(self) -> Policy | None:
        """Return the policy in force, None where that takes a look or compiling."""
        return self._policy if time.monotonic() < self._due_at else None

    @property
    def database(self) -> Database | None:
        """What was last read of the database, None before the first success."""
        return self._database if self.reads_database else None

    @property
    def reads_database(self) -> bool:
        """Whether the trusted origins in the database count at all."""
        return "database" in conf.WSORIGIN_INHERIT

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the policy in force, as it was last compiled."""
        return self._fingerprint

    @property
    def is_away(self) -> bool:
        """Whether the database did not answer the last look."""
        return self._is_away

    @property
    def age(self) -> float:
        """Seconds since the last look at the database."""
        return time.monotonic() - self._looked_at

    def forget(self, **_: Any) -> None:
        """Compile anew at the next question: a setting has changed."""
        with self._lock:
            self._generation += 1
            self._policy = None
        self._due_at = self._looked_at + conf.WSORIGIN_REFRESH_INTERVAL / 2

    def expire(self, **_: Any) -> Future[None] | None:
        """Look at the database now, before the next answer: this process changed it."""
        with self._lock:
            self._expiries += 1
            self._looked_at = self._due_at = -inf
        return self._start_look()

    def compile(self) -> Policy:
        """Make the policy of the settings as they are and of what was last read."""
        policy, change = self._compile()
        if change:
            _tell_of_change(**change)
        return policy

    def _compile(self) -> tuple[Policy, dict[str, str]]:
        """Compile; return the policy, and the fingerprints if it is another one."""
        generation, previous, database = self._generation, self._policy, self._database
        found = collect()
        for problem in found.problems:
            logger.error("%s trusts nobody: %s", problem.source, problem.error)
        known = database if self.reads_database else None
        policy = Policy(
            found.rules,
            site=current_site(),
            same_origin="same-origin" in conf.WSORIGIN_INHERIT,
            missing=conf.WSORIGIN_MISSING_ORIGIN,
            base=known.policy if known else None,
        )
        if previous and policy.fingerprint == previous.fingerprint:
            policy = previous  # the same content: keep what endpoints compiled with it
        with self._lock:
            if generation != self._generation or database is not self._database:
                return policy, {}  # overtaken by a change: somebody compiles that
            self._policy = policy
            old, self._fingerprint = self._fingerprint, policy.fingerprint
        if previous and previous is not policy:
            previous.endpoints.clear()  # they refer to it: nobody else would free it
        if old == policy.fingerprint:
            return policy, {}
        logger.info("policy changed old=%s new=%s", old or "-", policy.fingerprint)
        return policy, {"old": old, "new": policy.fingerprint}

    def _is_overdue(self) -> bool:
        return self.age >= conf.WSORIGIN_REFRESH_INTERVAL

    def _patience(self) -> float:
        """Return for how long to wait for the look under way: a second in all."""
        patience = _PATIENCE if self._database else _FIRST_PATIENCE
        return max(0.0, self._look_started_at + patience - time.monotonic())

    def _start_look(self) -> Future[None] | None:
        """Start a look at the database; return it, or the one under way."""
        if not self.reads_database:
            self._due_at = inf
            return None
        with self._lock:
            # A look that runs may have begun before this process's change.
            look = self._look
            is_late = look and look.running() and self._seen_expiries < self._expiries
            if look is None or look.done() or is_late:
                self._executor = self._executor or ThreadPoolExecutor(
                    1, thread_name_prefix="wsorigin-refresh"
                )
                self._look_started_at = time.monotonic()
                try:
                    self._look = self._executor.submit(self._refresh)
                except RuntimeError:  # the interpreter is shutting down
                    return None
            return self._look

    def _refresh(self) -> None:
        """Look whether the table changed, and read it if so; in the executor's thread."""
        started, change = time.monotonic(), dict[str, str]()
        expiries = self._seen_expiries = self._expiries
        try:
            close_old_connections()
            if self._is_stale():
                old = [self._database] if self._database else []
                self._database = read_database()
                _policy, change = self._compile()
                del _policy
                let_go(old)
            if self._is_away:
                logger.info("trusted origins can be read again")
            self._is_away = False
        except Exception as exc:
            if not self._is_away:
                # What a database says by itself needs no traceback, unlike a bug.
                said = in_words(exc) if isinstance(exc, DatabaseError) else ""
                logger.error(
                    "trusted origins cannot be read; what was read counts: %s",
                    said or repr(exc),
                    exc_info=not said,
                )
            self._is_away = True
        finally:
            with self._lock:
                # Also after a failure, or each handshake of an outage would wait.
                if expiries == self._expiries:
                    self._looked_at = started
                    self._due_at = started + conf.WSORIGIN_REFRESH_INTERVAL / 2
            close_old_connections()
        if change:
            # Last, so that a receiver who asks for the policy does not wait for this.
            _tell_of_change(**change)

    def _is_stale(self) -> bool:
        known = self._database
        return (
            known is None
            or known.version is None
            or known.version != database_version()
            or known.until <= time.time()
            or time.monotonic() - known.read_at > _FULL_READ_INTERVAL
        )


def _tell_of_change(**fingerprints: str) -> None:
    """Send `policy_changed`; nobody waits for its receivers, not even the next look."""
    if not policy_changed.receivers:
        return
    if _on_event_loop():
        announce(policy_changed, Policy, **fingerprints)
    elif _telling.acquire(blocking=False):
        # Receivers that cannot keep up miss changes; the policy itself misses none.
        threading.Thread(
            target=_tell, args=(fingerprints,), name="wsorigin-announce", daemon=True
        ).start()


def _tell(fingerprints: dict[str, str]) -> None:
    try:
        policy_changed.send_robust(Policy, **fingerprints)
    finally:
        connections.close_all()
        _telling.release()


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_telling: Final = threading.Semaphore(_MAX_TELLING)

current: Final = CurrentPolicy()


def get_policy() -> Policy:
    """Return the site's policy in force, from memory."""
    return current.get()


def policy_in_memory() -> Policy | None:
    """Return the site's policy where nobody has to wait for it, else None."""
    return current.in_memory()


async def aget_policy() -> Policy:
    """Return the site's policy in force; at most a moment behind the database."""
    return await current.aget()


setting_changed.connect(current.forget, dispatch_uid="wsorigin.refresh")
