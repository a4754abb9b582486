"""
Making the latest run the stored one, and the page about performance say what it says.

Run as a program: ``python -m benchmarks.page``, after a full run. Measures nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .rounds import Promise, Spread, number

ROOT: Final = Path(__file__).parents[1]
LATEST: Final = ROOT / "benchmarks/results"
STORED: Final = ROOT / "benchmarks/stored.json"
PAGE: Final = ROOT / "docs/explanation/performance.md"
PICTURES: Final = ROOT / "docs/images/benchmarks"

_BEGIN: Final = "<!-- python -m benchmarks.page -->\n"
_END: Final = "<!-- end -->\n"


def promises(report: Mapping[str, Any]) -> Iterator[Promise]:
    """Yield the promises of a run that was written as JSON."""
    for row in report["promises"]:
        at_least = "at_least" in row
        cases = {case: Spread(**spread) for case, spread in row["cases"].items()}
        bound = row["at_least"] if at_least else row["at_most"]
        yield Promise(row["text"], bound, cases, at_least)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the page has of a run: the machine, and a table of the promises."""
    about = report["machine"]
    packages = ", ".join(f"{name} {at}" for name, at in about["packages"].items())
    yield f"Measured with {about['python']} on {about['system']}, with {packages}."
    yield f"The machine had {about['cpus']} CPUs, and a load average of {about['load']} before."
    yield ""
    yield "| worst case | range | promised | |"
    yield "| --- | --- | --- | --- |"
    for promise in promises(report):
        worst = promise.cases[promise.worst]
        sentence = promise.text.format(f"**{number(worst.median)}**")
        span = f"{number(worst.low)} to {number(worst.high)}"
        bound = f"{promise.side} {promise.bound}"
        verdict = "met" if promise.is_met else "not met"
        yield f"| {sentence} ({promise.worst}) | {span} | {bound} | {verdict} |"


def with_run(page: str, report: Mapping[str, Any]) -> str:
    """Return the page with what it has of a run in its place."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "".join(
        [before, _BEGIN, *(f"{line}\n" for line in lines(report)), _END, after]
    )


def pictures(page: str) -> list[str]:
    """Return the names of the pictures that the page shows."""
    folder = f"../images/{PICTURES.name}/"
    return [part.partition(")")[0] for part in page.split(f"]({folder}")[1:]]


def main() -> None:
    """Store the latest run, write the page, copy its pictures."""
    latest = (LATEST / "latest.json").read_text(encoding="utf-8")
    report = json.loads(latest)
    if report["quick"]:
        raise SystemExit("the latest run was a quick one, which measures nothing well")
    STORED.write_text(latest, encoding="utf-8")
    page = with_run(PAGE.read_text(encoding="utf-8"), report)
    PAGE.write_text(page, encoding="utf-8")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in pictures(page):
        shutil.copy(LATEST / name, PICTURES / name)


if __name__ == "__main__":
    main()
