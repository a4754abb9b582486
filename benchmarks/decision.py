"""
What one decision costs, alone and inside the guard, from 1 to 100,000 rules.

The contenders, what they are asked, and what wsorigin promises. How to measure is the
rounds' business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, cycle
from typing import Final
from unittest import mock
from urllib.parse import urlparse, urlsplit

from channels.security.websocket import OriginValidator
from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import override_settings

from wsorigin import refresh
from wsorigin.denial import DENIAL_EXTENSION
from wsorigin.guard import Application, OriginGuard
from wsorigin.handshake import Handshake, Message, Receive, Scope, Send
from wsorigin.policy import Policy

from .rounds import TIMES, Comparison, Contender, Promise, Result, Spread

SIZES: Final = (1, 10, 100, 1_000, 10_000, 100_000)
QUICK_SIZES: Final = (1, 10, 1_000)
PACKAGES: Final = ("wsorigin", "channels", "Django", "django-cors-headers")

DECISION: Final = "one decision"
ALLOWING: Final = "the guard, allowing"
DENYING: Final = "the guard, denying"

WSORIGIN: Final = "wsorigin"
OWN_LIST: Final = "wsorigin, own list"
FLOOR: Final = "floor: scan and set"
LOOK_UP: Final = "set look-up alone"
WRAPPER: Final = "pass-through"
REFUSAL: Final = "raw refusal"
CHANNELS: Final = "Channels"
CORSHEADERS: Final = "corsheaders"

# Where each handshake comes from another origin: more than any cache of ours holds,
# so that each is read as if for the first time.
_CROWD: Final = 2048
_STRIDE: Final = 7919  # a prime, so that no place in a list comes twice

# Two lists share no origin, or what one contender asked would be in the other's cache.
_EXACT: Final = "https://www.tenant{}-of-{}.example"
_WILDCARD: Final = "https://*.tenant{}-of-{}.example"

Entries = tuple[str, ...]
Around = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Case:
    """
    A kind of list, and the origins that ask.

    ``entry`` is what each entry looks like, with places for its number and for how
    many there are. ``asking`` gives the origins that take turns, for a number of
    entries; ``allowed`` is the right answer to each.
    """

    name: str
    entry: str
    asking: Callable[[int], Sequence[str]]
    allowed: bool = True


def last(size: int) -> Sequence[str]:
    """Return the origin listed last, where a walk through the list takes longest."""
    return [_EXACT.format(size - 1, size)]


def many_listed(size: int) -> Sequence[str]:
    """Return origins from all over the list, far apart, as many as it has."""
    places = [(size - 1 + i * _STRIDE) % size for i in range(min(size, _CROWD))]
    return [_EXACT.format(place, size) for place in places]


def many_covered(size: int) -> Sequence[str]:
    """Return origins that the wildcard listed last covers."""
    wildcard = _WILDCARD.format(size - 1, size)
    return [wildcard.replace("*", f"app{i}") for i in range(_CROWD)]


def stranger(size: int) -> Sequence[str]:
    """Return an origin that nobody listed."""
    return ["https://www.stranger.example"]


def many_strangers(size: int) -> Sequence[str]:
    """Return origins that nobody listed: strangers choose what they send."""
    return [f"https://www.stranger{i}-of-{size}.example" for i in range(_CROWD)]


def malformed(size: int) -> Sequence[str]:
    """Return a value that is no origin."""
    return [f"{origin}/page" for origin in stranger(size)]


def many_malformed(size: int) -> Sequence[str]:
    """Return values that are no origins, each another."""
    return [f"{origin}/page" for origin in many_strangers(size)]


def itself(size: int) -> Sequence[str]:
    """Return the origin of the site's own pages."""
    return [f"https://{settings.ALLOWED_HOSTS[0]}"]


CASES: Final = (
    Case("exact", _EXACT, last),
    Case("exact, many origins", _EXACT, many_listed),
    Case("wildcard", _WILDCARD, last),
    Case("wildcard, many origins", _WILDCARD, many_covered),
    Case("same-origin", _EXACT, itself),
    Case("miss", _EXACT, stranger, allowed=False),
    Case("miss, many origins", _EXACT, many_strangers, allowed=False),
    Case("miss among wildcards", _WILDCARD, stranger, allowed=False),
    Case("malformed", _EXACT, malformed, allowed=False),
    Case("malformed, many values", _EXACT, many_malformed, allowed=False),
)


