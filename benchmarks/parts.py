"""
The parts of a run, each by its name: what it prints, writes and promises.

How anything is measured has modules of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from types import ModuleType
from typing import Any, Final

from . import (
    closing,
    crowded,
    decision,
    flood,
    live,
    preflight,
    refresh,
    servers,
    tokens,
)
from .figures import Figures, by_table, table
from .plot import Bar, Line, bars, chart
from .rounds import TIMES, Effort, Promise, Result, measure, number

_OF_FIGURES: Final[Mapping[str, ModuleType]] = {
    "preflight": preflight,
    "tokens": tokens,
    "live": live,
    "closing": closing,
    "servers": servers,
    "crowded": crowded,
}
NAMES: Final = ("decision", "refresh", "flood", *_OF_FIGURES)


@dataclass
class Piece:
    """
    A piece of a run, as soon as it is done.

    ``rows`` are held against other runs', ``more`` is what else the report has, by
    name; ``pictures`` are SVG by title.
    """

    lines: Sequence[str] = ()
    rows: Sequence[dict[str, Any]] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    promises: Sequence[Promise] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)


def measured(name: str, *, quick: bool, effort: Effort) -> Iterator[Piece]:
    """Measure one part; yield it piece by piece."""
    if name == "decision":
        yield from decisions(quick=quick, effort=effort)
    elif name == "refresh":
        kept_up = refresh.results(quick=quick)
        yield Piece(
            list(refresh.table(kept_up)),
            more={"refresh": kept_up},
            promises=list(refresh.promises(kept_up)),
        )
    elif name == "flood":
        found = flood.results(quick=quick)
        yield Piece(list(flood.lines(found)), more={"flood": found})
    else:
        module = _OF_FIGURES[name]
        figures = module.results(quick=quick, effort=effort)
        yield Piece(
            list(table(figures)) or [f"{name}: not measured, a program is missing"],
            rows=[row for one in figures for row in one.rows()],
            promises=list(module.promises(figures)),
            pictures=dict(pictures(figures)),
        )


def decisions(*, quick: bool, effort: Effort) -> Iterator[Piece]:
    """Measure the decision and the guard; the promises come last."""
    results = []
    for comparison in decision.comparisons(quick=quick):
        result = measure(comparison, effort)
        results.append(result)
        name = f"{comparison.question} {comparison.case}"
        yield Piece(
            list(sizes_table(result)),
            rows=list(result.rows()),
            pictures={name: lines_drawn(result)},
        )
    too_slow = [row for result in results for row in result.too_slow_rows()]
    yield Piece(more={"too_slow": too_slow}, promises=list(decision.promises(results)))


def sizes_table(result: Result) -> Iterator[str]:
    """Yield the lines of a table: contenders down, sizes across."""
    comparison = result.comparison
    sizes = sorted({size for _, size in result.samples})
    heads = [f"{size:,}" for size in sizes]
    yield f"{comparison.question}: {comparison.case}"
    yield _line("rules", heads, f"{TIMES} {comparison.reference}")
    for name in result.names:
        measured = result.sizes(name)
        cells = [
            number(result.micros(name, size).median) if size in measured else "-"
            for size in sizes
        ]
        ratio = ""
        if measured:
            at = measured[-1]
            ratio = str(result.ratio((name, at), (comparison.reference, at)))
            ratio += f" at {at:,}"
        yield _line(name, cells, ratio)
    for name, size in result.too_slow.items():
        yield f"  {name}: not measured from {size:,} on, where one call is too slow"


def _line(name: str, cells: Sequence[str], last: str) -> str:
    return f"  {name:<20}" + "".join(f"{cell:>10}" for cell in cells) + f"   {last}"


def lines_drawn(result: Result) -> str:
    """Draw a result over sizes: a line for each contender."""
    comparison = result.comparison
    lines = [
        Line(
            name,
            [(at, result.micros(name, at).median) for at in result.sizes(name)],
        )
        for name in result.names
    ]
    title = f"{comparison.question}: {comparison.case}"
    return chart(title, "number of rules", "CPU time of one call", lines)


def pictures(figures: Sequence[Figures]) -> Iterator[tuple[str, str]]:
    """Yield pictures by name: of each table its first unit, where ratios are."""
    for (question, case), group in groupby(figures, by_table):
        first, *_ = group
        if first.reference:
            yield f"{question} {case}", drawn(first)


def drawn(figures: Figures) -> str:
    """Draw figures: a bar for each contender."""
    rows = [
        Bar(name, *figures.spread(name), is_ours=name.startswith("wsorigin"))
        for name in figures.samples
    ]
    better = "more" if figures.more_is_better else "less"
    title = f"{figures.question}: {figures.case}"
    return bars(title, f"{figures.unit}; {better} is better", rows)
