"""
The policy: what it allows, why, with what; and how the settings become one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from django.test import override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.model.decision import Entry, Everything, Place, Prefix, Seen
from tests.fuzz.model.decision import decide as decide_slowly
from tests.fuzz.model.patterns import read_pattern
from wsorigin import policy as module
from wsorigin.handshake import Handshake
from wsorigin.patterns import ALL_ORIGINS, OriginPattern
from wsorigin.policy import Decision, MissingOrigin, Policy, Reason, Rule
from wsorigin.refresh import get_policy
from wsorigin.signals import policy_changed
from wsorigin.site import Site
from wsorigin.sources import collect

UUID = "3c078156-979c-498b-8990-85f7987dd929"

PolicyOf = Callable[..., Policy]
HandshakeOf = Callable[..., Handshake]


class Line(NamedTuple):
    """An entry of a list, as written."""

    pattern: str
    credentials: bool = True
    audience: str = ""

    @property
    def prefix(self) -> str:
        """What a regular expression of these tests begins with: "re:https://a.test.*"."""
        return self.pattern[3:-2] if self.pattern.startswith("re:") else ""

    @property
    def rule(self) -> Rule:
        """The entry as the package has it."""
        if self.pattern == "*":
            pattern = ALL_ORIGINS
        elif self.prefix:
            pattern = OriginPattern.for_regex(re.escape(self.prefix) + ".*")
        else:
            pattern = OriginPattern.parse(self.pattern)
        return Rule(pattern, "test", self.credentials, self.audience)

    @property
    def entry(self) -> Entry:
        """The entry as the model has it."""
        if self.pattern == "*":
            return Entry(Everything(), self.credentials, self.audience)
        if self.prefix:
            return Entry(Prefix(self.prefix), self.credentials, self.audience)
        pattern = read_pattern(self.pattern)
        assert pattern
        return Entry(pattern, self.credentials, self.audience)


def rules_of(lines: list[Line]) -> list[Rule]:
    """Make rules of what is written."""
    return [line.rule for line in lines]


def entries_of(lines: list[Line]) -> list[Entry]:
    """Make entries of the model's of what is written."""
    return [line.entry for line in lines]


def handshake_of(seen: Seen) -> Handshake:
    """Make a handshake of what the model has seen."""
    return Handshake.from_scope({"headers": seen.headers, "scheme": seen.scheme})


# Hosts that nearly collide: few labels, one the beginning or the end of another.
labels = st.sampled_from(["a", "b", "ab", "a-b", "b-a"])
names = st.lists(labels, max_size=3).map(lambda parts: ".".join([*parts, "test"]))
hosts = st.one_of(names, names, st.sampled_from(["[::1]", "127.0.0.1", "localhost"]))
ports = st.sampled_from(["", "", ":443", ":80", ":8443"])
pattern_ports = st.one_of(ports, st.just(":*"))
web = st.sampled_from(["https", "https", "http"])
schemes = st.one_of(web, st.just("capacitor"))
wildcards = st.sampled_from(["*.", ".", "a*.", "*b.", "a*b.", "*-b."])
patterns = st.one_of(
    st.builds("{}://{}{}".format, schemes, hosts, pattern_ports),
    st.builds("{}://{}{}{}".format, web, wildcards, names, pattern_ports),
    st.builds("re:{}://{}.*".format, web, names),
    st.sampled_from(["null", "*", "moz-extension://*", f"moz-extension://{UUID}"]),
)
audiences = st.sampled_from(["", "", "prices", "chat"])
lines = st.builds(Line, patterns, st.booleans(), audiences)


def arrival(
    origin: str | None,
    host: str = "site.test",
    scheme: str | None = None,
    cross_site: bool = False,
) -> Seen:
    """Return a handshake as it arrived."""
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    if cross_site:
        headers.append((b"sec-fetch-site", b"cross-site"))
    return Seen(headers, scheme)


def arrival_of(
    scheme: str, place: str, host: str | None, server_scheme: str | None, cross: bool
) -> Seen:
    """Return that of a page, to the page's own host where no other is given."""
    return arrival(f"{scheme}://{place}", host or place, server_scheme, cross)


places = st.builds("{}{}".format, hosts, ports)
others = st.none() | places
server_schemes = st.sampled_from([None, "wss", "ws"])
arrivals = st.one_of(
    st.builds(arrival_of, schemes, places, others, server_schemes, st.booleans()),
    st.builds(
        arrival_of, web.map(str.upper), places, others, server_schemes, st.just(False)
    ),
    st.builds(
        arrival,
        st.sampled_from(
            [None, "null", f"moz-extension://{UUID}", "moz-extension://a.test"]
        ),
    ),
)
sites = st.builds(
    Place,
    allowed_hosts=st.lists(
        st.one_of(hosts, names.map(".{}".format), st.just("*")), max_size=3
    ),
    same_origin=st.booleans(),
    missing=st.sampled_from(["allow", "deny", "require-token"]),
)


def compiled(listed: list[Line], place: Place) -> Policy:
    """Compile what is written."""
    return Policy(
        rules_of(listed),
        site=Site(allowed_hosts=tuple(place.allowed_hosts)),
        same_origin=place.same_origin,
        missing=MissingOrigin(place.missing),
    )


NOWHERE = Place(missing="deny")
OWN = Place(allowed_hosts=[".a.test"], same_origin=True, missing="allow")


@given(st.lists(lines, max_size=5), arrivals, audiences, sites)
@example(
    [Line("re:https://a.test.*", audience="x")], arrival("https://a.test"), "", NOWHERE
)
@example([], arrival("https://b.a.test", "b.a.test"), "", OWN)
@example([], arrival("https://b.test", "b.test"), "", OWN)
@example([], arrival("http://a.test", "a.test", "wss"), "", OWN)
@example([], arrival("https://a.test", "a.test", cross_site=True), "", OWN)
@example([], arrival(None), "", OWN)
@example([Line("null")], arrival("null"), "", NOWHERE)
@example([Line("moz-extension://*")], arrival(f"moz-extension://{UUID}"), "", NOWHERE)
@example([Line("https://a*.test:*")], arrival("https://ab.test:80"), "", NOWHERE)
@example([Line("*"), Line("https://.a.test")], arrival("https://a.test"), "", NOWHERE)
def test_decides_as_the_model_does(
    listed: list[Line], seen: Seen, audience: str, place: Place
) -> None:
    """The indexes find what a loop over the entries finds, no more and no less."""
    decision = compiled(listed, place).decide(handshake_of(seen), audience)
    answer = decide_slowly(entries_of(listed), place, seen, audience)

    assert (decision.allowed, decision.credentials) == answer[:2]
    assert decision.reason in answer.reasons


@given(st.lists(lines, max_size=5), arrivals, audiences, sites, st.integers(0, 5))
def test_layers_decide_as_one(
    listed: list[Line],
    seen: Seen,
    audience: str,
    place: Place,
    cut: int,
) -> None:
    """A policy upon another allows what one policy of both their rules would."""
    policy = compiled(listed[cut:], place).narrowed_to(
        rules_of(listed[:cut]), with_site=True
    )
    decision = policy.decide(handshake_of(seen), audience)
    answer = decide_slowly(entries_of(listed), place, seen, audience)

    assert (decision.allowed, decision.credentials) == answer[:2]
    assert policy.rules == (*policy.own_rules, *policy.base.rules)


@given(
    st.lists(lines, max_size=4),
    st.lists(lines, max_size=4),
    st.integers(0, 20),
    st.integers(0, 20),
)
@example([Line("null")], [Line("*")], 0, 1)
@example([Line("null")], [Line("*")], 1, 2)
@example([Line("https://.a.test")], [Line("re:https://a.test.*")], 1, 20)
def test_a_slice_of_the_rules_needs_not_all_of_them(
    listed: list[Line], below: list[Line], start: int, stop: int
) -> None:
    """A page of the rules is what slicing all of them would give, over all layers."""
    policy = Policy(rules_of(listed), base=Policy(rules_of(below)))

    assert policy.size == len(policy.rules)
    assert policy.rules_between(start, stop) == policy.rules[start:stop]


