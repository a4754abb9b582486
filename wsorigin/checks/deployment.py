"""
Checks of what is around the project: server, cookies, proxies, other processes.

By the settings and the installed packages alone; knocking at doors is the doctor's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage

from wsorigin.conf import conf
from wsorigin.sources import django_list, https_only

from .finding import finding


def check_server(**_: Any) -> Iterator[CheckMessage]:
    """Check the installed server, and the cookie that handshakes carry."""
    try:
        daphne = version("daphne")
    except PackageNotFoundError:
        daphne = ""
    if daphne and tuple(map(int, re.findall(r"\d+", daphne)[:3])) < (4, 2, 2):
        yield finding(
            "E007",
            f"Daphne {daphne} lets a client smuggle an Origin header past every check "
            "(CVE-2026-44546).",
            "pip install 'daphne>=4.2.2'",
        )
    if settings.SESSION_COOKIE_SAMESITE in ("None", False):
        yield finding(
            "W012",
            "SESSION_COOKIE_SAMESITE lets every website send the session along: the "
            "origin check is then the only thing between it and the visitor.",
            "SESSION_COOKIE_SAMESITE = 'Lax', unless other sites embed this one",
        )


def check_deployment(**_: Any) -> Iterator[CheckMessage]:
    """Check what matters only where strangers and several processes are."""
    yield from _check_shared_storage()
    if conf.WSORIGIN_REPORT_ONLY:
        yield finding(
            "W017",
            "WSORIGIN_REPORT_ONLY is on: whoever would be denied is let in, and only "
            "recorded.",
            "WSORIGIN_REPORT_ONLY = False, once 'manage.py wsorigin denied' names nobody "
            "whom you trust.",
        )
    if (
        "same-origin" in conf.WSORIGIN_INHERIT
        and not settings.SECURE_PROXY_SSL_HEADER
        and not https_only()
    ):
        yield finding(
            "W014",
            "Nothing says that this site is served over https, so that a page over "
            "plain http under the same name counts as the same origin.",
            "SESSION_COOKIE_SECURE = True; behind a proxy also "
            "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')",
        )
    for name, sources in _connect_sources():
        if not _covers_own_sockets(sources):
            yield finding(
                "W015",
                f"{name} allows connections to {' '.join(sources) or 'nothing'}, which "
                "does not cover this site's WebSockets: browsers block them.",
                "Add \"'self'\" to its connect-src.",
            )


def _check_shared_storage() -> Iterator[CheckMessage]:
    layers = getattr(settings, "CHANNEL_LAYERS", {})
    if "InMemory" in layers.get("default", {}).get("BACKEND", ""):
        yield finding(
            "W013",
            "CHANNEL_LAYERS['default'] is in memory: other processes do not see it.",
            "CHANNEL_LAYERS = {'default': {'BACKEND': "
            "'channels_redis.core.RedisChannelLayer', "
            "'CONFIG': {'hosts': [{'address': 'redis://localhost:6379', "
            "'socket_timeout': None}]}}}",
        )
    yield from _check_idle_redis(layers.get("default", {}))
    alias = settings.SESSION_CACHE_ALIAS
    backend = settings.CACHES.get(alias, {}).get("BACKEND", "")
    if settings.SESSION_ENGINE.endswith(".cache") and "LocMem" in backend:
        yield finding(
            "W013",
            f"Sessions live in CACHES[{alias!r}], which is in memory: other processes "
            "do not see them.",
            "SESSION_ENGINE = 'django.contrib.sessions.backends.db'",
        )


def _check_idle_redis(layer: dict[str, Any]) -> Iterator[CheckMessage]:
    """
    Check whether channels_redis waits longer for messages than redis-py lets it.

    redis-py 8 gives up after five seconds by default, which is how long the core layer
    asks Redis to wait (redis-py issue 4091, channels_redis issue 422).
    """
    if layer.get("BACKEND") != "channels_redis.core.RedisChannelLayer":
        return
    try:
        is_patient = int(version("redis").partition(".")[0]) < _IMPATIENT_REDIS
    except PackageNotFoundError:
        return
    hosts = layer.get("CONFIG", {}).get("hosts", [("localhost", 6379)])
    if is_patient or all(
        isinstance(host, dict) and "socket_timeout" in host for host in hosts
    ):
        return
    yield finding(
        "W016",
        "CHANNEL_LAYERS['default'] gives up on Redis after five seconds without a "
        "message (redis-py 8), and every idle consumer's socket closes with 1011.",
        "'hosts': [{'address': 'redis://localhost:6379', 'socket_timeout': None}]",
    )


_IMPATIENT_REDIS: Final = 8


def _connect_sources() -> Iterator[tuple[str, list[str]]]:
    """Yield what each Content Security Policy says about connections."""
    own = getattr(settings, "SECURE_CSP", None)
    package = getattr(settings, "CONTENT_SECURITY_POLICY", None)
    candidates = {
        "SECURE_CSP": own,
        "CONTENT_SECURITY_POLICY": (package or {}).get("DIRECTIVES"),
    }
    for name, directives in candidates.items():
        if directives:
            for directive in ("connect-src", "default-src"):
                if directive in directives:
                    values = directives[directive]
                    yield (
                        f"{name}[{directive!r}]",
                        [
                            str(value)
                            for value in (
                                [values] if isinstance(values, str) else values
                            )
                        ],
                    )
                    break


def _covers_own_sockets(sources: Sequence[str]) -> bool:
    hosts = [str(host) for host in django_list("ALLOWED_HOSTS")[1]]
    for source in sources:
        if source in ("'self'", "*", "ws:", "wss:"):
            return True
        split = urlsplit(source if "://" in source else f"wss://{source}")
        if split.scheme in {"ws", "wss"} and any(
            _covers(split.hostname or "", host) for host in hosts
        ):
            return True
    return False


def _covers(name: str, host: str) -> bool:
    """Whether a name in a Content Security Policy covers an entry of ALLOWED_HOSTS."""
    if name.startswith("*."):  # not the apex (CSP 3, "host-part matches")
        return host.endswith(name[1:])
    return host.lstrip(".") == name
