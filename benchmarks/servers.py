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
        "handshakes": 10 if quick else 250,
        "origins": QUICK_ORIGINS if quick else ORIGINS,
    }
    with sqlite() as database:
        found = measured("benchmarks.servers", database, **options)
    return [Figures(**plain) for plain in found]


def promises(figures: Sequence[Figures]) -> Iterator[Promise]:
    """Yield how many handshakes a guard lets a server do."""
    rates = [one for one in figures if one.unit == RATE]
    for question, to, part in ((ACCEPTED, BARE, 0.97), (REFUSED, RAW, 0.9)):
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

    def add(self, name: str, done: Handshakes, cpu: float, queries: int) -> None:
        """Add what a contender did in another round."""
        count = len(done.latencies)
        for unit, value in (
            (RATE, count / cpu),
            (CLOCK, done.per_second),
            (MEDIAN, percentile(done.latencies, 50)),
            (TAIL, percentile(done.latencies, 99)),
            (BUSY, 100 * done.cpu_seconds / done.seconds),
        ):
            self.figures[unit].add(name, value)
        self.queries.add(name, queries / count)


def measure(
    name: str, rights: Rights, rounds: int, handshakes: int
) -> Iterator[Figures]:
    """Have each contender accept, and refuse, in turn; all in one process."""
    accepted, refused = Sheet(ACCEPTED, name, BARE), Sheet(REFUSED, name, RAW)
    turns = [(one, 101, accepted) for one in ACCEPTING]
    turns += [(one, 403, refused) for one in REFUSING]
    with ExitStack() as stack:
        elsewhere = stack.enter_context(apart())
        (server,) = stack.enter_context(serving(name))
        elsewhere()
        # It has to have read the table, which takes a moment.
        server.wait_until_open(request("/guarded/", Origin=LISTED.format(9)))
        clients = stack.enter_context(Clients())
        for number in range(-1, rounds):  # a round before the first warms up
            # In another order each time, since who comes next to whom makes a difference.
            random.Random(number).shuffle(turns)  # noqa: S311  # no secret
            for one, status, sheet in turns:
                origin = STRANGER if status == 403 else LISTED.format(one.number)
                headers = rights.headers(origin, with_session=one.with_session)
                handshake = request(one.path, **headers)
                count = max(1, int(handshakes * one.share))
                asked = queries(server, clients)
                server.settle()
                before = server.cpu_seconds()
                done = clients.shake_hands(server.address, handshake, count)
                server.settle()
                cpu = server.cpu_seconds() - before
                if set(done.statuses) != {status}:
                    raise RuntimeError(f"{one.name}: {dict(done.statuses)}")
                if number >= 0:
                    more = queries(server, clients) - asked
                    sheet.add(one.name, done, cpu, more)
    for sheet in (accepted, refused):
        yield from sheet.figures.values()
    yield refused.queries


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
    found = [ceiling(rounds, handshakes)]
    for name in SERVERS:
        found += measure(name, rights, rounds, handshakes)
    print(json.dumps([one.plain() for one in found]))


if __name__ == "__main__":
    main()
