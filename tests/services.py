"""
What tests need for real: PostgreSQL and Redis of their own, files with tables in them,
and packages from npm.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, NoReturn

import psycopg
import pytest
from redis import Redis as RedisClient
from redis.exceptions import RedisError

from tests.servers.sites import manage, sqlite

# From the start of Redis to its first answer, on a machine busy with others.
_START_TIMEOUT: Final = 15.0
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
        server = cls(programs, folder, free_port())
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


@dataclass
class Redis:
    """A server in a folder of its own that keeps nothing over a restart."""

    program: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls, program: str) -> Redis:
        """Make an empty server, not started."""
        folder = Path(tempfile.mkdtemp(prefix="wsorigin-redis-"))
        return cls(program, folder, free_port())

    @property
    def url(self) -> str:
        """Where it is, as clients want it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> RedisClient:
        """Return a client as another program would have it."""
        return RedisClient.from_url(self.url, socket_timeout=_START_TIMEOUT)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  # our own command
                [
                    self.program,
                    *("--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--dir", str(self.folder), "--save", "", "--appendonly", "no"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        ready = False
        with closing(self.client()) as client:
            while not ready:
                time.sleep(0.02)
                with suppress(RedisError):
                    ready = client.ping()
                assert time.monotonic() < deadline, (self.folder / "log").read_text()

    def stop(self) -> None:
        """Stop it as a crash would; it may be frozen."""
        assert self.process
        self.process.kill()
        self.process.wait()
        self.process = None

    def freeze(self) -> None:
        """Leave it running, but answering nothing."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def destroy(self) -> None:
        """Leave nothing of it behind."""
        if self.process:  # pragma: no branch
            self.stop()
        shutil.rmtree(self.folder)


@contextmanager
def harmed(service: PostgreSQL | Redis, how: str) -> Iterator[None]:
    """Let something happen to a service, and mend it in the end."""
    if how == "frozen":
        service.freeze()
    else:
        service.stop()
    if how == "restarted":
        service.start()
    try:
        yield
    finally:
        if how == "frozen":
            service.thaw()
        elif how == "stopped":
            service.start()


def channel_layer(url: str, name: str = "core") -> dict[str, Any]:
    """Return Django's settings for one of the two layers of channels_redis."""
    backends = {
        "core": "channels_redis.core.RedisChannelLayer",
        "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    }
    # With redis-py 8's own time-out, consumers end after five idle seconds
    # (django/channels_redis#422).
    config = {"hosts": [{"address": url, "socket_timeout": None}]}
    return {"default": {"BACKEND": backends[name], "CONFIG": config}}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def missing(problem: str) -> NoReturn:
    """Skip the test for want of a program; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)


_numbers: Final = count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Run a PostgreSQL server; skip where there is none, though never in CI."""
    programs = postgresql_programs()
    if programs is None:  # pragma: no cover  # not in CI
        missing("no PostgreSQL server is installed (Debian: postgresql)")
    server = PostgreSQL.make(programs)
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """Run a Redis server; skip where there is none, though never in CI."""
    program = shutil.which("redis-server")
    if program is None:  # pragma: no cover  # not in CI
        missing("no Redis server is installed (Debian: redis-server)")
    server = Redis.make(program)
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """
    Put an SQLite file with the tables of a site into a folder; return its settings.

    The site is named by what returns its environment on a database. Its tables are made
    once, and copied.
    """
    made: dict[Callable[[dict[str, Any]], dict[str, str]], Path] = {}

    def put(
        environment: Callable[[dict[str, Any]], dict[str, str]],
        folder: Path,
        **options: Any,
    ) -> dict[str, Any]:
        if environment not in made:
            file = tmp_path_factory.mktemp("tables") / "site.sqlite3"
            manage("migrate", "--verbosity=0", env=environment(sqlite(file)))
            made[environment] = file
        return sqlite(shutil.copy(made[environment], folder), **options)

    return put


def installed_from_npm(source: Path, folder: Path) -> Path:
    """Install what a lock file names; skip where that cannot be, though never in CI."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, folder)
    npm = shutil.which("npm") or "npm"
    try:
        subprocess.run(  # noqa: S603  # our own command
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            check=True,
            timeout=120,
        )
    except (
        OSError,
        subprocess.SubprocessError,
    ) as error:  # pragma: no cover  # not in CI
        missing(f"npm cannot install what tests need: {error}")
    return folder / "node_modules"
