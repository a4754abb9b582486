"""
Trusted origins in the database, and how the policy in memory keeps up with them.

Each test has a `CurrentPolicy` of its own, beside the one of this process; what reads
the database is the thread that does so in production.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from wsorigin import database, refresh
from wsorigin.database import read_database
from wsorigin.handshake import Handshake
from wsorigin.models import TrustedOrigin, TrustedOriginVersion
from wsorigin.policy import Policy, Reason
from wsorigin.refresh import CurrentPolicy
from wsorigin.signals import policy_changed

from .servers.sites import ROOT
from .waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

APP = "https://app.example"
OTHER = "https://other.example"
FOREVER = 3600


@pytest.fixture(autouse=True)
def inherits() -> Iterator[None]:
    """Count the database among the sources; never look twice, unless a test says so."""
    with override_settings(
        WSORIGIN_INHERIT=["database"], WSORIGIN_REFRESH_INTERVAL=FOREVER
    ):
        yield
    finish(refresh.current)
    refresh.current.forget()


@pytest.fixture
def current() -> Iterator[CurrentPolicy]:
    """Make a current policy of its own."""
    made = CurrentPolicy()
    yield made
    finish(made)


def finish(current: CurrentPolicy) -> None:
    """Wait for the look that is under way, and let the thread go."""
    if current._executor:
        current._executor.shutdown()
        current._executor = None


def allowed(policy: Policy, origin: str = APP, audience: str = "") -> bool:
    return bool(policy.decide(Handshake("/", origin), audience))


@contextmanager
def locked() -> Iterator[None]:
    """Lock everybody else out of the database, so that who reads it waits."""
    with closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute("BEGIN EXCLUSIVE")
        yield
        cursor.execute("ROLLBACK")


@contextmanager
def listening(receiver: Callable[..., Any]) -> Iterator[None]:
    """Listen to changes of policies."""
    policy_changed.connect(receiver, sender=Policy)
    try:
        yield
    finally:
        policy_changed.disconnect(receiver, sender=Policy)


def test_rows_become_rules() -> None:
    """A row counts with its credentials, its audience and its place."""
    TrustedOrigin.objects.create(pattern=APP, allow_credentials=True)
    TrustedOrigin.objects.create(pattern="https://.two.example", audience="prices")
    inactive = TrustedOrigin.objects.create(pattern=OTHER, is_active=False)
    known = read_database()
    decision = known.policy.decide(Handshake("/", APP))

    assert decision.credentials
    assert decision.rule
    assert decision.rule.source.startswith("TrustedOrigin ")
    assert not allowed(known.policy, inactive.pattern)
    assert not allowed(known.policy, "https://two.example")
    assert allowed(known.policy, "https://two.example", "prices")
    assert allowed(known.policy, "https://a.two.example", "prices")
    two = Handshake("/", "https://two.example")
    assert not known.policy.decide(two, "prices").credentials


def test_a_row_nobody_can_read_trusts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """What other programs wrote wrongly is logged, and the rest counts."""
    TrustedOrigin.objects.create(pattern="https://*", allow_cors=True)
    TrustedOrigin.objects.create(pattern="HTTPS://APP.example:443/")
    with caplog.at_level(logging.ERROR, "wsorigin"):
        known = read_database()

    assert len(known.policy.rules) == 1
    assert not known.cors.rules
    assert allowed(known.policy)
    assert "trusts nobody" in caplog.text


def test_expiry_needs_nobody(current: CurrentPolicy) -> None:
    """A row counts until its time is over, and the next look sees that."""
    soon = timezone.now() + timedelta(seconds=0.4)
    TrustedOrigin.objects.create(pattern=APP, expires_at=soon)
    TrustedOrigin.objects.create(
        pattern=OTHER, expires_at=timezone.now() - timedelta(seconds=1)
    )
    assert allowed(current.get())
    assert not allowed(current.get(), OTHER)
    with override_settings(WSORIGIN_REFRESH_INTERVAL=0.05):
        current.forget()
        eventually(lambda: not allowed(current.get()))

    assert timezone.now() >= soon


def test_a_look_that_finds_nothing_new_is_one_query(current: CurrentPolicy) -> None:
    """Only the number that the triggers raise is read, whatever the table's size."""
    TrustedOrigin.objects.create(pattern=APP)
    current.get()
    with CaptureQueriesContext(connection) as queries:
        assert not current._is_stale()
    TrustedOrigin.objects.create(pattern=OTHER)

    assert len(queries) == 1
    assert current._is_stale()