@given(st.lists(lines, max_size=4), lines, arrivals, audiences, sites)
def test_a_rule_only_adds_trust(
    listed: list[Line],
    added: Line,
    seen: Seen,
    audience: str,
    place: Place,
) -> None:
    """No rule turns allowed into denied, and none takes credentials away."""
    handshake = handshake_of(seen)
    before = compiled(listed, place).decide(handshake, audience)
    after = compiled([*listed, added], place).decide(handshake, audience)

    assert after.allowed >= before.allowed
    assert after.credentials >= before.credentials


READ_HEADERS = [
    b"origin",
    b"host",
    b"sec-fetch-site",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
]


@given(
    st.lists(lines, max_size=4),
    st.lists(
        st.tuples(
            st.sampled_from(READ_HEADERS),
            st.binary(max_size=12)
            | st.sampled_from([b"https://a.test", b"a.test", b"null", b"cross-site"]),
        ),
        max_size=5,
    ),
)
def test_decides_about_any_headers(
    listed: list[Line], headers: list[tuple[bytes, bytes]]
) -> None:
    """Deciding and explaining are total: a strange header is a reason, no exception."""
    policy = Policy(
        rules_of(listed),
        site=Site(("a.test",), False, (b"x-forwarded-proto", "https"), True, True),
        same_origin=True,
    )
    handshake = Handshake.from_scope({"headers": headers})
    explanation = policy.explain(handshake)

    assert explanation.decision == policy.decide(handshake)
    assert explanation.decision.reason.sentence


@given(patterns)
@example("https://a-*.test:8443")
def test_allows_a_pattern_s_own_example(pattern: str) -> None:
    """The example that a pattern gives is one that it matches."""
    rule = Line(pattern).rule
    origin = rule.pattern.example()
    decision = Policy([rule]).decide(Handshake("/", origin and str(origin)))

    assert decision.allowed is (origin is not None)


def test_an_empty_policy_allows_nobody(handshake: HandshakeOf) -> None:
    """Lessons 18 and 22: nothing listed means nobody, and is the default."""
    policy = Policy()

    assert not policy.decide(handshake("https://app.example"))
    assert not policy.decide(handshake("http://testserver"))
    assert not policy.decide(handshake("http://localhost"))
    assert not policy.decide(handshake("null"))
    assert not policy.decide(handshake(None))


def test_a_decision_is_true_when_it_allows() -> None:
    """``if decision:`` is exactly the line that somebody will write."""
    assert Decision(True, Reason.LISTED)
    assert not Decision(False, Reason.UNLISTED)


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_a_sentence(reason: Reason) -> None:
    """People read sentences; logs and JSON hold the stable value."""
    assert reason.sentence.endswith(".")
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason)


@pytest.mark.parametrize(
    ("pattern", "origin", "reason"),
    [
        pytest.param(
            "https://app.example", "https://app.example", Reason.LISTED, id="exact"
        ),
        pytest.param(
            "https://app.example:*",
            "https://app.example:1",
            Reason.LISTED,
            id="any port",
        ),
        pytest.param(
            "https://*.app.example",
            "https://a.b.app.example",
            Reason.WILDCARD,
            id="some labels below",
        ),
        pytest.param(
            "https://.app.example",
            "https://app.example",
            Reason.LISTED,
            id="apex of the dot form",
        ),
        pytest.param(
            "https://.app.example",
            "https://a.app.example",
            Reason.WILDCARD,
            id="below the dot form",
        ),
        pytest.param(
            "https://pr-*.app.example",
            "https://pr-12.app.example",
            Reason.WILDCARD,
            id="inside a label",
        ),
        pytest.param("null", "null", Reason.LISTED, id="null, listed literally"),
        pytest.param(
            "moz-extension://*",
            f"moz-extension://{UUID}",
            Reason.WILDCARD,
            id="any extension",
        ),
        pytest.param(
            "capacitor://localhost",
            "capacitor://localhost",
            Reason.LISTED,
            id="another scheme",
        ),
        pytest.param(
            "https://faß.example",
            "https://xn--fa-hia.example",
            Reason.LISTED,
            id="lessons 16: a U-label",
        ),
        pytest.param(
            "http://[0:0:0:0:0:0:0:1]:8080",
            "http://[::1]:8080",
            Reason.LISTED,
            id="lessons 16: IPv6",
        ),
        pytest.param(
            "https://app.example:443",
            "https://app.example",
            Reason.LISTED,
            id="lessons 17: default port in the list",
        ),
        pytest.param(
            "https://app.example",
            "https://app.example:443",
            Reason.LISTED,
            id="lessons 17: default port in the header",
        ),
        pytest.param(
            "https://app.example",
            "HTTPS://APP.example",
            Reason.LISTED,
            id="upper case in the header",
        ),
    ],
)
def test_allows_what_a_pattern_covers(
    pattern: str,
    origin: str,
    reason: Reason,
    policy_of: PolicyOf,
    handshake: HandshakeOf,
) -> None:
    """Each form of the grammar allows with a reason and its rule."""
    decision = policy_of(pattern).decide(handshake(origin))

    assert decision.allowed
    assert decision.reason is reason
    assert decision.rule is not None
    assert decision.rule.source == "test[0]"


