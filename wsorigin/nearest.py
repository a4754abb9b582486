"""
The rule that nearly covers an origin: what an explanation of a denial points to.

Nothing here decides.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .origins import Origin
from .patterns import OriginPattern, PatternKind
from .rules import Entry, Rule

# A host can be in many rules that differ in the port. Enough to find the nearest.
_MOST_PER_HOST: Final = 20


class Nearest(NamedTuple):
    """The rule that came closest to an origin that no rule covers, and the difference."""

    rule: Rule
    difference: str

    def __str__(self) -> str:
        return f"{self.rule} {self.difference}"


class Neighbours:
    """Rules by their hosts; a look-up costs the same however many there are."""

    __slots__ = ("by_host", "by_parent")

    def __init__(self) -> None:
        self.by_host: Final[dict[str, tuple[Entry, ...]]] = {}
        self.by_parent: Final[dict[str, Entry]] = {}

    def add(self, pattern: OriginPattern, entry: Entry) -> None:
        """Remember a rule, unless its host has enough of them."""
        if pattern.host:
            near = self.by_host.get(pattern.host, ())
            if len(near) < _MOST_PER_HOST:
                self.by_host[pattern.host] = (*near, entry)
            parent = pattern.host.partition(".")[2]
            if "." in parent and pattern.kind is PatternKind.EXACT:
                self.by_parent.setdefault(parent, entry)

    def find(self, origin: Origin, audience: str) -> Nearest | None:
        """Return the rule that differs least from an origin that none covers."""
        candidates = [
            Nearest(rule, difference)
            for rule in map(Rule.of, self.by_host.get(origin.host, ()))
            if (difference := _difference(rule, origin, audience))
        ]
        if candidates:
            return min(candidates, key=lambda near: near.difference.count(" and "))
        labels = origin.host.split(".")
        for i in range(1, len(labels)):
            above = [
                Rule.of(entry) for entry in self.by_host.get(".".join(labels[i:]), ())
            ]
            if above:
                wildcard = next(
                    (one for one in above if _is_below(one, labels, i)), None
                )
                if wildcard is None:
                    return Nearest(above[0], "does not cover this name below it")
                return Nearest(wildcard, _difference(wildcard, origin, audience, i))
        for i in range(len(labels) - 1, 1, -1):
            start = self.by_host.get(".".join(labels[:i]))
            if start:
                rest = ".".join(labels[i:])
                only = f"only begins alike: the name goes on with .{rest}"
                return Nearest(Rule.of(start[0]), only)
        sibling = self.by_parent.get(origin.host.partition(".")[2])
        if sibling:
            return Nearest(Rule.of(sibling), "differs in the first part of the name")
        return None


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
