"""
Several processes on one database: what one changes, the others do; and files that fail.

Real Daphne processes on a real PostgreSQL server, and on an SQLite file. What else can
fail around them is in `test_faults.py`.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from .processes.servers import (
    INTERVAL,
    SLACK,
    change,
    environment,
    look_again,
    opens,
    serving,
    wait_until,
)
from .servers.processes import STOP_TIMEOUT, Server
from .servers.sites import manage, program
from .services import PostgreSQL

pytestmark = pytest.mark.server

AWAY: Final = "trusted origins cannot be read"
BACK: Final = "trusted origins can be read again"


class Site(NamedTuple):
    """Two processes on one database."""

    vendor: str
    one: Server
    other: Server


Tables = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(
    request: pytest.FixtureRequest,
    tables: Tables,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Run two processes on one database of each kind."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        database = tables(environment, folder)
    else:
        database = request.getfixturevalue("postgresql").make_database()
        manage("migrate", "--verbosity=0", env=environment(database))
    env = environment(database, WSORIGIN_AUDIT=False)
    with serving(["one", "other"], folder, env) as (one, other):
        yield Site(request.param, one, other)


@pytest.mark.parametrize("what", ["save", "bulk_create", "raw INSERT"])
def test_what_one_process_adds_counts_in_the_other(site: Site, what: str) -> None:
    """A new row is in force in every process within the interval, however written."""
    origin = f"https://{what.replace(' ', '-').replace('_', '-').lower()}.example"
    assert not opens(site.other, origin)
    change(site.one, what, origin)

    assert wait_until(site.other, origin, opened=True, within=INTERVAL + SLACK)
    assert wait_until(site.one, origin, opened=True, within=INTERVAL + SLACK)


@pytest.mark.parametrize(
    "what",
    ["update", "bulk_update", "raw UPDATE", "delete", "raw DELETE", "expire soon"],
)
def test_what_one_process_takes_away_is_gone_in_the_other(
    site: Site, what: str
) -> None:
    """Trust ends in every process within the interval; expiry needs nobody's hand."""
    origin = f"https://no-{what.replace(' ', '-').replace('_', '-').lower()}.example"
    change(site.one, "save", origin)
    wait_until(site.other, origin, opened=True, within=INTERVAL + SLACK)
    change(site.one, what, origin)

    wait_until(site.other, origin, opened=False, within=INTERVAL + SLACK)
    wait_until(site.one, origin, opened=False, within=INTERVAL + SLACK)


def test_a_row_made_active_again(site: Site) -> None:
    """Off and on: both count in the other process."""
    origin = "https://again.example"
    change(site.one, "save", origin)
    change(site.one, "update", origin)
    look_again(site.other, origin)
    assert not opens(site.other, origin)
    change(site.one, "activate", origin)

    wait_until(site.other, origin, opened=True, within=INTERVAL + SLACK)


def test_a_change_counts_at_once_where_it_was_made(site: Site) -> None:
    """The process that commits a change does not wait for the interval."""
    for number in range(5):
        origin = f"https://at-once-{number}.example"
        change(site.one, "save", origin)
        assert opens(site.one, origin)
        change(site.one, "update", origin)
        assert not opens(site.one, origin)
        change(site.one, "activate", origin)
        assert opens(site.one, origin)


def test_a_rolled_back_change_changes_nothing(site: Site) -> None:
    """What was not committed counts nowhere, not even where it was tried."""
    origin = "https://rolled-back.example"
    change(site.one, "save", origin)
    wait_until(site.other, origin, opened=True, within=INTERVAL + SLACK)
    change(site.one, "roll back", origin)
    for server in (site.one, site.other):
        look_again(server, origin)

        assert opens(server, origin)


def test_an_emptied_table_trusts_nobody(site: Site) -> None:
    """TRUNCATE fires no row trigger, and is noticed all the same."""
    change(site.one, "save", "https://truncated.example")
    wait_until(
        site.other, "https://truncated.example", opened=True, within=INTERVAL + SLACK
    )
    change(site.one, "TRUNCATE")

    wait_until(
        site.other, "https://truncated.example", opened=False, within=INTERVAL + SLACK
    )


def keep_asking(server: Server) -> None:
    """Connect again and again, for longer than the database can be away unnoticed."""
    started = time.monotonic()
    while time.monotonic() < started + 3 * INTERVAL:
        assert opens(server, "https://known.example")
        assert not opens(server, "https://stranger.example")


@pytest.mark.parametrize("how", ["locked", "unreadable"])
def test_an_sqlite_file_that_cannot_be_read(
    tables: Tables, tmp_path: Path, how: str
) -> None:
    """Locked by others, or broken: what was read counts, and it is logged once."""
    database = tables(environment, tmp_path, timeout=0.1)
    env = environment(database)
    file = Path(database["NAME"])
    with serving(["one"], tmp_path, env) as (server,):
        change(server, "save", "https://known.example")
        wait_until(server, "https://known.example", opened=True, within=SLACK)
        if how == "locked":
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                keep_asking(server)
        else:
            hidden = file.rename(tmp_path / "hidden")
            file.write_bytes(b"This is no database, but long enough to be read." * 99)
            keep_asking(server)
            hidden.replace(file)
        change(server, "save", "https://new.example")
        wait_until(server, "https://new.example", opened=True, within=INTERVAL + SLACK)
        log = server.log.read_text()

    assert log.count(AWAY) == log.count(BACK) == 1


def test_what_waits_is_written_when_a_server_ends(
    tables: Tables, tmp_path: Path
) -> None:
    """Denials of the last moment reach the database after SIGTERM."""
    database = tables(environment, tmp_path)
    with serving(["one"], tmp_path, environment(database)) as (server,):
        for _ in range(7):
            assert not opens(server, "https://stranger.example")
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(STOP_TIMEOUT)
    with closing(sqlite3.connect(database["NAME"])) as connection:
        rows = connection.execute(
            "SELECT count, endpoint, reason FROM wsorigin_deniedhandshake "
            "WHERE origin = 'https://stranger.example'"
        ).fetchall()

    assert rows == [(7, "/ws/", "unlisted")]


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_two_processes_that_count_the_same(
    vendor: str,
    tables: Tables,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Two processes that write one row at once lose nothing, and end with all written."""
    select = "SELECT count FROM wsorigin_deniedhandshake"
    rows: Callable[[], list[tuple[Any, ...]]]
    if vendor == "sqlite":
        database = tables(environment, tmp_path)

        def rows() -> list[tuple[Any, ...]]:
            with closing(sqlite3.connect(database["NAME"])) as connection:
                return connection.execute(select).fetchall()
    else:
        service: PostgreSQL = request.getfixturevalue("postgresql")
        database = service.make_database()
        manage("migrate", "--verbosity=0", env=environment(database))

        def rows() -> list[tuple[Any, ...]]:
            with service.connect(database["NAME"]) as connection:
                return connection.execute(select).fetchall()

    env = environment(database)
    arguments = ("tests.processes.records", "https://stranger.example", "200")
    writers = [program(*arguments, env=env) for _ in range(2)]
    outputs = [writer.communicate(timeout=60)[0] for writer in writers]

    assert [writer.returncode for writer in writers] == [0, 0], outputs
    assert not [output for output in outputs if "Traceback" in output]
    assert rows() == [(400,)]
