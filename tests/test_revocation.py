"""
What opened a socket also ends it, in every process, at once, and nothing else.

Four Daphne processes on PostgreSQL and Redis, with thousands of sockets between them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .fleet.crowd import crowded
from .fleet.guests import DISTRUSTED, DOOMED, KEPT, LOGGED_OUT, REVOKED, Ending, Guests
from .fleet.servers import environment, fleet
from .services import PostgreSQL, Redis, channel_layer

pytestmark = pytest.mark.server

# From the moment somebody ends a right to the last socket's close, in seconds.
WITHIN = 1.0
# What a machine with two cores, busy with these processes and other tests, may add.
SLACK = 6.0
# Too long to be of any help here: what closes within the second was pushed.
INTERVAL = 120.0

CROWD = {
    "token": 500,
    "other token": 260,
    "origin": 1000,
    "other origin": 2480,
    "session": 500,
    "other session": 260,
}
SOME = {group: size // 20 for group, size in CROWD.items()}


@pytest.fixture(scope="module", params=["core", "pubsub"])
def guests(
    request: pytest.FixtureRequest,
    postgresql: PostgreSQL,
    redis: Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Guests]:
    """Run a fleet on each of the channel layers, 5,000 sockets on the first."""
    processes, shares = {"core": (4, CROWD), "pubsub": (2, SOME)}[request.param]
    env = environment(
        postgresql.make_database(),
        channel_layer(redis.url, request.param),
        interval=INTERVAL,
    )
    folder = tmp_path_factory.mktemp(request.param)
    with fleet(folder, env, watched=False) as running, crowded() as crowd:
        running.operator("trust", origins=[KEPT, *DOOMED])
        running.launch(processes)
        yield Guests.gather(running, crowd, shares)


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(REVOKED, id="a revoked token"),
        pytest.param(DISTRUSTED, id="a deactivated origin"),
        pytest.param(LOGGED_OUT, id="a log-out"),
    ],
)
def test_closes_exactly_what_has_lost_its_right(guests: Guests, ending: Ending) -> None:
    """Within a second, each with its code, and the consumer's disconnect() has run."""
    (group,) = ending.groups
    count = len(guests.members[group])
    took = guests.see(ending, within=WITHIN + SLACK)
    print(f"\n{count} sockets by their {group}: {took:.2f} s")

    assert took < WITHIN + SLACK
    assert "Traceback" not in guests.fleet.logs()