def comparisons(*, quick: bool) -> Iterator[Comparison]:
    """Yield what to measure: each question in each case."""
    sizes = QUICK_SIZES if quick else SIZES
    for case in CASES:
        contenders = by_name(deciders(case, size) for size in sizes)
        yield Comparison(DECISION, case.name, FLOOR, contenders)
    for case in CASES:
        contenders = by_name(guards(case, size) for size in sizes)
        question = ALLOWING if case.allowed else DENYING
        yield Comparison(question, case.name, WRAPPER, contenders)


def by_name(by_size: Iterable[Iterable[Contender]]) -> Sequence[Contender]:
    """Group contenders that came by size."""
    return list(chain.from_iterable(zip(*by_size, strict=True)))


def promises(results: Sequence[Result]) -> Iterator[Promise]:
    """Yield what a decision may cost, and what it did in each case."""
    growth: dict[str, Spread] = {}
    worst: defaultdict[str, dict[str, Spread]] = defaultdict(dict)
    largest = 0
    for result in results:
        question, case = result.comparison.question, result.comparison.case
        for name in (WSORIGIN, OWN_LIST):
            if sizes := result.sizes(name):
                label = case if name == WSORIGIN else f"{case}, own list"
                worst[question][label] = max(map(partial(result.multiple, name), sizes))
        smallest, *_, largest = result.sizes(WSORIGIN)
        # One rule has only one origin, so that there are no many to compare with.
        if question == DECISION and case != "exact, many origins":
            growth[case] = result.ratio((WSORIGIN, largest), (WSORIGIN, smallest))
    yield Promise(f"{largest:,} rules cost {{}} {TIMES} one rule", 1.3, growth)
    for question, base, limit in (
        (DECISION, "the floor", 10),
        (ALLOWING, "a pass-through", 12),
        (DENYING, "a pass-through", 12),
    ):
        for who, cases in split(worst[question]):
            text = f"{question}{who}, costs {{}} {TIMES} {base}"
            yield Promise(text, limit, cases)


def split(cases: dict[str, Spread]) -> Iterator[tuple[str, dict[str, Spread]]]:
    """Tell origins that come again from those that are new to every memory of ours."""
    many = {name: spread for name, spread in cases.items() if "many" in name}
    yield "", {name: spread for name, spread in cases.items() if name not in many}
    yield ", each time another origin", many


def scope_of(origin: str) -> Scope:
    """Return the scope of a handshake with the headers that Chromium sends."""
    headers = list(chromium_headers())
    place = headers.index((b"origin", b""))
    headers[place] = (b"origin", origin.encode())
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss",
        "server": ("192.0.2.1", 443),
        "client": ("198.51.100.7", 50_000),
        "root_path": "",
        "path": "/ws/prices/",
        "raw_path": b"/ws/prices/",
        "query_string": b"",
        "headers": headers,
        "subprotocols": [],
        "extensions": {DENIAL_EXTENSION: {}},
    }


@cache
def chromium_headers() -> Sequence[tuple[bytes, bytes]]:
    """Return the headers in Chromium's order, the origin still empty."""
    headers = {
        "host": settings.ALLOWED_HOSTS[0],
        "connection": "Upgrade",
        "pragma": "no-cache",
        "cache-control": "no-cache",
        "user-agent": (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/141.0.0.0 Safari/537.36"
        ),
        "upgrade": "websocket",
        "origin": "",
        "sec-websocket-version": "13",
        "accept-encoding": "gzip, deflate, br, zstd",
        "accept-language": "en-GB,en;q=0.9",
        "cookie": f"csrftoken={'c' * 32}; sessionid={'s' * 32}",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]


# Deciding: functions of a scope.


def deciders(case: Case, size: int) -> Iterator[Contender]:
    """Yield who decides without answering."""
    entries = entries_of(case.entry, size)
    asking = case.asking(size)
    scopes = [scope_of(origin) for origin in asking]
    policy = site_policy(entries).get()
    yield Contender(WSORIGIN, size, partial(wsorigin, policy), scopes)
    yield Contender(FLOOR, size, partial(floor, *floor_sets(entries)), scopes)
    yield Contender(LOOK_UP, size, set(entries).__contains__, asking)
    if case.asking is itself:
        return  # the others know no such rule
    yield Contender(CHANNELS, size, partial(channels, validator(entries)), scopes)
    yield Contender(
        CORSHEADERS,
        size,
        partial(corsheaders, CorsMiddleware(no_view)),
        scopes,
        around=partial(cors_settings, entries),
    )


def wsorigin(policy: Policy, scope: Scope) -> bool:
    """Ask wsorigin."""
    return policy.decide(Handshake.from_scope(scope)).allowed


def floor(origins: set[str], parents: set[str], scope: Scope) -> bool:
    """Do the least that answers: find the header, look it up, or its parents."""
    for name, value in scope["headers"]:
        if name == b"origin":
            origin = value.decode("latin-1")
            break
    if not parents:
        return origin in origins
    rest = origin.partition("://")[2]
    while rest := rest.partition(".")[2]:
        if rest in parents:
            return True
    return False


