"""
How many handshakes a real server accepts and refuses, with 10,000 trusted origins.

On Daphne and uvicorn, beside the same consumer behind others and behind nothing. Asked
by `__main__`; run as a program by itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .clients import Clients, Handshakes, percentile, request
from .databases import begin, measured, sqlite
from .figures import Figures
from .rights import Rights
from .rounds import TIMES, Effort, Promise, Spread
from .serving import SERVERS, TRIVIAL, Server, apart, serving

ACCEPTED: Final = "accepted handshakes"
REFUSED: Final = "refused handshakes"
QUERIES: Final = "queries for sessions and users, of one handshake"
GENERATOR: Final = "the load generator's ceiling"

RATE: Final = "/ CPU s"
CLOCK: Final = "/ s"
MEDIAN: Final = "ms, median"
TAIL: Final = "ms, p99"
# How busy the load generator is: at 100 it would be what is measured.
BUSY: Final = "% busy"

BARE: Final = "bare consumer"
RAW: Final = "raw refusal"
REASONED: Final = "raw refusal, with a reason"
SESSION: Final = "bare, in AuthMiddlewareStack"
FRONT: Final = "wsorigin, before AuthMiddlewareStack"
WSORIGIN: Final = ("wsorigin, consumer", "wsorigin, wrapper")

_RATES: Final = (RATE, CLOCK)

# In the database, and the first ten or thousand of them with Channels' validator.
LISTED: Final = "https://www.tenant{}.example"
ORIGINS: Final = 10_000
QUICK_ORIGINS: Final = 200
STRANGER: Final = "https://www.stranger.example"


class Contender(NamedTuple):
    """
    Whom to ask: the path, from which of the listed origins, and with a session or not.

    ``share`` is the part of the handshakes that one gets who takes long for each.
    """

    name: str
    path: str
    number: int = 9
    with_session: bool = False
    share: float = 1.0


ACCEPTING: Final = (
    Contender(BARE, "/bare/"),
    Contender(WSORIGIN[0], "/guarded/"),
    Contender(WSORIGIN[1], "/wrapped/"),
    Contender("raw ASGI application", "/accept/"),
    Contender("Channels, 10 origins", "/channels-10/"),
    Contender("Channels, 1,000 origins", "/channels-1000/", 999, share=0.2),
    Contender(SESSION, "/session/", with_session=True),
    Contender(FRONT, "/guarded/session/", with_session=True),
)
REFUSING: Final = (
    Contender(RAW, "/refuse/"),
    Contender(REASONED, "/refuse/reason/"),
    Contender(WSORIGIN[0], "/guarded/"),
    Contender(WSORIGIN[1], "/wrapped/"),
    Contender("Channels, allowed hosts", "/hosts/"),
    Contender("Channels, 10 origins", "/channels-10/"),
    Contender("Channels, 1,000 origins", "/channels-1000/", share=0.2),
    Contender(FRONT, "/guarded/session/", with_session=True),
)


def results(*, quick: bool, effort: Effort) -> list[Figures]:
    """Measure on each server."""
    options = {
        "rounds": 1 if quick else effort.rounds,
        # A round is cut so often, and contenders take turns with the pieces.
        "pieces": 1 if quick else 4,
        "handshakes": 10 if quick else 60,
        "origins": QUICK_ORIGINS if quick else ORIGINS,
    }
    with sqlite() as database:
        found = measured("benchmarks.servers", database, **options)
    return [Figures(**plain) for plain in found]


def promises(figures: Sequence[Figures]) -> Iterator[Promise]:
    """Yield how many handshakes a guard lets a server do."""
    rates = [one for one in figures if one.unit == RATE]
    for question, to, part in (
        (ACCEPTED, BARE, 0.97),
        (REFUSED, RAW, 0.9),
        (REFUSED, REASONED, 0.9),
    ):
        cases = {
            f"{one.case}: {name}": one.ratio(name, to)
            for one in rates
            for name in WSORIGIN
            if one.question == question
        }
        text = (
            f"With {ORIGINS:,} origins, {question} are {{}} {TIMES} those of the {to}"
        )
        yield Promise(text, part, cases, at_least=True)
    refused = {one.case: one for one in rates if one.question == REFUSED}
    accepted = {one.case: one for one in rates if one.question == ACCEPTED}
    yield Promise(
        f"Refused before AuthMiddlewareStack, they are {{}} {TIMES} the accepted ones",
        3,
        {
            case: across(refused[case], FRONT, accepted[case], SESSION)
            for case in refused
        },
        at_least=True,
    )
    yield Promise(
        "Refused before AuthMiddlewareStack, they ask {} queries for sessions and users",
        0,
        {one.case: one.spread(FRONT) for one in figures if one.question == QUERIES},
    )


def across(one: Figures, name: str, other: Figures, to: str) -> Spread:
    """Return the ratio of figures that stand in two tables, by rounds."""
    pairs = zip(one.samples[name], other.samples[to], strict=True)
    return Spread.of([mine / theirs for mine, theirs in pairs])


@dataclass(slots=True)
class Turn:
    """What a contender did in a round; ``cpu`` and ``queries`` are the server's."""

    done: Handshakes = field(default_factory=Handshakes)
    cpu: float = 0.0
    queries: int = 0

    def go_on(
        self, server: Server, clients: Clients, handshake: bytes, count: int
    ) -> None:
        """Have it answer so many more handshakes."""
        asked = queries(server, clients)
        server.settle()
        before = server.cpu_seconds()
        self.done.add(clients.shake_hands(server.address, handshake, count))
        server.settle()
        self.cpu += server.cpu_seconds() - before
        self.queries += queries(server, clients) - asked


