"""
The command: start everything, keep it under load, look at it, and say how it was.

``python -m benchmarks.soak --seconds 3600``. Exits with 1 where something grows, or is
not accounted for.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import django
from django.core.management import call_command
from django.core.management.utils import get_random_secret_key

from benchmarks.clients import Clients
from benchmarks.databases import postgresql, sqlite
from benchmarks.output import add_output, document, write
from benchmarks.rounds import machine
from benchmarks.serving import DAPHNE, UVICORN, redis
from tests.services import channel_layer, postgresql_programs

from .flat import OF_DATABASE, OF_SERVERS, Series
from .picture import draw
from .servers import Served

if TYPE_CHECKING:
    from .load import Load

APPLICATION: Final = "benchmarks.soak.site:application"
DATABASE: Final = "database"
# Where a channel layer pushes what has ended; where nobody does, all waits for the poll.
_INTERVAL: Final = 2.0
_PLAIN_INTERVAL: Final = 0.3
# However few the seconds, so many tell whether anything grows.
_FEWEST_ROUNDS: Final = 5
# Of the servers that come and go: so many in a run, each for so many seconds at least.
_LIVES: Final = 6
_SHORTEST_LIFE: Final = 4.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Soak, print, write; exit with 1 where something is not as it was."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, leave)
    with ExitStack() as stack:
        services = nullcontext("") if options.plain else redis()
        database = stack.enter_context(some_database(plain=options.plain))
        url = stack.enter_context(services)
        layers = channel_layer(url) if url else {}
        site = {
            "SECRET_KEY": get_random_secret_key(),
            "DATABASES": {"default": database},
            "CHANNEL_LAYERS": layers,
            "WSORIGIN_REFRESH_INTERVAL": _INTERVAL if layers else _PLAIN_INTERVAL,
        }
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.soak.settings"
        os.environ["SERVED_SETTINGS"] = json.dumps(site)
        django.setup()
        call_command("migrate", verbosity=0)
        report = Soak(options.application, options.seconds).run()
    report["services"] = [
        database["ENGINE"],
        *(one["BACKEND"] for one in layers.values()),
    ]
    print(*summary(report), sep="\n")
    write(options.json, document(report))
    write(options.svg, picture(report))
    if report["problems"]:
        sys.exit(1)


def leave(_number: int, _frame: FrameType | None) -> None:
    """End in an orderly way, so that nothing is left running."""
    sys.exit(143)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Keep a site under load, and see whether anything grows.",
    )
    parser.add_argument(
        "--seconds", type=float, default=3600, help="for how long (default: an hour)"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="on SQLite and without Redis, also where PostgreSQL and Redis are installed",
    )
    parser.add_argument(
        "--application",
        default=APPLICATION,
        metavar="NAME",
        help="serve another ASGI application, with the same paths",
    )
    add_output(parser, "--json", "soak.json", "all numbers")
    add_output(parser, "--svg", "soak.svg", "the picture")
    return parser


def some_database(*, plain: bool) -> AbstractContextManager[dict[str, Any]]:
    """Return a database of our own: PostgreSQL where there is one, and that is meant."""
    programs = None if plain else postgresql_programs()
    return postgresql(programs) if programs else sqlite()


class Soak:
    """
    Two servers that stay, one that comes and goes, and the load upon them.

    ``samples`` has what was measured: who, seconds since the start, and each measure.
    """

    def __init__(self, application: str, seconds: float) -> None:
        self.application = application
        self.seconds = seconds
        self.samples: list[dict[str, Any]] = []
        self.lives = 0

    def run(self) -> dict[str, Any]:
        """Soak for a while; return the report."""
        # Not at import: it needs Django's settings.
        from .load import Load

        with Clients() as clients:
            load = Load(clients, [])
            about = machine("wsorigin", "channels", "Django", "daphne", "uvicorn")
            try:
                load.served += [self._start(kind, kind) for kind in (DAPHNE, UVICORN)]
                for one in load.served:
                    self._settle_in(load, one)
                self._soak(load)
                denials = load.account_for_denials()
            finally:
                for one in load.served:
                    one.server.stop()
        flat = [one.row() for one in self._judged()]
        grown = [
            f"{row['who']}: {row['what']} grew by {row['growth']} {row['unit']}, "
            f"and {row['allowed']} are allowed"
            for row in flat
            if not row["flat"]
        ]
        return {
            "machine": about,
            "seconds": self.seconds,
            "cycles": load.cycles,
            "restarts": self.lives - 1,
            "admitted": load.admitted,
            "refused": load.refused,
            "denials": denials,
            "messages": load.messages,
            "closed": dict(load.closed),
            "flat": flat,
            "problems": [*load.problems, *grown],
            "samples": self.samples,
        }

    def _soak(self, load: Load) -> None:
        started = time.monotonic()
        life = max(self.seconds / _LIVES, _SHORTEST_LIFE)
        passing, due = self._launch_passing(load), started + life
        ended = started + self.seconds
        while (now := time.monotonic()) < ended or load.cycles < _FEWEST_ROUNDS:
            if now > due:
                self._end(load, passing)
                passing, due = self._launch_passing(load), now + life
            load.cycle()
            self._sample(load, time.monotonic() - started)

    def _end(self, load: Load, passing: Served) -> None:
        """Ask Daphne to end, which writes what waits; kill uvicorn, once it is written."""
        if passing.kind == DAPHNE:
            passing.server.stop()
        else:
            load.account_for_denials()
            passing.server.process.kill()
            passing.server.stop()
        load.part_with(passing)

    def _start(self, name: str, kind: str) -> Served:
        return Served.start(name, kind, self.application)

    def _settle_in(self, load: Load, one: Served) -> None:
        one.wait_until_ready()
        load.settle_in(one)

    def _launch_passing(self, load: Load) -> Served:
        self.lives += 1
        kind = (DAPHNE, UVICORN)[self.lives % 2]
        one = self._start(f"{kind}, life {self.lives}", kind)
        load.served.append(one)
        self._settle_in(load, one)
        return one

    def _sample(self, load: Load, at: float) -> None:
        # Imported by run().
        from .load import rows

        for one in load.served:
            sample = one.measure(load.account(one))
            self.samples.append({"who": one.name, "at": at, **sample})
        self.samples.append({"who": DATABASE, "at": at, **rows()})

    def _judged(self) -> Iterator[Series]:
        return (one for one in series_of(self.samples) if one.is_long_enough)


def series_of(samples: Sequence[dict[str, Any]]) -> Iterator[Series]:
    """Yield what was measured as a series for each thing and each of whom it is."""
    for who in dict.fromkeys(sample["who"] for sample in samples):
        own = [sample for sample in samples if sample["who"] == who]
        for measure in OF_DATABASE if who == DATABASE else OF_SERVERS:
            points = [(sample["at"], sample[measure.name]) for sample in own]
            yield Series(who, measure, points)


def picture(report: dict[str, Any]) -> str:
    """Return the picture of what stayed: both servers, and the database."""
    found = [
        one
        for one in series_of(report["samples"])
        if one.who in (DAPHNE, UVICORN, DATABASE)
    ]
    panels = [
        (
            measure.unit
            if measure in OF_SERVERS[1:]
            else f"{measure.name}, {measure.unit}",
            [one for one in found if one.measure is measure],
        )
        for measure in (*OF_SERVERS, *OF_DATABASE)
    ]
    title = (
        f"A soak of {report['seconds']:.0f} s: {report['admitted']:,} handshakes admitted, "
        f"{report['refused']:,} refused"
    )
    return draw(title, panels)


def summary(report: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that say how it was."""
    yield (
        f"{report['seconds']:.0f} s, {report['cycles']} rounds, {report['restarts']} "
        f"restarts, {report['messages']:,} messages"
    )
    yield (
        f"{report['admitted']:,} handshakes admitted and {report['refused']:,} refused, "
        f"as counted by clients; {report['denials']:,} denials in the audit"
    )
    yield f"sockets closed: {report['closed']}"
    for row in report["flat"]:
        mark = "flat" if row["flat"] else "GROWS"
        yield (
            f"  {row['who']:<20}{row['what']:<14}{row['start']:>12,} to {row['end']:>12,} "
            f"{row['unit']:<20} {mark} ({row['growth']:+,}, {row['allowed']:,} allowed)"
        )
    yield from report["problems"] or ["everything is flat and accounted for"]


if __name__ == "__main__":
    main()
