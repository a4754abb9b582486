"""
The audit: denials counted per day, origin, endpoint and reason, for the admin.

The handshake only raises a number in memory; one thread writes to the database. What
a stranger can choose is bounded: rows, lengths, and the memory that waits.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from os import getpid
from typing import Final, NamedTuple

from django.conf import settings
from django.db import close_old_connections, connections, router, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from .conf import conf
from .handshake import Handshake, redacted
from .models import DeniedHandshake, batches
from .origins import MAX_LENGTH
from .policy import Decision, Policy, Reason

logger = logging.getLogger(__name__)

# Distinct denials that wait for the next flush; further ones are counted together.
_MAX_WAITING: Final = 2000
_FLUSH_SECONDS: Final = 2.0
# The share of the rows that is kept for the sums of what has none of its own.
_SUMS_SHARE: Final = 20
# Seconds that have one date in every time zone: offsets are quarters of an hour.
_ONE_DATE: Final = 900
# As long as the column is.
_PATH_LENGTH: Final = 200
# Rows in one statement.
_BATCH: Final = 100
# Any number that no other application locks: "wsorigin" in ASCII.
_LOCK: Final = int.from_bytes(b"wsorigin")


class Key(NamedTuple):
    """What one row counts; an empty origin stands for all that had no room."""

    day: date
    origin: str
    endpoint: str
    reason: Reason
    report_only: bool

    def sum(self) -> Key:
        """The key under which this is counted where there is no room for its own."""
        return self._replace(origin="", endpoint="")


@dataclass(slots=True)
class Tally:
    """How often, when (seconds since the epoch), and what the nearest rule is asked of."""

    first_seen_at: float
    last_seen_at: float
    count: int = 0
    example: tuple[Policy, Handshake, str] | None = None

    def nearest(self) -> str:
        """Return the rule that came closest, for people."""
        if self.example is None:
            return ""
        policy, handshake, audience = self.example
        nearest = policy.explain(handshake, audience).nearest
        return str(nearest or "")


class Audit:
    """Denials that wait to be written, and the thread that writes them."""

    def __init__(self) -> None:
        self._waiting: dict[Key, Tally] = {}
        # The same tallies, by what a handshake brings as it is.
        self._at_hand: dict[tuple[object, ...], Tally] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._is_away = False

    def record(
        self,
        policy: Policy,
        handshake: Handshake,
        audience: str,
        decision: Decision,
        *,
        enforced: bool,
    ) -> None:
        """Count a denial; cheap, and never blocks on the database."""
        if not conf.WSORIGIN_AUDIT:
            return
        now = time.time()
        origin, path = handshake.origin, handshake.path
        # Forked off, a process has no thread any more: it has its own.
        at_hand = (origin, path, decision.reason, enforced, now // _ONE_DATE, getpid())
        with self._lock:
            tally = self._at_hand.get(at_hand)
            if tally is None:
                key = Key(
                    _moment(now).date(),
                    _storable(origin or "-", MAX_LENGTH),
                    _storable(path, _PATH_LENGTH),
                    decision.reason,
                    not enforced,
                )
                tally = self._tally(key, now, (policy, handshake, audience))
                if len(path) <= _PATH_LENGTH and len(origin or "") <= MAX_LENGTH:
                    self._at_hand[at_hand] = tally
            tally.count += 1
            tally.last_seen_at = now

    def _tally(
        self, key: Key, now: float, example: tuple[Policy, Handshake, str]
    ) -> Tally:
        """Return what counts for a key, and see to it that somebody writes it."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._run, name="wsorigin-audit", daemon=True
            )
            self._thread.start()
        if key not in self._waiting and len(self._waiting) >= _MAX_WAITING:
            key = key.sum()
        if len(self._at_hand) >= _MAX_WAITING:
            self._at_hand.clear()
        tally = self._waiting.get(key)
        if tally is None:
            tally = Tally(now, now, 0, example if key.origin else None)
            self._waiting[key] = tally
        return tally

    def flush(self) -> int:
        """
        Write what waits, and return how many handshakes that were.

        Where the database does not answer, they go on waiting, and the outage is
        logged once.
        """
        with self._lock:
            waiting, self._waiting, self._at_hand = self._waiting, {}, {}
        if not waiting:
            return 0
        try:
            close_old_connections()
            with transaction.atomic(using=router.db_for_write(DeniedHandshake)):
                _write(waiting)
            self._is_away = False
        except Exception:
            if not self._is_away:
                logger.exception("denials cannot be written; they wait")
            self._is_away = True
            self._put_back(waiting)
            return 0
        finally:
            close_old_connections()
        return sum(tally.count for tally in waiting.values())

    def _put_back(self, waiting: dict[Key, Tally]) -> None:
        with self._lock:
            for key, tally in self._waiting.items():
                _merge(waiting, key, tally)
            self._waiting, self._at_hand = waiting, {}

    def _run(self) -> None:
        while not self._wake.wait(_FLUSH_SECONDS):
            self.flush()

    def stop(self) -> None:
        """Write what waits and end the thread; at the end of the process."""
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None
        self._wake.clear()
        self.flush()


