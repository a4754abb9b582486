"""
The audit: what is counted, what a stranger can make it cost, and what is never lost.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.management import call_command
from django.db import connection
from django.db.models import Sum
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from wsorigin import audit as module
from wsorigin.audit import Audit, audit, prune
from wsorigin.guard import OriginGuard
from wsorigin.handshake import Handshake
from wsorigin.models import DeniedHandshake
from wsorigin.policy import Decision, Policy, Reason
from wsorigin.testing import OriginCommunicator

from .waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

EVIL = "https://evil.example"
UNLISTED = Decision(False, Reason.UNLISTED)


@pytest.fixture(autouse=True)
def switched_on() -> Iterator[None]:
    """Count denials; the thread writes only when a test says so."""
    with override_settings(WSORIGIN_AUDIT=True):
        yield
    audit.stop()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    """Make an audit whose thread does not write by itself for as long as tests run."""
    monkeypatch.setattr(module, "_FLUSH_SECONDS", 3600)
    made = Audit()
    yield made
    made.stop()


def deny(
    where: Audit,
    origin: str | None = EVIL,
    path: str = "/ws/",
    decision: Decision = UNLISTED,
    *,
    policy: Policy | None = None,
    enforced: bool = True,
) -> None:
    handshake = Handshake(path, origin)
    where.record(policy or Policy(), handshake, "", decision, enforced=enforced)


def rows(*fields: str) -> list[tuple[Any, ...]]:
    return list(DeniedHandshake.objects.order_by("pk").values_list(*fields))


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def total() -> int:
    return DeniedHandshake.objects.aggregate(sum=Sum("count"))["sum"] or 0


def test_counts_by_origin_endpoint_reason_and_mode(own: Audit) -> None:
    """One row for each combination and day, with a count and when it was."""
    before = timezone.now()
    for _ in range(3):
        deny(own)
    deny(own, path="/other/")
    deny(own, decision=Decision(False, Reason.OPAQUE))
    deny(own, enforced=False)
    deny(own, origin=None)
    assert own.flush() == 7
    deny(own)
    assert own.flush() == 1

    found = rows("origin", "endpoint", "reason", "report_only", "count")
    assert found == [
        (EVIL, "/ws/", "unlisted", False, 4),
        (EVIL, "/other/", "unlisted", False, 1),
        (EVIL, "/ws/", "opaque", False, 1),
        (EVIL, "/ws/", "unlisted", True, 1),
        ("-", "/ws/", "unlisted", False, 1),
    ]
    first = DeniedHandshake.objects.earliest("pk")
    assert before < first.first_seen_at < first.last_seen_at < timezone.now()
    assert first.day == before.date()


def test_another_day_is_another_row(own: Audit) -> None:
    """What waited from yesterday is yesterday's."""
    deny(own)
    ((key, tally),) = own._waiting.items()
    own._waiting = {key._replace(day=key.day - timedelta(days=1)): tally}
    own._at_hand.clear()
    deny(own)
    own.flush()

    assert len(rows("day")) == 2


def test_names_the_nearest_rule(own: Audit, policy_of: Callable[..., Policy]) -> None:
    """The row says what nearly matched, so that an operator can decide."""
    deny(own, policy=policy_of("https://evil.example:8443"))
    own.flush()

    assert rows("nearest") == [
        ("https://evil.example:8443 (test[0]) differs only in the port (8443)",)
    ]


def test_hostile_text_is_escaped_and_cut(own: Audit) -> None:
    """Only printable ASCII is kept, no longer than the columns."""
    deny(own, origin="\x00\u202e<script>\n" + "x" * 500, path="/" + "\xe9\ud800" * 300)
    own.flush()
    ((origin, endpoint),) = rows("origin", "endpoint")

    assert origin.startswith("\\x00\\u202e<script>\\nxxx")
    assert len(origin) == 300
    assert len(endpoint) == 200
    assert (origin + endpoint).isascii()
    assert (origin + endpoint).isprintable()


