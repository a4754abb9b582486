"""
Hints over real channel layers: heard in another thread, lost without harm.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import override_settings

from wsorigin.live import hints as module
from wsorigin.live.hints import Hint, Hints, Process, session_name
from wsorigin.live.watcher import hints as hints_of_the_process

from .services import Redis
from .waiting import eventually

CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
TOKEN = Hint("token", "7")
ME = Process("me:1", "3f9a1c0b2d4e", 7)


def layer(backend: str, **host: Any) -> dict[str, Any]:
    config = {"hosts": [host]} if host else {}
    return {"CHANNEL_LAYERS": {"default": {"BACKEND": backend, "CONFIG": config}}}


@pytest.fixture(params=[CORE, PUBSUB], ids=["core", "pub/sub"])
def shared_layer(request: pytest.FixtureRequest, redis: Redis) -> Iterator[None]:
    """Run with a layer on a real server, told to be patient as ours is."""
    with override_settings(
        **layer(request.param, address=redis.url, socket_timeout=None)
    ):
        yield


def process(
    heard: Callable[[Hint], None] = lambda _: None, about: Process = ME
) -> Hints:
    """Return the hints of another process."""
    _started.append(Hints(heard, lambda: about))
    return _started[-1]


_started: list[Hints] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Leave no thread behind that talks to a server which is gone."""
    yield
    while _started:
        _started.pop().stop()


def listener() -> tuple[Hints, list[Hint]]:
    """Return a process's hints, listening already, and what they hear."""
    heard: list[Hint] = []
    hints = process(heard.append)
    assert hints.listen()
    return hints, heard


def say_until_heard(speaker: Hints, heard: list[Hint], hint: Hint) -> None:
    """Say something until somebody hears it: who joins a group has no moment."""

    def said() -> bool:
        speaker.send(hint)
        return hint in heard

    eventually(said)


def outages(caplog: pytest.LogCaptureFixture, *hints: Hints) -> list[str]:
    """Return what these have logged of outages; threads of other tests live on."""
    own = [one._thread and one._thread.ident for one in hints]
    return [
        one.getMessage()
        for one in caplog.records
        if one.thread in own and "does not answer" in one.getMessage()
    ]


@pytest.mark.usefixtures("shared_layer")
def test_one_process_hears_what_another_tells() -> None:
    """A name and a number, no secret."""
    _, heard = listener()
    speaker = process()
    say_until_heard(speaker, heard, TOKEN)
    speaker.send(Hint("origins"))

    eventually(lambda: Hint("origins", "") in heard)


@pytest.mark.usefixtures("shared_layer")
def test_processes_say_what_they_are() -> None:
    """The policy that each has, and how many connections; whoever asks is one of them."""
    other = Process("other:2", "000000000000", 0)
    heard: list[Hint] = []
    listening = process(heard.append, other)
    listening.listen()
    asking = process()
    say_until_heard(asking, heard, TOKEN)

    answers = asking.ask() or []
    assert [one for one in answers if one.name in {"me:1", "other:2"}] == [ME, other]


def unanswered(asking: Hints) -> list[str]:
    """Return the questions that still wait, in the thread that asks them."""
    assert asking._loop
    tasks = [repr(task) for task in asyncio.all_tasks(asking._loop)]
    return [task for task in tasks if "Hints._ask" in task]


