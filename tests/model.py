"""
The decision once more, slowly and obviously: an oracle for the properties.

It loops over the entries and compares lists of labels. It shares no parser, no index
and no regular expression with the policy, and reads only what a test generated:
well-formed origins, ``null``, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

DEFAULT_PORTS = {"http": "80", "https": "443"}


class Entry(NamedTuple):
    """One entry of a list, as written."""

    pattern: str
    credentials: bool = True
    audience: str = ""


class Request(NamedTuple):
    """What a handshake said. ``tls`` is None where nobody knows."""

    origin: str | None
    host: str = "site.test"
    tls: bool | None = None
    cross_site: bool = False


class Answer(NamedTuple):
    """Whether it may go on, whether the cookies count, and why not."""

    allowed: bool
    credentials: bool = False
    denial: str = ""


def split(text: str) -> tuple[str, str, str]:
    """Split ``scheme://host[:port]``; the port is "" where there is none."""
    scheme, _, rest = text.lower().partition("://")
    host, colon, port = rest.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = rest, ""
    return scheme, host, port or DEFAULT_PORTS.get(scheme, "")


def covers(pattern: str, origin: str) -> bool:
    """Whether an entry covers an origin."""
    if pattern in ("*", "null"):
        return pattern == "*" or origin == "null"
    if pattern.startswith("re:"):
        # The tests generate prefixes only: "re:https://a.test.*".
        return origin.lower().startswith(pattern[3:].removesuffix(".*"))
    scheme, host, port = split(pattern)
    own_scheme, own_host, own_port = split(origin)
    if pattern == "moz-extension://*":
        # The tests generate names and UUIDs; no name has four hyphens.
        return own_scheme == scheme and own_host.count("-") == 4
    return (
        own_scheme == scheme
        and port in ("*", own_port)
        and covers_host(host.split("."), own_host.split("."))
    )


def covers_host(pattern: list[str], host: list[str]) -> bool:
    """Whether the labels of a pattern cover the labels of a host."""
    first, rest = pattern[0], pattern[1:]
    if first == "*":
        return len(host) > len(rest) and host[len(host) - len(rest) :] == rest
    if first == "":
        return host == rest or covers_host(["*", *rest], host)
    if "*" in first:
        before, _, after = first.partition("*")
        return (
            host[1:] == rest
            and host[0].startswith(before)
            and host[0].endswith(after)
            and len(host[0]) > len(before) + len(after)
        )
    return host == pattern


def never_with_cookies(pattern: str) -> bool:
    """Whether strangers satisfy an entry at will."""
    return pattern in ("*", "null", "moz-extension://*")


def is_own_host(host: str, allowed_hosts: Sequence[str]) -> bool:
    """Whether a host name is one of the site's."""
    return any(
        allowed in ("*", host)
        or (
            allowed.startswith(".") and covers_host(allowed.split("."), host.split("."))
        )
        for allowed in allowed_hosts
    )


def decide(
    entries: Sequence[Entry],
    request: Request,
    *,
    audience: str = "",
    same_origin: bool = False,
    allowed_hosts: Sequence[str] = (),
    missing: str = "deny",
) -> Answer:
    """Decide, in the order of the specification."""
    origin = request.origin
    if origin is None:
        return Answer(missing == "allow", denial="missing")
    matching = [
        entry
        for entry in entries
        if entry.audience in ("", audience)
        and (entry.pattern == "null" if origin == "null" else True)
        and covers(entry.pattern, origin)
    ]
    credentials = any(
        entry.credentials and not never_with_cookies(entry.pattern)
        for entry in matching
    )
    if origin == "null":
        return Answer(bool(matching), denial="opaque")
    scheme, host, port = split(origin)
    # The request's own scheme decides nothing but whether http is too little.
    _, own_host, own_port = split(f"{scheme}://{request.host}")
    looks_same = (
        scheme in DEFAULT_PORTS
        and (host, port) == (own_host, own_port)
        and not (scheme == "http" and request.tls)
    )
    if looks_same and request.cross_site:
        return Answer(False, denial="origin-rewritten")
    if looks_same and same_origin and is_own_host(own_host, allowed_hosts):
        return Answer(True, True)
    if matching:
        return Answer(True, credentials)
    if looks_same and same_origin:
        return Answer(False, denial="host-not-allowed")
    return Answer(False, denial="unlisted")
