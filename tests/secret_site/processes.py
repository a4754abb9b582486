"""
Starting the site: one database, an operator beside it, and a server of any kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.fleet.servers import Operator
from tests.servers import sites
from tests.servers.processes import Kind, Server, running
from tests.servers.sites import program, sqlite

APPLICATION: Final = "tests.secret_site.application:application"
TIMEOUT: Final = 20.0

# As talkative as each can be; uvicorn's own DEBUG is set by the site (see settings). And
# granian would else wait for ever for a thread of Channels that waits for its event loop.
OPTIONS: Final = {
    "daphne": ["-v", "2", "--access-log", "-"],
    "uvicorn": ["--access-log"],
    "hypercorn": [
        *("--access-logfile", "-", "--error-logfile", "-"),
        *("--log-level", "DEBUG"),
    ],
    "granian": [
        *("--access-log", "--log-level", "debug"),
        *("--workers-kill-timeout", "2"),
    ],
}


def serving(kind: Kind) -> Kind:
    """Return the same kind of server, which serves this site and logs all it can."""
    options = OPTIONS[kind.name.partition("-")[0]]
    return kind.serving(APPLICATION, *options)


@dataclass
class Site:
    """The database, and the operator who changes what may be open."""

    folder: Path
    env: dict[str, str]
    operator: Operator
    publishable: str

    @property
    def database(self) -> Path:
        """The file with all rows."""
        return self.folder / "site.sqlite3"

    @contextmanager
    def served(self, kind: Kind, **settings: Any) -> Iterator[Server]:
        """Run a server of a kind; its logs are beside the database."""
        name = "-".join([kind.name, *map(str, settings.values())])
        log = self.folder / f"{name}.log"
        env = environment(self.folder, name, **settings)
        with running((serving(kind), log, env)) as (server,):
            yield server


def environment(folder: Path, name: str, **settings: Any) -> dict[str, str]:
    """Return the environment of a process on the site's database."""
    database = sqlite(
        folder / "site.sqlite3",
        # Two processes write: each waits for its turn, and nobody for the disk.
        timeout=TIMEOUT,
        transaction_mode="IMMEDIATE",
        init_command="PRAGMA synchronous = OFF",
    )
    settings.setdefault("WSORIGIN_REFRESH_INTERVAL", 0.3)
    return {
        **sites.environment("tests.secret_site.settings", database, **settings),
        "WIRE_LOG": str(folder / f"{name}.wire.log"),
    }


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Make the database, and have an operator; `Site.served` starts servers."""
    env = environment(folder, "operator")
    made = program("tests.secret_site", env=env)
    output, _ = made.communicate(timeout=TIMEOUT)
    assert made.returncode == 0, output
    operator = Operator(folder / "operator.log", env)
    try:
        # Before it stands what the site logs: all it can.
        yield Site(folder, env, operator, publishable=output.split()[-1])
    finally:
        operator.stop()


def get(server: Server, page: str, session: str = "") -> None:
    """Ask a server for a page, as a browser with this session does."""
    answer = server.ask(page, {"Cookie": f"sessionid={session}"})
    assert (answer.status, bool(answer.body)) == (200, True), answer.body