@pytest.mark.usefixtures("shared_layer")
def test_nobody_answers_over_a_layer_that_is_away(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said, too, and soon; and nothing goes on waiting for it."""
    monkeypatch.setattr(module, "_SEND_PATIENCE", 0.5)
    asking = process()
    assert asking.ask() is not None
    redis.freeze()
    try:
        assert asking.ask() is None
        eventually(lambda: not unanswered(asking))
    finally:
        redis.thaw()


@pytest.mark.usefixtures("shared_layer")
def test_what_strangers_say_on_the_layer_is_not_understood() -> None:
    """A hint is only ever followed by a look, anything else by nothing."""
    _, heard = listener()
    speaker = process()
    say_until_heard(speaker, heard, TOKEN)
    strange = {"type": "wsorigin.strange", "what": "token", "key": "8"}
    assert speaker._loop
    asyncio.run_coroutine_threadsafe(
        speaker._layer.group_send(module._GROUP, strange), speaker._loop
    ).result(5)
    say_until_heard(speaker, heard, Hint("token", "9"))

    assert Hint("token", "8") not in heard


@pytest.mark.usefixtures("shared_layer")
async def test_an_event_loop_does_not_wait_for_the_layer(redis: Redis) -> None:
    """The hint is on its way, however long that is."""
    _, heard = listener()
    speaker = process()
    speaker.listen()
    redis.freeze()
    try:
        started = time.monotonic()
        speaker.send(TOKEN)
        waited = time.monotonic() - started
    finally:
        redis.thaw()

    assert waited < 0.5
    await asyncio.to_thread(say_until_heard, speaker, heard, TOKEN)


@pytest.mark.usefixtures("shared_layer")
def test_an_outage_is_logged_once_and_over_without_a_restart(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The poll carries on; nobody waits for a layer that is known to be away."""
    caplog.set_level(logging.INFO)
    _, heard = listener()
    speaker = process()
    say_until_heard(speaker, heard, TOKEN)
    heard.clear()
    redis.stop()
    try:
        eventually(lambda: (speaker.send(TOKEN), speaker._is_away)[1])
        started = time.monotonic()
        for _ in range(50):
            speaker.send(TOKEN)
        waited = time.monotonic() - started
    finally:
        redis.start()

    assert waited < 1
    say_until_heard(speaker, heard, TOKEN)
    eventually(lambda: "the channel layer is back" in caplog.text)
    # Sending and listening may lose it one after the other.
    assert 1 <= len(outages(caplog, speaker)) <= 2


@pytest.mark.usefixtures("shared_layer")
def test_who_was_forgotten_by_the_layer_joins_again(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups are lost when Redis is emptied."""
    monkeypatch.setattr(module, "_REJOIN_EVERY", 0.2)
    _, heard = listener()
    speaker = process()
    say_until_heard(speaker, heard, TOKEN)
    heard.clear()
    redis.client().flushall()

    say_until_heard(speaker, heard, TOKEN)


@pytest.mark.usefixtures("shared_layer")
def test_what_waits_is_bounded(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that takes nothing costs so much memory and no more."""
    monkeypatch.setattr(module, "_MAX_PENDING", 3)
    speaker = process()
    speaker.listen()
    speaker._is_away = True  # nobody waits
    redis.freeze()
    try:
        for _ in range(10):
            speaker.send(TOKEN)
        left = [speaker._free.acquire(blocking=False) for _ in range(2)]
    finally:
        redis.thaw()

    assert left == [False, False]


def test_redis_that_is_impatient_is_no_outage(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """redis-py 8 raises where nothing comes for a while; so does a short time-out."""
    with override_settings(**layer(CORE, address=redis.url, socket_timeout=0.1)):
        hearer, heard = listener()
        speaker = process()
        say_until_heard(speaker, heard, TOKEN)
        time.sleep(0.5)  # several times what it is patient for
        say_until_heard(speaker, heard, Hint("user", "1"))

    assert outages(caplog, hearer, speaker) == []


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"CHANNEL_LAYERS": {}}, id="none"),
        pytest.param(layer("channels.layers.InMemoryChannelLayer"), id="in memory"),
    ],
)
def test_no_thread_without_a_layer_that_others_share(settings: dict[str, Any]) -> None:
    """There is nobody to tell."""
    before = set(threading.enumerate())
    with override_settings(**settings):
        hints = process()
        hints.send(TOKEN)

        assert hints.ask() is None
        assert not hints.listen()
    assert set(threading.enumerate()) <= before


@pytest.mark.usefixtures("shared_layer")
def test_a_thread_that_was_ended_starts_again() -> None:
    """Whoever takes the layer away ends it; the next hint needs it again."""
    before = set(threading.enumerate())
    _, heard = listener()
    speaker = process()
    say_until_heard(speaker, heard, TOKEN)
    for _ in range(2):
        speaker.stop()
    heard.clear()

    assert len(set(threading.enumerate()) - before) == 1  # the listener's
    say_until_heard(speaker, heard, TOKEN)


def test_a_session_s_name_is_not_its_key() -> None:
    """Whoever listens on the layer cannot log in with what he hears."""
    assert session_name("abc") == session_name("abc") != session_name("abd")
    assert "abc" not in session_name("abc")
    assert len(session_name("")) == 20


def test_the_process_has_one_that_wakes_its_watchers() -> None:
    """What is heard goes to every event loop that has connections."""
    about = hints_of_the_process._describe()

    assert about.connections == 0
    assert about.fingerprint
