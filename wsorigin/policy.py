"""
The policy: all rules, compiled; and the one function that decides.

Guard, command, checks and tests all ask `Policy.decide`; nothing else compares
origins. Where the rules come from is the sources' business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from .handshake import (
    BROWSER_HEADERS,
    Handshake,
    Scope,
    application_subprotocols,
    read_handshake,
)
from .origins import MAX_LENGTH, InvalidOrigin, Origin
from .patterns import OriginPattern, PatternKind, is_extension_id
from .site import Relation, Site

#: In ``allowed_origins``: everything that the site's own settings and rows allow.
SITE: Final = "wsorigin.SITE"

# A host can be in many rules that differ in the port. Enough to find the nearest.
_NEAREST_PER_HOST: Final = 20
# Pages come from few origins, so most headers were read before. The bound keeps
# strangers' values from growing it: at most 1 MiB.
_MAX_RULINGS: Final = 1024
_MAX_ANSWERS: Final = 1024
_MAX_PARTS: Final = 10


class Reason(StrEnum):
    """
    Why a handshake was allowed or denied.

    The values are public and stable: they appear unchanged in logs, JSON, denial
    bodies and tests.
    """

    SAME_ORIGIN = "same-origin"
    LISTED = "listed"
    WILDCARD = "wildcard"
    REGEX = "regex"
    DEBUG_LOOPBACK = "debug-loopback"
    ALL_ORIGINS = "all-origins"
    TOKEN = "token"  # noqa: S105  # a reason, no password

    MISSING = "missing"
    MULTIPLE = "multiple"
    MALFORMED = "malformed"
    OPAQUE = "opaque"
    UNLISTED = "unlisted"
    HOST_NOT_ALLOWED = "host-not-allowed"
    ORIGIN_REWRITTEN = "origin-rewritten"

    TOKEN_REQUIRED = "token-required"  # noqa: S105  # as above, and below
    TOKEN_MALFORMED = "token-malformed"  # noqa: S105
    TOKEN_IN_URL = "token-in-url"  # noqa: S105
    TOKEN_CONFLICT = "token-conflict"  # noqa: S105
    TOKEN_UNKNOWN = "token-unknown"  # noqa: S105
    TOKEN_EXPIRED = "token-expired"  # noqa: S105
    TOKEN_REVOKED = "token-revoked"  # noqa: S105
    TOKEN_USED = "token-used"  # noqa: S105
    TOKEN_WRONG_ORIGIN = "token-wrong-origin"  # noqa: S105
    TOKEN_WRONG_AUDIENCE = "token-wrong-audience"  # noqa: S105
    TOKEN_WRONG_SESSION = "token-wrong-session"  # noqa: S105
    TOKEN_USER_INACTIVE = "token-user-inactive"  # noqa: S105
    TOKEN_UNAVAILABLE = "token-unavailable"  # noqa: S105

    NO_COMMON_SUBPROTOCOL = "no-common-subprotocol"
    UPGRADE_STRIPPED = "upgrade-stripped"

    # An Enum hashes its name, in Python: as much as half a look-up.
    __hash__ = str.__hash__

    @property
    def sentence(self) -> str:
        """What this reason means, for people."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Reason.SAME_ORIGIN: "The page comes from this site itself.",
    Reason.LISTED: "The origin is listed.",
    Reason.WILDCARD: "A wildcard covers the origin.",
    Reason.REGEX: "A regular expression matches the whole origin.",
    Reason.DEBUG_LOOPBACK: "DEBUG is on and the page comes from this machine.",
    Reason.ALL_ORIGINS: "WSORIGIN_ALLOW_ALL_ORIGINS is on.",
    Reason.TOKEN: "A token vouches for a client that sends no origin.",
    Reason.MISSING: (
        "The handshake has no Origin header, so it does not come from a browser, "
        "or a proxy removed the header."
    ),
    Reason.MULTIPLE: "The handshake has more than one Origin header.",
    Reason.MALFORMED: "The Origin header isn't a serialized origin.",
    Reason.OPAQUE: (
        "The origin is opaque ('null'): a sandboxed frame, a data: or file: page, "
        "or anybody who wants to look like one."
    ),
    Reason.UNLISTED: "No rule covers the origin.",
    Reason.HOST_NOT_ALLOWED: (
        "The page comes from the host that it connects to, but that host isn't in "
        "ALLOWED_HOSTS. DNS rebinding looks like this."
    ),
    Reason.ORIGIN_REWRITTEN: (
        "The browser says that another site started this, yet the Origin header "
        "names this site: a proxy rewrites it, which switches the check off."
    ),
    Reason.TOKEN_REQUIRED: "This endpoint asks for a token.",
    Reason.TOKEN_MALFORMED: "The token isn't one: it is cut, mistyped or made up.",
    Reason.TOKEN_IN_URL: (
        "A token came in the URL, where it ends up in logs and histories. It belongs "
        "in the Authorization header or among the subprotocols."
    ),
    Reason.TOKEN_CONFLICT: "The handshake brought two different tokens.",
    Reason.TOKEN_UNKNOWN: "There is no such token.",
    Reason.TOKEN_EXPIRED: "The token has expired.",
    Reason.TOKEN_REVOKED: "The token was revoked.",
    Reason.TOKEN_USED: "The ticket was used already; each opens one socket.",
    Reason.TOKEN_WRONG_ORIGIN: "The token belongs to another origin.",
    Reason.TOKEN_WRONG_AUDIENCE: "The token is for another audience.",
    Reason.TOKEN_WRONG_SESSION: (
        "The ticket belongs to another session, or to one that has ended."
    ),
    Reason.TOKEN_USER_INACTIVE: "The user whom the token stands for is deactivated.",
    Reason.TOKEN_UNAVAILABLE: (
        "Tokens cannot be checked at the moment. Try again in a few seconds."
    ),
    Reason.NO_COMMON_SUBPROTOCOL: (
        "The client offered none of the subprotocols that this endpoint speaks."
    ),
    Reason.UPGRADE_STRIPPED: (
        "The handshake arrived as an ordinary HTTP request: a proxy in front of this "
        "server does not pass the upgrade on."
    ),
}