def test_a_handshake_makes_no_query() -> None:
    """Denying only raises a number in memory; a thread writes later."""
    guard = OriginGuard(AsyncWebsocketConsumer.as_asgi())

    async def knock() -> None:
        for number in range(20):
            origin = f"https://{number}.evil.example"
            client = OriginCommunicator(guard, "/ws/", origin=origin)
            assert (await client.handshake()).reason is Reason.UNLISTED

    with CaptureQueriesContext(connection) as queries:
        async_to_sync(knock)()

    assert len(queries) == 0
    audit.flush()
    assert total() == 20


def test_the_thread_writes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to call anything; and a thread lost to a fork is started anew."""
    monkeypatch.setattr(module, "_FLUSH_SECONDS", 0.01)
    own = Audit()
    lost = threading.Thread()  # not alive: as its copy in a forked process
    own._thread = lost
    deny(own)
    eventually(total)
    thread = own._thread
    own.stop()

    assert thread is not lost
    assert not thread.is_alive()
    assert total() == 1


def test_switched_off_it_writes_nothing(own: Audit) -> None:
    """WSORIGIN_AUDIT = False: nothing is counted, no thread is started."""
    with override_settings(WSORIGIN_AUDIT=False):
        deny(own)

    assert own._thread is None
    assert own.flush() == 0
    assert total() == 0


@pytest.mark.parametrize("limit", [2, 10, 100, 1000])
def test_rows_are_bounded_and_no_count_is_lost(own: Audit, limit: int) -> None:
    """What has no room of its own is summed by day, reason and mode."""
    with override_settings(WSORIGIN_AUDIT_MAX_ROWS=limit):
        for number in range(2500):
            deny(own, origin=f"https://{number}.evil.example")
            if number % 600 == 0:
                own.flush()
        deny(own, origin="https://0.evil.example")
        own.flush()

    assert DeniedHandshake.objects.count() <= limit
    assert total() == 2501
    assert ("", "") in rows("origin", "endpoint")
    first = DeniedHandshake.objects.get(origin="https://0.evil.example")
    assert first.count == 2


def test_the_oldest_make_room_for_sums(own: Audit) -> None:
    """Where not even sums have room, the rows that nobody has seen for longest go."""
    with override_settings(WSORIGIN_AUDIT_MAX_ROWS=2):
        deny(own, origin="https://first.example")
        own.flush()
        for reason in (Reason.OPAQUE, Reason.MULTIPLE, Reason.UNLISTED):
            deny(own, decision=Decision(False, reason))
            own.flush()

    assert rows("origin", "reason") == [("", "multiple"), ("", "unlisted")]


def test_what_waits_is_bounded(own: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be written, the memory that waits does not grow."""
    monkeypatch.setattr(module, "_MAX_WAITING", 50)
    for number in range(500):
        deny(own, origin=f"https://{number}.evil.example", enforced=number % 2 == 0)

    assert len(own._waiting) <= 52
    assert own.flush() == total() == 500


