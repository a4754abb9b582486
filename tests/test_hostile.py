"""
Hostile clients at the sockets of real servers: they get no one in, and nothing down.

What each of them sends is in `tests.hostile`, and what it got in the page that is made
from it; here are the rules that hold for all of them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .hostile.case import FRIENDLY
from .hostile.cases import CASES, GROUPS
from .hostile.defects import DEFECTS, failures
from .hostile.siege import BARE, DATABASE, SERVERS, Siege, besiege
from .hostile.table import PAGE, STACKS, Table, installed
from .servers.sites import ROOT, make_database

pytestmark = pytest.mark.server

# The second opens a socket for a stranger, to close it with a code.
VARIANTS = {"http": {}, "close": {"WSORIGIN_DENY_WITH": "close"}}

# What is trusted, in every spelling that is forgiven.
TRUSTED = {
    ("https://app.example",),
    ("HTTPS://App.Example:443",),
    ("https://cors.example",),
}

DEFECTIVE = {it.server: [CASES[name] for name in it.cases] for it in DEFECTS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database of the served site."""
    path = tmp_path_factory.mktemp("hostile")
    make_database(path / DATABASE)
    return path


@pytest.fixture(scope="module", params=list(VARIANTS))
def sieges(request: pytest.FixtureRequest, folder: Path) -> dict[str, Siege]:
    """All clients against all servers, for each way to deny."""
    cases = {name: list(CASES.values()) for name in SERVERS}
    return besiege(cases, folder, **VARIANTS[request.param])


@pytest.fixture(params=list(SERVERS))
def siege(request: pytest.FixtureRequest, sieges: dict[str, Siege]) -> Siege:
    """What came of all clients of one server."""
    return sieges[request.param]


@pytest.fixture(scope="module")
def bare(folder: Path) -> dict[str, Siege]:
    """What became of the cases with a defect on a server without wsorigin."""
    return besiege(DEFECTIVE, folder, application=BARE)


over_http = pytest.mark.parametrize("sieges", ["http"], indirect=True)


def test_each_case_has_a_name_of_its_own() -> None:
    """Or one would hide another in the table."""
    names = [case.name for group in GROUPS.values() for case in group]

    assert [name for name, times in Counter(names).items() if times > 1] == []


def test_no_application_runs_for_a_stranger(siege: Siege) -> None:
    """It runs at the trusted page's path, and only with one trusted origin."""
    ran = [event for event in siege.events if event["ran"]]

    assert {event["path"] for event in ran} == {FRIENDLY}
    assert {tuple(event["origins"]) for event in ran} <= TRUSTED


@over_http
def test_no_socket_opens_for_a_stranger(siege: Siege) -> None:
    """Each 101 on the wire belongs to a handshake that an application accepted."""
    assert {
        name: cell for name, cell in siege.outcomes.items() if "server: 101" in cell
    } == {}


def test_nobody_provokes_a_500(siege: Siege) -> None:
    """None but those of the server's own defects."""
    failed = {
        name
        for name, cell in siege.outcomes.items()
        if re.search(r": 5\d\d", cell)
        and CASES[name] not in DEFECTIVE.get(siege.server.kind.name, [])
    }

    assert failed == set()


def test_nobody_provokes_an_exception(siege: Siege) -> None:
    """None leaves the guard; uvicorn's, which says that the client has left, may pass."""
    raised = {event["raised"] for event in siege.events}

    assert raised <= {None, "ClientDisconnected()"}


def test_the_log_has_no_traceback(siege: Siege, bare: dict[str, Siege]) -> None:
    """None but those of the server's own defects, each once."""
    own = bare.get(siege.server.kind.name)

    assert failures(siege.log) == (failures(own.log) if own else [])


def test_nobody_keeps_others_waiting(siege: Siege) -> None:
    """A trusted page is served while the server waits for others, and after them all."""
    assert siege.friends == ["101", "101"]


@over_http
def test_the_guard_says_why(siege: Siege) -> None:
    """Where it is the guard that denies, it does so for the case's reason."""
    wrong = {
        name: cell
        for name, cell in siege.outcomes.items()
        if set(re.findall(r"403 ([\w-]+)", cell)) - {CASES[name].reason}
    }

    assert wrong == {}


@over_http
def test_the_table_is_true(siege: Siege) -> None:
    """After a server's new version: ``python -m tests.hostile``, and read the diff."""
    name = siege.server.kind.name

    assert Table.read().differences(name, siege.outcomes) == []


@over_http
@pytest.mark.parametrize("server", list(DEFECTIVE))
def test_defects_are_the_servers_own(
    sieges: dict[str, Siege], bare: dict[str, Siege], server: str
) -> None:
    """Without wsorigin, the same bytes have the same outcome, unless it is cured."""
    alone = bare[server].outcomes
    own = {
        name: sieges[server].outcomes[name]
        for name in alone
        if sieges[server].outcomes[name].startswith("server: ")
    }

    assert own == {name: alone[name] for name in own}


# The table and its page


def test_the_page_shows_the_table() -> None:
    """``python -m tests.hostile`` rewrites both."""
    assert PAGE.read_text() == Table.read().page()


@pytest.mark.parametrize(
    ("version", "outcome", "count"),
    [
        pytest.param("as installed", "server: 400", 0, id="as it was"),
        pytest.param("as installed", "server: closed", 0, id="a matter of timing"),
        pytest.param("as installed", "101", 1, id="another"),
        pytest.param("daphne 0", "101", 0, id="another version"),
    ],
)
def test_compares_outcomes_of_the_same_versions(
    version: str, outcome: str, count: int
) -> None:
    """A new version may read bytes as it likes; the rules above hold for it too."""
    table = Table({}, {})
    table.record("daphne", [{"header of 1 MB": "server: 400"}])
    table.versions["daphne"] = version.replace("as installed", installed("daphne"))

    assert len(table.differences("daphne", {"header of 1 MB": outcome})) == count


def test_measures_a_server_anew(tmp_path: Path) -> None:
    """The command writes a whole table, with the new column in it, and its page."""
    outcomes, page = tmp_path / "outcomes.json", tmp_path / "page.md"
    options = ["--rounds=1", f"--outcomes={outcomes}", f"--page={page}"]
    subprocess.run(  # noqa: S603  # this very Python, on our own program
        [sys.executable, "-m", "tests.hostile", "granian", *options],
        cwd=ROOT,
        check=True,
        timeout=120,
    )

    table = Table.read(outcomes)
    assert table.versions["granian"] == installed("granian")
    assert all(set(row) == set(STACKS) for row in table.cells.values())
    assert page.read_text() == table.page()
    assert table.cells["suffix"] == Table.read().cells["suffix"]
