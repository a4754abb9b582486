"""
What a connection costs while it lives: its messages, and its memory.

In process and on a real server, beside the same consumer without a guard. Asked by
`__main__`; run as a program by itself.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .clients import Clients, request
from .databases import begin, measured, sqlite
from .figures import Figures
from .rights import Rights
from .rounds import TIMES, Effort, Promise
from .serving import DAPHNE, Server, apart, serving

if TYPE_CHECKING:
    from wsorigin.guard import Application
    from wsorigin.handshake import Scope

MESSAGES: Final = "messages"
MEMORY: Final = "memory of a connection"
IN_PROCESS: Final = "in process"
PER_CPU: Final = "/ CPU s"
KIB: Final = "KiB"

SITE: Final = "https://chat.example.com"
# Open and talking at the same time; a server has many.
_TALKERS: Final = 32
# A round is cut so often, and contenders take turns with the pieces: a machine that is
# faster now and slower then is so for all of them.
_PIECES: Final = 10


class Kind(NamedTuple):
    """
    A way to open a connection: the path, with which credential, and beside whom.

    ``base`` is the name of the one that knows as much without a guard: nobody, or a user
    whose right it is; itself if it has none.
    """

    name: str
    path: str
    base: str
    with_session: bool = False
    with_token: bool = False


BARE: Final = "bare consumer"
STACK: Final = "bare, in AuthMiddlewareStack, session"
AGAIN: Final = "bare consumer, once more"
GUARDED: Final = "wsorigin, consumer"
KINDS: Final = (
    Kind(BARE, "/bare/", BARE),
    Kind(GUARDED, "/guarded/", BARE),
    Kind("wsorigin, wrapper", "/wrapped/", BARE),
    Kind("wsorigin, consumer, session", "/guarded/", STACK, with_session=True),
    Kind("wsorigin, consumer, token", "/guarded/", STACK, with_token=True),
    Kind(STACK, "/session/", STACK, with_session=True),
    Kind(
        "wsorigin, consumer in the stack, session",
        "/session/guarded/",
        STACK,
        with_session=True,
    ),
)
# What a connection rests upon is nothing to its messages. The bare one talks twice: by
# so much this measurement is wrong.
TALKING: Final = (*KINDS[:3], Kind(AGAIN, "/bare/", BARE))


def results(*, quick: bool, effort: Effort) -> list[Figures]:
    """Measure on a site with a database in a file."""
    options: dict[str, Any] = {
        "rounds": effort.rounds,
        "messages": 400 if quick else 2_000,
        "lines": 20 if quick else 200,
        "sockets": 100 if quick else 5_000,
        # Each takes a server of its own for each kind.
        "served_rounds": 1 if quick else min(effort.rounds, 3),
        "kinds": 2 if quick else len(KINDS),
    }
    with sqlite() as database:
        found = measured("benchmarks.live", database, **options)
    return [Figures(**plain) for plain in found]


def promises(figures: Sequence[Figures]) -> Iterator[Promise]:
    """Yield what a guard may cost a connection that is open."""
    rates = {
        f"{one.case}: {kind.name}": one.ratio(kind.name)
        for one in figures
        if one.unit == PER_CPU
        for kind in TALKING
        if kind.name.startswith("wsorigin")
    }
    text = f"Messages through a guard are {{}} {TIMES} as fast as without"
    yield Promise(text, 0.99, rates, at_least=True)
    more = {
        f"{one.case}: {kind.name}": one.difference(kind.name, kind.base)
        for one in figures
        if one.question == MEMORY
        for kind in KINDS
        if kind.name in one.samples and kind.base != kind.name
    }
    yield Promise("A guarded connection takes {} KiB more than a bare one", 2, more)


class Line:
    """One connection to an application in this process, with a queue each way."""

    __slots__ = ("_inbox", "_outbox", "_task")

    def __init__(self, app: Application, scope: Scope) -> None:
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._outbox: asyncio.Queue[Any] = asyncio.Queue()
        running: Any = app(scope, self._inbox.get, self._outbox.put)
        self._task: asyncio.Task[None] = asyncio.create_task(running)

    async def open(self) -> None:
        """Connect, and be accepted."""
        self._inbox.put_nowait({"type": "websocket.connect"})
        message = await self._outbox.get()
        if message["type"] != "websocket.accept":
            raise RuntimeError(f"not let in: {message}")

    async def echo(self, count: int) -> float:
        """Exchange so many messages; return the CPU seconds."""
        message = {"type": "websocket.receive", "text": "sixteen octets.."}
        started = time.process_time()  # Channels has a thread look after connections
        for _ in range(count):
            self._inbox.put_nowait(message)
            await self._outbox.get()
        return time.process_time() - started

    async def close(self) -> None:
        """Leave, and see the application end."""
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self._task


def headers_of(kind: Kind, rights: Rights) -> dict[str, str]:
    """Return the headers that open a connection of this kind."""
    return rights.headers(
        SITE, with_session=kind.with_session, with_token=kind.with_token
    )


def scope_of(kind: Kind, rights: Rights) -> Scope:
    """Return the scope of a handshake of this kind, nothing in it shared."""
    from . import decision

    scope = decision.scope_of(SITE)
    more = {
        name.lower().encode(): value.encode()
        for name, value in headers_of(kind, rights).items()
    }
    scope["path"] = kind.path
    kept = [(name, value) for name, value in scope["headers"] if name not in more]
    scope["headers"] = [*kept, *more.items()]
    return scope


async def messages_in_process(rights: Rights, rounds: int, count: int) -> Figures:
    """Exchange messages with each contender in turn."""
    from .site import APPLICATIONS

    figures = rates(IN_PROCESS)
    for _ in range(rounds):
        lines = {}
        for kind in TALKING:
            line = Line(APPLICATIONS[kind.path], scope_of(kind, rights))
            await line.open()
            await line.echo(count // _PIECES)
            lines[kind.name] = line
        spent = dict.fromkeys(lines, 0.0)
        gc.disable()
        for name in turns(lines):
            spent[name] += await lines[name].echo(count // _PIECES)
        gc.enable()
        for name, line in lines.items():
            figures.add(name, count / spent[name])
            await line.close()
    return figures


def turns(names: Iterable[str]) -> Iterator[str]:
    """Yield whose turn it is with the next piece of a round: A B C, C B A, A B C."""
    order = list(names)
    for _ in range(_PIECES):
        yield from order
        order.reverse()


async def memory_in_process(rights: Rights, rounds: int, count: int) -> Figures:
    """Open so many connections of each kind; see what is allocated for one."""
    from .site import APPLICATIONS

    figures = Figures(MEMORY, IN_PROCESS, KIB, {}, BARE)
    tracemalloc.start()
    for number in range(-1, rounds):  # a round before the first fills caches
        for kind in KINDS:
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            lines = []
            for _ in range(count if number >= 0 else 20):
                line = Line(APPLICATIONS[kind.path], scope_of(kind, rights))
                await line.open()
                lines.append(line)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
            if number >= 0:
                figures.add(kind.name, (after - before) / 1024 / count)
            for line in lines:
                await line.close()
            del line, lines
    tracemalloc.stop()
    return figures


def messages_served(rights: Rights, rounds: int, count: int) -> Iterator[Figures]:
    """Exchange messages over a real server, with each contender in turn."""
    by_cpu = rates(DAPHNE)
    by_clock = Figures(MESSAGES, DAPHNE, "/ s", {}, BARE, more_is_better=True)
    with ExitStack() as stack:
        elsewhere = stack.enter_context(apart())
        (server,) = stack.enter_context(serving(DAPHNE))
        elsewhere()
        clients = stack.enter_context(Clients())
        talkers = {
            kind.name: clients.open(
                [server.address],
                request(kind.path, **headers_of(kind, rights)),
                _TALKERS,
            )
            for kind in TALKING
        }
        piece = count // _PIECES
        for name in talkers:
            clients.echo(talkers[name], piece)
        for _ in range(rounds):
            spent = dict.fromkeys(talkers, 0.0)
            passed = dict.fromkeys(talkers, 0.0)
            for name in turns(talkers):
                server.settle()
                before = server.cpu_seconds()
                passed[name] += clients.echo(talkers[name], piece)
                spent[name] += server.cpu_seconds() - before
            for name in talkers:
                by_clock.add(name, count / passed[name])
                by_cpu.add(name, count / spent[name])
    yield from (by_cpu, by_clock)


def memory_served(
    rights: Rights, rounds: int, count: int, kinds: Sequence[Kind]
) -> Figures:
    """Open so many sockets of one kind on a server of their own; see what it grows."""
    figures = Figures(MEMORY, DAPHNE, KIB, {}, BARE)
    for _ in range(rounds):
        for kind in kinds:
            with serving(DAPHNE) as (server,), Clients() as clients:
                handshake = request(kind.path, **headers_of(kind, rights))
                figures.add(kind.name, growth(server, clients, handshake, count))
    return figures


def growth(server: Server, clients: Clients, handshake: bytes, count: int) -> float:
    """Return the KiB that each of so many sockets takes."""
    # What the first ones bring for all, before anything is counted.
    clients.open([server.address], handshake, min(count, 50))
    server.settle()
    before = server.resident()
    clients.open([server.address], handshake, count)
    server.settle()
    return (server.resident() - before) / count


def rates(case: str) -> Figures:
    """Return an empty table of messages."""
    return Figures(MESSAGES, case, PER_CPU, {}, BARE, more_is_better=True)


def main() -> None:
    """Measure, print figures as JSON."""
    options = begin(apps=["django.contrib.sessions"])
    rights = Rights()
    rounds, served_rounds = options["rounds"], options["served_rounds"]
    found = [
        asyncio.run(messages_in_process(rights, rounds, options["messages"])),
        *messages_served(rights, rounds, options["messages"]),
        asyncio.run(memory_in_process(rights, served_rounds, options["lines"])),
        memory_served(
            rights, served_rounds, options["sockets"], KINDS[: options["kinds"]]
        ),
    ]
    print(json.dumps([one.plain() for one in found]))


if __name__ == "__main__":
    main()