def test_a_database_away_loses_nothing(
    own: Audit, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Denials wait, within bounds; one log line for an outage; written afterwards."""
    monkeypatch.setattr(module, "_MAX_WAITING", 50)
    table = DeniedHandshake._meta.db_table
    for outage in range(2):
        execute(f"ALTER TABLE {table} RENAME TO hidden")
        try:
            for number in range(300):
                deny(own, origin=f"https://{outage}-{number % 70}.evil.example")
                if number % 40 == 0:
                    assert own.flush() == 0
        finally:
            execute(f"ALTER TABLE hidden RENAME TO {table}")
        assert len(own._waiting) <= 52
        assert own.flush() == 300
    logged = [r for r in caplog.records if r.levelno >= logging.ERROR]

    assert total() == 600
    assert [r.getMessage() for r in logged] == 2 * [
        "denials cannot be written; they wait"
    ]


def test_what_comes_in_while_a_flush_fails_is_kept(own: Audit) -> None:
    """The counts of before and of meanwhile are put together again."""
    deny(own)
    deny(own, origin="https://other.example")
    failed, own._waiting = own._waiting, {}
    deny(own)
    deny(own, origin="https://late.example")
    own._put_back(failed)
    own.flush()

    assert rows("origin", "count") == [
        (EVIL, 2),
        ("https://other.example", 1),
        ("https://late.example", 1),
    ]


def test_a_failed_flush_stays_within_the_bound(
    own: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no room beside the denials put back is summed, with its count."""
    monkeypatch.setattr(module, "_MAX_WAITING", 2)
    deny(own)
    deny(own, origin="https://other.example")
    failed, own._waiting = own._waiting, {}
    deny(own, origin="https://late.example")
    deny(own, origin="https://later.example")
    own._put_back(failed)

    assert len(own._waiting) == 3
    assert own.flush() == total() == 4


def test_writes_one_after_the_other(own: Audit) -> None:
    """A second writer waits for the first: each sees the room that is really left."""
    other = Audit()
    with override_settings(WSORIGIN_AUDIT_MAX_ROWS=100):
        for number in range(90):
            deny(own, origin=f"https://a{number}.evil.example")
            deny(other, origin=f"https://b{number}.evil.example")
        threads = [threading.Thread(target=one.flush) for one in (own, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        own.flush()
        other.stop()

    assert DeniedHandshake.objects.count() <= 100
    assert total() == 180


def test_a_write_that_fails_half_way_counts_nothing_twice(own: Audit) -> None:
    """What was merged for the failed write is as it was for the next."""
    with override_settings(WSORIGIN_AUDIT_MAX_ROWS=20):
        for number in range(50):
            deny(own, origin=f"https://{number}.evil.example")
        execute(
            "CREATE TRIGGER no_sums BEFORE INSERT ON wsorigin_deniedhandshake "
            "WHEN new.origin = '' BEGIN SELECT RAISE(ABORT, 'no sums'); END"
        )
        try:
            assert own.flush() == own.flush() == total() == 0
        finally:
            execute("DROP TRIGGER no_sums")
        assert own.flush() == total() == 50


def test_prune_keeps_to_the_retention(own: Audit) -> None:
    """Rows not seen for longer than WSORIGIN_AUDIT_RETENTION_DAYS go."""
    deny(own)
    deny(own, origin="https://old.example")
    own.flush()
    old = timezone.now() - timedelta(days=8)
    DeniedHandshake.objects.filter(origin__contains="old").update(last_seen_at=old)
    assert prune() == 0
    out = StringIO()
    with override_settings(WSORIGIN_AUDIT_RETENTION_DAYS=7):
        call_command("wsorigin", "prune", stdout=out)

    assert rows("origin") == [(EVIL,)]
    assert "1" in out.getvalue()
    assert prune(timezone.now() + timedelta(days=31)) == 1


def test_a_flood_of_distinct_origins_leaves_memory_flat() -> None:
    """
    Through the guard, each origin another: rows within the cap, memory as before.

    A million of them: ``python -m benchmarks.flood``.
    """
    guard = OriginGuard(AsyncWebsocketConsumer.as_asgi())
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent[:] = [message["type"]]

    async def flood(start: int, count: int) -> None:
        for number in range(start, start + count):
            headers = [(b"origin", b"https://%d.evil.example" % number)]
            scope = {"type": "websocket", "path": "/ws/", "headers": headers}
            await guard(scope, receive, send)
            if number % 1000 == 0:
                await asyncio.to_thread(audit.flush)

    def blocks() -> int:
        audit.flush()
        gc.collect()
        return sys.getallocatedblocks()

    with override_settings(WSORIGIN_AUDIT_MAX_ROWS=200):
        async_to_sync(flood)(0, 10_000)
        before = blocks()
        async_to_sync(flood)(10_000, 40_000)
        grown = blocks() - before

    assert DeniedHandshake.objects.count() <= 200
    assert total() == 50_000
    assert sent == ["websocket.close"]
    assert grown < 4_000  # a tenth of a block for each origin