@pytest.mark.parametrize(
    ("patterns", "origin"),
    [
        pytest.param(
            ["https://app.example"],
            "https://app.example.evil.com",
            id="lessons 1: a trusted name in front",
        ),
        pytest.param(
            ["https://example.com"],
            "https://example.com.bad.com",
            id="lessons 2: labels compared to the shorter list",
        ),
        pytest.param(
            ["https://*.ex.com"], "https://prefix-ex.com", id="lessons 3: no dot"
        ),
        pytest.param(
            ["https://*.example.com"],
            "https://evilexample.com",
            id="lessons 3: no dot, longer",
        ),
        pytest.param(
            ["https://foo.com", "https://bar.com"],
            "https://barfoo.com",
            id="lessons 5: entries that share an end",
        ),
        pytest.param(
            ["https://foo.com", "https://foo.org"],
            "https://foo.com.org",
            id="lessons 5: entries that share a beginning",
        ),
        pytest.param(
            ["https://a.com:8443", "http://b.com"],
            "https://b.com:8443",
            id="lessons 5: parts of two entries",
        ),
        pytest.param(
            ["https://a-*.com.example", "https://*-b.org.example"],
            "https://a-b.net.example",
            id="lessons 5: halves of two labels",
        ),
        pytest.param(
            ["https://example.com"],
            "https://example.com-example.net",
            id="lessons 6: a longer label",
        ),
        pytest.param(
            ["https://example.com"],
            "https://example.community",
            id="lessons 7: a prefix",
        ),
        pytest.param(
            ["https://app.example"],
            "http://app.example",
            id="lessons 10 and 11: the scheme counts",
        ),
        pytest.param(
            ["https://app.example:*"],
            "http://app.example:443",
            id="lessons 10: also with any port",
        ),
        pytest.param(
            ["https://*.app.example"],
            "http://a.app.example",
            id="lessons 11: also for wildcards",
        ),
        pytest.param(
            ["https://app.example"],
            "https://93.184.216.34",
            id="lessons 13: an address is no friend",
        ),
        pytest.param(
            ["http://localhost:*", "http://127.0.0.1:*"],
            "null",
            id="lessons 14: null is not localhost",
        ),
        pytest.param(
            ["https://kelvin.example"],
            "https://\xe2\x84\xaaelvin.example",
            id="lessons 15: KELVIN SIGN, as its bytes arrive",
        ),
        pytest.param(
            ["https://faß.example"],
            "https://fass.example",
            id="lessons 16: sharp s is not ss",
        ),
        pytest.param(
            ["http://[::1]:8080"],
            "http://1:8080",
            id="lessons 16: brackets are no set of characters",
        ),
        pytest.param(
            ["https://app.example"],
            "https://www.app.example",
            id="lessons 28: a sibling or a child",
        ),
        pytest.param(
            ["https://*.app.example"], "https://app.example", id="the apex is not below"
        ),
        pytest.param(
            ["https://app.example"], "https://app.example:8443", id="another port"
        ),
        pytest.param(
            ["https://app.example"], "https://app.example.", id="trailing dot"
        ),
        pytest.param(
            ["https://pr-*.app.example"], "https://pr-.app.example", id="empty star"
        ),
        pytest.param(
            ["https://pr-*.app.example"],
            "https://pr-1.x.app.example",
            id="star is no dot",
        ),
        pytest.param(
            ["https://ab*ba.app.example"], "https://aba.app.example", id="overlap"
        ),
        pytest.param(
            ["moz-extension://*"], "moz-extension://evil.example", id="not a UUID"
        ),
        pytest.param(
            ["moz-extension://*"], f"moz-extension://{UUID}:80", id="UUID with a port"
        ),
        pytest.param(
            ["moz-extension://*"], f"https://{UUID}", id="UUID of another scheme"
        ),
        pytest.param(["capacitor://localhost"], "https://localhost", id="other scheme"),
        pytest.param(["https://app.example"], "null", id="null"),
    ],
)
def test_denies_what_only_looks_alike(
    patterns: list[str], origin: str, policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """The bugs of other origin checks, one by one."""
    assert not policy_of(*patterns).decide(handshake(origin))


@pytest.mark.parametrize(
    ("regex", "origin", "allowed"),
    [
        pytest.param(
            r"https://[a-z]+\.example\.com", "https://a.example.com", True, id="whole"
        ),
        pytest.param(
            r"https://[a-z]+\.example\.com",
            "https://A.EXAMPLE.com:443",
            True,
            id="normalised",
        ),
        pytest.param(
            r"https://[a-z]+\.example\.com",
            "https://a.example.com.evil.com",
            False,
            id="lessons 1, 8 and 9: no match of the beginning",
        ),
        pytest.param(
            r"https://a\.example|https://b\.example",
            "https://b.example.evil.com",
            False,
            id="lessons 6: nor of one alternative",
        ),
        pytest.param(
            r"\.example\.com", "https://a.example.com", False, id="nor of the end"
        ),
        pytest.param(r".*", "null", False, id="null is no origin to match"),
        pytest.param(r".*", "", False, id="nor is nothing"),
        pytest.param(
            r"(?s).*", "https://a.example\n", False, id="nor what is malformed"
        ),
    ],
)
def test_matches_a_regex_against_the_whole_normalised_origin(
    regex: str, origin: str, allowed: bool, handshake: HandshakeOf
) -> None:
    """``fullmatch`` only, whatever anchors the expression has."""
    decision = Policy([Rule(OriginPattern.for_regex(regex), "test")]).decide(
        handshake(origin)
    )

    assert decision.allowed is allowed
    assert not allowed or decision.reason is Reason.REGEX


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        pytest.param("https://a.example,https://b.example", Reason.MULTIPLE, id="two"),
        pytest.param("https://app.example,", Reason.MULTIPLE, id="one and a comma"),
        pytest.param("null,null", Reason.MULTIPLE, id="null twice"),
        pytest.param(",", Reason.MULTIPLE, id="a comma"),
        pytest.param("", Reason.MALFORMED, id="empty, which is not missing"),
        pytest.param("https://app.example/", Reason.MALFORMED, id="a slash"),
        pytest.param("https://app.example:99999", Reason.MALFORMED, id="lessons 20"),
        pytest.param("http://[::1", Reason.MALFORMED, id="lessons 20 and 21"),
        pytest.param("Null", Reason.MALFORMED, id="null is five bytes"),
        pytest.param("null", Reason.OPAQUE, id="null"),
        pytest.param(None, Reason.MISSING, id="none"),
        pytest.param("https://evil.example", Reason.UNLISTED, id="unlisted"),
    ],
)
def test_names_the_reason_of_a_denial(
    origin: str | None, reason: Reason, policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """Each denial has one reason, and neither rule nor credentials."""
    policy = policy_of("https://app.example", same_origin=True)

    assert policy.decide(handshake(origin)) == Decision(False, reason)


@pytest.mark.parametrize(
    ("missing", "allowed"),
    [
        pytest.param(MissingOrigin.REQUIRE_TOKEN, False, id="require-token, no token"),
        pytest.param(MissingOrigin.DENY, False, id="deny"),
        pytest.param(MissingOrigin.ALLOW, True, id="allow"),
    ],
)
def test_a_missing_origin_never_has_credentials(
    missing: MissingOrigin, allowed: bool, handshake: HandshakeOf
) -> None:
    """What sends no Origin is no browser, so its cookies are not a browser's."""
    decision = Policy([Rule(ALL_ORIGINS, "test")], missing=missing).decide(
        handshake(None)
    )

    assert decision == Decision(allowed, Reason.MISSING, None, False)


@pytest.mark.parametrize(
    ("origin", "host", "headers", "decision"),
    [
        pytest.param(
            "https://own.example",
            "own.example",
            {},
            Decision(True, Reason.SAME_ORIGIN, None, True),
            id="the site's own page",
        ),
        pytest.param(
            "https://rebind.example",
            "rebind.example",
            {},
            Decision(False, Reason.HOST_NOT_ALLOWED),
            id="lessons 32: DNS rebinding",
        ),
        pytest.param(
            "https://own.example",
            "own.example",
            {"sec_fetch_site": "cross-site"},
            Decision(False, Reason.ORIGIN_REWRITTEN),
            id="a proxy rewrote the header",
        ),
        pytest.param(
            "https://rebind.example",
            "rebind.example",
            {"sec_fetch_site": "cross-site"},
            Decision(False, Reason.ORIGIN_REWRITTEN),
            id="a proxy rewrote both",
        ),
        pytest.param(
            "https://own.example",
            "own.example",
            {"sec_fetch_site": "same-origin"},
            Decision(True, Reason.SAME_ORIGIN, None, True),
            id="the browser agrees",
        ),
        pytest.param(
            "http://own.example",
            "own.example",
            {"scheme": "wss"},
            Decision(False, Reason.UNLISTED),
            id="lessons 12: an http page of an https site",
        ),
        pytest.param(
            "https://own.example",
            "own.example",
            {"scheme": "ws"},
            Decision(True, Reason.SAME_ORIGIN, None, True),
            id="TLS ended at a silent proxy",
        ),
        pytest.param(
            "https://own.example",
            "internal",
            {"x_forwarded_host": "own.example"},
            Decision(False, Reason.UNLISTED),
            id="a spoofed forwarded host",
        ),
        pytest.param(
            "https://evil.example",
            "own.example",
            {"sec_fetch_site": "cross-site"},
            Decision(False, Reason.UNLISTED),
            id="another site, honestly",
        ),
    ],
)
def test_allows_the_site_s_own_pages(
    origin: str,
    host: str,
    headers: dict[str, str],
    decision: Decision,
    handshake: HandshakeOf,
) -> None:
    """Same origin: equal to the request's Host, on a host of ours, not rewritten."""
    policy = Policy(site=Site(allowed_hosts=("own.example",)), same_origin=True)

    assert policy.decide(handshake(origin, host, **headers)) == decision


def test_does_not_allow_the_site_s_own_pages_unasked(handshake: HandshakeOf) -> None:
    """Without ``same-origin`` among the sources, equality means nothing."""
    policy = Policy(site=Site(allowed_hosts=("*",)))

    assert policy.decide(handshake("https://own.example", "own.example")) == Decision(
        False, Reason.UNLISTED
    )


def test_a_rule_allows_what_is_same_origin_on_a_foreign_host(
    policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """Trust adds up: an origin that is listed needs no ``ALLOWED_HOSTS``."""
    policy = policy_of("https://app.example", same_origin=True)
    decision = policy.decide(handshake("https://app.example", "app.example"))

    assert decision.reason is Reason.LISTED


@pytest.mark.parametrize(
    ("host", "pattern"),
    [
        pytest.param("a.own.example", "https://*.own.example", id="wildcard"),
        pytest.param("own.example", "https://own.example", id="exact"),
        pytest.param("own.example:8443", "https://own.example:8443", id="exact port"),
    ],
)
def test_no_rule_allows_a_rewritten_origin(
    host: str, pattern: str, policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """The header is not the browser's, so nothing it says counts."""
    policy = policy_of(
        "https://*.own.example", "https://own.example", "https://own.example:8443"
    )
    seen = handshake(f"https://{host}", host, sec_fetch_site="cross-site")
    explanation = policy.explain(seen)

    assert explanation.decision.reason is Reason.ORIGIN_REWRITTEN
    assert [str(rule.pattern) for rule in explanation.matches] == [pattern]
    assert explanation.nearest is None


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(ALL_ORIGINS, id="lessons 40: all origins"),
        pytest.param(OriginPattern.parse("null"), id="null"),
        pytest.param(OriginPattern.parse("moz-extension://*"), id="any extension"),
    ],
)
def test_strangers_never_have_credentials(pattern: OriginPattern) -> None:
    """A pattern that anybody satisfies opens a socket, never a session."""
    assert Rule(pattern, "test", credentials=True).credentials is False


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(
            Rule(OriginPattern.parse("https://b.example"), "test"), id="pattern"
        ),
        pytest.param(Rule(OriginPattern.parse("https://a.example"), "x"), id="source"),
        pytest.param(
            Rule(OriginPattern.parse("https://a.example"), "test", audience="x"),
            id="audience",
        ),
        pytest.param("https://a.example (test)", id="what it reads like"),
    ],
)
def test_rules_are_equal_by_what_they_say(other: object) -> None:
    """Made in settings or read back from an index: the same rule is one."""
    rule = Rule(OriginPattern.parse("https://a.example"), "test")
    (same,) = Policy([rule]).rules

    assert same == rule != other
    assert {rule, same} == {rule}
    assert "a.example" in repr(rule)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="nothing"),
        pytest.param(
            {"pattern": OriginPattern.parse("https://b.example")}, id="pattern"
        ),
        pytest.param({"source": "other"}, id="source"),
        pytest.param({"credentials": True}, id="credentials"),
        pytest.param({"audience": "chat"}, id="audience"),
        pytest.param({"reason": Reason.WILDCARD}, id="reason"),
    ],
)
def test_replaces_what_is_named_and_keeps_the_rest(changes: dict[str, Any]) -> None:
    """A changed copy grants no more than was said."""
    said = {
        "pattern": OriginPattern.parse("https://a.example"),
        "source": "test",
        "credentials": False,
        "audience": "prices",
        "reason": Reason.DEBUG_LOOPBACK,
    }

    assert Rule(**said).replace(**changes) == Rule(**said | changes)


