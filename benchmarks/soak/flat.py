"""
Whether a series of measurements is flat.

By the slope of most of its pairs (Theil and Sen), which a few odd ones do not move.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple

# Caches fill, threads start and the allocator takes what it needs.
_WARM_UP: Final = 0.3
# Fewer tell nothing.
_FEWEST: Final = 4
# For each pair of points a slope: of so many points there are enough.
_MOST: Final = 300


class Measure(NamedTuple):
    """
    What is measured: its unit, and how much it may grow in a run and still be flat.

    ``most`` is in units, ``share`` of where it was after the warm-up; the greater counts.
    What has a ``bound`` may grow up to that, and never beyond.
    """

    name: str
    unit: str
    most: float = 0.0
    share: float = 0.0
    bound: float | None = None


OF_SERVERS: Final = (
    Measure("memory", "MiB", 4, 0.05),
    # Daphne's come and go by two thousand, so that a few samples may seem to rise.
    Measure("objects", "Python objects", 3000, 0.005),
    Measure("tasks", "asyncio tasks", 2),
    Measure("threads", "threads", 2),
    Measure("descriptors", "file descriptors", 3),
    Measure("connections", "watched connections", 0.5),
)
OF_DATABASE: Final = (
    Measure("denials", "rows", bound=200),  # WSORIGIN_AUDIT_MAX_ROWS, settings.py
    Measure("tokens", "rows", 10, 0.1),
    Measure("sessions", "rows", 2),
    Measure("orders", "rows", 2),
    Measure("origins", "rows", 2),
)


class Series(NamedTuple):
    """Measurements of one thing: seconds since the start, and what there was."""

    who: str
    measure: Measure
    points: Sequence[tuple[float, float]]

    @property
    def warm(self) -> Sequence[tuple[float, float]]:
        """Those after the warm-up."""
        return self.points[int(len(self.points) * _WARM_UP) :]

    @property
    def is_long_enough(self) -> bool:
        """Whether there are enough of them to tell."""
        return len(self.warm) >= _FEWEST

    @property
    def growth(self) -> float:
        """How much more there is at the end than after the warm-up, in units."""
        warm = self.warm
        if self.measure.bound is not None:
            return max(value for _, value in warm) - warm[0][1]
        seconds = warm[-1][0] - warm[0][0]
        return slope(warm[:: -(-len(warm) // _MOST)]) * seconds

    @property
    def allowed(self) -> float:
        """How much that may be."""
        if self.measure.bound is not None:
            return self.measure.bound - self.warm[0][1]
        return max(self.measure.most, self.measure.share * self.warm[0][1])

    @property
    def is_flat(self) -> bool:
        """Whether it is no more."""
        return self.growth <= self.allowed

    def row(self) -> dict[str, Any]:
        """Return it in numbers, for a report."""
        warm = self.warm
        return {
            "who": self.who,
            "what": self.measure.name,
            "unit": self.measure.unit,
            "start": round(warm[0][1], 2),
            "end": round(warm[-1][1], 2),
            "growth": round(self.growth, 2),
            "allowed": round(self.allowed, 2),
            "flat": self.is_flat,
        }


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the median of the slopes of all pairs; points are in order of time."""
    return statistics.median(
        (b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2)
    )
