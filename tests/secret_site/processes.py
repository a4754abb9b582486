"""
Starting the site: one database, an operator beside it, and a server of any kind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from tests.fleet.servers import Operator
from tests.servers.processes import ROOT, Kind, Server

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

    def command(descriptor: int, port: int) -> list[str]:
        *words, _ = kind.command(descriptor, port)
        return [*words, *OPTIONS[words[0]], APPLICATION]

    return replace(kind, command=command)


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
        server = Server.start(serving(kind), log, env)
        try:
            server.wait_until_ready()
            yield server
        finally:
            server.stop()
            server.wait_until_gone()


def environment(folder: Path, name: str, **settings: Any) -> dict[str, str]:
    """Return the environment of a process on the site's database."""
    settings["DATABASES"] = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(folder / "site.sqlite3"),
            # Two processes write: each waits for its turn, and nobody for the disk.
            "OPTIONS": {
                "timeout": TIMEOUT,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA synchronous = OFF",
            },
        }
    }
    settings.setdefault("WSORIGIN_REFRESH_INTERVAL", 0.3)
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.secret_site.settings",
        "SERVED_SETTINGS": json.dumps(settings),
        "WIRE_LOG": str(folder / f"{name}.wire.log"),
    }


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Make the database, and have an operator; `Site.served` starts servers."""
    env = environment(folder, "operator")
    made = subprocess.run(
        [sys.executable, "-m", "tests.secret_site"],
        cwd=ROOT,
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    operator = Operator(folder / "operator.log", env)
    try:
        yield Site(folder, env, operator, made.stdout.strip())
    finally:
        operator.stop()


def get(server: Server, page: str, session: str = "") -> None:
    """Ask a server for a page, as a browser with this session does."""
    connection = HTTPConnection(*server.address, timeout=TIMEOUT)
    try:
        headers = {"Host": "site.example", "Cookie": f"sessionid={session}"}
        connection.request("GET", page, headers=headers)
        response = connection.getresponse()
        body = response.read().decode()
        assert (response.status, bool(body)) == (200, True), body
    finally:
        connection.close()
