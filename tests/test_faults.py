"""
Faults: whatever fails around it, known origins get in, strangers do not, nothing is lost.

Real servers on real services. The page of faults in the docs has a row for each test.
"""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection
from django.test import Client as Browser
from django.test import override_settings

from wsorigin import refresh, signals
from wsorigin.credentials import TokenKind
from wsorigin.denial import (
    CLOSE_CREDENTIAL,
    CLOSE_EXPIRED,
    CLOSE_ORIGIN,
    CLOSE_REVOKED,
)
from wsorigin.models import ConnectionToken, TrustedOrigin
from wsorigin.sessions import session_store, user_of
from wsorigin.tokens import disconnect, mint, revoke

from .faults.servers import (
    ANSWERED,
    DAPHNE,
    INTERVAL,
    KNOWN,
    UVICORN,
    Visitors,
    environment,
    served,
)
from .faults.slow import Line, line
from .fleet import servers as fleet
from .fleet.crowd import Member, codes, crowded
from .fleet.guests import OFF_LAYER, SITE
from .fleet.servers import Operator
from .processes import servers as processes
from .processes.servers import SLACK, change, look_again, opens, wait_until
from .servers import sites
from .servers.client import Client
from .servers.processes import Kind, Server, running
from .servers.sites import manage, program
from .services import PostgreSQL, Redis, channel_layer, harmed, missing
from .waiting import eventually

pytestmark = pytest.mark.server

AWAY: Final = "trusted origins cannot be read; what was read counts"
BACK: Final = "trusted origins can be read again"
WAITING: Final = "denials cannot be written; they wait"
# Longer than it takes until whoever looks at the database has to notice.
LONG: Final = 4 * INTERVAL
# Of what is written every two seconds.
FLUSHED: Final = 10.0

DENIED: Final = (
    "SELECT coalesce(sum(count), 0) FROM wsorigin_deniedhandshake "
    "WHERE origin LIKE '%.stranger.example'"
)
# Of an SQLite file that may not grow.
PAGES: Final = 400
NAME: Final = "site.sqlite3"
RECORDS: Final = "tests.processes.records"


SQLite = Callable[[Path], dict[str, Any]]


# Databases: a PostgreSQL server


class Site:
    """A process on a PostgreSQL server, reached by a line that may be slow."""

    def __init__(
        self,
        postgresql: PostgreSQL,
        line: Line,
        settings: dict[str, Any],
        server: Server,
    ) -> None:
        self.postgresql = postgresql
        self.line = line
        self.settings = settings
        self.server = server

    def execute(self, sql: str) -> Any:
        """Do something in the database, past everybody; return the first value."""
        return ask_server(self.postgresql, self.settings["NAME"], sql)

    def counted(self) -> int:
        """Return how many strangers the audit has written."""
        return int(self.execute(DENIED))


def ask_server(postgresql: PostgreSQL, database: str, sql: str) -> Any:
    """Ask a database, or change it, past everybody; return the first value."""
    with postgresql.connect(database) as connection:
        cursor = connection.execute(sql)
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


