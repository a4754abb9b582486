"""
Policies, sites and handshakes out of choices, each made twice: for the package and the model.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import ALL_ORIGINS, OriginPattern
from wsorigin.policy import MissingOrigin, Policy, Rule
from wsorigin.site import Site

from . import choices as chosen
from .choices import Choices
from .model.decision import Entry, Everything, Place, Prefix, Seen
from .model.patterns import Unknown, read_pattern

AUDIENCES = ("", "", "", "a", "b")
PREFIXES = ("https://a", "https://app.example", "http", "null", "h", "")
FETCH_SITES = (b"same-origin", b"cross-site", b"cross-site,cross-site", b"none", b"")
ALLOWED_HOSTS = ("a.test", ".app.example", "*", "localhost", "[::1]", "127.0.0.1", "")
PROXY_HEADERS = (None, None, (b"x-forwarded-proto", "https"), (b"x-tls", "on"))
SCHEMES = (None, "ws", "wss", "http", "https")
PROTOCOLS = (
    b"https",
    b"http",
    b"wss",
    b" https , http",
    b"http,https",
    b"on",
    b"\xa0on",
    b"",
)
WEB_PORTS = ("", ":443", ":80", ":8443", ":080", ":0", ":")


class Listed(NamedTuple):
    """An entry, as the package and as the model have it."""

    text: str
    rule: Rule
    entry: Entry


@lru_cache(maxsize=4096)
def patterns_of(text: str) -> tuple[OriginPattern, Entry] | None:
    """Read a text as a pattern, twice; None where it is refused, or not known well."""
    try:
        modelled = read_pattern(text)
        return (OriginPattern.parse(text), Entry(modelled)) if modelled else None
    except (InvalidOrigin, Unknown):
        return None


def listed(choices: Choices) -> Listed | None:
    """Choose an entry; None where what was chosen is none."""
    kind = choices.number(8)
    credentials, audience = choices.flag(), choices.pick(AUDIENCES)
    if kind == 0:
        text, pattern = "*", ALL_ORIGINS
        entry = Entry(Everything())
    elif kind == 1:
        text = choices.pick(PREFIXES)
        pattern = OriginPattern.for_regex(re.escape(text) + ".*")
        entry = Entry(Prefix(text))
    else:
        text = chosen.written(choices)
        both = patterns_of(text)
        if both is None:
            return None
        pattern, entry = both
    rule = Rule(pattern, "test", credentials, audience)
    return Listed(
        text, rule, entry._replace(credentials=credentials, audience=audience)
    )


class Situation(NamedTuple):
    """A policy, twice."""

    policy: Policy
    entries: list[Entry]
    place: Place
    texts: list[str]


def situation(choices: Choices) -> Situation:
    """Choose a policy, in one layer or in two."""
    found = [one for one in choices.some(listed, 4) if one]
    place = Place(
        allowed_hosts=tuple(choices.some(lambda c: c.pick(ALLOWED_HOSTS), 2)),
        https_only=choices.rarely(),
        proxy_ssl_header=choices.pick(PROXY_HEADERS),
        use_forwarded_host=choices.rarely(),
        use_forwarded_port=choices.rarely(),
        same_origin=choices.flag(),
        missing=choices.pick(("require-token", "deny", "allow")),
    )
    cut = choices.number(len(found) + 1)
    policy = Policy(
        [one.rule for one in found[cut:]],
        site=Site(
            allowed_hosts=tuple(place.allowed_hosts),
            https_only=place.https_only,
            proxy_ssl_header=place.proxy_ssl_header,
            use_forwarded_host=place.use_forwarded_host,
            use_forwarded_port=place.use_forwarded_port,
        ),
        same_origin=place.same_origin,
        missing=MissingOrigin(place.missing),
    )
    if cut:
        above = [one.rule for one in found[:cut]]
        policy = policy.narrowed_to(above, with_site=True)
    entries = [one.entry for one in found]
    return Situation(policy, entries, place, [one.text for one in found])


def origin(choices: Choices, texts: list[str]) -> str:
    """Choose an Origin header, as a rule one that is nearly listed."""
    kind = choices.number(8)
    if kind == 0:
        return "null"
    if kind < 3 or not texts:
        return chosen.written(choices)
    text = choices.pick(texts).replace("://.", "://*.", choices.number(2))
    text = text.replace(":*", choices.pick(WEB_PORTS)).replace("://.", "://")
    return choices.bent(text.replace("*", choices.pick(chosen.LABELS) or "a.b"))


def host_of(value: str, choices: Choices) -> str:
    """Choose a Host header, as a rule that of the page itself."""
    if choices.number(4) == 3:
        return chosen.host(choices) + choices.pick(WEB_PORTS)
    return choices.bent(value.rpartition("://")[2])


def octets(text: str) -> bytes:
    """Return the octets that a server passes on for a text."""
    return text.encode("latin-1" if max(text, default="") < "\u0100" else "utf-8")


def handshake(choices: Choices, texts: list[str]) -> Seen:
    """Choose the headers of a handshake, with its scheme."""
    value = origin(choices, texts)
    headers = [(b"host", octets(host_of(value, choices)))]
    if choices.number(8):
        headers.append((b"origin", octets(value)))
    more = choices.number(16)
    if more & 8:
        headers.append((b"sec-fetch-site", choices.pick(FETCH_SITES)))
    if more & 4:
        headers.append(
            (choices.pick((b"x-forwarded-proto", b"x-tls")), choices.pick(PROTOCOLS))
        )
    if more & 2:
        headers.append((b"x-forwarded-host", octets(host_of(value, choices))))
    if more & 1:
        port = choices.pick(WEB_PORTS).removeprefix(":")
        headers.append((b"x-forwarded-port", octets(choices.bent(port))))
    if choices.rarely():
        headers.append(choices.pick(headers))
    if choices.rarely():
        headers.append((b"origin", octets(origin(choices, texts))))
    return Seen(headers, choices.pick(SCHEMES))
