"""
A rule: a pattern, where it came from, and what it grants.

Which rule covers an origin is found by `wsorigin.policy`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from .patterns import OriginPattern, PatternKind
from .reasons import Reason

# A rule in the indexes: kind, scheme, host, port, before, after; source, credentials,
# audience, reason. Tuples of plain values, since the garbage collector stops looking at
# those: with 100,000 rules as objects, each full collection would hold up the event
# loop.
Entry = tuple[str, str, str, int | Literal["*"] | None, str, str, str, bool, str, str]
# Where each stands in it. No NamedTuple: of those the collector never stops.
SOURCE: Final = 6
CREDENTIALS: Final = 7
AUDIENCE: Final = 8
REASON: Final = 9

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

    __slots__ = ("_pattern", "entry")

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
        self.entry: Entry = (
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
    def of(cls, entry: Entry) -> Rule:
        """Return the rule that an entry of an index stands for."""
        rule = cls.__new__(cls)
        rule.entry, rule._pattern = entry, None
        return rule

    @property
    def pattern(self) -> OriginPattern:
        """What it covers."""
        if self._pattern is None:
            kind, scheme, host, port, before, after, *_ = self.entry
            self._pattern = OriginPattern(
                PatternKind(kind), scheme, host, port, before, after
            )
        return self._pattern

    @property
    def source(self) -> str:
        """Where it came from."""
        return self.entry[SOURCE]

    @property
    def credentials(self) -> bool:
        """Whether the cookies that come along count."""
        return self.entry[CREDENTIALS]

    @property
    def audience(self) -> str:
        """The only audience for which it counts; empty: all."""
        return self.entry[AUDIENCE]

    @property
    def reason(self) -> Reason:
        """Why a handshake is allowed where it covers the origin."""
        return _REASONS[self.entry[REASON]]

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
        return self.entry == other.entry and self.pattern == other.pattern

    def __hash__(self) -> int:
        return hash(self.entry)

    def __str__(self) -> str:
        return f"{self.pattern} ({self.source})"

    def __repr__(self) -> str:
        return f"<Rule {self}>"
