"""
What it costs to keep up with the database: trusted origins in a table of 100,000 rows.

Looking whether anything changed, reading all when it did, and the pauses that this
makes in an event loop which runs beside. Asked by `__main__`; run as a program by itself.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from .databases import begin, measured_on_each
from .rounds import Promise, Spread

ROWS: Final = 100_000
QUICK_ROWS: Final = 500

# How long the event loop sleeps between two looks at the clock.
_TICK: Final = 0.001

BARE: Final = "floor: one row, bare SELECT"
LOOK: Final = "nothing changed: the query"
WHOLE_LOOK: Final = "nothing changed: thread, connection, query"
FIRST: Final = "first read"
CHANGED: Final = "one row changed: read all"
PAUSE: Final = "longest pause meanwhile"
IDLE: Final = "longest pause of an idle loop"
BUSY: Final = "longest pause beside a thread that counts"


def results(*, quick: bool) -> list[dict[str, Any]]:
    """Measure on each database; return rows of milliseconds, and one of bytes."""
    options = {"rows": QUICK_ROWS if quick else ROWS, "rounds": 2 if quick else 9}
    return [
        {"database": database, "rows": options["rows"], **row}
        for database, rows in measured_on_each("benchmarks.refresh", **options)
        for row in rows
    ]


def promises(rows: list[dict[str, Any]]) -> Iterator[Promise]:
    """Yield what wsorigin promises, in milliseconds."""
    for text, at_most, what in (
        ("A look at 100,000 rows that finds nothing new takes {} ms", 2, LOOK),
        ("Reading 100,000 rows anew pauses the event loop for {} ms", 20, PAUSE),
    ):
        cases = {
            row["database"]: Spread(**row["ms"]) for row in rows if row["what"] == what
        }
        yield Promise(text, at_most, cases)


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table: what was measured down, databases across."""
    databases = list(dict.fromkeys(row["database"] for row in rows))
    yield f"trusted origins in the database, {rows[0]['rows']:,} rows"
    heads = "".join(f"{name:>26}" for name in databases)
    yield f"  {'ms':<46}{heads}"
    cells: dict[str, str] = {}
    for row in rows:
        if "ms" in row:
            text = str(Spread(**row["ms"]))
            cells[row["what"]] = cells.get(row["what"], "") + f"{text:>26}"
    for what, line in cells.items():
        yield f"  {what:<46}{line}"
    for row in rows:
        if "bytes" in row:
            mebibytes = row["bytes"] / 2**20
            yield f"  memory, {row['database']}: {mebibytes:.1f} MiB"


class Pauses:
    """An event loop's longest pause, as somebody sees who wants to be woken on time."""

    async def during(
        self, work: Callable[[], Awaitable[object]]
    ) -> tuple[float, float]:
        """Return the seconds that the work took, and the longest pause meanwhile."""
        done = asyncio.Event()
        ticking = asyncio.create_task(self._tick(done))
        await asyncio.sleep(10 * _TICK)
        gc.collect()  # what the last round left behind is not for this one to clean up
        started = time.perf_counter()
        await work()
        taken = time.perf_counter() - started
        done.set()
        return taken, await ticking

    async def _tick(self, done: asyncio.Event) -> float:
        await asyncio.sleep(20 * _TICK)
        longest = 0.0
        while not done.is_set():
            due = time.perf_counter() + _TICK
            await asyncio.sleep(_TICK)
            longest = max(longest, time.perf_counter() - due)
        return longest


def count_up(seconds: float) -> None:
    """Keep the interpreter busy, as any thread may that computes."""
    end, number = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        number += 1


def look_now() -> Future[None]:
    """Start a look at the database."""
    from wsorigin.refresh import current

    look = current.expire()
    if look is None:
        raise RuntimeError("nobody looks at the database here")
    return look


def look_times(rounds: int) -> Iterator[tuple[str, list[float]]]:
    """Yield the seconds of looks that find nothing new, and of the least possible."""
    from django.db import connection

    from wsorigin.refresh import database_version

    table = "wsorigin_trustedoriginversion"
    samples: dict[str, list[float]] = {BARE: [], LOOK: [], WHOLE_LOOK: []}

    def bare() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT number FROM {table} ORDER BY id LIMIT 1")  # noqa: S608  # our own table's name
            cursor.fetchone()

    def whole() -> None:
        look_now().result()

    for _ in range(50 * rounds):
        for what, call in ((BARE, bare), (LOOK, database_version), (WHOLE_LOOK, whole)):
            started = time.perf_counter()
            call()
            samples[what].append(time.perf_counter() - started)
    yield from samples.items()


def change_one(number: int) -> None:
    """Change a row as another program would, without a signal in this process."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE wsorigin_trustedorigin SET note = %s WHERE id = "
            "(SELECT min(id) FROM wsorigin_trustedorigin)",
            [str(number)],
        )


async def change_times(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of reading all, and of the pauses that it makes."""

    async def refresh() -> None:
        await asyncio.wrap_future(look_now())

    samples: dict[str, list[float]] = {CHANGED: [], PAUSE: [], IDLE: [], BUSY: []}
    for number in range(rounds):
        await asyncio.to_thread(change_one, number)
        taken, pause = await Pauses().during(refresh)
        samples[CHANGED].append(taken)
        samples[PAUSE].append(pause)
        _, idle = await Pauses().during(partial(asyncio.sleep, min(taken, 1)))
        samples[IDLE].append(idle)
        counting = partial(asyncio.to_thread, count_up, min(taken, 1))
        _, busy = await Pauses().during(counting)
        samples[BUSY].append(busy)
    return samples


def main() -> None:
    """Fill the table, measure, print rows as JSON."""
    options = begin()
    from wsorigin.models import TrustedOrigin
    from wsorigin.refresh import read_database

    TrustedOrigin.objects.bulk_create(
        (
            TrustedOrigin(pattern=f"https://www.tenant{i}.example", allow_cors=i % 2)
            for i in range(options["rows"])
        ),
        batch_size=2000,
    )
    started = time.perf_counter()
    look_now().result()
    first = [time.perf_counter() - started]

    samples = dict(look_times(options["rounds"]))
    samples |= {FIRST: first, **asyncio.run(change_times(options["rounds"]))}
    rows: list[dict[str, Any]] = [
        {"what": what, "ms": Spread.of([1000 * one for one in seconds])._asdict()}
        for what, seconds in samples.items()
    ]
    tracemalloc.start()
    known = read_database()
    size, _ = tracemalloc.get_traced_memory()
    rows.append({"what": "memory", "bytes": size, "rules": len(known.policy.rules)})
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
