"""
Measuring side by side: contenders take turns, and ratios stay inside a round.

A shared machine is faster now and slower then, so only samples taken close together
compare. What is measured, and what it should cost, is the callers' business.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import cycle, islice
from typing import Any, Final, NamedTuple

# Written so because linters take the sign for a letter.
TIMES: Final = "\N{MULTIPLICATION SIGN}"


class Spread(NamedTuple):
    """A median, with the lowest and the highest of the values it stands for."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise values, one for each round."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.low)}-{number(self.high)})"


@dataclass(frozen=True, slots=True)
class Effort:
    """
    How much to measure.

    A sample is repeated calls that take at least ``sample_ns`` together. A contender
    that takes longer than ``too_slow_ns`` for one call is not measured, nor at any
    larger size. The clock is the thread's CPU time: other processes disturb it least,
    and what threads of ours do in the background is not a call's cost.
    """

    rounds: int
    sample_ns: int
    too_slow_ns: int
    clock: Callable[[], int] = time.thread_time_ns


@dataclass(frozen=True, slots=True)
class Contender:
    """
    Something to measure, and the size (of a list, a table) to measure it at.

    ``call`` is given one of ``subjects`` after the other, over and over; its result
    is awaited where ``awaited``. ``around`` makes the context that it needs, whose
    coming and going is not measured.
    """

    name: str
    size: int
    call: Callable[[Any], Any]
    subjects: Sequence[Any]
    awaited: bool = False
    around: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    Contenders that answer one question, in one case.

    ``contenders`` are grouped by name, sizes ascending: what is compared lies close
    together in time. ``reference`` is the name of the one that the others are
    multiples of, at the same size.
    """

    question: str
    case: str
    reference: str
    contenders: Sequence[Contender]


@dataclass(slots=True)
class Result:
    """
    The samples of a comparison: nanoseconds per call, one for each round.

    ``too_slow`` holds the size at which a contender was given up.
    """

    comparison: Comparison
    samples: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    too_slow: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The contenders, in their order."""
        return list(dict.fromkeys(one.name for one in self.comparison.contenders))

    def sizes(self, name: str) -> list[int]:
        """Return the sizes at which a contender was measured."""
        return [size for measured, size in self.samples if measured == name]

    def micros(self, name: str, size: int) -> Spread:
        """Return the cost of one call in microseconds."""
        return Spread.of([sample / 1000 for sample in self.samples[name, size]])

    def ratio(self, one: tuple[str, int], other: tuple[str, int]) -> Spread:
        """Return how many times as much one costs as the other, by rounds."""
        rounds = zip(self.samples[one], self.samples[other], strict=True)
        return Spread.of([mine / theirs for mine, theirs in rounds])

    def multiple(self, name: str, size: int) -> Spread:
        """Return how many times as much one costs as the reference."""
        return self.ratio((name, size), (self.comparison.reference, size))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what was measured, ready for JSON."""
        comparison = self.comparison
        for name, size in self.samples:
            yield {
                "question": comparison.question,
                "case": comparison.case,
                "contender": name,
                "size": size,
                "micros": self.micros(name, size)._asdict(),
                "ratio": {
                    "to": comparison.reference,
                    **self.multiple(name, size)._asdict(),
                },
            }

    def too_slow_rows(self) -> Iterator[dict[str, Any]]:
        """Yield what was given up, ready for JSON."""
        for name, size in self.too_slow.items():
            yield {
                "question": self.comparison.question,
                "case": self.comparison.case,
                "contender": name,
                "from_size": size,
            }


class Promise(NamedTuple):
    """
    A bound that we promise to keep, and what it was in each case.

    ``text`` is the sentence, with a place for the figure; ``bound`` is the most that it
    may be or, where ``at_least``, the least.
    """

    text: str
    bound: float
    cases: dict[str, Spread]
    at_least: bool = False

    @property
    def worst(self) -> str:
        """The case with the worst median, which is the one that counts."""
        pick = min if self.at_least else max
        return pick(self.cases, key=lambda case: self.cases[case].median)

    @property
    def is_met(self) -> bool:
        """Whether even the worst case keeps it."""
        median = self.cases[self.worst].median
        return median >= self.bound if self.at_least else median <= self.bound

    @property
    def side(self) -> str:
        """Which side of the bound is the right one, in words."""
        return "at least" if self.at_least else "at most"

    def __str__(self) -> str:
        ratio = self.cases[self.worst]
        verdict = "met" if self.is_met else "not met"
        sentence = self.text.format(number(ratio.median))
        bounds = f"{number(ratio.low)}-{number(ratio.high)}; {self.side} {self.bound}"
        return f"{sentence} ({bounds}): {verdict}"

    def row(self) -> dict[str, Any]:
        """Return the promise and what became of it, ready for JSON."""
        return {
            "text": self.text,
            self.side.replace(" ", "_"): self.bound,
            "met": self.is_met,
            "worst": self.worst,
            "cases": {case: ratio._asdict() for case, ratio in self.cases.items()},
        }


def measure(comparison: Comparison, effort: Effort) -> Result:
    """Let the contenders take turns: A B C, A B C, as many rounds as asked for."""
    result = Result(comparison)
    with asyncio.Runner() as runner:
        stopwatches = []
        for contender in comparison.contenders:
            if contender.name in result.too_slow:
                continue
            stopwatch = _Stopwatch(contender, effort, runner)
            if stopwatch.calibrate():
                stopwatches.append(stopwatch)
                result.samples[contender.name, contender.size] = []
            else:
                result.too_slow[contender.name] = contender.size
        for _ in range(effort.rounds):
            for stopwatch in stopwatches:
                one = stopwatch.contender
                result.samples[one.name, one.size].append(stopwatch.sample())
    return result


class _Stopwatch:
    """One contender, with the number of calls that fill a sample."""

    def __init__(
        self, contender: Contender, effort: Effort, runner: asyncio.Runner
    ) -> None:
        self.contender = contender
        self.effort = effort
        self.runner = runner
        self.subjects = cycle(contender.subjects)
        self.calls = 1

    def calibrate(self) -> bool:
        """Find how many calls fill a sample; False where a single one is too slow."""
        self.sample()  # fills caches, compiles policies
        spent = self.sample()
        if spent > self.effort.too_slow_ns:
            return False
        while spent * self.calls < self.effort.sample_ns:
            self.calls *= 2
            spent = self.sample()
        return True

    def sample(self) -> float:
        """Return the nanoseconds that one call takes, on average."""
        contender = self.contender
        subjects = islice(self.subjects, self.calls)
        with contender.around():
            # As timeit does: what others left behind is not for this one to clean up.
            gc.disable()
            try:
                if contender.awaited:
                    spent = self.runner.run(self._await_each(subjects))
                else:
                    spent = self._call_each(subjects)
            finally:
                gc.enable()
        return spent / self.calls

    def _call_each(self, subjects: Iterable[Any]) -> int:
        call, clock = self.contender.call, self.effort.clock
        started = clock()
        for subject in subjects:
            call(subject)
        return clock() - started

    async def _await_each(self, subjects: Iterable[Any]) -> int:
        call, clock = self.contender.call, self.effort.clock
        started = clock()
        for subject in subjects:
            await call(subject)
        return clock() - started


def machine(*packages: str) -> dict[str, Any]:
    """
    Describe what was measured on, and how busy it was before; nothing that identifies.
    """
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "packages": {name: version(name) for name in packages},
    }


def number(value: float) -> str:
    """Write a number with three digits that count."""
    for digits, bound in ((3, 0.1), (2, 10), (1, 100)):
        if abs(value) < bound:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"