def channels(validator: OriginValidator, scope: Scope) -> bool:
    """Ask Channels, with the lines of its ``__call__`` that read the header."""
    parsed_origin = None
    for name, value in scope["headers"]:
        if name == b"origin":
            parsed_origin = urlparse(value.decode("latin1"))
    return bool(validator.valid_origin(parsed_origin))


def corsheaders(middleware: CorsMiddleware, scope: Scope) -> bool:
    """Ask django-cors-headers, after the same scan for the header."""
    for name, value in scope["headers"]:
        if name == b"origin":
            origin = value.decode("latin-1")
            break
    return middleware.origin_found_in_white_lists(origin, urlsplit(origin))


def no_view(request: HttpRequest) -> HttpResponse:
    """Stand behind a middleware that is only asked for its opinion."""
    return HttpResponse()


# Deciding and answering: ASGI wrappers of an empty application.


def guards(case: Case, size: int) -> Iterator[Contender]:
    """Yield the whole wrappers."""
    entries = entries_of(case.entry, size)
    scopes = [scope_of(origin) for origin in case.asking(size)]

    def wrapper(
        name: str, app: Application, receive: Receive, around: Around = nullcontext
    ) -> Contender:
        def call(scope: Scope) -> Awaitable[None]:
            return app(scope, receive, sending)

        return Contender(name, size, call, scopes, awaited=True, around=around)

    current = site_policy(entries)
    site = partial(mock.patch.object, refresh, "current", current)
    yield wrapper(WSORIGIN, OriginGuard(empty), connecting, site)
    yield wrapper(WRAPPER, PassThrough(empty), connecting)
    if not case.allowed:
        yield wrapper(REFUSAL, Refusal(empty), connecting)
    if case.asking is itself:
        return
    if case.asking in (last, stranger, malformed):
        # Where many ask, the two wsorigins would fill caches for each other.
        own_list = OriginGuard(empty, allowed_origins=entries)
        yield wrapper(OWN_LIST, own_list, connecting)
    # Its refusal is a consumer, which waits for the client to go.
    yield wrapper(CHANNELS, validator(entries), coming_and_going())


async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    """Be the application behind each wrapper."""


class PassThrough:
    """Wrap and do nothing: the least that a wrapper costs."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Refusal(PassThrough):
    """Refuse all, as the guard does: the least that a refusal costs."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 403})
        await send({"type": "websocket.http.response.body", "body": b"{}"})


async def connecting() -> Message:
    """Receive, from a client that opens."""
    return {"type": "websocket.connect"}


def coming_and_going() -> Receive:
    """Return a receive for clients that open and go, one after the other."""
    types = cycle(["websocket.connect", "websocket.disconnect"])

    async def receive() -> Message:
        return {"type": next(types), "code": 1000}

    return receive


async def sending(message: Message) -> None:
    """Send, to nobody."""


# The same list, as each contender wants it.


@cache
def entries_of(entry: str, size: int) -> Entries:
    """Return a list of so many entries."""
    return tuple(entry.format(i, size) for i in range(size))


@cache
def site_policy(entries: Entries) -> refresh.CurrentPolicy:
    """Return the policy of a site with this list in its settings, compiled."""
    current = refresh.CurrentPolicy()
    with override_settings(WSORIGIN_ALLOWED_ORIGINS=entries):
        current.get()
    return current


@cache
def floor_sets(entries: Entries) -> tuple[set[str], set[str]]:
    """Return origins, and the names below which wildcards allow all."""
    wild = {entry for entry in entries if "*" in entry}
    return set(entries) - wild, {entry.partition("*.")[2] for entry in wild}


def validator(entries: Entries) -> OriginValidator:
    """Return Channels' validator, which writes wildcards as ``https://.example.com``."""
    return OriginValidator(empty, [entry.replace("*.", ".") for entry in entries])


def cors_settings(entries: Entries) -> AbstractContextManager[object]:
    """Return the list as settings of corsheaders, wildcards as regular expressions."""
    if "*" in entries[0]:
        return override_settings(CORS_ALLOWED_ORIGIN_REGEXES=regexes(entries))
    return override_settings(CORS_ALLOWED_ORIGINS=entries)


@cache
def regexes(entries: Entries) -> Sequence[str]:
    """Return wildcards as the documentation of corsheaders writes them."""
    escaped = [entry.replace(".", r"\.") for entry in entries]
    return [f"^{entry.replace('*', '[a-z0-9-]+')}$" for entry in escaped]
