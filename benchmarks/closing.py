"""
How long it takes until one revocation has closed thousands of sockets.

In two processes of a server that hear of it through Redis, beside one `group_send` to
all of them; with peers that answer the close, and with peers that never do. Asked by
`__main__`; run as a program by itself, which is the one that revokes.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Final, NamedTuple

from tests.services import channel_layer

from .clients import ABNORMAL, Client, Clients, request
from .databases import asked, begin, measured, sqlite
from .figures import Figures
from .rounds import Effort, Promise
from .serving import SERVERS, Server, redis, serving

QUESTION: Final = "closing all sockets after one revocation"
REVOKED: Final = "wsorigin"
RUDE: Final = "wsorigin, peers never answer"
GROUP: Final = "group_send"

_PROCESSES: Final = 2
_CODE: Final = 4410
_PATIENCE: Final = 60.0


class Cost(NamedTuple):
    """
    What closing took: seconds by the clock, CPU of the servers for each socket.

    ``lost`` is the share of the sockets, in percent, that were closed without a code.
    """

    seconds: float
    micros: float
    lost: float


def results(*, quick: bool, effort: Effort) -> list[Figures]:
    """Measure on each server; nothing where there is no Redis."""
    options = {
        "sockets": 20 if quick else 5_000,
        "rounds": 1 if quick else min(effort.rounds, 3),
    }
    with redis() as url:
        if not url:
            return []
        with sqlite() as database:
            found = measured("benchmarks.closing", database, url=url, **options)
    return [Figures(**plain) for plain in found]


def promises(figures: Sequence[Figures]) -> Iterator[Promise]:
    """Yield how soon the last socket has to be closed."""
    cases = {
        f"{one.case}, {name}": one.spread(name)
        for one in figures
        for name in (REVOKED, RUDE)
        if one.unit == "s"
    }
    if cases:
        yield Promise("5,000 sockets are closed within {} s of a revocation", 1, cases)


def closed(
    servers: Sequence[Server],
    doomed: Sequence[Client],
    clients: Clients,
    end: Callable[[], object],
    *,
    may_lose: float,
) -> Cost:
    """
    Do what ends these sockets; return what it took until the last was told so.

    With its code, but for the share that ``may_lose`` it: where the clock's second turns
    meanwhile and the peer is slow to read, Daphne cuts some off. Otherwise it counts for
    nothing.
    """
    if any(one.code for one in doomed):
        raise RuntimeError("some were closed before anything was revoked")
    cpu = -sum(server.cpu_seconds() for server in servers)
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as other:
        done = other.submit(end)
        in_time = clients.wait(lambda: all(one.code for one in doomed), _PATIENCE)
        done.result()
    cpu += sum(server.cpu_seconds() for server in servers)
    codes = Counter(one.code for one in doomed)
    lost = codes[ABNORMAL] / len(doomed)
    if not in_time or not set(codes) <= {_CODE, ABNORMAL} or lost > may_lose:
        raise RuntimeError(f"closed otherwise, or not: {dict(codes)}")
    seconds = max(one.closed_at for one in doomed) - started
    return Cost(seconds, 1e6 * cpu / len(doomed), 100 * lost)


def revocation(servers: Sequence[Server], count: int, *, answers_close: bool) -> Cost:
    """Open sockets with a token, revoke it, see them closed."""
    from wsorigin.credentials import TokenKind
    from wsorigin.tokens import mint, revoke

    token, text = mint(TokenKind.SECRET, name="measured", expires_in=timedelta(days=1))
    handshake = request("/guarded/", Authorization=f"Bearer {text}")
    with Clients() as clients:
        doomed = clients.open(
            [server.address for server in servers],
            handshake,
            count,
            answers_close=answers_close,
        )
        return closed(servers, doomed, clients, lambda: revoke(token), may_lose=0.1)


def group_send(servers: Sequence[Server], count: int) -> Cost:
    """Open sockets that join a group, and tell the group."""
    from asgiref.sync import async_to_sync
    from channels.layers import get_channel_layer

    def end() -> None:
        layer = get_channel_layer()
        async_to_sync(layer.group_send)("measured", {"type": "end"})

    with Clients() as clients:
        addresses = [server.address for server in servers]
        doomed = clients.open(addresses, request("/grouped/"), count)
        return closed(servers, doomed, clients, end, may_lose=1)


def main() -> None:
    """Measure on each server, print figures as JSON."""
    options = asked()
    layers = channel_layer(options["url"])
    begin(CHANNEL_LAYERS=layers)
    found, count = [], options["sockets"]
    for name in SERVERS:
        case = f"{name}, {count:,} sockets"
        seconds = Figures(QUESTION, case, "s", {}, REVOKED)
        micros = Figures(QUESTION, case, "CPU µs each", {}, REVOKED)
        lost = Figures(QUESTION, case, "% without code", {})
        with serving(name, _PROCESSES, CHANNEL_LAYERS=layers) as servers:
            ways = {
                REVOKED: partial(revocation, servers, count, answers_close=True),
                RUDE: partial(revocation, servers, count, answers_close=False),
                GROUP: partial(group_send, servers, count),
            }
            for _, (way, close) in product(range(options["rounds"]), ways.items()):
                for server in servers:
                    server.settle()
                cost = close()
                seconds.add(way, cost.seconds)
                micros.add(way, cost.micros)
                lost.add(way, cost.lost)
        found += [seconds, micros, lost]
    print(json.dumps([one.plain() for one in found]))


if __name__ == "__main__":
    main()
