"""
Run the benchmarks: ``python -m benchmarks``, or ``--quick`` to see that they run.

Prints tables, writes JSON and plots. Measuring and contenders have modules.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import django

from . import compare
from .output import add_output, document, write
from .rounds import Effort, Promise, machine

FULL: Final = Effort(rounds=21, sample_ns=3_000_000, too_slow_ns=50_000_000)
QUICK: Final = Effort(rounds=3, sample_ns=100_000, too_slow_ns=10_000_000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write; exit with 1 where a comparison finds something worse."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    # Not at import: they read Django's settings.
    from . import decision, parts

    options = parser(parts.NAMES).parse_args(arguments)
    effort = QUICK if options.quick else FULL
    if options.rounds:
        effort = replace(effort, rounds=options.rounds)
    about = machine(*decision.PACKAGES)
    print(heading(about, effort))
    rows: list[dict[str, Any]] = []
    report = {
        "machine": about,
        "quick": options.quick,
        "rounds": effort.rounds,
        "rows": rows,
    }
    promises: list[Promise] = []
    for name in options.only or parts.NAMES:
        for piece in parts.measured(name, quick=options.quick, effort=effort):
            print("", *piece.lines, sep="\n", flush=True)
            rows += piece.rows
            report |= piece.more
            promises += piece.promises
            for title, picture in piece.pictures.items():
                write(options.svg / f"{slug(title)}.svg", picture)
    print("", *sentences(promises), sep="\n")
    report["promises"] = [promise.row() for promise in promises]
    write(options.json, document(report))
    if options.compare:
        stored = json.loads(options.compare.read_text(encoding="utf-8"))
        fell = list(compare.fallen(stored["rows"], rows))
        print("", *compare.lines(fell), sep="\n")
        if fell:
            sys.exit(1)


def parser(parts: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure wsorigin beside its peers."
    )
    parser.add_argument(
        "--quick", action="store_true", help="only prove that it runs, in seconds"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=parts,
        help="measure one part; may be given several times",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help=f"how often contenders take turns (default: {FULL.rounds}, quick {QUICK.rounds})",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="FILE",
        help="say which ratios are worse than in the results of another run",
    )
    add_output(parser, "--json", "latest.json", "the results")
    add_output(parser, "--svg", "", "the plots", "FOLDER")
    return parser


def heading(about: dict[str, Any], effort: Effort) -> str:
    """Say what is measured on, and how."""
    packages = ", ".join(f"{name} {at}" for name, at in about["packages"].items())
    return (
        f"{about['python']}, {about['cpus']} CPUs, load {about['load']}; {packages}\n"
        f"Medians of {effort.rounds} interleaved rounds or fewer; time is the CPU's, in µs, "
        "where no other unit is named."
    )


def sentences(promises: Sequence[Promise]) -> Iterator[str]:
    """Yield each promise with what became of it, and below it the cases."""
    for promise in promises:
        yield str(promise)
        width = max(32, *(len(case) + 2 for case in promise.cases))
        for case, ratio in promise.cases.items():
            yield f"    {case:<{width}}{ratio}"


def slug(title: str) -> str:
    """Return the name of a picture's file."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")


if __name__ == "__main__":
    main()
