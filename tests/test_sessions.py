"""Sessions behind handshakes, in each of Django's engines."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY, login
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends import file
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import override_settings
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from wsorigin.live import NOTHING, claim_for
from wsorigin.sessions import (
    auser_of,
    batches,
    has_sessions,
    is_on_the_server,
    session_key_in,
    session_store,
    standing_sessions,
    user_of,
)

from .services import free_port

pytestmark = pytest.mark.django_db

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
REDIS = "django.core.cache.backends.redis.RedisCache"
ON_THE_SERVER = ["db", "cached_db", "cache", "file"]


@pytest.fixture
def ada(db: None) -> User:
    """A user."""
    return User.objects.create_user("ada", password="first")


@pytest.fixture
def use(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Choose an engine, with a cache and a folder of its own."""

    def choose(engine: str) -> None:
        settings.CACHES = {"default": {"BACKEND": LOCMEM, "LOCATION": str(tmp_path)}}
        settings.SESSION_FILE_PATH = str(tmp_path)
        # Found once for all settings.
        monkeypatch.setattr(file.SessionStore, "_storage_path", str(tmp_path), False)
        settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"

    return choose


def log_in(user: User) -> Any:
    """Log a user in; return the session."""
    request = HttpRequest()
    request.session = session_store()()
    login(request, user)
    request.session.save()
    return request.session


def end(key: str, how: str) -> None:
    """End a session as Django does it, or as time does."""
    session = session_store()(key)
    if how == "flushed":
        session.flush()
    else:
        session.set_expiry(-1)
        session.save()


# Which session, and whose.


@pytest.mark.parametrize(
    ("cookies", "key"),
    [
        (b"", ""),
        (b"sessionid=abc", "abc"),
        (b"a=1; sessionid=abc; b=2", "abc"),
        (b"sessionid=", ""),
        (b"csrftoken=abc", ""),
        (b"mysessionid=abc", ""),
        (b"\xff\xfe; sessionid=abc", "abc"),
    ],
)
def test_finds_the_key_in_the_cookies(cookies: bytes, key: str) -> None:
    """As Django reads them; whatever else is in the header."""
    assert session_key_in(cookies) == key


def test_the_cookie_has_the_name_of_the_setting() -> None:
    """``SESSION_COOKIE_NAME``."""
    with override_settings(SESSION_COOKIE_NAME="__Host-id"):
        assert session_key_in(b"sessionid=abc; __Host-id=def") == "def"


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (None, True),
        ("django.contrib.sessions", False),
        ("django.contrib.auth", False),
    ],
)
def test_a_project_may_be_without_sessions(
    missing: str | None, expected: bool, settings: Any
) -> None:
    """Then there is nothing to look after."""
    # The admin and the messages need both; they are out of it here.
    installed = [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ]
    settings.INSTALLED_APPS = [name for name in installed if name != missing]
    claim = async_to_sync(claim_for)({"user": AnonymousUser()}, b"", None)

    assert has_sessions() is expected
    assert claim is NOTHING


@pytest.mark.parametrize("engine", [*ON_THE_SERVER, "signed_cookies"])
def test_finds_the_user_of_a_session(engine: str, use: Any, ada: User) -> None:
    """Who is logged in there; nobody in others."""
    use(engine)
    session = log_in(ada)
    nobody = session_store()()
    nobody["some"] = "thing"
    nobody.save()

    assert user_of(session.session_key) == ada
    assert user_of(nobody.session_key) is None
    assert user_of("0" * 32) is None
    assert is_on_the_server() is (engine != "signed_cookies")


@pytest.fixture
def key(transactional_db: None) -> str:
    """A session that somebody is logged in in, as other threads see it."""
    session_key: str = log_in(User.objects.create_user("bob")).session_key
    return session_key


async def test_finds_the_user_from_an_event_loop(key: str) -> None:
    """In a thread, with the same answer."""
    user = await auser_of(key)

    assert user.username == "bob"
    assert await auser_of("0" * 32) is None


@pytest.mark.parametrize("engine", ON_THE_SERVER)
@pytest.mark.parametrize("how", ["flushed", "expired", "deactivated", "password"])
def test_who_is_logged_out_is_nobody(
    how: str, engine: str, use: Any, ada: User
) -> None:
    """As over HTTP."""
    use(engine)
    key = log_in(ada).session_key
    if how == "deactivated":
        User.objects.update(is_active=False)
    elif how == "password":
        ada.set_password("second")
        ada.save()
    else:
        end(key, how)

    assert user_of(key) is None


