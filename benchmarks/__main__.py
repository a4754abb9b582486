"""
Run the benchmarks: ``python -m benchmarks``, or ``--quick`` to see that they run.

Prints tables, writes JSON and plots. Measuring and contenders have modules.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import django

from .plot import Line, chart
from .rounds import TIMES, Effort, Promise, Result, machine, measure, number

RESULTS: Final = Path(__file__).parent / "results"

FULL: Final = Effort(rounds=21, sample_ns=3_000_000, too_slow_ns=50_000_000)
QUICK: Final = Effort(rounds=3, sample_ns=100_000, too_slow_ns=10_000_000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = parser().parse_args(arguments)
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    # Not at import: they read Django's settings.
    from . import decision, flood, refresh

    effort = QUICK if options.quick else FULL
    about = machine(*decision.PACKAGES)
    print(heading(about, effort))
    results = []
    for comparison in decision.comparisons(quick=options.quick):
        results.append(measure(comparison, effort))
        print("", *table(results[-1]), sep="\n", flush=True)
    kept_up = refresh.results(quick=options.quick)
    print("", *refresh.table(kept_up), sep="\n", flush=True)
    flooded = flood.results(quick=options.quick)
    print("", *flood.lines(flooded), sep="\n", flush=True)
    promises = [*decision.promises(results), *refresh.promises(kept_up)]
    print("", *sentences(promises), sep="\n")

    report = {
        "machine": about,
        "quick": options.quick,
        "rounds": effort.rounds,
        "rows": [row for result in results for row in result.rows()],
        "too_slow": [row for result in results for row in result.too_slow_rows()],
        "refresh": kept_up,
        "flood": flooded,
        "promises": [promise.row() for promise in promises],
    }
    write(options.json, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    for result in results:
        write(options.svg / f"{slug(result)}.svg", picture(result))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure wsorigin beside its peers."
    )
    parser.add_argument(
        "--quick", action="store_true", help="only prove that it runs, in seconds"
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=RESULTS / "latest.json",
        metavar="FILE",
        help="where to write the results (default: benchmarks/results/latest.json)",
    )
    parser.add_argument(
        "--svg",
        type=Path,
        default=RESULTS,
        metavar="FOLDER",
        help="where to write the plots (default: benchmarks/results)",
    )
    return parser


def heading(about: dict[str, Any], effort: Effort) -> str:
    """Say what is measured on, and how."""
    packages = ", ".join(f"{name} {at}" for name, at in about["packages"].items())
    return (
        f"{about['python']}, {about['cpus']} CPUs; {packages}\n"
        f"CPU time of one call in µs, median of {effort.rounds} interleaved rounds."
    )


def table(result: Result) -> Iterator[str]:
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


def sentences(promises: Sequence[Promise]) -> Iterator[str]:
    """Yield each promise with what became of it, and below it the cases."""
    for promise in promises:
        yield str(promise)
        for case, ratio in promise.cases.items():
            yield f"    {case:<32}{ratio}"


def picture(result: Result) -> str:
    """Draw a result: a line for each contender."""
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


def slug(result: Result) -> str:
    """Return the name of a result's file."""
    comparison = result.comparison
    return re.sub(r"\W+", "-", f"{comparison.question} {comparison.case}".lower())


def write(path: Path, text: str) -> None:
    """Write a file, and the folder that it belongs into."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
