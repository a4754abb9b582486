"""
What a pattern means, shown by example before it is saved.

The examples are decided by a policy of this one pattern; nothing here compares origins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wsorigin.handshake import Handshake
from wsorigin.models import printable, readable, translated
from wsorigin.origins import DEFAULT_PORTS, InvalidOrigin
from wsorigin.patterns import OriginPattern, PatternKind, normalisations
from wsorigin.policy import Policy, Rule

_EXAMPLES: Final = 3


class Example(NamedTuple):
    """An Origin header that a browser could send, and what is special about it."""

    origin: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """
    What becomes of a typed pattern.

    ``pattern`` is what is stored, empty where ``problem`` says why it is refused.
    ``changes`` tells what was normalised; ``warnings`` what an operator should know.
    """

    typed: str
    pattern: str = ""
    changes: tuple[str, ...] = ()
    matches: tuple[Example, ...] = ()
    others: tuple[Example, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str = ""
    remedy: str = ""


def preview(typed: str) -> Preview:
    """Say what a typed pattern would be stored as, and which origins it matches."""
    typed = typed.strip()
    if not typed:
        return Preview("")
    shown = printable(typed)
    try:
        pattern = OriginPattern.parse(typed)
    except InvalidOrigin as exc:
        problem = translated(readable(exc.problem))
        remedy = translated(readable(exc.remedy))
        return Preview(shown, problem=problem, remedy=remedy)
    policy = Policy([Rule(pattern, "preview")])
    matches: list[Example] = []
    others: list[Example] = []
    for example in candidates(pattern):
        allowed = policy.decide(Handshake("/", example.origin))
        (matches if allowed else others).append(example)
    return Preview(
        shown,
        str(pattern),
        tuple(map(translated, normalisations(typed, pattern))),
        tuple(matches[:_EXAMPLES]),
        tuple(others[:_EXAMPLES]),
        tuple(warnings(typed, pattern)),
    )


def candidates(pattern: OriginPattern) -> Iterator[Example]:
    """Yield origins around a pattern: what it is meant for, and what looks like it."""
    if pattern.kind is PatternKind.NULL:
        yield Example("null")
        yield Example("https://example.com", _("has an origin"))
        return
    port = "" if pattern.port is None else f":{pattern.port}".replace("*", "8443")
    hosts = list(_hosts(pattern))
    for host in hosts[:_EXAMPLES]:
        yield Example(f"{pattern.scheme}://{host}{port}")
    yield from _spellings(pattern, hosts[0], port)
    yield from _strangers(pattern, hosts[0], port)


def _hosts(pattern: OriginPattern) -> Iterator[str]:
    host = pattern.host
    match pattern.kind:
        case PatternKind.SUBDOMAINS:
            yield from (f"app.{host}", f"www.{host}", f"a.b.{host}")
        case PatternKind.APEX_AND_SUBDOMAINS:
            yield from (host, f"app.{host}", f"a.b.{host}")
        case PatternKind.LABEL:
            for middle in ("1", "x", "pr-7"):
                yield f"{pattern.before}{middle}{pattern.after}.{host}"
        case PatternKind.ANY_EXTENSION:
            for digit in "123":
                yield f"{digit * 8}-0000-4000-8000-000000000000"
        case _:
            yield host


def _spellings(pattern: OriginPattern, host: str, port: str) -> Iterator[Example]:
    """Yield other ways to write an origin, which a browser may not use but are forgiven."""
    scheme = pattern.scheme
    if pattern.port == "*":
        yield Example(f"{scheme}://{host}", _("the default port"))
        yield Example(f"{scheme}://{host}:9000", _("any port"))
    elif pattern.port is None and scheme in DEFAULT_PORTS:
        yield Example(
            f"{scheme}://{host}:{DEFAULT_PORTS[scheme]}", _("the default port, written")
        )
    upper = f"{scheme}://{host}{port}".upper()
    yield Example(upper, _("upper case"))


def _strangers(pattern: OriginPattern, host: str, port: str) -> Iterator[Example]:
    """Yield what should not match: another scheme, another port, names that look alike."""
    scheme = pattern.scheme
    if pattern.kind in (PatternKind.SUBDOMAINS, PatternKind.LABEL):
        yield Example(f"{scheme}://{pattern.host}{port}", _("the name itself"))
    if pattern.kind is PatternKind.LABEL:
        yield Example(f"{scheme}://{host[:1]}.{host}{port}", _("one name further down"))
    if scheme in DEFAULT_PORTS:
        other = {"https": "http", "http": "https", "wss": "ws"}.get(scheme, "wss")
        yield Example(f"{other}://{host}{port}", _("another scheme"))
        if pattern.port != "*":
            different = 9000 if pattern.port != 9000 else 9001
            yield Example(f"{scheme}://{host}:{different}", _("another port"))
        if not host.startswith("["):
            evil = f"{scheme}://{host}.evil.example{port}"
            yield Example(evil, _("only begins alike"))
        if not host[-1].isdigit() and host[-1] != "]":
            yield Example(f"{scheme}://evil{pattern.host}{port}", _("only ends alike"))
    else:
        yield Example(f"https://{host}", _("another scheme"))
        yield Example(f"{scheme}://evil{host}{port}", _("another host"))
    yield Example("null", _("opaque: a sandboxed frame"))


_CLEARTEXT: Final = gettext_lazy(
    "Pages over http:// can be changed by anybody on the way to the visitor: such a "
    "page opens sockets as well. Prefer https://."
)
_NULL: Final = gettext_lazy(
    "Any page can make itself send null, so this trusts everybody. It never gets the "
    "visitor's session. Give it an expiry."
)
_EXTENSIONS: Final = gettext_lazy(
    "Every Firefox extension matches. It never gets the visitor's session."
)
_UNICODE: Final = gettext_lazy(
    "The name has letters outside ASCII, and some of them look like others. What is "
    "stored is what browsers send: compare it with the address bar's copy."
)


def warnings(typed: str, pattern: OriginPattern) -> Iterator[str]:
    """Say what is allowed, yet worth a second look."""
    if pattern.is_cleartext:
        yield str(_CLEARTEXT)
    if pattern.kind is PatternKind.NULL:
        yield str(_NULL)
    if pattern.kind is PatternKind.ANY_EXTENSION:
        yield str(_EXTENSIONS)
    if not typed.isascii() or "xn--" in pattern.host:
        yield str(_UNICODE)