@pytest.mark.parametrize(
    "flags", [pytest.param(0, id="none"), pytest.param(re.IGNORECASE, id="others")]
)
def test_regexes_with_other_flags_are_other_rules(flags: int) -> None:
    """Their text alone does not say what they match."""
    one, other = (
        Rule(OriginPattern.for_regex(re.compile("https://a", how)), "test")
        for how in (0, flags)
    )

    assert (one == other) is (not flags)


@pytest.mark.parametrize(
    ("first", "second", "credentials"),
    [
        pytest.param(False, False, False, id="none"),
        pytest.param(True, False, True, id="the first"),
        pytest.param(False, True, True, id="the second"),
        pytest.param(True, True, True, id="both"),
    ],
)
def test_credentials_add_up(
    first: bool, second: bool, credentials: bool, handshake: HandshakeOf
) -> None:
    """Where several rules match, one that grants credentials is enough, and is named."""
    rules = [
        Rule(OriginPattern.parse("https://app.example"), "first", first),
        Rule(OriginPattern.parse("https://*.example"), "second", second),
    ]
    decision = Policy(rules).decide(handshake("https://app.example"))

    assert decision.credentials is credentials
    assert decision.rule == (rules[1] if second and not first else rules[0])


def test_the_more_specific_rule_is_named(handshake: HandshakeOf) -> None:
    """Exact before any port, before a label, before subdomains, before all."""
    texts = [
        "https://a-b.app.example",
        "https://a-b.app.example:*",
        "https://a-*.app.example",
        "https://a-*.app.example:*",
        "https://*.app.example",
        "https://*.app.example:*",
        "https://*.example",
        "https://*.example:*",
    ]
    rules = [Rule(OriginPattern.parse(text), text) for text in texts]
    rules.append(Rule(OriginPattern.for_regex("https://.*"), "regex"))
    explanation = Policy([Rule(ALL_ORIGINS, "*"), *reversed(rules)]).explain(
        handshake("https://a-b.app.example")
    )

    assert [rule.source for rule in explanation.matches] == [*texts, "*", "regex"]
    assert explanation.decision.rule == rules[0]
    assert explanation.nearest is None


def test_the_deciding_rule_is_explained_first(handshake: HandshakeOf) -> None:
    """Who reads an explanation sees the winner, then the losers."""
    rules = [
        Rule(OriginPattern.parse("https://app.example"), "no cookies", False),
        Rule(OriginPattern.parse("https://*.example"), "cookies"),
    ]
    explanation = Policy(rules).explain(handshake("https://app.example"))

    assert explanation.decision.rule == rules[1]
    assert explanation.matches == (rules[1], rules[0])


@pytest.mark.parametrize(
    ("rule_audience", "audience", "allowed"),
    [
        pytest.param("", "", True, id="neither"),
        pytest.param("", "prices", True, id="a rule for all"),
        pytest.param("prices", "prices", True, id="equal"),
        pytest.param("prices", "", False, id="an endpoint without"),
        pytest.param("prices", "chat", False, id="another"),
        pytest.param("prices", "listed", False, id="another, named like a reason"),
    ],
)
@pytest.mark.parametrize("credentials", [True, False])
@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(OriginPattern.parse("https://app.example"), id="exact"),
        pytest.param(OriginPattern.parse("https://*.example"), id="wildcard"),
        pytest.param(OriginPattern.parse("https://.app.example"), id="dot form"),
        pytest.param(OriginPattern.for_regex("https://.*"), id="regex"),
        pytest.param(ALL_ORIGINS, id="all"),
    ],
)
def test_a_rule_with_an_audience_matches_only_that(
    pattern: OriginPattern,
    credentials: bool,
    rule_audience: str,
    audience: str,
    allowed: bool,
    handshake: HandshakeOf,
) -> None:
    """An origin trusted for one endpoint is a stranger to the others."""
    rule = Rule(pattern, "test", credentials, rule_audience)
    policy = Policy([rule])
    decision = policy.decide(handshake(), audience)
    explanation = policy.explain(handshake(), audience)

    assert decision.allowed is allowed
    assert decision.credentials is (allowed and rule.credentials)
    assert explanation.decision == decision
    assert len(explanation.matches) == allowed


