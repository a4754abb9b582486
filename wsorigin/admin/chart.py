"""
A chart of counts per day as plain shapes: no script, no style of its own.

The template draws them; a table beside it says the same in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 160
_LEFT: Final = 44
_RIGHT: Final = 12
_TOP: Final = 8
_BOTTOM: Final = 22
# As many as the admin's variables have colours that can be told apart.
MAX_SERIES: Final = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a day's column."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on one of the axes."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """
    Columns of a period, stacked by series.

    ``series`` are the names, the largest first; those beyond the colours are one.
    ``days`` has a row per day that has something: the day, and a count per series.
    """

    series: Sequence[str]
    totals: Sequence[int]
    bars: Sequence[Bar]
    rows: Sequence[Tick]
    columns: Sequence[Tick]
    days: Sequence[tuple[date, Sequence[int]]]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def legend(self) -> list[tuple[str, int]]:
        """Each series with its sum."""
        return list(zip(self.series, self.totals, strict=True))

    @property
    def total(self) -> int:
        """All that was counted."""
        return sum(self.totals)


def draw(
    counts: Mapping[tuple[date, str], int], last: date, *, days: int, others: str
) -> Chart:
    """
    Draw counts per day and name, for the days up to ``last``.

    ``others`` names the series that the small ones are summed up in.
    """
    first = last - timedelta(days=days - 1)
    series = _series(counts, others)
    table = {first + timedelta(days=n): [0] * len(series) for n in range(days)}
    for (day, name), count in counts.items():
        if day in table:
            index = series.index(name) if name in series else len(series) - 1
            table[day][index] += count
    highest = nice_ceiling(max(map(sum, table.values()), default=0))
    scale = (HEIGHT - _TOP - _BOTTOM) / highest
    slot = (WIDTH - _LEFT - _RIGHT) / days
    bars, columns = [], []
    for number, (day, values) in enumerate(table.items()):
        x, y = _LEFT + number * slot, float(HEIGHT - _BOTTOM)
        for index, value in enumerate(values):
            if value:
                # At least one unit high: a single denial among thousands is one, too.
                height = max(value * scale, 1.5)
                y -= height
                title = f"{day:%Y-%m-%d}: {value} {series[index]}"
                bars.append(
                    Bar(
                        round(x + slot * 0.1, 1),
                        round(y, 1),
                        round(slot * 0.8, 1),
                        round(height, 1),
                        index,
                        title,
                    )
                )
        if (days - 1 - number) % 7 == 0:
            middle = round(x + slot / 2, 1)
            columns.append(Tick(middle, HEIGHT - 6, f"{day:%m-%d}"))
    rows = [
        Tick(_LEFT, round(HEIGHT - _BOTTOM - value * scale, 1), f"{value:,}")
        for value in sorted({0, highest // 2, highest})
    ]
    totals = [
        sum(values[index] for values in table.values()) for index in range(len(series))
    ]
    busy = [(day, values) for day, values in table.items() if any(values)]
    return Chart(series, totals, bars, rows, columns, busy[::-1])


def _series(counts: Mapping[tuple[date, str], int], others: str) -> list[str]:
    """Return the names by their sums; the small ones as one where they are many."""
    sums: dict[str, int] = {}
    for (_day, name), count in counts.items():
        sums[name] = sums.get(name, 0) + count
    names = sorted(sums, key=lambda name: (-sums[name], name))
    if len(names) > MAX_SERIES + 1:
        names = [*names[:MAX_SERIES], others]
    return names


def nice_ceiling(value: int) -> int:
    """Return the next 1, 2 or 5 with zeros: what an axis can end with."""
    power = 1
    while power * 5 < value:
        power *= 10
    return next(power * factor for factor in (1, 2, 5) if power * factor >= value)