@pytest.mark.parametrize("engine", ON_THE_SERVER)
@pytest.mark.parametrize("what", ["old key", "password"])
def test_looking_changes_no_session(
    what: str, engine: str, use: Any, ada: User, settings: Any
) -> None:
    """Django would renew it or end it, and nobody here could tell the browser."""
    use(engine)
    key = log_in(ada).session_key
    before = dict(session_store()(key).items())
    if what == "password":
        ada.set_password("second")
        ada.save()
    else:
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another one for tests"
    user = user_of(key)
    stands = standing_sessions([key])

    settings.SECRET_KEY = "only for tests"
    assert user == (ada if what == "old key" else None)
    assert stands == {key}
    assert dict(session_store()(key).items()) == before
    assert before[SESSION_KEY] == str(ada.pk)


# Whether it stands.


@pytest.mark.parametrize("engine", ON_THE_SERVER)
def test_tells_sessions_that_stand_from_those_that_ended(
    engine: str, use: Any, ada: User
) -> None:
    """Logged out, expired, and made up ones do not."""
    use(engine)
    keys = [log_in(ada).session_key for _ in range(4)]
    end(keys[1], "flushed")
    end(keys[2], "expired")

    assert standing_sessions([*keys, "0" * 32]) == {keys[0], keys[3]}
    assert standing_sessions([]) == set()


def test_a_session_in_a_cookie_stands_while_it_can_be_read(use: Any, ada: User) -> None:
    """It is all there is of it."""
    use("signed_cookies")
    key = log_in(ada).session_key

    assert standing_sessions([key, f"{key}x"]) == {key}


@pytest.mark.parametrize("how", ["expired", "broken"])
def test_a_file_that_ended_is_left_to_django(
    how: str, use: Any, ada: User, tmp_path: Path
) -> None:
    """Looking makes no new one in its place."""
    use("file")
    key = log_in(ada).session_key
    [path] = tmp_path.iterdir()
    if how == "expired":
        end(key, how)
        old = (timezone.now() - timedelta(days=30)).timestamp()
        os.utime(path, (old, old))
    else:
        path.write_text("no session")
    before = path.read_text()

    assert standing_sessions([key]) == set()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == before


@pytest.mark.parametrize(("engine", "queries"), [("db", 3), ("cached_db", 3)])
def test_many_sessions_cost_few_queries(
    engine: str, queries: int, use: Any, django_assert_num_queries: Any
) -> None:
    """Five hundred a query: databases bound the parameters of a statement."""
    use(engine)
    soon = timezone.now() + timedelta(hours=1)
    keys = [f"{number:032}" for number in range(1200)]
    Session.objects.bulk_create(
        Session(session_key=key, expire_date=soon) for key in keys
    )
    with django_assert_num_queries(queries):
        standing = standing_sessions(keys)

    assert standing == set(keys)


def test_batches_leave_nothing_out() -> None:
    """The last one is what remains."""
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([])) == []


# Silence is no answer.


def test_a_cache_that_is_away_is_no_answer(use: Any, settings: Any) -> None:
    """It raises, so that nobody takes it for the end of all sessions."""
    use("cache")
    location = f"redis://127.0.0.1:{free_port()}/0"
    settings.CACHES = {"default": {"BACKEND": REDIS, "LOCATION": location}}

    with pytest.raises(RedisConnectionError):
        standing_sessions(["0" * 32])
    caches["default"].close()


def test_a_folder_that_is_away_is_no_answer(use: Any, tmp_path: Path) -> None:
    """A disk that is not mounted, say."""
    use("file")
    tmp_path.rmdir()
    try:
        with pytest.raises(FileNotFoundError):
            standing_sessions(["0" * 32])
    finally:
        tmp_path.mkdir()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("engine", ["db", "cached_db"])
def test_a_database_that_is_away_is_no_answer(engine: str, use: Any) -> None:
    """Whatever a cache before it says."""
    use(engine)
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = "/nowhere/site.sqlite3"
    try:
        with pytest.raises(OperationalError):
            standing_sessions(["0" * 32])
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