def test_null_can_have_an_audience(handshake: HandshakeOf) -> None:
    """``null`` is a rule like others."""
    policy = Policy([Rule(OriginPattern.parse("null"), "test", audience="prices")])

    assert policy.decide(handshake("null"), "prices").allowed
    assert policy.decide(handshake("null"), "chat").reason is Reason.OPAQUE


@pytest.mark.parametrize(
    ("patterns", "origin", "nearest"),
    [
        pytest.param(
            ["https://app.example"],
            "https://app.example:8443",
            "https://app.example (test[0]) differs only in the port (the default)",
            id="port",
        ),
        pytest.param(
            ["https://app.example:8443"],
            "https://app.example",
            "https://app.example:8443 (test[0]) differs only in the port (8443)",
            id="no port",
        ),
        pytest.param(
            ["https://app.example"],
            "http://app.example",
            "https://app.example (test[0]) differs only in the scheme (https)",
            id="scheme",
        ),
        pytest.param(
            ["https://app.example:*"],
            "http://app.example:8080",
            "https://app.example:* (test[0]) differs only in the scheme (https)",
            id="scheme, any port",
        ),
        pytest.param(
            ["https://app.example"],
            "http://app.example:8080",
            "https://app.example (test[0]) differs only in "
            "the scheme (https) and the port (the default)",
            id="scheme and port",
        ),
        pytest.param(
            ["http://app.example:8443", "https://app.example:8443"],
            "https://app.example",
            "https://app.example:8443 (test[1]) differs only in the port (8443)",
            id="the smaller difference",
        ),
        pytest.param(
            ["https://*.app.example"],
            "https://app.example",
            "https://*.app.example (test[0]) covers names below it, not the name itself",
            id="apex of a wildcard",
        ),
        pytest.param(
            ["https://pr-*.app.example"],
            "https://app.example",
            "https://pr-*.app.example (test[0]) covers some names below it, "
            "not the name itself",
            id="apex of a label",
        ),
        pytest.param(
            ["https://app.example"],
            "https://a.b.app.example",
            "https://app.example (test[0]) does not cover this name below it",
            id="below an exact rule",
        ),
        pytest.param(
            ["https://app.example"],
            "https://a.app.example",
            "https://app.example (test[0]) does not cover this name below it",
            id="right below an exact rule",
        ),
        pytest.param(
            ["https://pr-*.app.example"],
            "https://www.app.example",
            "https://pr-*.app.example (test[0]) does not cover this name below it",
            id="another label",
        ),
        pytest.param(
            ["https://pr-*.app.example"],
            "https://longer.app.example",
            "https://pr-*.app.example (test[0]) does not cover this name below it",
            id="another, longer label",
        ),
        pytest.param(
            ["https://a*b.app.example"],
            "https://a-c.app.example",
            "https://a*b.app.example (test[0]) does not cover this name below it",
            id="a label that only begins alike",
        ),
        pytest.param(
            ["https://a*b.app.example"],
            "https://ab.app.example",
            "https://a*b.app.example (test[0]) does not cover this name below it",
            id="nothing for the star",
        ),
        pytest.param(
            ["https://pr-*.app.example"],
            "https://pr-1.www.app.example",
            "https://pr-*.app.example (test[0]) does not cover this name below it",
            id="a label further down",
        ),
        pytest.param(
            ["https://*.app.example:8443"],
            "https://a.app.example",
            "https://*.app.example:8443 (test[0]) differs only in the port (8443)",
            id="a wildcard with another port",
        ),
        pytest.param(
            ["https://*.app.example"],
            "http://a.app.example",
            "https://*.app.example (test[0]) differs only in the scheme (https)",
            id="a wildcard with another scheme",
        ),
        pytest.param(
            ["https://pr-*.app.example"],
            "https://pr-1.app.example:8443",
            "https://pr-*.app.example (test[0]) differs only in the port (the default)",
            id="a label with another port",
        ),
        pytest.param(
            ["https://app.example"],
            "https://app.example.evil.test",
            "https://app.example (test[0]) only begins alike: the name goes on with .evil.test",
            id="a trusted name in front",
        ),
        pytest.param(
            ["https://app.example"],
            "https://app.example.test",
            "https://app.example (test[0]) only begins alike: the name goes on with .test",
            id="a trusted name and one label",
        ),
        pytest.param(
            ["https://web.app.example"],
            "https://www.app.example",
            "https://web.app.example (test[0]) differs in the first part of the name",
            id="a sibling",
        ),
        pytest.param(["https://app.example"], "https://evil.test", None, id="nothing"),
        pytest.param(["https://app.example"], "https://b.example", None, id="a suffix"),
        pytest.param([], "https://evil.test", None, id="no rules"),
        pytest.param(["null"], "https://evil.test", None, id="a rule without host"),
        pytest.param(["https://app.example"], "null", None, id="null"),
        pytest.param(["https://app.example"], "bad", None, id="malformed"),
        pytest.param(["https://app.example"], "https://a,b", None, id="multiple"),
        pytest.param(["https://app.example"], None, None, id="missing"),
        pytest.param(
            ["https://app.example"], "https://app.example", None, id="allowed"
        ),
    ],
)
def test_names_the_nearest_rule(
    patterns: list[str],
    origin: str | None,
    nearest: str | None,
    policy_of: PolicyOf,
    handshake: HandshakeOf,
) -> None:
    """Who is denied by a small difference is told which."""
    found = policy_of(*patterns).explain(handshake(origin)).nearest

    assert (found and str(found)) == nearest


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("https://app.example", id="exact"),
        pytest.param("https://*.example", id="wildcard"),
    ],
)
def test_the_nearest_rule_may_be_for_another_audience(
    pattern: str, handshake: HandshakeOf
) -> None:
    """A rule that would match, if the audience did, is the nearest."""
    policy = Policy([Rule(OriginPattern.parse(pattern), "test", audience="prices")])

    assert str(policy.explain(handshake(), "chat").nearest) == (
        f"{pattern} (test) is for the audience 'prices' only"
    )


