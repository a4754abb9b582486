"""
The visitor's session behind a handshake: its key, its user, and whether it stands.

Through Django's own session engines; a session is never changed here.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest, parse_cookie
from django.utils import timezone

from .models import batches
from .threads import Threads

# Daphne gives an application five seconds for a handshake.
_threads: Final = Threads("wsorigin-sessions", 2, most=200, patience=3.0)


def has_sessions() -> bool:
    """Whether the project has sessions with users in them."""
    return apps.is_installed("django.contrib.sessions") and apps.is_installed(
        "django.contrib.auth"
    )


def session_store() -> Any:
    """Return the class of the project's session engine."""
    return import_module(settings.SESSION_ENGINE).SessionStore


def may_have_session(headers: Mapping[bytes, bytes]) -> bool:
    """Whether there may be a session among the cookies; no more than a glance."""
    cookies = headers.get(b"cookie")
    if not cookies:
        return False
    name = _cookie_name()
    return name is not None and name in cookies


@cache
def _cookie_name() -> bytes | None:
    """Return what the cookie of a session is called; None where there are no sessions."""
    return settings.SESSION_COOKIE_NAME.encode() if has_sessions() else None


def _forget_cookie_name(**_: Any) -> None:
    _cookie_name.cache_clear()


setting_changed.connect(_forget_cookie_name, dispatch_uid="wsorigin.sessions")


def session_key_in(cookies: bytes) -> str:
    """Return the key of the session that a Cookie header names, empty without one."""
    return parse_cookie(cookies.decode("latin-1")).get(settings.SESSION_COOKIE_NAME, "")


def is_on_the_server() -> bool:
    """
    Whether sessions are kept where they can be ended.

    A signed cookie is the session itself: whoever has a copy keeps it until it expires,
    also after a log-out, as Django's documentation says.
    """
    return not settings.SESSION_ENGINE.endswith(".signed_cookies")


def user_of(session_key: str) -> Any:
    """
    Return the user who is logged in in a session, as Django would; None for nobody.

    Raises LookupError for a session that is there and cannot be read.
    """
    from django.contrib.auth import get_user  # needs the app registry

    request = HttpRequest()
    request.session = read_only(session_key)
    user = get_user(request)
    if user.is_authenticated:
        return user
    # Engines take a cache or a folder that is away for a session that is gone; to ask
    # whether it stands raises there.
    if request.session.session_key is None and standing_sessions([session_key]):
        raise LookupError("a session that is there could not be read")
    return None


async def auser_of(session_key: str) -> Any:
    """
    Return the user of a session as `user_of` does, from an event loop.

    Raises TimeoutError where the answer takes longer than three seconds.
    """
    return await _threads.ask(user_of, session_key)


def read_only(session_key: str) -> Any:
    """
    Return a session that reading leaves as it is.

    Django renews one that an old SECRET_KEY has signed, ends one with an old password,
    and replaces an expired file. A handshake must not: nobody would tell the browser.
    """
    session = session_store()(session_key)
    for name in ("create", "cycle_key", "delete", "flush"):
        setattr(session, name, lambda: None)
    return session


def standing_sessions(keys: Collection[str]) -> set[str]:
    """
    Return those of these sessions that exist and have not expired.

    Raises what the engine raises where it cannot be asked: silence is no answer.
    """
    store = session_store()
    if hasattr(store, "get_model_class"):
        # The database's, with a cache before it or not.
        return set(_in_database(store.get_model_class(), keys))
    if hasattr(store, "cache_key_prefix"):
        # Not by load(), which takes a cache that is away for a session that is gone.
        prefix, cache = store.cache_key_prefix, store()._cache
        return {key for key in keys if prefix + key in cache}
    if hasattr(store, "_get_storage_path"):
        # Not by load() alone, which takes a folder that is away for no sessions.
        os.stat(store._get_storage_path())
    return {key for key in keys if read_only(key).load()}


def _in_database(model: Any, keys: Iterable[str]) -> Iterator[str]:
    for batch in batches(keys):
        rows = model.objects.filter(
            session_key__in=batch, expire_date__gt=timezone.now()
        )
        yield from rows.values_list("session_key", flat=True)
