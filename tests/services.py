"""
Services that tests need for real: a PostgreSQL server of their own, stopped at will.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

_USER: Final = "postgres"
# Durability costs time and is nobody's here; no socket outside its own folder.
_OPTIONS: Final = "-F -c listen_addresses=127.0.0.1 -c max_connections=60"


def postgresql_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL server, None where there is none."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else []
    debian = Path("/usr/lib/postgresql").glob("*/bin")  # not on the path there
    folders += sorted(debian, key=lambda path: -float(path.parent.name))
    return next(iter(folders), None)


@dataclass
class PostgreSQL:
    """A database server in a folder of its own, on a port that nobody else has."""

    programs: Path
    folder: Path
    port: int

    @classmethod
    def make(cls, programs: Path) -> PostgreSQL:
        """Make an empty server, not started."""
        folder = Path(tempfile.mkdtemp(prefix="wsorigin-postgresql-"))
        if os.getuid() == 0:  # pragma: no branch
            shutil.chown(folder, _USER)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = cls(programs, folder, port)
        server._run("initdb", "-U", _USER, "--auth=trust", "-N", "-E", "UTF8")
        return server

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"{_OPTIONS} -p {self.port} -k {self.folder}"
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "-w", "-l", log, "-o", options)

    def stop(self) -> None:
        """Stop it as a crash would, without waiting for anybody's transaction."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate")

    def freeze(self) -> None:
        """Leave it running, but answering nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        self._signal(signal.SIGCONT)

    def destroy(self) -> None:
        """Leave nothing of it behind."""
        running = (self.folder / "data" / "postmaster.pid").exists()
        if running:  # pragma: no branch
            self.stop()
        shutil.rmtree(self.folder)

    def make_database(self) -> dict[str, Any]:
        """Make an empty database; return Django's settings for it."""
        name = f"site_{next(_numbers)}"
        with self.connect(_USER) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": _USER,
            "HOST": "127.0.0.1",
            "PORT": self.port,
        }

    def connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect as another program would, in autocommit."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=_USER,
            dbname=database,
            autocommit=True,
        )

    def _signal(self, number: signal.Signals) -> None:
        file = self.folder / "data" / "postmaster.pid"
        postmaster = int(file.read_text().split()[0])
        # The postmaster first: from then on it starts no other backend.
        os.kill(postmaster, number)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
        for pid in map(int, children.split()):
            with suppress(ProcessLookupError):  # ended by itself meanwhile
                os.kill(pid, number)

    def _run(self, program: str, *arguments: str) -> None:
        account = pwd.getpwnam(_USER) if os.getuid() == 0 else None
        subprocess.run(  # noqa: S603  # our own command
            [self.programs / program, "-D", self.folder / "data", *arguments],
            check=True,
            cwd=self.folder,
            user=account and account.pw_uid,  # the server refuses to run as root
            group=account and account.pw_gid,
            extra_groups=[] if account else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


_numbers: Final = count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Run a PostgreSQL server; skip where there is none, though never in CI."""
    programs = postgresql_programs()
    if programs is None:  # pragma: no cover
        problem = "no PostgreSQL server is installed (Debian: postgresql)"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    server = PostgreSQL.make(programs)
    try:
        server.start()
        yield server
    finally:
        server.destroy()