def test_a_rule_for_all_audiences_does_not_differ_in_that(
    policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """What an endpoint is for is no difference to a rule that does not ask."""
    explanation = policy_of("https://app.example:8443").explain(handshake(), "chat")

    assert str(explanation.nearest) == (
        "https://app.example:8443 (test[0]) differs only in the port (8443)"
    )


def test_a_rule_for_another_audience_and_port_differs_in_both(
    handshake: HandshakeOf,
) -> None:
    """ "Differs only in" is said of all that differs."""
    policy = Policy(
        [Rule(OriginPattern.parse("https://app.example:8443"), "", audience="prices")]
    )
    nearest = str(policy.explain(handshake("https://app.example"), "chat").nearest)

    assert "8443" in nearest
    assert "prices" in nearest


def test_finds_the_nearest_among_many_rules_of_a_host(
    policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """A host in many rules costs an explanation no more than a few looks."""
    policy = policy_of(*(f"http://app.example:{port}" for port in range(2000, 3000)))
    nearest = policy.explain(handshake("http://app.example")).nearest

    assert str(nearest) == (
        "http://app.example:2000 (test[0]) differs only in the port (2000)"
    )


@pytest.mark.parametrize(
    ("others", "nearest"),
    [
        pytest.param(19, "https://app.example:8443", id="the twentieth"),
        pytest.param(20, "http://app.example:2000", id="the twenty-first"),
    ],
)
def test_remembers_twenty_rules_of_a_host(
    others: int, nearest: str, policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """As many as explain anything; a host in more of them costs no more memory."""
    policy = policy_of(
        *(f"http://app.example:{2000 + number}" for number in range(others)),
        "https://app.example:8443",
    )
    found = policy.explain(handshake("https://app.example")).nearest

    assert found
    assert str(found.rule.pattern) == nearest


@pytest.mark.parametrize(
    ("origin", "problem"),
    [
        pytest.param("https://app.example/", "it has a path", id="malformed"),
        pytest.param("https://app.example", "", id="well-formed"),
        pytest.param("null", "", id="null"),
        pytest.param(None, "", id="missing"),
    ],
)
def test_explains_what_is_malformed(
    origin: str | None, problem: str, policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """An explanation says what is wrong with the header, where something is."""
    assert policy_of("null").explain(handshake(origin)).problem == problem


def test_explains_which_rule_allowed_null(
    policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """``null`` has a rule though it has no tuple."""
    explanation = policy_of("null").explain(handshake("null"))

    assert explanation.origin is None
    assert [str(rule) for rule in explanation.matches] == ["null (test[0])"]


def test_an_endpoint_adds_its_rules_to_the_site_s(
    policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """With the site's policy underneath, its rules and its own pages count too."""
    site = policy_of(
        "https://site.example", "null", site=Site(("testserver",)), same_origin=True
    )
    policy = site.narrowed_to(
        [Rule(OriginPattern.parse("https://partner.example"), "list")], with_site=True
    )

    assert policy.decide(handshake("https://partner.example"))
    assert policy.decide(handshake("https://site.example"))
    assert policy.decide(handshake("null"))
    assert policy.decide(handshake("http://testserver"))
    assert not policy.decide(handshake("https://evil.example"))
    assert str(policy.explain(handshake("http://site.example")).nearest) == (
        "https://site.example (test[0]) differs only in the scheme (https)"
    )
    assert [rule.source for rule in policy.rules] == ["list", "test[0]", "test[1]"]


@pytest.mark.parametrize("with_site", [True, False])
def test_an_endpoint_keeps_what_is_said_of_the_site(with_site: bool) -> None:
    """Its hosts, its proxies, and what becomes of clients without an origin."""
    site = Policy(site=Site(("testserver",)), missing=MissingOrigin.ALLOW)
    policy = site.narrowed_to([], with_site=with_site)

    assert policy.site == site.site
    assert policy.decide(Handshake("/ws/", None))


def test_an_endpoint_can_leave_the_site_s_rules_out(
    policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """Without the site, only the endpoint's own list counts; null and hosts as well."""
    site = policy_of(
        "https://site.example", "null", site=Site(("testserver",)), same_origin=True
    )
    policy = site.narrowed_to(
        [Rule(OriginPattern.parse("https://partner.example"), "list")], with_site=False
    )

    assert policy.decide(handshake("https://partner.example"))
    assert not policy.decide(handshake("https://site.example"))
    assert not policy.decide(handshake("null"))
    assert not policy.decide(handshake("http://testserver"))


def test_the_fingerprint_ignores_order(policy_of: PolicyOf) -> None:
    """Two processes agree, in whatever order their sources gave the rules."""
    rules = policy_of("https://a.example", "https://*.b.example", "null").rules

    assert re.fullmatch("[0-9a-f]{12}", Policy(rules).fingerprint)
    assert Policy(rules).fingerprint == Policy(reversed(rules)).fingerprint


def exact(
    text: str = "https://a.example", source: str = "test", *more: Any, **options: Any
) -> Policy:
    """Make a policy of one rule, one thing different at a time."""
    return Policy([Rule(OriginPattern.parse(text), source, *more)], **options)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Policy(), id="no rules"),
        pytest.param(exact("https://b.example"), id="pattern"),
        pytest.param(exact("https://a.example:*"), id="port"),
        pytest.param(exact(source="other"), id="source"),
        pytest.param(
            Policy([Rule(OriginPattern.parse("https://a.example"), "test", False)]),
            id="credentials",
        ),
        pytest.param(
            Policy([Rule(OriginPattern.parse("https://a.example"), "test", True, "x")]),
            id="audience",
        ),
        pytest.param(exact(same_origin=True), id="same origin"),
        pytest.param(exact(missing=MissingOrigin.ALLOW), id="missing"),
        pytest.param(exact(site=Site(("a.example",))), id="hosts"),
        pytest.param(exact(site=Site(https_only=True)), id="https only"),
        pytest.param(exact(base=Policy()), id="base"),
    ],
)
def test_the_fingerprint_tells_contents_apart(other: Policy) -> None:
    """The content is the version: all that can change an answer is in it."""
    assert exact().fingerprint != other.fingerprint
    assert exact().fingerprint == exact().fingerprint


def test_the_fingerprint_knows_a_regex_s_flags() -> None:
    """Two expressions of one text may match differently."""
    plain, folding = (
        Policy([Rule(OriginPattern.for_regex(regex), "test")])
        for regex in (re.compile("https://A"), re.compile("https://A", re.IGNORECASE))
    )

    assert plain.decide(Handshake("/", "https://a")) != folding.decide(
        Handshake("/", "https://a")
    )
    assert plain.fingerprint != folding.fingerprint


# What a policy remembers.


def asked(
    policy: Policy,
    path: str = "/ws/",
    scheme: str = "ws",
    audience: str = "",
    subprotocols: Sequence[str] = (),
    **headers: str,
) -> tuple[Handshake, Decision]:
    """Ask for an answer as the guard does."""
    told = {"origin": "https://app.example", "host": "app.example", **headers}
    return policy.answer(
        {"path": path, "scheme": scheme, "subprotocols": list(subprotocols)},
        {name.replace("_", "-").encode(): told[name].encode() for name in told},
        audience,
    )


def remembering() -> Policy:
    """Make a policy that looks at all that a decision can look at."""
    site = Site(
        ("app.example",),
        proxy_ssl_header=(b"x-forwarded-proto", "https"),
        use_forwarded_host=True,
        use_forwarded_port=True,
    )
    pattern = OriginPattern.parse("https://app.example")
    rules = [Rule(pattern, "test", audience="prices")]
    return Policy(rules, site=site, same_origin=True)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"path": "/other/"}, id="path"),
        pytest.param({"scheme": "wss"}, id="scheme"),
        pytest.param({"audience": "prices"}, id="audience"),
        pytest.param({"subprotocols": ["chat"]}, id="subprotocol"),
        pytest.param({"origin": "https://evil.example"}, id="origin"),
        pytest.param({"host": "app.example"}, id="host"),
        pytest.param({"sec_fetch_site": "cross-site"}, id="Fetch Metadata"),
        pytest.param({"x_forwarded_proto": "https"}, id="scheme at the proxy"),
        pytest.param({"x_forwarded_host": "other.example"}, id="host at the proxy"),
        pytest.param({"x_forwarded_port": "8080"}, id="port at the proxy"),
    ],
)
def test_no_answer_is_that_to_another_question(other: dict[str, Any]) -> None:
    """What was remembered of one handshake never decides about one that differs."""
    usual = {"host": "testserver"}
    policy = remembering()
    first = asked(policy, **usual)

    assert asked(policy, **usual)[0] is first[0]
    assert asked(policy, **usual | other) == asked(remembering(), **usual | other)
    assert asked(policy, **usual | other) != first


@pytest.mark.parametrize(
    ("question", "remembered"),
    [
        pytest.param({}, True, id="usual"),
        pytest.param({"path": "/" * 300}, True, id="300 characters"),
        pytest.param({"path": "/" * 301}, False, id="301 characters"),
        pytest.param({"subprotocols": ["a"] * 7}, True, id="ten parts"),
        pytest.param({"subprotocols": ["a"] * 8}, False, id="eleven parts"),
        pytest.param({"subprotocols": ["a" * 301]}, False, id="a long subprotocol"),
        pytest.param({"host": "a" * 301}, False, id="a long header"),
        pytest.param(
            {"path": "/wsok_12345678secret/"}, False, id="a token in the path"
        ),
        pytest.param(
            {"origin": "https://wsok_12345678secret"}, False, id="a token in the origin"
        ),
        pytest.param({"cookie": "a" * 301}, True, id="what no decision looks at"),
    ],
)
def test_remembers_nothing_long_and_nothing_secret(
    question: dict[str, Any], remembered: bool
) -> None:
    """Strangers cannot fill the memory, and no token stays there."""
    policy = remembering()
    first, again = asked(policy, **question), asked(policy, **question)

    assert first == again
    assert (first[0] is again[0]) is remembered