@pytest.fixture(scope="module")
def site(
    postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Run the process; each fault finds it as the one before has left it."""
    folder = tmp_path_factory.mktemp("faults")
    with line(postgresql.port) as laid:
        database = postgresql.make_database()
        env = environment(database | {"PORT": laid.port})
        manage("migrate", "--verbosity=0", env=env)
        with served(folder, env) as server:
            yield Site(postgresql, laid, database, server)


@contextmanager
def stopped(site: Site) -> Iterator[None]:
    site.postgresql.stop()
    try:
        yield
    finally:
        site.postgresql.start()


@contextmanager
def killed(site: Site) -> Iterator[None]:
    """Kill all its processes; what they leave behind is in the way of the next."""
    file = site.postgresql.folder / "data" / "postmaster.pid"
    site.postgresql._signal(signal.SIGKILL)
    try:
        yield
    finally:
        file.unlink()
        site.postgresql.start()


@contextmanager
def frozen(site: Site) -> Iterator[None]:
    site.postgresql.freeze()
    try:
        yield
    finally:
        site.postgresql.thaw()


@contextmanager
def slowed(site: Site) -> Iterator[None]:
    """Let each piece that is sent take longer than a handshake may wait for a look."""
    site.line.delay = 0.4
    try:
        yield
    finally:
        site.line.delay = 0.0


@pytest.mark.parametrize(
    ("fault", "logged"),
    [
        pytest.param(stopped, {1}, id="stopped"),
        pytest.param(killed, {0, 1}, id="killed"),
        pytest.param(frozen, {0}, id="frozen"),
        pytest.param(slowed, {0, 1}, id="slowed"),
    ],
)
def test_a_database_server_away_under_load(
    site: Site,
    fault: Callable[[Site], AbstractContextManager[None]],
    logged: set[int],
) -> None:
    """
    Decisions go on from memory, and each denial is counted in the end.

    Handshakes wait for it a second in all, and not each; an outage is logged once.
    """
    visitors, log = Visitors(site.server), site.server.log
    before, said = site.counted(), log.stat().st_size
    with fault(site):
        visitors.knock(LONG)
        if fault is frozen:
            asked = time.monotonic()
            assert opens(site.server, KNOWN)
            assert time.monotonic() - asked < 0.9
    change(site.server, "save", f"https://{fault.__name__}.example")
    followed = wait_until(
        site.server,
        f"https://{fault.__name__}.example",
        opened=True,
        within=INTERVAL + SLACK,
    )
    visitors.knock(INTERVAL)
    written = eventually(
        lambda: site.counted() == before + visitors.refused, within=FLUSHED
    )
    text = log.read_text()[said:]
    print(
        f"\n{fault.__name__} for {LONG:.1f} s: {visitors.refused} denials, all counted "
        f"after {written:.1f} s; longest answer {visitors.longest:.2f} s; "
        f"a new origin counts after {followed:.2f} s"
    )

    assert visitors.longest < 1 + SLACK
    assert text.count(AWAY) == text.count(BACK)
    assert {text.count(AWAY), text.count(WAITING)} <= logged
    assert "Exception inside application" not in text


# Clocks


@pytest.fixture
def moved(site: Site) -> Iterator[Callable[[float], None]]:
    """Move the clock of the process by some seconds; in the end it is right again."""
    total = 0.0

    def move(by: float) -> None:
        nonlocal total
        total += by
        answer = site.server.ask(f"/clock/?by={by}")
        assert answer.status == 200, answer.body

    yield move
    move(-total)


@pytest.fixture
def operator(site: Site, tmp_path: Path) -> Iterator[Operator]:
    """Run the operator beside the process, with a clock that is right."""
    env = fleet.environment(site.settings, {}, interval=INTERVAL)
    running = Operator(tmp_path / "operator.log", env)
    yield running
    running.stop()


def test_a_clock_set_forward_and_back(
    site: Site, operator: Operator, moved: Callable[[float], None]
) -> None:
    """What has an end ends by the clock, live sockets too; intervals are not touched."""
    server, hour, day = site.server, 3600, 86400
    brief, lasting = "https://brief.example", "https://lasting.example"
    operator("trust", origins=[brief, lasting])
    site.execute(
        "UPDATE wsorigin_trustedorigin SET expires_at = now() + interval '1 hour' "
        "WHERE pattern = 'https://brief.example'"
    )
    operator("add_user", name="clock")
    _, text = operator("mint", user="clock")
    pk, other = operator("mint", user="clock")
    look_again(server, lasting)

    def knock(**right: Any) -> Member:
        (member,) = crowd.open([server.address], "/ws/", 1, **right)
        return member

    def bearer(text: str) -> dict[str, Any]:
        return {"origin": None, "Authorization": f"Bearer {text}"}

    def ended(member: Member) -> tuple[int | None, float]:
        started = time.monotonic()
        crowd.wait(lambda: not member.is_open, INTERVAL + SLACK)
        return member.code, time.monotonic() - started

    with crowded() as crowd:
        for_an_hour, for_ever = knock(origin=brief), knock(origin=lasting)
        for_a_day = knock(**bearer(text))
        assert crowd.answers([for_an_hour, for_ever, for_a_day])
        moved(2 * hour)
        rule = ended(for_an_hour)
        assert crowd.answers([for_ever, for_a_day])
        moved(2 * day)
        token = ended(for_a_day)
        assert crowd.answers([for_ever])
        assert [knock(origin=brief).status, knock(**bearer(text)).status] == [403, 403]

        # Far back, behind the time when all of it was made.
        moved(-4 * day)
        again = knock(**bearer(other))
        operator("revoke", pk=pk)
        revoked = ended(again)
        operator("distrust", origin=lasting)
        distrusted = ended(for_ever)
        before, visitors = site.counted(), Visitors(server)
        visitors.knock(INTERVAL)
        eventually(lambda: site.counted() == before + visitors.refused, FLUSHED)
        assert opens(server, brief)
    for what, (_, seconds) in {
        "forward, an expired rule": rule,
        "forward, an expired token": token,
        "back, a revoked token": revoked,
        "back, an origin distrusted": distrusted,
    }.items():
        print(f"\n{what}: its socket is closed after {seconds:.2f} s")

    assert [rule[0], token[0]] == [CLOSE_ORIGIN, CLOSE_EXPIRED]
    assert [revoked[0], distrusted[0]] == [CLOSE_REVOKED, CLOSE_ORIGIN]
    assert "Exception inside application" not in server.log.read_text()


# Redis


def test_a_slow_redis_delays_hints_and_nothing_else(
    postgresql: PostgreSQL, redis: Redis, tmp_path: Path
) -> None:
    """Handshakes never wait for it; rights end within the interval all the same."""
    with line(redis.port) as laid, crowded() as crowd:
        env = fleet.environment(
            postgresql.make_database(),
            channel_layer(f"redis://127.0.0.1:{laid.port}/0"),
            interval=INTERVAL,
        )
        with fleet.fleet(tmp_path, env) as running:
            running.operator("add_user", name="guest")
            pk, text = running.operator("mint", user="guest")
            running.launch(1)
            right: dict[str, Any] = {"origin": None, "Authorization": f"Bearer {text}"}
            doomed = crowd.open(running.addresses, OFF_LAYER[0], 2, **right)
            kept = crowd.open(running.addresses, OFF_LAYER[0], 2, origin=SITE)
            laid.delay = 3.0
            started = time.perf_counter()  # as of the clients
            late = crowd.open(running.addresses, OFF_LAYER[1], 2, **right)
            answered = time.perf_counter() - started
            with ThreadPoolExecutor(1) as beside:
                done = beside.submit(running.operator, "revoke", pk=pk)
                doomed += late
                crowd.wait(lambda: None not in codes(doomed), INTERVAL + SLACK)
            closed = max(member.closed_at for member in doomed) - started - answered
            laid.delay = 0.0
            done.result()
            assert crowd.answers(kept)
            print(
                f"\nslow by 3 s: answered in {answered:.2f} s, closed in {closed:.2f} s"
            )

            assert codes(doomed) == {CLOSE_REVOKED: 4}
            assert answered < SLACK
            assert "Exception inside application" not in running.logs()


# Processes


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_a_process_killed_while_it_writes(
    vendor: str,
    sqlite: SQLite,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """What it had in memory is gone with it; nothing is left that blocks others."""
    database = sqlite(tmp_path) | {"OPTIONS": {}}
    execute: Callable[[str], Any] = partial(ask, tmp_path)
    if vendor == "postgresql":
        service: PostgreSQL = request.getfixturevalue("postgresql")
        database = service.make_database()
        manage("migrate", "--verbosity=0", env=environment(database))
        execute = partial(ask_server, service, database["NAME"])
    env = processes.environment(database)

    def counted(origin: str) -> int:
        sql = "SELECT sum(count) FROM wsorigin_deniedhandshake WHERE origin = '{}'"
        return int(execute(sql.format(origin)) or 0)  # our own

    survivor = program(RECORDS, "https://survivor.example", "1000", env=env)
    killed = program(RECORDS, "https://killed.example", "100000", env=env)
    eventually(lambda: counted("https://killed.example") > 50, within=60)
    killed.kill()
    killed.communicate()
    started = time.monotonic()
    output, _ = survivor.communicate(timeout=60)
    print(f"\n{vendor}: the other was done {time.monotonic() - started:.1f} s later")

    assert survivor.returncode == 0, output
    assert counted("https://survivor.example") == 1000
    if vendor == "postgresql":
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        eventually(lambda: execute(locks) == 0)
    else:
        assert execute("PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("kind", [DAPHNE, UVICORN], ids=lambda kind: kind.name)
def test_what_waits_is_written_at_the_end(
    kind: Kind, sqlite: SQLite, tmp_path: Path
) -> None:
    """Ctrl-C loses no denial, whatever the server."""
    env = environment(sqlite(tmp_path))
    with running((kind, tmp_path / "server.log", env)) as (server,):
        for number in range(7):
            origin = f"https://{number}.stranger.example"
            assert not opens(server, origin)

    assert ask(tmp_path, DENIED) == 7


# Databases: an SQLite file


@pytest.fixture(scope="module")
def sqlite(tables: Callable[..., dict[str, Any]]) -> SQLite:
    """Put a database into a folder; who is locked out of it gives up soon."""
    return partial(tables, environment, timeout=0.2)


def ask(folder: Path, sql: str) -> Any:
    """Ask the database, or change it, past everybody; return the first value."""
    with closing(sqlite3.connect(folder / NAME, timeout=20)) as connection:
        connection.isolation_level = None
        row = connection.execute(sql).fetchone()
    return row and row[0]


@contextmanager
def bounded(folder: Path) -> Iterator[None]:
    """Use up all pages that the file may have; later they are free again."""
    with closing(sqlite3.connect(folder / NAME, timeout=20)) as other:
        other.isolation_level = None
        other.execute("CREATE TABLE filler (bytes BLOB)")
        for size in (65536, 4096):
            with suppress(sqlite3.OperationalError):
                while True:
                    other.execute(f"PRAGMA max_page_count = {PAGES}")
                    other.execute("INSERT INTO filler VALUES (zeroblob(?))", [size])
        yield
        other.execute("DELETE FROM filler")


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the file system with something else; later it is gone."""
    with (folder / "filler").open("wb", buffering=0) as filler:
        for size in (65536, 1):
            with suppress(OSError):
                while True:
                    filler.write(b"x" * size)
        yield
        filler.truncate(0)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock everybody else out of the file."""
    with closing(sqlite3.connect(folder / NAME, timeout=20)) as other:
        other.isolation_level = None
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 16 MiB, where that is allowed."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "wsorigin", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: S603  # pragma: no cover  # not in CI
        missing("no file system can be mounted here (this takes root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607


@pytest.mark.parametrize("fault", [bounded, filled, locked])
def test_a_file_that_takes_nothing_more(
    fault: Callable[[Path], AbstractContextManager[None]],
    sqlite: SQLite,
    small: Path,
    tmp_path: Path,
) -> None:
    """No half-written rows, no denial uncounted, and no save that only looks done."""
    database = sqlite(small)
    if fault is bounded:
        database["OPTIONS"]["init_command"] = f"PRAGMA max_page_count = {PAGES}"
    many = partial(
        ask,
        small,
        "SELECT count(*) FROM wsorigin_trustedorigin WHERE pattern LIKE '%.many.%'",
    )
    with served(tmp_path, environment(database)) as server:
        visitors, log = Visitors(server), server.log
        eventually(lambda: ask(small, "SELECT 1"))
        with fault(small):
            visitors.knock(LONG)
            # Some still fit, where rows had room to grow.
            eventually(
                lambda: visitors.knock(INTERVAL) or WAITING in log.read_text(), 60
            )
            failed = server.ask("/save-many/").status
        saved = many()
        eventually(lambda: server.ask("/save-many/").status == 200)
        visitors.knock(INTERVAL)
        written = eventually(
            lambda: ask(small, DENIED) == visitors.refused, within=FLUSHED
        )
        wait_until(
            server, "https://199.many.example", opened=True, within=INTERVAL + SLACK
        )
        text = log.read_text()
        print(
            f"\n{fault.__name__} for {LONG:.1f} s: {visitors.refused} denials, all "
            f"counted after {written:.1f} s; longest answer {visitors.longest:.2f} s"
        )

    assert (failed, saved) == (500, 0)
    assert many() == 200
    assert ask(small, "PRAGMA integrity_check") == "ok"
    assert text.count(WAITING) == 1
    assert text.count(AWAY) == text.count(BACK) <= 1
    assert "Exception inside application" not in text


@pytest.mark.django_db(transaction=True)
def test_the_admin_saves_all_or_says_that_it_failed(admin_client: Browser) -> None:
    """With the disk full, a save is an error; no row, no log entry, nothing trusted."""
    admin_client.raise_request_exception = False
    saved, failed = list[str](), list[str]()
    with connection.cursor() as cursor:
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        try:
            while len(failed) < 3:
                origin = f"https://{len(saved) + len(failed)}.example"
                response = admin_client.post(
                    "/admin/wsorigin/trustedorigin/add/",
                    {"pattern": origin, "note": "x" * 300, "is_active": "on"},
                )
                (saved if response.status_code == 302 else failed).append(origin)
                assert response.status_code in (302, 500)
        finally:
            cursor.execute("PRAGMA max_page_count = 1073741823")
    stored = set(TrustedOrigin.objects.values_list("pattern", flat=True))
    logged = set(LogEntry.objects.values_list("object_repr", flat=True))

    assert stored == logged == set(saved)


# The project's own code


def see_echoes(server: Server) -> None:
    """See messages come back from consumers, in the event loop and in threads."""
    for path in ("/ws/", "/sync/"):
        client = server.connect(path, origin=KNOWN, timeout=SLACK)
        client.send("hello")
        assert client.receive() == "hello"


@pytest.mark.parametrize("how", ["raise", "hang"])
def test_receivers_of_our_signals(how: str, sqlite: SQLite, tmp_path: Path) -> None:
    """Plain ones and coroutines: neither an answer nor a change waits for them."""
    env = environment(sqlite(tmp_path), FAULTY_RECEIVERS=how)
    with served(tmp_path, env) as server:
        visitors = Visitors(server)
        visitors.knock(LONG)
        see_echoes(server)
        ask(tmp_path, "DELETE FROM wsorigin_trustedorigin")
        took = wait_until(server, KNOWN, opened=False, within=INTERVAL + SLACK)
        print(
            f"\nreceivers {how}: longest answer {visitors.longest:.2f} s; "
            f"an origin distrusted elsewhere is out after {took:.2f} s"
        )
        text = server.log.read_text()

    assert visitors.longest < 1 + SLACK
    assert "Exception inside application" not in text


@pytest.mark.django_db(transaction=True)
def test_receivers_of_changes_that_raise() -> None:
    """What an operator does is done, and is no error, whoever was to be told of it."""

    def receive(**_: Any) -> None:
        raise RuntimeError("the project's own code fails")

    heard = [signals.trusted_origins_changed, signals.standing_changed]
    for told in heard:
        told.connect(receive)
    try:
        TrustedOrigin.objects.create(pattern=KNOWN)
        token, _ = mint(TokenKind.SECRET, name="made", expires_in=timedelta(days=1))
        assert revoke(token, "leaked")
        disconnect(origin=KNOWN)
    finally:
        for told in heard:
            told.disconnect(receive)

    assert TrustedOrigin.objects.filter(pattern=KNOWN).exists()
    assert ConnectionToken.objects.get(pk=token.pk).revoked_at


def test_receivers_that_cannot_keep_up_miss_changes() -> None:
    """So many threads tell of changes and no more; nobody who changes one waits."""
    released, heard = threading.Event(), list[str]()

    def receive(new: str, **_: Any) -> None:
        heard.append(new)
        released.wait(10)

    signals.policy_changed.connect(receive)
    try:
        for number in range(refresh._MAX_TELLING + 5):
            refresh._tell_of_change(old="", new=str(number))
        eventually(lambda: len(heard) == refresh._MAX_TELLING)
    finally:
        released.set()
        signals.policy_changed.disconnect(receive)
    eventually(lambda: not [t for t in threading.enumerate() if "announce" in t.name])

    assert heard == [str(number) for number in range(refresh._MAX_TELLING)]


@pytest.fixture(scope="module")
def faulty(
    sqlite: SQLite, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Run a process whose endpoints find their origins in ways that fail."""
    folder = tmp_path_factory.mktemp("hooks")
    with served(folder, environment(sqlite(folder))) as server:
        yield server


@pytest.mark.parametrize("how", ["raises", "araises", "string", "number", "nested"])
def test_a_source_of_origins_that_fails(faulty: Server, how: str) -> None:
    """Whatever the project's own code does, a stranger learns nothing but no."""
    for origin in (ANSWERED, KNOWN):
        client = faulty.connect(f"/hooks/{how}/", origin=origin)
        assert client.status == 403
    text = faulty.log.read_text()

    assert f"get_allowed_origins() of {how} failed" in text
    assert "Exception inside application" not in text


def test_a_source_of_origins_that_names_none(faulty: Server) -> None:
    """What is no pattern is left out, and logged."""
    assert faulty.connect("/hooks/patterns/", origin=ANSWERED).status == 403
    assert "trusts nobody" in faulty.log.read_text()


@pytest.mark.parametrize("how", ["hangs", "ahangs"])
def test_a_source_of_origins_that_hangs(faulty: Server, how: str) -> None:
    """Its own endpoint is closed, after a while; all others go on as ever."""
    started = time.monotonic()
    hanging = [
        faulty.send_handshake(f"/hooks/{how}/", origin=ANSWERED, timeout=20)
        for _ in range(10)
    ]
    visitors = Visitors(faulty)
    try:
        visitors.knock(LONG)
        see_echoes(faulty)
        statuses = [Client(stream).status for stream in hanging]
    finally:
        for stream in hanging:
            stream.close()
    took = time.monotonic() - started
    print(f"\n{how}: refused after {took:.2f} s; others {visitors.longest:.2f} s")

    assert statuses == [403] * 10
    assert visitors.longest < SLACK
    assert f"get_allowed_origins() of {how} failed" in faulty.log.read_text()


class Absent(LocMemCache):
    """A cache that was away, and is there again before anybody has noticed."""

    def get(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("the cache does not answer")


@override_settings(
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    CACHES={"default": {"BACKEND": f"{__name__}.Absent"}},
)
def test_a_session_that_could_not_be_read_is_not_taken_for_none() -> None:
    """Engines swallow the error; a socket that rests upon nothing would stay for ever."""
    session = session_store()()
    session["cart"] = 7
    session.create()

    with pytest.raises(LookupError):
        user_of(session.session_key)


@pytest.mark.parametrize(
    ("how", "logged"),
    [
        ("stopped", "connections cannot be looked after; they stay open"),
        ("frozen", "reading the session of a handshake failed"),
    ],
    ids=["stopped", "frozen"],
)
def test_sessions_in_a_cache_that_is_away(
    redis: Redis, sqlite: SQLite, tmp_path: Path, how: str, logged: str
) -> None:
    """Origins go on being decided; sockets stay until the cache says what ended."""
    env = environment(
        sqlite(tmp_path),
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        CACHES={
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": redis.url,
            }
        },
    )
    with served(tmp_path, env) as server, crowded() as crowd:
        visitors = Visitors(server)
        key = server.ask("/log-in/").body
        right = {"origin": SITE, "Cookie": f"sessionid={key}"}
        sockets = crowd.open([server.address], "/ws/", 2, **right)
        with harmed(redis, how):
            started = time.monotonic()
            sockets += crowd.open([server.address], "/ws/", 2, **right)
            took = time.monotonic() - started
            visitors.knock(LONG)
            assert crowd.answers(sockets)
        # Frozen it has kept the session; killed it has lost it, as any log-out would.
        server.ask(f"/log-out/?session={key}")
        started = time.monotonic()
        crowd.wait(lambda: None not in codes(sockets), INTERVAL + SLACK)
        ended = time.monotonic() - started
        text = server.log.read_text()
        print(
            f"\n{how}: with a session {took:.2f} s, without {visitors.longest:.2f} s; "
            f"closed {ended:.2f} s after the log-out"
        )

    assert codes(sockets) == {CLOSE_CREDENTIAL: 4}
    assert took < 3 + SLACK
    assert text.count("reading the session of a handshake failed") == 2
    assert logged in text
    assert "Exception inside application" not in text


# The docs


def test_each_fault_has_a_row() -> None:
    """Whatever is tried here is on the page; what it names, `test_threat_model.py` finds."""
    page = (sites.ROOT / "docs/explanation/faults.md").read_text()
    tried = {name for name in globals() if name.startswith("test_")}

    assert set(re.findall(r"`test_faults\.py::(test_\w+)`", page)) == tried - {
        "test_each_fault_has_a_row"
    }