def _moment(seconds: float) -> datetime:
    """Return a moment as `timezone.now` does."""
    return datetime.fromtimestamp(seconds, UTC if settings.USE_TZ else None)


def _storable(text: str, length: int) -> str:
    """Escape what a client sent to printable ASCII without tokens, and cut it."""
    return redacted(text).encode("unicode_escape").decode("ascii")[:length]


def _merge(waiting: dict[Key, Tally], key: Key, tally: Tally) -> None:
    if key not in waiting and len(waiting) >= _MAX_WAITING:
        key = key.sum()
    known = waiting.get(key)
    if known is None:
        # A copy: what a failed write has merged is going to be merged once more.
        waiting[key] = replace(tally, example=tally.example if key.origin else None)
    else:
        known.count += tally.count
        known.last_seen_at = max(known.last_seen_at, tally.last_seen_at)
        known.first_seen_at = min(known.first_seen_at, tally.first_seen_at)


def _write(waiting: dict[Key, Tally]) -> None:
    """Add to the rows that exist, and make new ones as long as there is room."""
    _take_turns()
    limit, rows = conf.WSORIGIN_AUDIT_MAX_ROWS, DeniedHandshake.objects.count()
    reserve = max(limit // _SUMS_SHARE, min(limit // 2, _SUMS_SHARE))
    known = _known(waiting)
    seen: list[tuple[int, Tally]] = []
    new: list[tuple[Key, Tally]] = []
    sums: dict[Key, Tally] = {}
    for key, tally in waiting.items():
        if not key.origin:
            _merge(sums, key, tally)
        elif key in known:
            seen.append((known[key], tally))
        elif rows + len(new) < limit - reserve:
            new.append((key, tally))
        else:
            _merge(sums, key.sum(), tally)
    known = _known(sums)
    for key, tally in sums.items():
        if key in known:
            seen.append((known[key], tally))
        else:
            new.append((key, tally))
    _add(seen)
    surplus = rows + len(new) - limit
    if surplus > 0:
        # Of too many days, reasons and modes, the longest past are forgotten.
        oldest = DeniedHandshake.objects.order_by("last_seen_at")[:surplus]
        for batch in batches(oldest.values_list("pk", flat=True)):
            DeniedHandshake.objects.filter(pk__in=batch).delete()
    _create(new[-limit:])


def _take_turns() -> None:
    """
    Wait until no other process writes, before anything is read.

    Each would fill the room that the other saw, lock rows in another order, or, on
    SQLite, be refused at once because it read before it wrote.
    """
    connection = connections[router.db_for_write(DeniedHandshake)]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    else:
        DeniedHandshake.objects.filter(pk=0).update(count=0)


def _known(keys: Iterable[Key]) -> dict[Key, int]:
    """Return the rows that there are already, by what they count."""
    keys = list(keys)
    days, found = {key.day for key in keys}, {}
    for origins in batches(sorted({key.origin for key in keys}), _BATCH):
        rows = DeniedHandshake.objects.filter(day__in=days, origin__in=origins)
        for pk, *fields in rows.values_list("pk", *Key._fields):
            found[Key(*fields)] = pk
    return found


def _add(tallies: Iterable[tuple[int, Tally]]) -> None:
    """Add to rows, in the database, where others may be adding too."""
    for batch in batches(tallies, _BATCH):
        rows = [
            DeniedHandshake(
                pk=pk,
                count=F("count") + tally.count,
                last_seen_at=_moment(tally.last_seen_at),
            )
            for pk, tally in batch
        ]
        DeniedHandshake.objects.bulk_update(rows, ["count", "last_seen_at"])


def _create(tallies: Iterable[tuple[Key, Tally]]) -> None:
    DeniedHandshake.objects.bulk_create(
        [
            DeniedHandshake(
                **key._asdict(),
                count=tally.count,
                nearest=_storable(tally.nearest(), 500),
                first_seen_at=_moment(tally.first_seen_at),
                last_seen_at=_moment(tally.last_seen_at),
            )
            for key, tally in tallies
        ],
        batch_size=_BATCH,
    )


def outdated(now: datetime | None = None) -> QuerySet[DeniedHandshake]:
    """Return the denials older than ``WSORIGIN_AUDIT_RETENTION_DAYS``."""
    now = now or timezone.now()
    limit = now - timedelta(days=conf.WSORIGIN_AUDIT_RETENTION_DAYS)
    return DeniedHandshake.objects.filter(last_seen_at__lt=limit)


def prune(now: datetime | None = None) -> int:
    """Delete what is `outdated`; return how many rows that were."""
    deleted, _ = outdated(now).delete()
    return deleted


audit: Final = Audit()
atexit.register(audit.stop)