@pytest.mark.parametrize("how", ["no trigger", "long ago"])
def test_reads_all_where_nothing_tells(
    current: CurrentPolicy, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without triggers all is read at each look, and now and then in any case."""
    TrustedOrigin.objects.create(pattern=APP)
    if how == "no trigger":
        TrustedOriginVersion.objects.all().delete()
    else:
        monkeypatch.setattr(refresh, "_FULL_READ_INTERVAL", 0)
    assert allowed(current.get())

    assert current._is_stale()


def test_the_same_numbers_never_come_back(current: CurrentPolicy) -> None:
    """Emptying all tables, as tests do, is noticed: the number does not start over."""
    TrustedOrigin.objects.create(pattern=APP)
    assert allowed(current.get())
    TrustedOrigin.objects.all().delete()
    TrustedOriginVersion.objects.all().delete()
    TrustedOrigin.objects.create(pattern=OTHER)
    current.expire()

    assert not allowed(current.get())
    assert allowed(current.get(), OTHER)


def test_nobody_waits_before_the_interval_is_over(current: CurrentPolicy) -> None:
    """Past half of the interval the look starts, and the answer is from memory."""
    TrustedOrigin.objects.create(pattern=APP)
    current.get()
    with override_settings(WSORIGIN_REFRESH_INTERVAL=60):
        current._looked_at -= 31
        current.forget()
        current.compile()
        with locked():
            started = time.monotonic()
            assert allowed(current.get())
            assert allowed(async_to_sync(current.aget)())
            waited = time.monotonic() - started
            assert current._look
            assert not current._look.done()
    eventually(current._look.done)

    assert waited < 0.5
    assert current.age < 31


@pytest.mark.parametrize("how", ["thread", "event loop"])
def test_an_overdue_look_is_waited_for_a_second_in_all(
    current: CurrentPolicy, how: str
) -> None:
    """Who asks waits for the truth, though not long, and only the first ones do."""
    TrustedOrigin.objects.create(pattern=APP)
    get = current.get if how == "thread" else async_to_sync(current.aget)
    assert allowed(get())
    current.expire()
    assert current._look
    current._look.result(5)
    with locked():
        current.expire()
        waits = []
        for _ in range(3):
            started = time.monotonic()
            assert allowed(get())
            waits.append(time.monotonic() - started)

    assert 0.8 < sum(waits) < 2
    assert max(waits[1:]) < 0.5


def test_the_first_look_is_waited_for_longer(
    current: CurrentPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything was read, an answer would deny whoever is listed there."""
    TrustedOrigin.objects.create(pattern=APP)
    monkeypatch.setattr(refresh, "_PATIENCE", 0.0)
    with ThreadPoolExecutor(1) as executor:
        with locked():
            answer = executor.submit(current.get)
            eventually(lambda: current._look and current._look.running())

        assert allowed(answer.result(10))


def test_get_on_an_event_loop_hardly_waits(current: CurrentPolicy) -> None:
    """Where waiting holds up everybody, the answer comes from memory in a blink."""
    TrustedOrigin.objects.create(pattern=APP)
    assert allowed(current.get())

    async def ask() -> float:
        current.expire()
        started = time.monotonic()
        assert allowed(current.get())
        return time.monotonic() - started

    with locked():
        assert async_to_sync(ask)() < 0.5


def test_one_look_at_a_time(current: CurrentPolicy) -> None:
    """However many ask at once, the database is asked by one thread."""
    TrustedOrigin.objects.create(pattern=APP)
    answers: list[bool] = []
    with locked():
        threads = [
            threading.Thread(target=lambda: answers.append(allowed(current.get())))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        looking = [t for t in threading.enumerate() if "wsorigin-refresh" in t.name]
    for thread in threads:
        thread.join()

    assert answers == [True] * 20
    assert len(looking) <= 2  # the other is that of this process's own policy


def test_an_own_change_counts_with_the_next_answer(current: CurrentPolicy) -> None:
    """A look that began before the change is followed by one that began after it."""
    current.get()
    with locked():
        current.expire()  # will read the table as it is now
        eventually(lambda: current._look and current._look.running())
        current.expire()
        current.expire()
    TrustedOrigin.objects.create(pattern=APP)
    current.expire()

    assert allowed(current.get())


def test_settings_changed_while_a_look_is_under_way(current: CurrentPolicy) -> None:
    """What the look compiles with the old settings does not overwrite the new ones."""
    TrustedOrigin.objects.create(pattern=APP)
    with override_settings(WSORIGIN_ALLOWED_ORIGINS=[OTHER]):
        assert allowed(current.get(), OTHER)
        compiled = current._compile
        started, go_on = threading.Event(), threading.Event()

        def report_only_then_compile(*_: Any, **__: Any) -> None:
            started.set()
            go_on.wait(10)

        handler = logging.Handler()
        handler.emit = report_only_then_compile  # type: ignore[method-assign]
        refresh.logger.addHandler(handler)
        try:
            with override_settings(WSORIGIN_ALLOWED_ORIGINS=[OTHER, "broken"]):
                current.forget()
                late = threading.Thread(target=compiled)
                late.start()
                assert started.wait(10)
            current.forget()
        finally:
            refresh.logger.removeHandler(handler)
            go_on.set()
        late.join()
    current.forget()

    assert not allowed(current.get(), OTHER)
    assert allowed(current.get())


def test_settings_count_at_once(current: CurrentPolicy) -> None:
    """override_settings works for the process's own policy, the database's part too."""
    TrustedOrigin.objects.create(pattern=APP)
    assert allowed(refresh.get_policy())
    with override_settings(WSORIGIN_INHERIT=[]):
        assert not allowed(refresh.get_policy())
        assert refresh.current.database is None
    with override_settings(WSORIGIN_ALLOWED_ORIGINS=[OTHER]):
        assert allowed(refresh.get_policy(), OTHER)

    assert not allowed(refresh.get_policy(), OTHER)
    assert allowed(refresh.get_policy())
    assert allowed(async_to_sync(refresh.aget_policy)())


def test_an_outage_changes_nothing_and_is_logged_once(
    current: CurrentPolicy, caplog: pytest.LogCaptureFixture
) -> None:
    """What was last read stays in force; the first success afterwards is logged."""
    TrustedOrigin.objects.create(pattern=APP)
    assert allowed(current.get())
    caplog.set_level(logging.INFO, "wsorigin.refresh")
    table = TrustedOriginVersion._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO hidden")
        try:
            for _ in range(3):
                current.expire()
                assert allowed(current.get())
            assert current.is_away
        finally:
            cursor.execute(f"ALTER TABLE hidden RENAME TO {table}")
    current.expire()
    assert allowed(current.get())
    messages = [record.getMessage() for record in caplog.records]

    away = "trusted origins cannot be read; what was read counts: no such table: "
    remedy = "(manage.py migrate makes what is missing)"
    said = [one for one in messages if one.startswith(away)]
    assert len(said) == 1
    assert said[0].endswith(remedy)
    assert messages.count("trusted origins can be read again") == 1


def test_before_the_first_success_only_settings_count() -> None:
    """A policy that never read the database trusts none of it."""
    TrustedOrigin.objects.create(pattern=APP)

    assert not allowed(CurrentPolicy().compile())


def test_changes_are_announced_from_the_thread_too(current: CurrentPolicy) -> None:
    """Plain and async receivers learn both fingerprints; asking back costs no wait."""
    changes: list[tuple[str, str, bool]] = []
    asked: list[float] = []

    def receiver(old: str, new: str, **_: Any) -> None:
        started = time.monotonic()
        assert current.get().fingerprint == new
        asked.append(time.monotonic() - started)
        on_thread = threading.current_thread() is not threading.main_thread()
        changes.append((old, new, on_thread))

    async def async_receiver(old: str, new: str, **_: Any) -> None:
        changes.append((old, new, True))

    before = current.get().fingerprint
    with listening(receiver), listening(async_receiver):
        TrustedOrigin.objects.bulk_create([TrustedOrigin(pattern=APP)])
        finish(refresh.current)
        changes.clear()
        current.expire()
        after = current.get().fingerprint
        finish(current)

    assert before != after
    assert [change for change in changes if change[:2] == (before, after)]
    assert max(asked) < 0.5


async def test_changes_are_announced_on_an_event_loop(current: CurrentPolicy) -> None:
    """There the receivers run in a task of their own."""
    changes: list[str] = []
    done = asyncio.Event()

    async def receiver(new: str, **_: Any) -> None:
        changes.append(new)
        done.set()

    settings = {"WSORIGIN_INHERIT": [], "WSORIGIN_ALLOWED_ORIGINS": [OTHER]}
    with listening(receiver), override_settings(**settings):
        policy = current.get()
        await asyncio.wait_for(done.wait(), 5)

    assert policy.fingerprint in changes


def test_the_same_content_keeps_its_policy(current: CurrentPolicy) -> None:
    """A new look at the same rows keeps what endpoints have compiled."""
    TrustedOrigin.objects.create(pattern=APP)
    policy = current.get()
    TrustedOrigin.objects.update(note="another note")
    current.expire()

    assert current.get() is policy


def test_an_old_policy_does_not_stay_in_memory(current: CurrentPolicy) -> None:
    """Not even where endpoints have compiled their own lists with it."""
    TrustedOrigin.objects.create(pattern=APP)
    policy = current.get()
    policy.endpoints["one",] = policy.narrowed_to([], with_site=True)
    gone = weakref.ref(policy)
    gc.disable()
    try:
        del policy
        TrustedOrigin.objects.create(pattern=OTHER)
        current.expire()
        assert allowed(current.get(), OTHER)
        finish(current)
        assert gone() is None
    finally:
        gc.enable()


def test_many_rows_are_read_in_steps(current: CurrentPolicy) -> None:
    """More rows than one step takes: none is lost, over either protocol."""
    count = 3 * database._ROWS_AT_A_TIME + 7
    TrustedOrigin.objects.bulk_create(
        TrustedOrigin(pattern=f"https://{i}.example", allow_cors=i % 2 == 0)
        for i in range(count)
    )
    current.get()
    assert current.database

    assert len(current.database.policy.rules) == count
    assert len(current.database.cors.rules) == (count + 1) // 2


def test_without_the_database_nobody_looks(current: CurrentPolicy) -> None:
    """A project that does not inherit it has no thread."""
    with override_settings(WSORIGIN_INHERIT=["same-origin"]):
        assert current.get().decide(Handshake("/", APP)).reason is Reason.UNLISTED
        assert async_to_sync(current.aget)().same_origin

    assert current._executor is None


LATE_QUESTION = """
import atexit, django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "wsorigin"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
from wsorigin.refresh import (get_policy)
atexit.register(lambda: print(get_policy().fingerprint))
"""


def test_a_question_while_the_interpreter_ends() -> None:
    """No thread can be started any more: memory answers, and nothing raises."""
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", LATE_QUESTION],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert len(done.stdout.strip()) == 12
    assert done.stderr == ""
