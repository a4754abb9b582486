"""
The table of outcomes, as data and as a page: what was measured, and what may be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from .case import Case
from .cases import CASES, GROUPS
from .defects import DEFECTS
from .siege import HTTPTOOLS

OUTCOMES: Final = Path(__file__).with_name("outcomes.json")
PAGE: Final = Path(__file__).parents[2] / "docs/explanation/hostile-clients.md"

# Between outcomes of one cell that all have been seen.
_OR: Final = " | "

# What reads a handshake in each server.
STACKS: Final = {
    "daphne": ("daphne", "autobahn", "twisted"),
    "uvicorn-websockets": ("uvicorn", "h11", "websockets"),
    "uvicorn-sansio": ("uvicorn", "h11", "websockets"),
    "uvicorn-wsproto": ("uvicorn", "h11", "wsproto"),
    HTTPTOOLS: ("uvicorn", "httptools", "websockets"),
    "hypercorn-h1": ("hypercorn", "h11", "wsproto"),
    "granian": ("granian",),
}

_DEFECTIVE: Final = {
    (defect.server, case) for defect in DEFECTS for case in defect.cases
}

_INTRODUCTION: Final = """\
# Hostile clients

What servers make of clients that break every rule, sent as raw bytes to a guarded endpoint.
`tests/test_hostile.py` does it on each run, {cases} cases on {servers} servers, and demands of every one:

- no stranger gets in, and no application runs for one;
- no 500 and no traceback, save the [defects of servers](#defects-of-servers) below, which are the same without wsorigin;
- no hang: while the server waits for the rest of some request, and after all of them, a trusted page opens a socket as ever.

In {denied} of {cells} cells it is the guard that denies.
In {own} the server answers by itself, hangs up or waits: no application hears of the request, so there is no line in wsorigin's log and no row in the audit.

## How to read the tables

| cell | what the client got |
| --- | --- |
| 403 | the guard's denial, with the [reason](../reference/reasons.md) in the second column |
| *400*, *closed* | the server's own answer, or none: nobody else was asked |
| *waits* | nothing: the server waits for more, as long as its own time-out lets it |
| *HTTP/2* | the connection goes on in HTTP/2, and no WebSocket has been asked for there |
| page 426 | an answer of the site over plain HTTP: the server saw no handshake |
| 101 | an open socket, for a trusted origin; without cookies, where these do not count |
| (denied), (ran) | the guard denied, or the application ran for a trusted origin, and the server kept that to itself |
| gone | the client left without waiting for an answer |
| † | a [defect of the server](#defects-of-servers) |

`uvicorn-httptools` is what `uvicorn[standard]` runs by default; the other three of uvicorn have h11 before their WebSocket library.
Where there are two answers, the client sent two requests, or the server took one for two.
Daphne delivers no reason to the client; the log has it.

Measured with {versions}.
With other versions the test insists on the rules above, not on the cells.
Where a connection is half closed, or gets more bytes than the server reads at once, the cell is a matter of timing, and the test allows for that.
The rules are tested for `WSORIGIN_DENY_WITH = "close"` too, with which a stranger gets an open socket that closes at once, and no application.
"""

_DEFECTS: Final = """\
## Defects of servers

Nothing of wsorigin runs before they happen.
The test sends the same bytes to an application of three lines without wsorigin, Channels and Django, and gets the same answers and the same tracebacks.
"""

_CONCLUSION: Final = """\
## What is left to the server

A server that *waits* is not stopped by it: it serves others, as the test shows.
It keeps the connection, though, and no application learns of that.
Measured once, hypercorn hangs up after 5 seconds, Daphne after 60, granian 30 seconds after the first byte, and uvicorn not within two minutes.
How many such connections there may be, and for how long, is for a proxy in front to say: `client_header_timeout` of nginx, `timeout http-request` of HAProxy.

Sizes are limited by the server as well, and the limits differ by a factor of a hundred.
The guard reads what it is given: an origin that is too long is malformed, and a list of subprotocols is read once.

What servers write into their own logs is theirs, and some of it looks like an error:

- uvicorn with `websockets-sansio`, its default, writes `ASGI callable returned without completing handshake.` at ERROR for each denial over HTTP, whichever application sends it. `WSORIGIN_DENY_WITH = "close"` avoids that.
- Daphne with `-v 2` writes an `AttributeError` for each handshake that it refuses itself, also without wsorigin; below that it keeps it to itself.

## Repeat it

```console
$ python -m tests.hostile
```

measures all servers three times, and rewrites `tests/hostile/outcomes.json` and this page; `python -m tests.hostile granian` measures one of them.
`uvicorn-httptools` is measured, and tested, where httptools is installed.
"""


@dataclass
class Table:
    """
    Outcomes by case and server, and the versions that they were measured with.

    A cell holds several outcomes where several were seen.
    """

    versions: dict[str, str]
    cells: dict[str, dict[str, str]]

    @classmethod
    def read(cls, path: Path = OUTCOMES) -> Table:
        """Read a table from its file."""
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path = OUTCOMES) -> None:
        """Write the table, a line for each case."""
        rows = [f"{json.dumps(case)}: {json.dumps(self.cells[case])}" for case in CASES]
        versions = json.dumps(self.versions, indent=1)
        body = ",\n".join(rows)
        path.write_text(f'{{"versions": {versions},\n"cells": {{\n{body}\n}}}}\n')

    def record(self, server: str, rounds: Iterable[Mapping[str, str]]) -> None:
        """Replace what is known of a server by what came of some rounds."""
        self.versions[server] = installed(server)
        seen: dict[str, set[str]] = {case: set() for case in CASES}
        for outcomes in rounds:
            for case, outcome in outcomes.items():
                seen[case].add(outcome)
        for case, outcomes_seen in seen.items():
            cell = _OR.join(sorted(outcomes_seen))
            self.cells.setdefault(case, {})[server] = cell

    def differences(self, server: str, outcomes: Mapping[str, str]) -> list[str]:
        """
        Say where outcomes are others than in the table.

        None are where the server has another version: it may read bytes as it likes,
        within the rules.
        """
        if self.versions[server] != installed(server):
            return []
        return [
            f"{case}: {outcome}, not {self.cells[case][server]}"
            for case, outcome in outcomes.items()
            if outcome not in self.cells[case][server].split(_OR)
            and outcome not in CASES[case].timing
        ]

    def page(self) -> str:
        """Return the page that shows the table."""
        cells = [cell for row in self.cells.values() for cell in row.values()]
        parts = [
            _INTRODUCTION.format(
                cases=len(CASES),
                servers=len(STACKS),
                cells=len(cells),
                denied=sum("403" in cell for cell in cells),
                own=sum(
                    cell.startswith("server: ") and cell[-1] != ")" for cell in cells
                ),
                versions=", ".join(
                    dict.fromkeys(", ".join(self.versions.values()).split(", "))
                ),
            )
        ]
        for heading, cases in GROUPS.items():
            rows = [
                ["case", "reason", *STACKS],
                ["---"] * (2 + len(STACKS)),
                *(self.row(case) for case in cases),
            ]
            parts.append(f"## {heading}\n\n{lined(rows)}")
        rows = [
            ["server", "cases", "what happens"],
            ["---"] * 3,
            *([it.server, ", ".join(it.cases), it.why] for it in DEFECTS),
        ]
        parts.append(f"{_DEFECTS}\n{lined(rows)}")
        return "\n".join([*parts, _CONCLUSION])

    def row(self, case: Case) -> list[str]:
        """Return a case's row of the page."""
        cells = self.cells[case.name]
        denies = any("403" in cell for cell in cells.values())
        return [
            f"**{case.name}**: {case.tries}",
            case.reason if denies else "",
            *(shown(case, server, cells[server]) for server in STACKS),
        ]


def shown(case: Case, server: str, cell: str) -> str:
    """Return a cell as the page has it."""
    text = cell.replace(f"403 {case.reason}", "403").replace("site: ", "page ")
    text = re.sub(r"server: (\S+?)(?=,| |$)", r"*\1*", text).replace(_OR, " or ")
    return f"{text} †" if (server, case.name) in _DEFECTIVE else text


def lined(rows: Iterable[Iterable[str]]) -> str:
    """Return rows as lines of a Markdown table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def installed(server: str) -> str:
    """Return the versions of what reads a server's handshakes."""
    return ", ".join(f"{name} {version(name)}" for name in STACKS[server])
