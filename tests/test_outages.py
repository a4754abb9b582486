"""
Rights end in every process, whatever is away; no socket closes for an outage.

Two Daphne processes each time, and a few sockets of every kind.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from wsorigin.denial import CLOSE_UNAVAILABLE

from .fleet.crowd import ABNORMAL, codes, crowded
from .fleet.guests import (
    DISCONNECTED,
    DISTRUSTED,
    DOOMED,
    EXPIRED,
    KEPT,
    LOGGED_OUT,
    OFF_LAYER,
    PASSWORD_CHANGED,
    REVOKED,
    SESSION_DELETED,
    SESSION_EXPIRED,
    USER_DEACTIVATED,
    Ending,
    Guests,
)
from .fleet.servers import TIMEOUT, Fleet, environment, fleet
from .services import PostgreSQL, Redis, channel_layer, harmed

pytestmark = pytest.mark.server

INTERVAL = 1.0
# What a busy machine may add to the interval.
SLACK = 5.0
# Within which an outage would have shown.
LONG = 3 * INTERVAL

FEW = dict.fromkeys(
    ["token", "other token", "origin", "other origin", "session", "other session"], 4
)


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest,
    postgresql: PostgreSQL,
    redis: Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    """Run two processes on one of the channel layers, or on none."""
    layers = {} if request.param == "none" else channel_layer(redis.url, request.param)
    env = environment(postgresql.make_database(), layers, interval=INTERVAL)
    with fleet(tmp_path_factory.mktemp(request.param), env) as running:
        running.operator("trust", origins=[KEPT, *DOOMED])
        running.launch(2)
        yield running


@pytest.fixture
def guests(running: Fleet) -> Iterator[Guests]:
    """Open sockets of every kind, whose consumers use no channel layer themselves."""
    with crowded() as crowd:
        yield Guests.gather(running, crowd, FEW, OFF_LAYER)


def see_everything_end(guests: Guests) -> None:
    """End a right of each kind; the sockets close within the interval."""
    for ending in (REVOKED, DISTRUSTED, LOGGED_OUT):
        assert guests.see(ending, within=INTERVAL + SLACK) < INTERVAL + SLACK


@pytest.mark.parametrize("running", ["none"], indirect=True)
def test_without_a_channel_layer_every_right_ends_within_the_interval(
    guests: Guests,
) -> None:
    """Nothing pushes: each process finds out by itself."""
    see_everything_end(guests)


@pytest.mark.parametrize("running", ["none"], indirect=True)
@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(EXPIRED, id="an expired token"),
        pytest.param(SESSION_DELETED, id="a deleted session"),
        pytest.param(SESSION_EXPIRED, id="an expired session"),
        pytest.param(PASSWORD_CHANGED, id="a new password"),
        pytest.param(USER_DEACTIVATED, id="a deactivated user"),
        pytest.param(DISCONNECTED, id="an order to disconnect"),
    ],
)
def test_what_else_ends_ends_nothing_more(guests: Guests, ending: Ending) -> None:
    """Each closes the sockets that rest upon it, with its code, sync and async."""
    assert guests.see(ending, within=INTERVAL + SLACK) < INTERVAL + SLACK


@pytest.mark.parametrize("running", ["none"], indirect=True)
def test_a_new_secret_or_ticket_closes_nothing(guests: Guests) -> None:
    """Rotation and fetching tickets are what living connections do."""
    operator = guests.fleet.operator
    operator("rotate", pk=guests.token)
    operator("mint_ticket", user=guests.user, origin=KEPT, session=guests.session)

    assert not guests.crowd.wait(guests.anybody_closed, LONG)
    assert guests.crowd.answers(guests.all())


@pytest.mark.parametrize("running", ["core", "pubsub"], indirect=True)
@pytest.mark.parametrize("how", ["stopped", "frozen", "restarted"])
def test_whatever_happens_to_redis_every_right_ends_within_the_interval(
    guests: Guests, redis: Redis, how: str
) -> None:
    """The push is a hint: where it is lost, each process finds out by itself."""
    with harmed(redis, how):
        see_everything_end(guests)


@pytest.mark.parametrize("running", ["core"], indirect=True)
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_without_the_database_tokens_are_refused_and_sockets_stay(
    guests: Guests, postgresql: PostgreSQL, how: str
) -> None:
    """A retryable answer; back again, all is as before, without a restart."""
    crowd, running = guests.crowd, guests.fleet
    _, text = running.operator("mint", user=guests.user)
    token: dict[str, Any] = {"origin": None, "Authorization": f"Bearer {text}"}
    with harmed(postgresql, how):
        refused = crowd.open(running.addresses, OFF_LAYER[0], 4, **token)
        crowd.wait(lambda: None not in codes(refused), TIMEOUT)

        assert codes(refused) == {CLOSE_UNAVAILABLE: 4}
        assert not crowd.wait(guests.anybody_closed, LONG)
        assert crowd.answers([m for m in guests.all() if m.path == OFF_LAYER[0]])
    deadline = time.monotonic() + TIMEOUT
    for address in running.addresses:
        opened = False
        while not opened and time.monotonic() < deadline:
            opened = crowd.answers(crowd.open([address], OFF_LAYER[0], 1, **token))
        assert opened
    assert crowd.answers(guests.all())
    see_everything_end(guests)

    assert "reason=token-unavailable" in running.logs()


@pytest.mark.parametrize("running", ["core"], indirect=True)
def test_a_process_that_is_killed_disturbs_no_other(guests: Guests) -> None:
    """Its sockets are gone and nothing else; what ends later ends everywhere."""
    crowd, running = guests.crowd, guests.fleet
    killed = running.addresses[0]
    gone = [member for member in guests.all() if member.address == killed]
    running.kill(0)
    crowd.wait(lambda: None not in codes(gone), TIMEOUT)
    guests.members = {
        group: [member for member in members if member.address != killed]
        for group, members in guests.members.items()
    }

    assert codes(gone) == {ABNORMAL: len(gone)}
    assert crowd.answers(guests.all())

    running.launch(1)
    see_everything_end(Guests.gather(running, crowd, FEW, OFF_LAYER))
    see_everything_end(guests)
