"""
What several contenders came to, in rounds, in any unit: handshakes a second, KiB.

They are summarised, compared and made into lines here. How they were measured is the
callers' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Final

from .rounds import TIMES, Result, Spread, number

_NAMES: Final = 44
_CELL: Final = 26
_NARROW: Final = 14


@dataclass(slots=True)
class Figures:
    """
    The figures of some contenders for one question in one case, one for each round.

    ``reference`` is the name of the contender that the others are multiples of;
    without one, nobody's figures are set beside another's. ``more_is_better`` is true
    of handshakes a second, false of microseconds. Plain data, so that processes may
    tell each other.
    """

    question: str
    case: str
    unit: str
    samples: dict[str, list[float]]
    reference: str = ""
    more_is_better: bool = False

    @classmethod
    def of(cls, result: Result) -> Figures:
        """Take over a comparison that was measured at one size."""
        comparison = result.comparison
        return cls(
            comparison.question,
            comparison.case,
            "µs",
            {
                name: [nanoseconds / 1000 for nanoseconds in samples]
                for (name, _), samples in result.samples.items()
            },
            comparison.reference,
        )

    def add(self, name: str, value: float) -> None:
        """Add a contender's figure of another round."""
        self.samples.setdefault(name, []).append(value)

    def spread(self, name: str) -> Spread:
        """Summarise a contender's figures."""
        return Spread.of(self.samples[name])

    def ratio(self, name: str, to: str = "") -> Spread:
        """Return what part or multiple of another's a contender's is, by rounds."""
        pairs = self._pairs(name, to or self.reference)
        return Spread.of([mine / theirs for mine, theirs in pairs])

    def difference(self, name: str, to: str = "") -> Spread:
        """Return by how much a contender's is more than another's, by rounds."""
        pairs = self._pairs(name, to or self.reference)
        return Spread.of([mine - theirs for mine, theirs in pairs])

    def _pairs(self, name: str, other: str) -> Iterator[tuple[float, float]]:
        return zip(self.samples[name], self.samples[other], strict=True)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what was measured, ready for JSON."""
        for name in self.samples:
            row: dict[str, Any] = {
                "question": self.question,
                "case": self.case,
                "contender": name,
                "unit": self.unit,
                "value": self.spread(name)._asdict(),
                "more_is_better": self.more_is_better,
            }
            if self.reference:
                ratio = self.ratio(name)._asdict()
                row["ratio"] = {"to": self.reference, **ratio}
            yield row

    def plain(self) -> dict[str, Any]:
        """Return it as plain data; ``Figures(**plain)`` is the way back."""
        return asdict(self)


def by_table(figures: Figures) -> tuple[str, str]:
    """Return what figures have in common that stand in one table, side by side."""
    return figures.question, figures.case


def table(figures: Sequence[Figures]) -> Iterator[str]:
    """
    Yield the lines of tables: contenders down, and units across.

    Of the first unit with its range, and with the ratios; of others the median.
    """
    for (question, case), group in groupby(figures, by_table):
        first, *others = group
        yield f"{question}: {case}" if case else question
        heads = f"{first.unit:>{_CELL}}"
        heads += "".join(f"{one.unit:>{_NARROW}}" for one in others)
        yield f"  {'':<{_NAMES}}{heads}" + (
            f"   {TIMES} {first.reference}" if first.reference else ""
        )
        for name in first.samples:
            cells = f"{_cell(first.spread(name)):>{_CELL}}"
            for one in others:
                known = name in one.samples
                text = number(one.spread(name).median) if known else "-"
                cells += f"{text:>{_NARROW}}"
            if first.reference:
                cells += f"   {first.ratio(name)}"
            yield f"  {name:<{_NAMES}}{cells}"


def _cell(spread: Spread) -> str:
    # A single round has no range.
    return number(spread.median) if spread.low == spread.high else str(spread)
