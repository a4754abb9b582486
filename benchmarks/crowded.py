"""
What a flood of refused handshakes does to the messages of those who were let in.

200 clients talk by the clock while strangers knock by the clock, at a guard with 10,000
trusted origins and at Channels' validator with ten, on the same server. Asked by
`__main__`; run as a program by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from .clients import Clients, percentile, request
from .databases import begin, measured, sqlite
from .figures import Figures
from .rounds import TIMES, Effort, Promise
from .servers import LISTED, ORIGINS, QUICK_ORIGINS, STRANGER, list_origins
from .serving import SERVERS, apart, serving

TALKERS: Final = 200
QUICK_TALKERS: Final = 20
# Handshakes a second, no more than either keeps up with: it is to be the same flood.
RATES: Final = (0, 400, 800)
QUICK_RATES: Final = (0, 50)
# Each talks twice a second, as a chat or a page with live prices does.
_INTERVAL: Final = 0.5

PERCENTILES: Final = {"median": 50, "p99": 99}

WSORIGIN: Final = "wsorigin"
CHANNELS: Final = "Channels, 10 origins"
_PATHS: Final = {CHANNELS: "/channels-10/", WSORIGIN: "/guarded/"}


def results(*, quick: bool, effort: Effort) -> list[Figures]:
    """Measure on each server, at each rate."""
    options = {
        "rounds": 1 if quick else min(effort.rounds, 7),
        "seconds": 1 if quick else 5,
        "talkers": QUICK_TALKERS if quick else TALKERS,
        "rates": QUICK_RATES if quick else RATES,
        "origins": QUICK_ORIGINS if quick else ORIGINS,
    }
    with sqlite() as database:
        found = measured("benchmarks.crowded", database, **options)
    return [Figures(**plain) for plain in found]


def promises(figures: Sequence[Figures]) -> Iterator[Promise]:
    """Yield how much longer messages may take under a flood than with Channels."""
    for what in PERCENTILES:
        cases = {
            one.case: one.ratio(WSORIGIN)
            for one in figures
            if one.question.endswith(what) and one.reference and " 0 " not in one.case
        }
        text = f"With {ORIGINS:,} origins, messages under a flood take {{}} {TIMES} as long as with Channels"
        yield Promise(f"{text} ({what})", 1.0, cases)


def measure(
    name: str, rates: Sequence[int], talkers: int, rounds: int, seconds: float
) -> Iterator[Figures]:
    """Have both flooded in turn, at each rate; all in one process."""
    figures = {
        (rate, what): Figures(
            f"messages of {talkers} clients under a flood, {what}",
            f"{name}, {rate} refused / s",
            "ms",
            {},
            CHANNELS,
        )
        for rate in rates
        for what in PERCENTILES
    }
    refused = {
        rate: Figures("", f"{name}, {rate} refused / s", "refused / s", {})
        for rate in rates
    }
    listed = LISTED.format(9)
    with ExitStack() as stack:
        elsewhere = stack.enter_context(apart())
        (server,) = stack.enter_context(serving(name))
        elsewhere()
        server.wait_until_open(request("/guarded/", Origin=listed))
        clients = stack.enter_context(Clients())
        inside = {
            contender: clients.open(
                [server.address], request(path, Origin=listed), talkers
            )
            for contender, path in _PATHS.items()
        }
        for _ in range(rounds):
            for rate in rates:
                for contender, path in _PATHS.items():
                    server.settle()
                    latencies, statuses = clients.beside(
                        inside[contender],
                        _INTERVAL,
                        server.address,
                        request(path, Origin=STRANGER),
                        rate,
                        seconds,
                    )
                    refused[rate].add(contender, statuses[403] / seconds)
                    for what, percent in PERCENTILES.items():
                        figures[rate, what].add(
                            contender, percentile(latencies, percent)
                        )
    for (rate, _), one in figures.items():
        yield one
        # In the same table: whether it was the same flood for both.
        yield replace(refused[rate], question=one.question)


def main() -> None:
    """Fill the table of origins, measure, print figures as JSON."""
    options = begin()
    list_origins(options["origins"])
    found: list[Figures] = []
    for name in SERVERS:
        found += measure(
            name,
            options["rates"],
            options["talkers"],
            options["rounds"],
            options["seconds"],
        )
    print(json.dumps([one.plain() for one in found]))


if __name__ == "__main__":
    main()
