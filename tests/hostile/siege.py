"""
Every hostile client against every server, and what came of each; no judgement.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tests.servers.processes import KINDS, SANSIO, Kind, Server, Start
from tests.servers.processes import running as running_servers
from tests.servers.sites import SETTINGS, environment, sqlite

from .case import Act, Case, friendly
from .client import Client

GUARDED: Final = "tests.hostile.application:application"
BARE: Final = "tests.hostile.bare:application"

# What `uvicorn[standard]` runs by default: another parser of HTTP before the same
# library for WebSockets.
HTTPTOOLS: Final = "uvicorn-httptools"

# Over HTTP/2, RFC 8441 has no bytes to get wrong that no library for HTTP/2 has read.
_KINDS: Final = {kind.name: kind for kind in KINDS if kind.http_version != "2"}
_KINDS[HTTPTOOLS] = replace(SANSIO, name=HTTPTOOLS)

SERVERS: Final = {
    name: kind
    for name, kind in _KINDS.items()
    if name != HTTPTOOLS or find_spec("httptools")
}

DATABASE: Final = "site.sqlite3"
SITE: Final = {"MIDDLEWARE": ["wsorigin.middleware.StrippedUpgradeMiddleware"]}

# How long the next client waits for one that a server keeps waiting.
TURN: Final = 0.25

FRIEND: Final = Case(
    "friend", "A trusted page, which does nothing wrong.", (friendly(),)
)

_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
_REASON: Final = re.compile(rb'"reason": "([a-z-]+)"')
_SETTINGS: Final = b"\x04"  # the type of a frame in HTTP/2, in its fourth byte


@dataclass
class Siege:
    """
    A server, and what came of all clients.

    ``outcomes`` are cells of the table, by case; ``events`` the requests that reached
    the application; ``friends`` what trusted pages got while others were kept waiting,
    and afterwards; ``log`` what the server wrote meanwhile.
    """

    server: Server
    outcomes: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    friends: list[str] = field(default_factory=list)
    log: str = ""

    def run(self, cases: Sequence[Case], *, witnessed: bool) -> None:
        """Send all clients, one after the other as far as they are answered."""
        address = self.server.address
        clients = [Client(case) for case in cases]
        friends = [Client(FRIEND), Client(FRIEND)]
        with ThreadPoolExecutor(len(clients)) as pool:
            playing = []
            for client in clients:
                playing.append(pool.submit(client.play, address))
                client.was_answered.wait(TURN)
            # While those are there that the server keeps waiting.
            friends[0].play(address)
            for client_playing in playing:
                client_playing.result()
        friends[1].play(address)
        self.friends = [",".join(statuses(friend.data)) for friend in friends]
        if witnessed:
            self.events = self.server.connect("/witness/").receive_json()
        latest_first = (clients + friends)[::-1]
        for event in self.events:
            owners = [client for client in latest_first if client.owns(event)]
            for client in owners[:1]:
                client.events.append(event)
        self.outcomes = {client.case.name: outcome(client) for client in clients}
        self.log = self.server.log.read_text(errors="replace")


def outcome(client: Client) -> str:
    """Return what came of a client, as a cell of the table has it."""
    if Act.RESET in client.case.steps:
        return "gone"
    if client.data[3:4] == _SETTINGS or b"upgrade: h2c" in client.data.lower():
        return "server: HTTP/2"
    reasons = [reason.decode() for reason in _REASON.findall(client.data)]
    arrived = list(client.events)
    answers = [answer(status, arrived, reasons) for status in statuses(client.data)]
    if not answers:
        answers = ["server: closed" if client.closed else "server: waits"]
    text = ", ".join(answers)
    # What the server kept to itself.
    handshakes = [
        event["ran"] for event in client.events if event["type"] == "websocket"
    ]
    if True in handshakes and "101" not in text:
        return f"{text} (ran)"
    if False in handshakes and "403" not in text:
        return f"{text} (denied)"
    return text


def statuses(data: bytes) -> list[str]:
    """Return the statuses of all final answers in what a server sent."""
    found = [status.decode() for status in _STATUS.findall(data)]
    return [status for status in found if status != "100"]


def answer(status: str, events: list[dict[str, Any]], reasons: list[str]) -> str:
    """Return who gave an answer, and which; the server, where no one else did."""
    for number, event in enumerate(events):
        match status, event:
            case "101", {"ran": True, "cookies": cookies}:
                text = "101" if cookies else "101 without cookies"
            case "403", {"type": "websocket", "ran": False, "explained": explained}:
                # Daphne delivers no body.
                text = f"403 {reasons.pop(0) if reasons else explained}".strip()
            case _, {"type": "http", "answer": given} if str(given) == status:
                text = f"site: {status}"
            case _:
                continue  # answered, but the client has not seen it
        del events[: number + 1]
        return text
    return f"server: {status}"


@contextmanager
def running(
    names: Sequence[str], folder: Path, application: str, settings: dict[str, Any]
) -> Iterator[dict[str, Siege]]:
    """Run some servers side by side, each with a database and a log of its own."""
    starts: list[Start] = []
    for name in names:
        database = shutil.copy(folder / DATABASE, folder / f"{name}.sqlite3")
        env = environment(SETTINGS, sqlite(database), **settings)
        kind = serving(SERVERS[name], application)
        starts.append((kind, folder / f"{name}.log", env))
    with running_servers(*starts) as servers:
        yield dict(zip(names, map(Siege, servers), strict=True))


def serving(kind: Kind, application: str) -> Kind:
    """Return a kind of server that serves another application."""
    http = "httptools" if kind.name == HTTPTOOLS else "h11"
    options = ["--http", http] if kind.name.startswith("uvicorn") else []
    return kind.serving(application, *options)


def besiege(
    cases: Mapping[str, Sequence[Case]],
    folder: Path,
    *,
    application: str = GUARDED,
    **settings: Any,
) -> dict[str, Siege]:
    """
    Send to each server its cases, to all servers at once; return what came of it.

    The folder has the database of the served site, and gets the logs.
    """
    with running(list(cases), folder, application, {**SITE, **settings}) as sieges:
        with ThreadPoolExecutor(len(sieges)) as pool:
            running_sieges = [
                pool.submit(siege.run, cases[name], witnessed=application == GUARDED)
                for name, siege in sieges.items()
            ]
        for siege_running in running_sieges:
            siege_running.result()
    return sieges
