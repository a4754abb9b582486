"""
Single use, and a socket that outlives its ticket: over four processes, on each database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from wsorigin.tokens import MAX_OUTSTANDING

from .fleet.crowd import Crowd, crowded
from .fleet.guests import SITE
from .fleet.servers import TIMEOUT, Fleet, environment, fleet
from .servers.sites import sqlite
from .services import PostgreSQL

pytestmark = pytest.mark.server

INTERVAL = 0.5
USES = 100


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def tickets(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Run four processes on one database of each kind, with a user who may fetch."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "postgresql":
        service: PostgreSQL = request.getfixturevalue("postgresql")
        database = service.make_database()
    else:
        database = sqlite(folder / "site.sqlite3")
    env = environment(database, {}, interval=INTERVAL)
    with fleet(folder, env, watched=False) as running:
        running.operator("add_user", name="ada")
        running.launch(4)
        yield running


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    """Have clients, and hang up in the end."""
    with crowded() as crowd:
        yield crowd


def test_of_many_uses_of_a_ticket_at_once_one_opens(
    tickets: Fleet, crowd: Crowd
) -> None:
    """Of 100 parallel uses over four processes one opens a socket (ASVS 6.5.1)."""
    before = Counter(tickets.operator("denials"))
    _, text = tickets.operator("mint_ticket", user="ada", origin=SITE)
    members = crowd.open(
        tickets.addresses,
        "/async/",
        USES,
        origin=SITE,
        Authorization=f"Bearer {text}",
    )
    expected = before + Counter({"token-used": USES - 1})

    assert Counter(member.status for member in members) == {101: 1, 403: USES - 1}
    assert crowd.answers([member for member in members if member.is_open])
    assert crowd.wait(lambda: tickets.operator("denials") == expected, TIMEOUT)


@pytest.mark.parametrize("path", ["/async/", "/sync/"])
def test_a_socket_outlives_its_ticket(tickets: Fleet, crowd: Crowd, path: str) -> None:
    """Used up, expired and pruned, a ticket has done its duty; only rights end it."""
    session = tickets.operator("log_in", name="ada")
    pk, text = tickets.operator("mint_ticket", user="ada", origin=SITE, session=session)
    (member,) = crowd.open(
        tickets.addresses, path, 1, origin=SITE, Authorization=f"Bearer {text}"
    )
    tickets.operator("prune_later", pk=pk)
    assert not crowd.wait(lambda: not member.is_open, 4 * INTERVAL)
    assert crowd.answers([member])
    tickets.log_out(session)
    crowd.wait(lambda: not member.is_open, TIMEOUT)

    assert member.code == 4401


def test_nobody_gets_more_tickets_by_asking_all_at_once(tickets: Fleet) -> None:
    """The bound is counted under a lock, or each would count what was there before."""
    tickets.operator("add_user", name="hasty")
    count = MAX_OUTSTANDING + 20
    minted = tickets.operator("mint_tickets_at_once", user="hasty", count=count)

    assert minted == MAX_OUTSTANDING