class MissingOrigin(StrEnum):
    """What to do with a handshake that has no Origin header at all."""

    REQUIRE_TOKEN = "require-token"  # noqa: S105  # a choice, no password
    DENY = "deny"
    ALLOW = "allow"


_REASONS: Final = {str(reason): reason for reason in Reason}
_REASON_OF_KIND: Final = {
    PatternKind.EXACT: Reason.LISTED,
    PatternKind.NULL: Reason.LISTED,
    PatternKind.SUBDOMAINS: Reason.WILDCARD,
    PatternKind.APEX_AND_SUBDOMAINS: Reason.WILDCARD,
    PatternKind.LABEL: Reason.WILDCARD,
    PatternKind.ANY_EXTENSION: Reason.WILDCARD,
    PatternKind.REGEX: Reason.REGEX,
    PatternKind.ALL: Reason.ALL_ORIGINS,
}

# Patterns that strangers can satisfy at will: they open a socket, never a session.
_NEVER_WITH_CREDENTIALS: Final = frozenset(
    {PatternKind.NULL, PatternKind.ANY_EXTENSION, PatternKind.ALL}
)


class Rule:
    """
    A pattern and where it came from; immutable.

    ``source`` names the place so that a person can find it, such as
    ``"CORS_ALLOWED_ORIGINS[2]"``. ``credentials`` says whether the cookies that
    come along count; for ``null``, ``*`` and any extension they never do. A rule
    with an ``audience`` matches only handshakes for that audience.
    """

    __slots__ = ("_entry", "_pattern")

    def __init__(
        self,
        pattern: OriginPattern,
        source: str,
        credentials: bool = True,
        audience: str = "",
        reason: Reason = Reason.LISTED,
    ) -> None:
        if reason is Reason.LISTED:
            reason = _REASON_OF_KIND[pattern.kind]
        self._pattern: OriginPattern | None = pattern
        self._entry: _Entry = (
            str(pattern.kind),
            pattern.scheme,
            pattern.host,
            pattern.port,
            pattern.before,
            pattern.after,
            source,
            credentials and pattern.kind not in _NEVER_WITH_CREDENTIALS,
            audience,
            str(reason),
        )

    @classmethod
    def _of(cls, entry: _Entry) -> Rule:
        """Return the rule that an entry of an index stands for."""
        rule = cls.__new__(cls)
        rule._entry, rule._pattern = entry, None
        return rule

    @property
    def pattern(self) -> OriginPattern:
        """What it covers."""
        if self._pattern is None:
            kind, scheme, host, port, before, after, *_ = self._entry
            self._pattern = OriginPattern(
                PatternKind(kind), scheme, host, port, before, after
            )
        return self._pattern

    @property
    def source(self) -> str:
        """Where it came from."""
        return self._entry[6]

    @property
    def credentials(self) -> bool:
        """Whether the cookies that come along count."""
        return self._entry[7]

    @property
    def audience(self) -> str:
        """The only audience for which it counts; empty: all."""
        return self._entry[8]

    @property
    def reason(self) -> Reason:
        """Why a handshake is allowed where it covers the origin."""
        return _REASONS[self._entry[9]]

    def replace(self, **changes: Any) -> Rule:
        """Return a rule that differs in these attributes."""
        names = ("pattern", "source", "credentials", "audience", "reason")
        return Rule(**{name: getattr(self, name) for name in names} | changes)

    def expand(self) -> tuple[Rule, ...]:
        """Return the rules this one stands for: two for the dot form, else itself."""
        if self.pattern.kind is not PatternKind.APEX_AND_SUBDOMAINS:
            return (self,)
        return tuple(
            Rule(pattern, self.source, self.credentials, self.audience)
            for pattern in self.pattern.expand()
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        # The pattern too: the flags of a regular expression are in no entry.
        return self._entry == other._entry and self.pattern == other.pattern

    def __hash__(self) -> int:
        return hash(self._entry)

    def __str__(self) -> str:
        return f"{self.pattern} ({self.source})"

    def __repr__(self) -> str:
        return f"<Rule {self}>"


class Decision(NamedTuple):
    """
    The answer to one handshake; true when it is allowed.

    ``rule`` is the rule that allowed it, where one did. ``credentials`` says
    whether the cookies that came along count.
    """

    allowed: bool
    reason: Reason
    rule: Rule | None = None
    credentials: bool = False

    def __bool__(self) -> bool:
        return self.allowed


class Nearest(NamedTuple):
    """The rule that came closest to an origin that no rule covers, and the difference."""

    rule: Rule
    difference: str

    def __str__(self) -> str:
        return f"{self.rule} {self.difference}"


class Explanation(NamedTuple):
    """
    A decision with its grounds.

    ``matches`` are all rules that cover the origin, the deciding one first;
    ``nearest`` is the rule that nearly did, where none does; ``problem`` says what
    is wrong with a malformed header.
    """

    decision: Decision
    origin: Origin | None
    matches: tuple[Rule, ...]
    nearest: Nearest | None
    problem: str


_MULTIPLE: Final = Decision(False, Reason.MULTIPLE)
_MALFORMED: Final = Decision(False, Reason.MALFORMED)
_OPAQUE: Final = Decision(False, Reason.OPAQUE)
_UNLISTED: Final = Decision(False, Reason.UNLISTED)
_HOST_NOT_ALLOWED: Final = Decision(False, Reason.HOST_NOT_ALLOWED)
_REWRITTEN: Final = Decision(False, Reason.ORIGIN_REWRITTEN)
_SAME_ORIGIN: Final = Decision(True, Reason.SAME_ORIGIN, None, True)


class Policy:
    """
    All rules, compiled once; immutable afterwards.

    A look-up asks a dictionary for the few canonical texts that could cover an
    origin, so its cost does not grow with the rules; regular expressions, which
    only settings may contain, are tried one after the other.

    ``same_origin`` allows the site's own pages, ``missing`` says what becomes of
    handshakes without an Origin header. ``base`` is a policy whose rules apply too.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        site: Site | None = None,
        same_origin: bool = False,
        missing: MissingOrigin = MissingOrigin.REQUIRE_TOKEN,
        base: Policy | None = None,
    ) -> None:
        self.site: Final = site or Site()
        self.same_origin: Final = same_origin
        self.missing: Final = missing
        self.base: Final = base
        # The narrower policies of endpoints, by their lists: they go when this goes.
        self.endpoints: Final[dict[tuple[str, ...], Policy]] = {}
        self._missing: Final = Decision(
            missing is MissingOrigin.ALLOW, Reason.MISSING, None, False
        )
        self._exact: Final[dict[str, tuple[_Entry, ...]]] = {}
        self._patterns: Final[dict[str, tuple[_Entry, ...]]] = {}
        self._regexes: Final[list[Rule]] = []
        self._suffixes: Final[set[str]] = set()
        self._label_shapes: Final[dict[str, set[tuple[int, int]]]] = {}
        self._by_host: Final[dict[str, tuple[_Entry, ...]]] = {}
        self._by_parent: Final[dict[str, _Entry]] = {}
        self._any_port = False
        self._rulings: Final[dict[tuple[str, str], _Ruling]] = {}
        self._answers: Final[dict[_Question, tuple[Handshake, Decision]]] = {}
        self._own: Final[list[_Entry | Rule]] = []
        self._content = 0
        for rule in rules:
            for one in rule.expand():
                self._index(one)

    def _index(self, rule: Rule) -> None:
        pattern, text = rule.pattern, str(rule.pattern)
        entry = rule._entry
        # A sum does not depend on the order, and needs no list of everything. The
        # expression itself is for its flags.
        content = repr((*entry, pattern.regex)).encode()
        self._content += int.from_bytes(hashlib.sha256(content).digest())
        if pattern.kind is PatternKind.REGEX:
            self._own.append(rule)
            self._regexes.append(rule)
            return
        self._own.append(entry)
        if pattern.port == "*":
            self._any_port = True
        exact = pattern.kind is PatternKind.EXACT and pattern.port != "*"
        index = self._exact if exact else self._patterns
        index[text] = (*index.get(text, ()), entry)
        if pattern.kind is PatternKind.SUBDOMAINS:
            self._suffixes.add(pattern.host)
        elif pattern.kind is PatternKind.LABEL:
            shape = (len(pattern.before), len(pattern.after))
            self._label_shapes.setdefault(pattern.host, set()).add(shape)
        if pattern.host:
            near = self._by_host.get(pattern.host, ())
            if len(near) < _NEAREST_PER_HOST:
                self._by_host[pattern.host] = (*near, entry)
            parent = pattern.host.partition(".")[2]
            if "." in parent and pattern.kind is PatternKind.EXACT:
                self._by_parent.setdefault(parent, entry)

    @property
    def own_rules(self) -> tuple[Rule, ...]:
        """This policy's own rules, without those of its base."""
        return tuple(
            one if isinstance(one, Rule) else Rule._of(one) for one in self._own
        )

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, this policy's own before those of its base."""
        return self.own_rules + (self.base.rules if self.base else ())

    @property
    def size(self) -> int:
        """How many rules there are, its base's included."""
        return len(self._own) + (self.base.size if self.base else 0)

    def rules_between(self, start: int, stop: int) -> tuple[Rule, ...]:
        """Return a slice of `rules`, without making all of them."""
        own = self._own[start:stop]
        found = tuple(one if isinstance(one, Rule) else Rule._of(one) for one in own)
        if self.base is None or stop <= len(self._own):
            return found
        skipped = len(self._own)
        return found + self.base.rules_between(max(start - skipped, 0), stop - skipped)

    def pieces(self) -> Iterator[object]:
        """
        Yield the indexes and what they hold, for those who let go of it bit by bit.

        In this order, each is quickly freed: an index owns nothing alone any more.
        """
        indexes = (self._exact, self._patterns, self._by_host, self._by_parent)
        yield from (self._own, *indexes)
        yield from self._own
        for index in indexes:
            yield from index
            yield from index.values()

    @cached_property
    def fingerprint(self) -> str:
        """
        Twelve hexadecimal digits that name the content.

        Two processes agree when their policies have the same one, in whatever
        order their sources gave the rules.
        """
        parts = (self._content, self.site, self.same_origin, self.missing)
        text = f"{parts}{self.base.fingerprint if self.base else ''}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def narrowed_to(self, rules: Sequence[Rule], *, with_site: bool) -> Policy:
        """Return a policy of these rules, and of this one's only if ``with_site``."""
        return Policy(
            rules,
            site=self.site,
            same_origin=self.same_origin and with_site,
            missing=self.missing,
            base=self if with_site else None,
        )

    def decide(self, handshake: Handshake, audience: str = "") -> Decision:
        """Decide whether a handshake may go on; pure, total, never raises."""
        value = handshake.origin
        if value is None:
            return self._missing
        known = self._rulings.get((value, audience))
        origin, decision = known or self._rule_on(value, audience)
        relation = self.site.relation(origin, handshake) if origin else None
        if relation is None or relation is Relation.INSECURE:
            return decision
        # Final, whatever the rules say: the header is somebody else's word.
        if handshake.is_cross_site:
            return _REWRITTEN
        if not self.same_origin:
            return decision
        if relation is Relation.SAME:
            return _SAME_ORIGIN
        return decision if decision.allowed else _HOST_NOT_ALLOWED

    def answer(
        self, scope: Scope, headers: Mapping[bytes, bytes], audience: str = ""
    ) -> tuple[Handshake, Decision]:
        """
        Read a scope and decide about it: what guards ask.

        The handshake has no other headers than those that decide. Pages of one origin
        at one endpoint share it, for as long as they stay.
        """
        get, told = headers.get, self.site.told
        question: _Question = (
            scope.get("path"),
            scope.get("scheme"),
            audience,
            application_subprotocols(scope) if scope.get("subprotocols") else (),
            get(b"origin"),
            get(b"host"),
            get(b"sec-fetch-site"),
        )
        if told:
            question += tuple(map(get, told))
        return self._answers.get(question) or self._answer(
            question, scope, headers, audience
        )

    def _answer(
        self,
        question: _Question,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        audience: str,
    ) -> tuple[Handshake, Decision]:
        names = (*BROWSER_HEADERS, *self.site.told)
        kept = {name: headers[name] for name in names if name in headers}
        handshake = read_handshake(scope, kept)
        answer = handshake, self.decide(handshake, audience)
        parts = (handshake.path, *handshake.subprotocols, *kept.values())
        # What is long would fill the memory, and what was redacted has a token in it.
        if (
            len(parts) <= _MAX_PARTS
            and max(map(len, parts)) <= MAX_LENGTH
            and handshake.path == question[0]
            and kept.get(b"origin") == headers.get(b"origin")
        ):
            if len(self._answers) >= _MAX_ANSWERS:
                self._answers.clear()
            self._answers[question] = answer
        return answer

    def _rule_on(self, value: str, audience: str) -> _Ruling:
        """Read a header and say what the rules alone decide; remember both."""
        origin, decision = None, _MALFORMED
        if value == "null":
            decision = self._allow(self._null(audience)) or _OPAQUE
        elif "," in value:
            decision = _MULTIPLE
        elif len(value) <= MAX_LENGTH:
            listed = self._listed(value, audience)
            if listed is not None:
                _, scheme, host, port, *_ = listed
                origin = Origin(scheme, host, port)  # type: ignore[arg-type]  # no "*"
                decision = Decision(True, _REASONS[listed[9]], Rule._of(listed), True)
            else:
                try:
                    origin = Origin.parse(value)
                except InvalidOrigin:
                    pass
                else:
                    decision = self._allow(self._matches(origin, audience)) or _UNLISTED
            if len(self._rulings) >= _MAX_RULINGS:
                self._rulings.clear()
            self._rulings[value, audience] = origin, decision
        return origin, decision

    def _listed(self, value: str, audience: str) -> _Entry | None:
        """Return what lists a header word for word, with all that a rule can grant."""
        for entry in self._exact.get(value, ()):
            if entry[7] and entry[8] in ("", audience):
                return entry
        return None

    def explain(self, handshake: Handshake, audience: str = "") -> Explanation:
        """Decide as `decide` does, and say which rules matched or nearly did."""
        decision = self.decide(handshake, audience)
        origin: Origin | None = None
        matches: tuple[Rule, ...] = ()
        nearest: Nearest | None = None
        problem = ""
        if handshake.origin == "null":
            matches = tuple(self._null(audience))
        elif handshake.origin is not None and decision is not _MULTIPLE:
            try:
                origin = Origin.parse(handshake.origin)
            except InvalidOrigin as exc:
                problem = exc.problem
            else:
                matches = tuple(self._matches(origin, audience))
        if decision.rule:
            others = (rule for rule in matches if rule != decision.rule)
            matches = (decision.rule, *others)
        elif origin and decision.reason is Reason.UNLISTED:
            nearest = self._nearest(origin, audience)
        return Explanation(decision, origin, matches, nearest, problem)

    @staticmethod
    def _allow(matches: Iterable[Rule]) -> Decision | None:
        """Allow by the first rule that grants credentials, else by the first rule."""
        first = None
        for rule in matches:
            if rule.credentials:
                return Decision(True, rule.reason, rule, True)
            first = first or rule
        return Decision(True, first.reason, first, False) if first else None

    def _matches(self, origin: Origin, audience: str) -> Iterator[Rule]:
        """Yield the rules that cover an origin, the most specific first."""
        yield from _for_audience(self._exact.get(origin.text, ()), audience)
        if self._patterns:
            for key in self._keys(origin):
                yield from _for_audience(self._patterns.get(key, ()), audience)
        for rule in self._regexes:
            regex = rule.pattern.regex
            if (
                rule.audience in ("", audience)
                and regex
                and regex.fullmatch(origin.text)
            ):
                yield rule
        if self.base:
            yield from self.base._matches(origin, audience)

    def _null(self, audience: str) -> Iterator[Rule]:
        """Yield the rules that list ``null``; no wildcard or expression covers it."""
        yield from _for_audience(self._patterns.get("null", ()), audience)
        if self.base:
            yield from self.base._null(audience)

    def _keys(self, origin: Origin) -> Iterator[str]:
        """Yield the canonical text of each pattern that could cover an origin."""
        scheme, host = origin.scheme, origin.host
        ports = [":*"] if self._any_port else []
        if self._any_port:
            yield f"{scheme}://{host}:*"
        ports.insert(0, "" if origin.port is None else f":{origin.port}")
        label, dot, rest = host.partition(".")
        if rest in self._label_shapes:
            for before, after in self._label_shapes[rest]:
                if before + after < len(label):
                    star = f"{label[:before]}*{label[len(label) - after :]}"
                    for port in ports:
                        yield f"{scheme}://{star}.{rest}{port}"
        while dot:
            if rest in self._suffixes:
                for port in ports:
                    yield f"{scheme}://*.{rest}{port}"
            _, dot, rest = rest.partition(".")
        if scheme == "moz-extension" and origin.port is None and is_extension_id(host):
            yield "moz-extension://*"
        yield "*"

    def _nearest(self, origin: Origin, audience: str) -> Nearest | None:
        """Find the rule that differs least, by look-ups that do not grow with the rules."""
        candidates = [
            Nearest(rule, difference)
            for rule in map(Rule._of, self._by_host.get(origin.host, ()))
            if (difference := _difference(rule, origin, audience))
        ]
        if candidates:
            return min(candidates, key=lambda near: near.difference.count(" and "))
        labels = origin.host.split(".")
        for i in range(1, len(labels)):
            above = [
                Rule._of(entry) for entry in self._by_host.get(".".join(labels[i:]), ())
            ]
            if above:
                wildcard = next(
                    (one for one in above if _is_below(one, labels, i)), None
                )
                if wildcard is None:
                    return Nearest(above[0], "does not cover this name below it")
                return Nearest(wildcard, _difference(wildcard, origin, audience, i))
        for i in range(len(labels) - 1, 1, -1):
            start = self._by_host.get(".".join(labels[:i]))
            if start:
                rest = ".".join(labels[i:])
                only = f"only begins alike: the name goes on with .{rest}"
                return Nearest(Rule._of(start[0]), only)
        sibling = self._by_parent.get(origin.host.partition(".")[2])
        if sibling:
            return Nearest(Rule._of(sibling), "differs in the first part of the name")
        return self.base._nearest(origin, audience) if self.base else None


# A rule in the indexes: kind, scheme, host, port, before, after; source, credentials,
# audience, reason. Tuples of plain values, since the garbage collector stops looking at
# those: with 100,000 rules as objects, each full collection would hold up the event
# loop.
_Entry = tuple[str, str, str, int | Literal["*"] | None, str, str, str, bool, str, str]

# What a decision looks at: path, scheme, audience, subprotocols, and the headers' values.
_Question = tuple[Any, ...]
# What a header says, and what the rules alone decide about it.
_Ruling = tuple[Origin | None, Decision]


def _for_audience(entries: tuple[_Entry, ...], audience: str) -> Iterator[Rule]:
    for entry in entries:
        if entry[8] in ("", audience):
            yield Rule._of(entry)


def _is_below(rule: Rule, labels: list[str], depth: int) -> bool:
    """Whether a rule's wildcard covers names this deep, whatever scheme and port."""
    if rule.pattern.kind is PatternKind.LABEL and depth == 1:
        before, after = rule.pattern.before, rule.pattern.after
        label = labels[0]
        fits = label.startswith(before) and label.endswith(after)
        return fits and len(label) > len(before) + len(after)
    return rule.pattern.kind is PatternKind.SUBDOMAINS


def _difference(rule: Rule, origin: Origin, audience: str, depth: int = 0) -> str:
    """Say in what a rule for the same host differs from an origin, or nothing."""
    pattern = rule.pattern
    if not depth and pattern.kind is PatternKind.SUBDOMAINS:
        return "covers names below it, not the name itself"
    if not depth and pattern.kind is PatternKind.LABEL:
        return "covers some names below it, not the name itself"
    differences = []
    if pattern.scheme != origin.scheme:
        differences.append(f"the scheme ({pattern.scheme})")
    if pattern.port not in ("*", origin.port):
        differences.append(f"the port ({pattern.port or 'the default'})")
    if rule.audience not in ("", audience):
        if not differences:
            return f"is for the audience {rule.audience!r} only"
        differences.append(f"the audience ({rule.audience!r})")
    return f"differs only in {' and '.join(differences)}" if differences else ""
