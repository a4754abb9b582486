"""
The decision about a handshake, from the headers as they arrived, in the specification's order.

Django's own functions say what a host header is and whether ALLOWED_HOSTS has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.http.request import split_domain_port, validate_host

from .origins import Tuple, lowered, only, read_origin
from .patterns import NULL, Pattern, covers
from .tokens import shows_secret

Headers = Iterable[tuple[bytes, bytes]]


class Prefix(NamedTuple):
    """The regular expression that matches everything with a prefix."""

    text: str


class Everything(NamedTuple):
    """What ``WSORIGIN_ALLOW_ALL_ORIGINS`` stands for."""


class Entry(NamedTuple):
    """An entry of a list."""

    pattern: Pattern | Prefix | Everything
    credentials: bool = True
    audience: str = ""

    def covers(self, origin: Tuple) -> bool:
        """Whether it covers an origin."""
        match self.pattern:
            case Prefix(prefix):
                return origin.text.startswith(prefix)
            case Pattern() as pattern:
                return covers(pattern, origin)
        return True

    @property
    def grants(self) -> bool:
        """Whether the cookies of those that it covers count."""
        match self.pattern:
            case Prefix():
                return self.credentials
            case Pattern() as pattern:
                return self.credentials and not pattern.is_anybodys
        return False

    def reason(self, origin: Tuple | None) -> str:
        """Return what allowing by it is called."""
        match self.pattern:
            case Prefix():
                return "regex"
            case Pattern() as pattern:
                is_apex = origin is not None and pattern.host == f".{origin.host}"
                return "wildcard" if pattern.is_wildcard and not is_apex else "listed"
        return "all-origins"


@dataclass(frozen=True)
class Place:
    """The site: what Django's settings say about it."""

    allowed_hosts: Sequence[str] = ()
    https_only: bool = False
    proxy_ssl_header: tuple[bytes, str] | None = None
    use_forwarded_host: bool = False
    use_forwarded_port: bool = False
    same_origin: bool = False
    missing: str = "require-token"


class Seen(NamedTuple):
    """A handshake as it arrived."""

    headers: Sequence[tuple[bytes, bytes]]
    scheme: str | None = None

    def values(self, name: bytes) -> list[str]:
        """Return what a header said, once for each time that it was sent."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]

    def joined(self, name: bytes) -> str | None:
        """Return a header's values as Django joins them, None for none."""
        values = self.values(name)
        return ",".join(values) if values else None


class Answer(NamedTuple):
    """Whether it is allowed, whether cookies count, and what that may be called."""

    allowed: bool
    credentials: bool
    reasons: frozenset[str]


def denied(reason: str) -> Answer:
    return Answer(False, False, frozenset({reason}))


def decide(
    entries: Iterable[Entry], place: Place, seen: Seen, audience: str = ""
) -> Answer:
    """Decide about a handshake (sections 1 and 2 of the specification)."""
    origins = seen.values(b"origin")
    if not origins:
        return denied("missing")._replace(allowed=place.missing == "allow")
    if len(origins) > 1 or "," in origins[0]:
        return denied("multiple")
    matching = [entry for entry in entries if entry.audience in ("", audience)]
    if origins[0] == "null":
        listed = [entry for entry in matching if entry.pattern == NULL]
        return allowed_by(listed, None) or denied("opaque")
    origin = read_origin(origins[0])
    if origin is None or shows_secret(origins[0]):
        return denied("malformed")
    matching = [entry for entry in matching if entry.covers(origin)]
    answer = allowed_by(matching, origin) or denied("unlisted")
    if not looks_same(origin, place, seen):
        return answer
    if seen.values(b"sec-fetch-site") == ["cross-site"]:
        return denied("origin-rewritten")
    if not place.same_origin:
        return answer
    domain, _ = split_domain_port(origin.host)
    if domain and validate_host(domain, place.allowed_hosts):
        return Answer(True, True, frozenset({"same-origin"}))
    return answer if answer.allowed else denied("host-not-allowed")


def allowed_by(matching: Sequence[Entry], origin: Tuple | None) -> Answer | None:
    """Allow by these entries: trust adds up. None where there are none."""
    if not matching:
        return None
    granting = [entry for entry in matching if entry.grants]
    reasons = frozenset(entry.reason(origin) for entry in granting or matching)
    return Answer(True, bool(granting), reasons)


def looks_same(origin: Tuple, place: Place, seen: Seen) -> bool:
    """Whether an origin is that of the host which the handshake was sent to."""
    if origin.scheme not in ("http", "https"):
        return False
    if origin.scheme == "http" and is_https(place, seen):
        return False
    host = seen.joined(b"x-forwarded-host") if place.use_forwarded_host else None
    if host is None:
        host = seen.joined(b"host") or ""
    host = lowered(host)
    if not host.startswith(origin.host):
        return False
    port: str | None = None
    rest = host[len(origin.host) :]
    if rest:
        port = rest[1:]
        if rest[0] != ":" or not port or not only("0123456789", port):
            return False
    if place.use_forwarded_port:
        port = seen.joined(b"x-forwarded-port") or port
        if seen.joined(b"x-forwarded-port") == "":
            return False
    if port is None:
        return origin.port == {"http": 80, "https": 443}[origin.scheme]
    return len(port) <= 5 and only("0123456789", port) and int(port) == origin.port


def is_https(place: Place, seen: Seen) -> bool:
    """Whether the request is known to have been sent over https."""
    if place.https_only:
        return True
    if place.proxy_ssl_header:
        name, secure = place.proxy_ssl_header
        said = seen.joined(name)
        if said is not None:
            first = said.split(",")[0].strip()
            return first == secure or (first == "wss" and secure == "https")
    return seen.scheme in ("https", "wss")
