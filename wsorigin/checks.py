"""
System checks: what can be said about the configuration without running it.

Each finding has an id for ever, one sentence, and a hint that can be pasted. What
needs I/O beyond importing the ASGI application is not here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register

from .conf import DEFAULTS, MAX_TICKET_AGE, SOURCE_NAMES, conf, is_list, is_positive
from .origins import InvalidOrigin
from .patterns import OriginPattern, PatternKind, compiled, normalisations
from .reasons import MissingOrigin
from .reconciliation import reconcile, unmatchable_cors_entries
from .regexes import leak, slow_input
from .routes import Route, websocket_routes
from .sources import collect, django_list, https_only

# What each id stands for. Never reuse one.
IDS: Final = {
    "E001": "an entry of ours that cannot be read",
    "E002": "a setting of the wrong type",
    "E003": "an unknown WSORIGIN_ setting",
    "E004": "a value that is none of the choices",
    "E005": "a regular expression that lets strangers in",
    "E006": "a regular expression that takes too long",
    "E007": "a Daphne with CVE-2026-44546",
    "W001": "an entry of an inherited list that cannot be read",
    "W002": "an entry that never matches a browser",
    "W003": "all origins allowed",
    "W004": "CORS for all origins, which sockets do not inherit",
    "W005": "'*' in ALLOWED_HOSTS",
    "W006": "an origin over plain http",
    "W007": "the null origin listed",
    "W008": "a CORS regular expression that lets strangers in over HTTP",
    "W009": "lists that disagree",
    "W010": "Channels' own validator",
    "W011": "a WebSocket route that nothing guards",
    "W012": "a session cookie with SameSite=None",
    "W013": "storage that other processes do not see",
    "W014": "nothing says that the site is https",
    "W015": "a Content Security Policy without the site's sockets",
    "W016": "a channel layer that hangs up on idle sockets",
    "W017": "denials that are only recorded",
    "I001": "an entry that was normalised",
}

_LEVELS: Final = {"E": Error, "W": Warning, "I": Info}


def finding(number: str, message: str, hint: str = "") -> CheckMessage:
    """Make a check message with one of the ids above."""
    if number not in IDS:
        raise KeyError(number)
    return _LEVELS[number[0]](message, hint=hint or None, id=f"wsorigin.{number}")


def register_all() -> None:
    """Register the checks; those about the deployment run with ``check --deploy``."""
    for check in (
        check_settings,
        check_lists,
        check_regexes,
        check_routes,
        check_server,
    ):
        register(check, Tags.security)
    register(check_deployment, Tags.security, deploy=True)


# The settings themselves ------------------------------------------------------------

_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "WSORIGIN_MISSING_ORIGIN": tuple(MissingOrigin),
    "WSORIGIN_DENY_WITH": ("http", "close"),
}


def check_settings(**_: Any) -> Iterator[CheckMessage]:
    """Check names, types and choices of ``WSORIGIN_*``."""
    for name in dir(settings):
        if name.startswith("WSORIGIN_") and name not in DEFAULTS:
            close = difflib.get_close_matches(name, DEFAULTS, n=1, cutoff=0)
            yield finding(
                "E003", f"{name} isn't a setting of wsorigin.", f"Write {close[0]}."
            )
    for name, default in DEFAULTS.items():
        value = getattr(settings, name, default)
        if name in _CHOICES:
            if value not in _CHOICES[name]:
                yield _not_a_choice(name, value, _CHOICES[name])
        elif isinstance(default, bool):
            if not isinstance(value, bool):
                yield finding(
                    "E002",
                    f"{name} is {value!r}, not a bool, and reads as "
                    f"{getattr(conf, name)}.",
                    f"Write {name} = {str(value).lower() in {'1', 'true', 'yes', 'on'}}.",
                )
        elif isinstance(default, int):
            if not is_positive(value):
                yield finding(
                    "E002",
                    f"{name} is {value!r}, not a number above zero, and reads as "
                    f"{default}.",
                    f"Write {name} = {default}.",
                )
            elif name == "WSORIGIN_TICKET_MAX_AGE" and value > MAX_TICKET_AGE:
                yield finding(
                    "E002",
                    f"{name} is {value!r}, and reads as {MAX_TICKET_AGE}: a ticket is "
                    "fetched to be used at once.",
                    f"Write {name} = {default}; what lives longer is a token.",
                )
        elif not is_list(value):
            fixed = value.split(",") if isinstance(value, str) else []
            yield finding(
                "E002",
                f"{name} is {value!r}, not a list, and reads as empty.",
                f"Write {name} = {[part.strip() for part in fixed if part.strip()]!r}.",
            )
    for index, name in enumerate(conf.WSORIGIN_INHERIT):
        if name not in SOURCE_NAMES:
            yield _not_a_choice(f"WSORIGIN_INHERIT[{index}]", name, SOURCE_NAMES)


def _not_a_choice(name: str, value: Any, choices: Sequence[str]) -> CheckMessage:
    close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0)
    return finding(
        "E004",
        f"{name} is {value!r}, which is none of {', '.join(map(repr, choices))}.",
        f"Write {close[0]!r}.",
    )


# The lists --------------------------------------------------------------------------


def check_lists(**_: Any) -> Iterator[CheckMessage]:
    """Check each entry of each list, and whether the lists agree."""
    found = collect()
    for problem in found.problems:
        ours = problem.source.startswith("WSORIGIN_")
        yield finding(
            "E001" if ours else "W001",
            f"{problem.source} is {problem.error.value!r}: {problem.error.problem}. "
            "It trusts nobody over WebSockets.",
            problem.error.remedy,
        )
    for index, entry in enumerate(conf.WSORIGIN_ALLOWED_ORIGINS):
        yield from _check_own_entry(f"WSORIGIN_ALLOWED_ORIGINS[{index}]", entry)
    for source, canonical in unmatchable_cors_entries():
        yield finding(
            "W002",
            f"{source} never matches a browser over HTTP: django-cors-headers compares "
            "the text as written.",
            f"Write {canonical!r}.",
        )
    if conf.WSORIGIN_ALLOW_ALL_ORIGINS:
        yield finding(
            "W003",
            "WSORIGIN_ALLOW_ALL_ORIGINS is on: every website may open WebSockets here, "
            "without the visitor's session.",
            "List the origins instead: WSORIGIN_ALLOW_ALL_ORIGINS = False",
        )
    name, all_origins = _cors_all_origins()
    inherited = all_origins and "cors" in conf.WSORIGIN_INHERIT
    if inherited and not conf.WSORIGIN_ALLOW_ALL_ORIGINS:
        yield finding(
            "W004",
            f"{name} is on, which WebSockets never inherit.",
            "List the origins in CORS_ALLOWED_ORIGINS; or, to let every website "
            "open sockets without a session, WSORIGIN_ALLOW_ALL_ORIGINS = True",
        )
    if (
        "*" in django_list("ALLOWED_HOSTS")[1]
        and "same-origin" in conf.WSORIGIN_INHERIT
    ):
        yield finding(
            "W005",
            "ALLOWED_HOSTS has '*', so that a page under any name that resolves to "
            "this server counts as the same origin (DNS rebinding).",
            "Name the hosts: ALLOWED_HOSTS = ['example.com']",
        )
    reconciliation = reconcile()
    if reconciliation.disagreements:
        rows = reconciliation.disagreements
        shown = " ".join(f"{row.origin}: {row.disagreement}" for row in rows[:3])
        more = f" And {len(rows) - 3} more." if len(rows) > 3 else ""
        yield finding(
            "W009",
            f"HTTP and WebSockets disagree. {shown}{more}",
            f"`manage.py wsorigin diff` shows all. To agree:\n{reconciliation.proposal}",
        )


def _check_own_entry(source: str, entry: Any) -> Iterator[CheckMessage]:
    try:
        pattern = OriginPattern.parse(entry)
    except InvalidOrigin:
        return  # E001
    changes = normalisations(entry, pattern)
    if str(pattern) != entry:
        yield finding(
            "I001",
            f"{source} is read as {str(pattern)!r}: {', '.join(changes)}.",
            f"Write {str(pattern)!r}.",
        )
    if pattern.scheme in {"ws", "wss"}:
        page = {"ws": "http", "wss": "https"}[pattern.scheme]
        fixed = str(pattern).replace(f"{pattern.scheme}:", f"{page}:", 1)
        yield finding(
            "W002",
            f"{source} never matches a browser: the origin is the page's, "
            f"and no page is served over {pattern.scheme}.",
            f"Write {fixed!r}.",
        )
    elif pattern.is_cleartext:
        fixed = str(pattern).replace("http:", "https:", 1)
        yield finding(
            "W006",
            f"{source} trusts pages over plain http: anybody on a visitor's network can "
            "write such a page.",
            f"Write {fixed!r}.",
        )
    elif pattern.kind is PatternKind.NULL:
        yield finding(
            "W007",
            f"{source} is 'null', which any website can send from a sandboxed frame. "
            "It opens sockets without a session.",
            "Remove it, and give such pages a real origin.",
        )


def _cors_all_origins() -> tuple[str, bool]:
    for name in ("CORS_ALLOW_ALL_ORIGINS", "CORS_ORIGIN_ALLOW_ALL"):
        if hasattr(settings, name):
            return name, bool(getattr(settings, name))
    return "CORS_ALLOW_ALL_ORIGINS", False


# Regular expressions ----------------------------------------------------------------


def check_regexes(**_: Any) -> Iterator[CheckMessage]:
    """Probe each regular expression with hostile strings."""
    own = conf.WSORIGIN_ALLOWED_ORIGIN_REGEXES
    yield from _check_regexes("WSORIGIN_ALLOWED_ORIGIN_REGEXES", own, "E005")
    name, entries = django_list(
        "CORS_ALLOWED_ORIGIN_REGEXES", "CORS_ORIGIN_REGEX_WHITELIST"
    )
    # corsheaders applies them with re.match, so the end is open there.
    yield from _check_regexes(name, entries, "W008")


def _check_regexes(
    name: str, entries: Sequence[Any], leak_id: str
) -> Iterator[CheckMessage]:
    over_http = leak_id == "W008"
    for index, entry in enumerate(entries):
        try:
            regex = compiled(entry)
        except InvalidOrigin:
            continue  # E001, W001
        matches: Callable[[str], object] = regex.match if over_http else regex.fullmatch
        leaked = leak(regex, matches)
        if leaked:
            intended, stranger = leaked
            where = " over HTTP" if over_http else ""
            yield finding(
                leak_id,
                f"{name}[{index}] is {regex.pattern!r}, meant for {intended!r}, and "
                f"matches {stranger!r} too{where}.",
                _anchored(regex, stranger),
            )
        slow = slow_input(regex)
        if slow:
            yield finding(
                "E006",
                f"{name}[{index}] is {regex.pattern!r}, which takes far too long for "
                f"{slow[:60]!r}…: anybody can stop the server with such a header.",
                "No repetition inside a repetition: write '[a-z0-9-]+' for a label.",
            )


def _anchored(regex: re.Pattern[str], stranger: str) -> str:
    """Write an expression so that it no longer matches a stranger, if that is easy."""
    anchored = f"^(?:{regex.pattern.removeprefix('^').removesuffix('$')})$"
    escaped = re.sub(r"(?<![\\\]])\.(?![*+?{])", r"\\.", anchored)
    for candidate in (regex.pattern.removesuffix("$") + "$", anchored, escaped):
        try:
            if not leak(cured := re.compile(candidate), cured.match):
                return f"Write r'{candidate}'."
        except re.error:
            continue
    return "Escape each dot as '\\.', end with '$', and keep '.*' out of host names."


# The application --------------------------------------------------------------------


def check_routes(**_: Any) -> Iterator[CheckMessage]:
    """Check what stands before each WebSocket route of ``ASGI_APPLICATION``."""
    for route in websocket_routes():
        path = f"/{route.path}"
        if route.validators:
            name = type(route.validators[0]).__qualname__
            yield finding(
                "W010",
                f"Channels' {name} stands before {path}: it keeps a list of its own, "
                "read once at start-up, and refuses without a word.",
                _guard_hint(route, f"Remove {name}."),
            )
        elif not route.guards:
            yield finding(
                "W011",
                f"Nothing checks the origin of WebSocket handshakes at {path} "
                f"({route.name}): any website can open it with the visitor's session.",
                _guard_hint(route, ""),
            )


def _guard_hint(route: Route, remedy: str) -> str:
    if route.guards:
        return remedy
    bases = [base.__name__ for base in getattr(route.app, "__mro__", ())]
    for name in (
        "AsyncJsonWebsocketConsumer",
        "AsyncWebsocketConsumer",
        "JsonWebsocketConsumer",
        "WebsocketConsumer",
    ):
        if name in bases:
            guard = f"from wsorigin.consumers import Guarded{name}\n"
            return f"{remedy} Subclass the guarded twin:\n{guard}".strip()
    return f"{remedy} Wrap it: OriginGuard({route.name}) from wsorigin.guard.".strip()


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


# The deployment ---------------------------------------------------------------------


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
    hosts = [host.lstrip(".") for host in django_list("ALLOWED_HOSTS")[1]]
    for source in sources:
        if source in ("'self'", "*", "ws:", "wss:"):
            return True
        split = urlsplit(source if "://" in source else f"wss://{source}")
        if split.scheme in {"ws", "wss"} and split.hostname in hosts:
            return True
    return False