@pytest.mark.parametrize(
    ("memory", "question", "bound"),
    [
        pytest.param(
            "_rulings",
            {"origin": "https://{}.example"},
            module._MAX_RULINGS,
            id="origins",
        ),
        pytest.param("_answers", {"path": "/{}/"}, module._MAX_ANSWERS, id="questions"),
    ],
)
def test_what_it_remembers_has_a_bound(
    memory: str, question: dict[str, str], bound: int
) -> None:
    """However many origins and addresses a stranger makes up."""
    policy, sizes = remembering(), set()
    for number in range(2 * bound):
        asked(policy, **{name: question[name].format(number) for name in question})
        sizes.add(len(getattr(policy, memory)))

    assert max(sizes) == bound


@pytest.mark.parametrize(
    ("origin", "remembered"),
    [
        pytest.param("https://" + "a" * 292, True, id="300 characters"),
        pytest.param("https://" + "a" * 293, False, id="301 characters"),
        pytest.param("null", False, id="null"),
        pytest.param("https://a.example,https://b.example", False, id="multiple"),
    ],
)
def test_only_what_costs_time_to_read_is_remembered(
    origin: str, remembered: bool, policy_of: PolicyOf, handshake: HandshakeOf
) -> None:
    """Headers as long as no origin is are refused unread, and forgotten."""
    policy = policy_of()

    assert not policy.decide(handshake(origin))
    assert len(policy._rulings) == remembered


# From the settings to the policy.


def decide(handshake: Handshake, **settings: Any) -> Decision:
    """Decide by the policy of these settings, with nothing inherited unless named."""
    with override_settings(**{"WSORIGIN_INHERIT": [], **settings}):
        return get_policy().decide(handshake)


@pytest.mark.parametrize(
    ("settings", "origin", "source", "credentials"),
    [
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": ["https://x.example", "https://app.example"]},
            "https://app.example",
            "WSORIGIN_ALLOWED_ORIGINS[1]",
            True,
            id="own list",
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": ("https://app.example",)},
            "https://app.example",
            "WSORIGIN_ALLOWED_ORIGINS[0]",
            True,
            id="own list, a tuple",
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [re.compile(r"https://\w+\.example")]},
            "https://app.example",
            "WSORIGIN_ALLOWED_ORIGIN_REGEXES[0]",
            True,
            id="own regex",
        ),
        pytest.param(
            {"WSORIGIN_ALLOW_ALL_ORIGINS": True},
            "https://anybody.example",
            "WSORIGIN_ALLOW_ALL_ORIGINS",
            False,
            id="lessons 40: all origins, never with credentials",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ALLOWED_ORIGINS": ["https://app.example"],
            },
            "https://app.example",
            "CORS_ALLOWED_ORIGINS[0]",
            False,
            id="lessons 26: CORS",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ALLOWED_ORIGINS": ["https://app.example"],
                "CORS_ALLOW_CREDENTIALS": True,
            },
            "https://app.example",
            "CORS_ALLOWED_ORIGINS[0]",
            True,
            id="CORS with credentials",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ORIGIN_WHITELIST": ("https://app.example",),
            },
            "https://app.example",
            "CORS_ORIGIN_WHITELIST[0]",
            False,
            id="CORS by its old name",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ALLOWED_ORIGIN_REGEXES": [r"^https://\w+\.example$"],
                "CORS_ALLOW_CREDENTIALS": True,
            },
            "https://app.example",
            "CORS_ALLOWED_ORIGIN_REGEXES[0]",
            True,
            id="CORS regex",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ORIGIN_REGEX_WHITELIST": [re.compile(r"https://\w+\.example")],
            },
            "https://app.example",
            "CORS_ORIGIN_REGEX_WHITELIST[0]",
            False,
            id="CORS regex by its old name",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["csrf"],
                "CSRF_TRUSTED_ORIGINS": ["https://app.example"],
            },
            "https://app.example",
            "CSRF_TRUSTED_ORIGINS[0]",
            True,
            id="CSRF",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["csrf"],
                "CSRF_TRUSTED_ORIGINS": ["https://*.app.example"],
            },
            "https://a.app.example",
            "CSRF_TRUSTED_ORIGINS[0]",
            True,
            id="CSRF wildcard",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["csrf"],
                "CSRF_TRUSTED_ORIGINS": ["https://*.app.example"],
            },
            "https://app.example",
            "CSRF_TRUSTED_ORIGINS[0]",
            True,
            id="CSRF wildcard, whose apex Django includes",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": ["app.example"]},
            "https://app.example",
            "ALLOWED_HOSTS[0]",
            True,
            id="hosts",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": ["app.example"]},
            "http://app.example",
            "ALLOWED_HOSTS[0]",
            True,
            id="hosts over http",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": [".app.example"]},
            "https://app.example",
            "ALLOWED_HOSTS[0]",
            True,
            id="hosts with a dot, the apex",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": [".app.example"]},
            "https://a.b.app.example",
            "ALLOWED_HOSTS[0]",
            True,
            id="hosts with a dot, below",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["debug"], "DEBUG": True},
            "http://localhost:5173",
            "DEBUG",
            True,
            id="debug, localhost",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["debug"], "DEBUG": True},
            "https://app.localhost:1",
            "DEBUG",
            True,
            id="debug, below localhost",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["debug"], "DEBUG": True},
            "http://[::1]:8000",
            "DEBUG",
            True,
            id="debug, IPv6",
        ),
    ],
)
def test_a_setting_becomes_a_rule(
    settings: dict[str, Any],
    origin: str,
    source: str,
    credentials: bool,
    handshake: HandshakeOf,
) -> None:
    """Each list gives rules that name it, with the credentials it would give."""
    decision = decide(handshake(origin, "other.test"), **settings)

    assert decision.allowed
    assert decision.credentials is credentials
    assert decision.rule is not None
    assert decision.rule.source == source


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        pytest.param("http://localhost:5173", Reason.DEBUG_LOOPBACK, id="localhost"),
        pytest.param("http://a.localhost", Reason.DEBUG_LOOPBACK, id="below localhost"),
        pytest.param("https://anybody.example", Reason.ALL_ORIGINS, id="anybody"),
    ],
)
def test_unsafe_reasons_have_names_of_their_own(
    origin: str, reason: Reason, handshake: HandshakeOf
) -> None:
    """Lessons 31: what only a switch allows is visible as that."""
    decision = decide(
        handshake(origin),
        WSORIGIN_INHERIT=["debug"],
        DEBUG=True,
        WSORIGIN_ALLOW_ALL_ORIGINS=True,
    )

    assert decision.reason is reason


