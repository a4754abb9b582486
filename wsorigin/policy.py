"""
The policy: all rules, compiled; and the one function that decides.

Guard, command, checks and tests all ask `Policy.decide`; nothing else compares
origins. Where the rules come from is the sources' business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from .handshake import (
    BROWSER_HEADERS,
    Handshake,
    Scope,
    application_subprotocols,
    read_handshake,
)
from .nearest import Nearest, Neighbours
from .origins import MAX_LENGTH, InvalidOrigin, Origin
from .patterns import PatternKind, is_extension_id
from .reasons import MissingOrigin, Reason
from .rules import AUDIENCE, CREDENTIALS, Entry, Rule
from .site import Relation, Site

# All that a caller of `Policy` needs, whatever room it lives in.
__all__ = [
    "SITE",
    "Decision",
    "Explanation",
    "MissingOrigin",
    "Nearest",
    "Policy",
    "Reason",
    "Rule",
]

#: In ``allowed_origins``: everything that the site's own settings and rows allow.
SITE: Final = "wsorigin.SITE"

# Pages come from few origins, so most headers were read before. The bound keeps
# strangers' values from growing it: at most 1 MiB.
_MAX_RULINGS: Final = 1024
_MAX_ANSWERS: Final = 1024
_MAX_PARTS: Final = 10


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
        self._exact: Final[dict[str, tuple[Entry, ...]]] = {}
        self._patterns: Final[dict[str, tuple[Entry, ...]]] = {}
        self._regexes: Final[list[Rule]] = []
        self._suffixes: Final[set[str]] = set()
        self._label_shapes: Final[dict[str, set[tuple[int, int]]]] = {}
        self._neighbours: Final = Neighbours()
        self._any_port = False
        self._rulings: Final[dict[tuple[str, str], _Ruling]] = {}
        self._answers: Final[dict[_Question, tuple[Handshake, Decision]]] = {}
        self._own: Final[list[Entry | Rule]] = []
        self._content = 0
        for rule in rules:
            for one in rule.expand():
                self._index(one)

    def _index(self, rule: Rule) -> None:
        pattern, text = rule.pattern, str(rule.pattern)
        entry = rule.entry
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
        self._neighbours.add(pattern, entry)

    @property
    def own_rules(self) -> tuple[Rule, ...]:
        """This policy's own rules, without those of its base."""
        return tuple(
            one if isinstance(one, Rule) else Rule.of(one) for one in self._own
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
        found = tuple(one if isinstance(one, Rule) else Rule.of(one) for one in own)
        if self.base is None or stop <= len(self._own):
            return found
        skipped = len(self._own)
        return found + self.base.rules_between(max(start - skipped, 0), stop - skipped)

    def pieces(self) -> Iterator[object]:
        """
        Yield the indexes and what they hold, for those who let go of it bit by bit.

        In this order, each is quickly freed: an index owns nothing alone any more.
        """
        near = self._neighbours
        indexes = (self._exact, self._patterns, near.by_host, near.by_parent)
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
                rule = Rule.of(listed)
                decision = Decision(True, rule.reason, rule, True)
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

    def _listed(self, value: str, audience: str) -> Entry | None:
        """Return what lists a header word for word, with all that a rule can grant."""
        for entry in self._exact.get(value, ()):
            if entry[CREDENTIALS] and entry[AUDIENCE] in ("", audience):
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
        """Find the rule that nearly covers an origin: an own one, else of the base."""
        nearest = self._neighbours.find(origin, audience)
        if nearest is None and self.base:
            return self.base._nearest(origin, audience)
        return nearest


# What a decision looks at: path, scheme, audience, subprotocols, and the headers' values.
_Question = tuple[Any, ...]
# What a header says, and what the rules alone decide about it.
_Ruling = tuple[Origin | None, Decision]


def _for_audience(entries: tuple[Entry, ...], audience: str) -> Iterator[Rule]:
    for entry in entries:
        if entry[AUDIENCE] in ("", audience):
            yield Rule.of(entry)