class Sheet:
    """The figures of one question on one server."""

    def __init__(self, question: str, server: str, reference: str) -> None:
        self.question = question
        self.figures = {
            unit: Figures(
                question, server, unit, {}, reference, more_is_better=unit in _RATES
            )
            for unit in (RATE, CLOCK, MEDIAN, TAIL, BUSY)
        }
        self.queries = Figures(QUERIES, server, "queries", {})

    def add(self, name: str, turn: Turn) -> None:
        """Add what a contender did in another round."""
        done, count = turn.done, len(turn.done.latencies)
        for unit, value in (
            (RATE, count / turn.cpu),
            (CLOCK, done.per_second),
            (MEDIAN, percentile(done.latencies, 50)),
            (TAIL, percentile(done.latencies, 99)),
            (BUSY, 100 * done.cpu_seconds / done.seconds),
        ):
            self.figures[unit].add(name, value)
        self.queries.add(name, turn.queries / count)


def measure(
    name: str, rights: Rights, rounds: int, pieces: int, handshakes: int
) -> Iterator[Figures]:
    """Have each contender accept, and refuse, in turn; all in one process."""
    accepted, refused = Sheet(ACCEPTED, name, BARE), Sheet(REFUSED, name, RAW)
    asked = [
        (one, request_of(one, rights, LISTED.format(one.number)), 101, accepted)
        for one in ACCEPTING
    ]
    asked += [
        (one, request_of(one, rights, STRANGER), 403, refused) for one in REFUSING
    ]
    with ExitStack() as stack:
        elsewhere = stack.enter_context(apart())
        (server,) = stack.enter_context(serving(name))
        elsewhere()
        # It has to have read the table, which takes a moment.
        server.wait_until_open(request("/guarded/", Origin=LISTED.format(9)))
        clients = stack.enter_context(Clients())
        for number in range(-1, rounds):  # a round before the first warms up
            turns = [Turn() for _ in asked]
            for piece in range(pieces):
                pairs = list(zip(asked, turns, strict=True))
                # In another order each time: it matters who comes next to whom.
                random.Random(f"{number}, {piece}").shuffle(pairs)  # noqa: S311
                for (one, handshake, status, _), turn in pairs:
                    count = max(1, int(handshakes * one.share))
                    turn.go_on(server, clients, handshake, count)
                    if set(turn.done.statuses) != {status}:
                        raise RuntimeError(f"{one.name}: {dict(turn.done.statuses)}")
            if number >= 0:
                for (one, _, _, sheet), turn in zip(asked, turns, strict=True):
                    sheet.add(one.name, turn)
    for sheet in (accepted, refused):
        yield from sheet.figures.values()
    yield refused.queries


def request_of(one: Contender, rights: Rights, origin: str) -> bytes:
    """Return the handshake that a contender is asked with."""
    return request(one.path, **rights.headers(origin, with_session=one.with_session))


def queries(server: Server, clients: Clients) -> int:
    """Ask the server how many queries it has made for sessions and users."""
    (client,) = clients.open([server.address], request("/queries/"), 1)
    clients.wait(lambda: bool(client.heard))
    clients.forget(client)
    return int(client.last)


def ceiling(rounds: int, handshakes: int) -> Figures:
    """Let the load generator show what it can do, against a server that does nothing."""
    figures = Figures(GENERATOR, "", CLOCK, {}, more_is_better=True)
    with ExitStack() as stack:
        elsewhere = stack.enter_context(apart())
        (server,) = stack.enter_context(serving(TRIVIAL))
        elsewhere()
        clients = stack.enter_context(Clients())
        for _ in range(rounds):
            done = clients.shake_hands(server.address, request("/"), handshakes)
            figures.add("trivial server", done.per_second)
            figures.add("by its own CPU time", handshakes / done.cpu_seconds)
    return figures


def list_origins(count: int) -> None:
    """Fill the table of trusted origins."""
    from wsorigin.models import TrustedOrigin

    TrustedOrigin.objects.bulk_create(
        (
            TrustedOrigin(pattern=LISTED.format(number), allow_credentials=True)
            for number in range(count)
        ),
        batch_size=2000,
    )


def main() -> None:
    """Fill the table of origins, measure, print figures as JSON."""
    options = begin(apps=["django.contrib.sessions"])
    list_origins(options["origins"])
    rights = Rights()
    rounds, handshakes = options["rounds"], options["handshakes"]
    found = [ceiling(rounds, options["pieces"] * handshakes)]
    for name in SERVERS:
        found += measure(name, rights, rounds, options["pieces"], handshakes)
    print(json.dumps([one.plain() for one in found]))


if __name__ == "__main__":
    main()