@pytest.mark.parametrize(
    ("settings", "origin"),
    [
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": "https://app.example"},
            "https://app.example",
            id="lessons 44: a string instead of a list",
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": [""]},
            "https://app.example",
            id="lessons 19: an empty environment variable",
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": ["*"]}, "https://app.example", id="a star"
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": ["app.example", None, 1, b"x", ["y"]]},
            "https://app.example",
            id="entries that are none",
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": None}, "https://app.example", id="None"
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": 7}, "https://app.example", id="a number"
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": {"https://app.example": True}},
            "https://app.example",
            id="a dictionary",
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": r"https://.*"},
            "https://app.example",
            id="a string instead of a list of regexes",
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": ["(", b".*", None, 3, ["https://.*"]]},
            "https://app.example",
            id="regexes that are none",
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": ["a{99999999999}"]},
            "https://app.example",
            id="a regex that overflows",
        ),
        pytest.param(
            {"WSORIGIN_ALLOW_ALL_ORIGINS": "False"},
            "https://app.example",
            id="a true string for all origins",
        ),
        pytest.param(
            {"WSORIGIN_ALLOW_ALL_ORIGINS": 1}, "https://app.example", id="one for True"
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": "same-origin"}, "http://testserver", id="name"
        ),
        pytest.param({"WSORIGIN_INHERIT": None}, "http://testserver", id="no names"),
        pytest.param(
            {"WSORIGIN_INHERIT": ["nonsense", None, ["cors"], {}, 3]},
            "http://testserver",
            id="names that are none",
        ),
        pytest.param({"WSORIGIN_MISSING_ORIGIN": True}, None, id="true for allow"),
        pytest.param(
            {"WSORIGIN_MISSING_ORIGIN": ["allow"]}, None, id="a list for allow"
        ),
        pytest.param({"WSORIGIN_MISSING_ORIGIN": "Allow"}, None, id="another spelling"),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ALLOWED_ORIGINS": "https://app.example",
            },
            "https://app.example",
            id="lessons 44: a string for CORS",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["cors"], "CORS_ALLOWED_ORIGINS": [None, 3, ""]},
            "https://app.example",
            id="CORS entries that are none",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["csrf"],
                "CSRF_TRUSTED_ORIGINS": [None, "app.example"],
            },
            "https://app.example",
            id="CSRF entries that are none",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": "app.example"},
            "https://app.example",
            id="a string for hosts",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": [None]},
            "https://none",
            id="a host that is none",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["debug"], "DEBUG": "False"},
            "http://localhost:8000",
            id="a true string for DEBUG",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["same-origin"], "ALLOWED_HOSTS": None},
            "http://testserver",
            id="no hosts at all",
        ),
    ],
)
def test_a_wrong_setting_trusts_nobody(
    settings: dict[str, Any], origin: str | None, handshake: HandshakeOf
) -> None:
    """A value of the wrong kind reads as the strictest that it could have meant."""
    assert not decide(handshake(origin), **settings)


@pytest.mark.parametrize(
    ("settings", "origin"),
    [
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ALLOW_ALL_ORIGINS": True,
                "CORS_ORIGIN_ALLOW_ALL": True,
            },
            "https://app.example",
            id="CORS' all origins",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["cors"], "CORS_ALLOWED_ORIGINS": ["null", "file://"]},
            "null",
            id="CORS' null",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ALLOWED_ORIGIN_REGEXES": [r"https://app\.example"],
            },
            "https://app.example.evil.com",
            id="lessons 17: a CORS regex without end",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ALLOWED_ORIGINS": ["https://*.app.example"],
            },
            "https://a.app.example",
            id="a wildcard, which means nothing to CORS",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ALLOWED_ORIGINS": ["https://.app.example"],
            },
            "https://a.app.example",
            id="a dot, which means nothing to CORS",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["cors"],
                "CORS_ALLOWED_ORIGINS": ["https://app.example:*"],
            },
            "https://app.example:8443",
            id="any port, which means nothing to CORS",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["csrf"],
                "CSRF_TRUSTED_ORIGINS": ["https://pr-*.app.example"],
            },
            "https://pr-1.app.example",
            id="part of a label, which means nothing to CSRF",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["csrf"],
                "CSRF_TRUSTED_ORIGINS": ["https://app.example:*"],
            },
            "https://app.example:8443",
            id="any port, which means nothing to CSRF",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["csrf"], "CSRF_TRUSTED_ORIGINS": ["null"]},
            "null",
            id="CSRF's null",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": ["*"]},
            "https://app.example",
            id="all hosts",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": ["*.app.example"]},
            "https://a.app.example",
            id="a wildcard, which means nothing to ALLOWED_HOSTS",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": ["app.example:*"]},
            "https://app.example:8443",
            id="a port, which means nothing to ALLOWED_HOSTS",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": ["hosts"],
                "ALLOWED_HOSTS": ["app.example"],
                "SECURE_SSL_REDIRECT": True,
            },
            "http://app.example",
            id="hosts over http, where the site is https only",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["hosts"], "ALLOWED_HOSTS": ["app.example"]},
            "https://app.example:8443",
            id="hosts on another port",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["debug"], "DEBUG": False},
            "http://localhost:8000",
            id="lessons 34: loopback without DEBUG",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["debug"], "DEBUG": True},
            "http://192.168.0.1:8000",
            id="lessons 24: the neighbours in DEBUG",
        ),
        pytest.param(
            {"WSORIGIN_INHERIT": ["debug"], "DEBUG": True},
            "null",
            id="lessons 14: null in DEBUG",
        ),
        pytest.param(
            {
                "WSORIGIN_INHERIT": [],
                "CORS_ALLOWED_ORIGINS": ["https://app.example"],
                "CSRF_TRUSTED_ORIGINS": ["https://app.example"],
                "ALLOWED_HOSTS": ["app.example"],
            },
            "https://app.example",
            id="lists that are not inherited",
        ),
    ],
)
def test_inherits_no_more_than_the_list_allows(
    settings: dict[str, Any], origin: str, handshake: HandshakeOf
) -> None:
    """An origin may do over a WebSocket what it may do over HTTP, and nothing more."""
    assert not decide(handshake(origin, "other.test"), **settings)


@override_settings(ALLOWED_HOSTS=["testserver"])
def test_the_default_allows_the_site_s_own_pages(handshake: HandshakeOf) -> None:
    """Nothing configured: same origin, with the session, and nobody else."""
    policy = get_policy()

    assert policy.decide(handshake("http://testserver")).credentials
    assert policy.missing is MissingOrigin.REQUIRE_TOKEN
    assert not policy.decide(handshake("https://evil.example"))


def test_collects_one_list_alone() -> None:
    """Who wants to know what one list would allow gets that list, and no settings."""
    with override_settings(
        WSORIGIN_ALLOWED_ORIGINS=["https://own.example"],
        CORS_ALLOWED_ORIGINS=["https://cors.example", "bad"],
        CSRF_TRUSTED_ORIGINS=["https://csrf.example"],
    ):
        found = collect(["cors", "database"])

    assert [str(rule) for rule in found.rules] == [
        "https://cors.example (CORS_ALLOWED_ORIGINS[0])"
    ]
    assert [problem.source for problem in found.problems] == ["CORS_ALLOWED_ORIGINS[1]"]
    assert "it has no scheme" in str(found.problems[0].error)


def test_changed_settings_count_at_once(handshake: HandshakeOf) -> None:
    """``override_settings`` needs no restart, in either direction."""
    seen = handshake("https://app.example")

    assert not get_policy().decide(seen)
    with override_settings(WSORIGIN_ALLOWED_ORIGINS=["https://app.example"]):
        assert get_policy().decide(seen)
        with override_settings(WSORIGIN_ALLOWED_ORIGINS=[]):
            assert not get_policy().decide(seen)
        assert get_policy().decide(seen)
    assert not get_policy().decide(seen)


def test_compiles_once() -> None:
    """The policy in force is one object, until something changes."""
    assert get_policy() is get_policy()


async def test_coroutines_may_listen_for_changes(handshake: HandshakeOf) -> None:
    """A receiver of either colour holds up no handshake, wherever the policy is read."""

    async def receive(**said: Any) -> None:
        """Listen."""

    policy_changed.connect(receive)
    try:
        with override_settings(WSORIGIN_ALLOWED_ORIGINS=["https://app.example"]):
            decision = get_policy().decide(handshake("https://app.example"))
    finally:
        policy_changed.disconnect(receive)

    assert decision
