"""
Starting the site on real servers, and asking it over HTTP.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from tests.processes.servers import program
from tests.servers.processes import START_TIMEOUT, Kind, Server

APPLICATION: Final = "tests.preflight.application:application"


def site(name: str, command: Callable[[str], list[str]]) -> Kind:
    """Make a kind of server that gets the descriptor of its listening socket."""
    return Kind(name, lambda descriptor, _port: command(str(descriptor)))


DAPHNE: Final = site(
    "daphne", lambda descriptor: ["daphne", "--fd", descriptor, "-v", "0", APPLICATION]
)


def uvicorn(library: str) -> Kind:
    """Make uvicorn with a library for WebSockets, or with none."""
    options = ["--ws", library, "--timeout-graceful-shutdown", "1"]
    return site(
        f"uvicorn-{library}",
        lambda descriptor: ["uvicorn", "--fd", descriptor, *options, APPLICATION],
    )


HYPERCORN: Final = site(
    "hypercorn",
    lambda descriptor: [
        "hypercorn",
        *("--bind", f"fd://{descriptor}"),
        *("--workers", "0", "--graceful-timeout", "1"),
        APPLICATION,
    ],
)
GRANIAN: Final = Kind(
    "granian",
    lambda _descriptor, port: [
        "granian",
        *("--interface", "asginl", "--port", str(port), APPLICATION),
    ],
    opens_port=True,
)
WSGI: Final = site("wsgi", lambda descriptor: ["tests.preflight.wsgi", descriptor])


@dataclass
class Answer:
    """What the site answered over HTTP; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


def ask(
    server: Server,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
) -> Answer:
    """Ask for a page."""
    connection = HTTPConnection(*server.address, timeout=20)
    try:
        sent = {"Host": "site.example", **(headers or {})}
        connection.request(method, path, headers=sent)
        response = connection.getresponse()
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read().decode(),
        )
    finally:
        connection.close()


@contextmanager
def serving(kind: Kind, folder: Path) -> Iterator[Server]:
    """Run the site on one server, with a database of its own."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "site")}
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.preflight.settings",
        "SERVED_SETTINGS": json.dumps({"DATABASES": {"default": database}}),
    }
    migration = program("django", "migrate", "--verbosity", "0", env=env)
    output, _ = migration.communicate(timeout=60)
    assert migration.returncode == 0, output
    server = Server.start(kind, folder / "log", env)
    try:
        wait_until_ready(server)
        yield server
    finally:
        server.stop()
        server.wait_until_gone()


def wait_until_ready(server: Server) -> None:
    """Return as soon as the server answers over HTTP: not all of them do otherwise."""
    deadline = time.monotonic() + START_TIMEOUT
    status = None
    while status != 200:
        time.sleep(0.02)
        assert server.process.poll() is None, server.log.read_text()
        assert time.monotonic() < deadline, server.log.read_text()
        with suppress(ConnectionError, HTTPException):
            status = ask(server, "/denied/").status
