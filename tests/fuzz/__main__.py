"""
Fuzz: ``python -m tests.fuzz [target …] [--runs N] [--seconds S] [--seed N]``.

Each target runs in a process of its own, since libFuzzer ends the one that it runs in.
What it finds is printed, with the octets that ``tests/vectors/fuzz`` is to keep.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from .run import inputs
from .targets import CORE, NAMES

ROOT = Path(__file__).parents[2]
NO_ATHERIS = (
    "Coverage-guided fuzzing takes atheris: pip install atheris\n"
    "Without it, `pytest tests/test_fuzz.py` runs the same targets on random octets."
)
CHILD = [sys.executable, "-c", "from tests.fuzz.child import main; main()"]
_STATUS = re.compile(r"#(\d+)\s+\w+\s.*?cov: (\d+) ft: (\d+) corp: (\d+)")
_LAST_LINES = 60
# What to begin with. libFuzzer begins with nothing, and makes of it nothing long.
_SEEDS = 500


class Result(NamedTuple):
    """How the run of one target went."""

    name: str
    runs: int
    seconds: float
    status: str
    complaint: str = ""

    def __str__(self) -> str:
        rate = self.runs / self.seconds
        outcome = "found something" if self.complaint else "ok"
        return (
            f"{self.name:<12} {self.runs:>10,} runs {rate:>8,.0f}/s  "
            f"{self.status:<40} {outcome}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz; return 1 where a target raised, 2 where there is nothing to fuzz with."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Fuzz wsorigin against a slow and obvious model of it.",
    )
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="target",
        help=f"which, by default all: {', '.join(NAMES)}; core for the first {len(CORE)}",
    )
    parser.add_argument("--runs", type=int, default=0, help="inputs for each target")
    parser.add_argument(
        "--seconds", type=int, default=60, help="for each target, without --runs"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is tried")
    options = parser.parse_args(arguments)
    wanted = list(chosen(options.targets or NAMES))
    unknown = sorted({*wanted} - {*NAMES})
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}")
    if find_spec("atheris") is None:
        print(NO_ATHERIS, file=sys.stderr)
        return 2
    limit = f"-runs={options.runs}"
    if not options.runs:
        limit = f"-max_total_time={options.seconds}"
    failed = False
    for name in wanted:
        result = fuzz(name, limit, options.seed)
        print(result, flush=True)
        if result.complaint:
            failed = True
            print(result.complaint)
    return int(failed)


def chosen(names: Iterable[str]) -> Iterable[str]:
    """Yield the names of targets, with ``core`` spelled out."""
    for name in names:
        yield from CORE if name == "core" else (name,)


def fuzz(name: str, limit: str, seed: int, child: Sequence[str] = ()) -> Result:
    """Run one target in a process of its own, and read what libFuzzer says of it."""
    runs, status, lines = 0, "", list[str]()
    started = time.monotonic()
    with TemporaryDirectory(prefix="wsorigin-fuzz-") as corpus:
        for number, octets in enumerate(inputs(seed, _SEEDS)):
            (Path(corpus) / f"seed-{number}").write_bytes(octets)
        found = Path(corpus) / "found"
        flags = [limit, f"-seed={seed}", f"-exact_artifact_path={found}", corpus]
        process = subprocess.Popen(  # noqa: S603  # this very Python
            [*(child or CHILD), name, *flags],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        with process:
            for line in process.stdout or ():
                said = _STATUS.match(line)
                if said:
                    runs = int(said[1])
                    status = f"cov {said[2]} features {said[3]} corpus {said[4]}"
                else:
                    lines = [*lines[1 - _LAST_LINES :], line]
        complaint = "".join(lines) if process.returncode else ""
        if found.exists():
            complaint += f"\n{name}: {found.read_bytes().hex()}\n"
    return Result(name, runs, time.monotonic() - started, status, complaint)


if __name__ == "__main__":
    sys.exit(main())
