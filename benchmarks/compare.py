"""
Holding one run against another: which ratios of wsorigin have become worse.

Microseconds belong to a machine and ratios do not, so that a run on one machine may be
held against one on another. How either was measured is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from .rounds import Spread

# Two runs on an idle machine differ by less. Together with ranges that do not touch.
_TOLERANCE: Final = 1.25

Row = Mapping[str, Any]


class Fallen(NamedTuple):
    """A row that has become worse, with the ratios before and after."""

    name: str
    to: str
    then: Spread
    now: Spread

    def __str__(self) -> str:
        return f"{self.name}: {self.then}, now {self.now}, times {self.to}"


def fallen(then: Iterable[Row], now: Iterable[Row]) -> Iterator[Fallen]:
    """
    Yield what has become worse, of the rows that both runs have.

    That is where even the best round is worse than the worst one was, and the median
    by more than a quarter. Raises ValueError where the runs have nothing in common.
    """
    before = dict(map(_keyed, filter(_is_ours, then)))
    pairs = [
        (key, before[key], row)
        for key, row in map(_keyed, filter(_is_ours, now))
        if key in before
    ]
    if not pairs:
        raise ValueError("these two runs measured nothing that is the same")
    for key, old, new in pairs:
        *name, to = key
        was, is_now = (_spread(row["ratio"]) for row in (old, new))
        if new.get("more_is_better"):
            worse = is_now.high < was.low
            factor = was.median / is_now.median
        else:
            worse = is_now.low > was.high
            factor = is_now.median / was.median
        if worse and factor > _TOLERANCE:
            yield Fallen(", ".join(filter(None, name)), to, was, is_now)


def lines(found: Iterable[Fallen]) -> Iterator[str]:
    """Yield the verdict: each row that fell, or that none did."""
    rows = list(found)
    yield f"{len(rows)} fell" if rows else "none of the ratios fell"
    for row in rows:
        yield f"    {row}"


def _is_ours(row: Row) -> bool:
    """Whether it is wsorigin that was measured, beside somebody else."""
    return row["contender"].startswith("wsorigin") and "ratio" in row


def _keyed(row: Row) -> tuple[tuple[str, ...], Row]:
    size = f"{row['size']:,}" if "size" in row else ""
    name = (row["question"], row["case"], row["contender"], size)
    return (*name, row.get("unit", ""), row["ratio"]["to"]), row


def _spread(ratio: Row) -> Spread:
    return Spread(ratio["median"], ratio["low"], ratio["high"])
