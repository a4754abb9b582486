"""
The demo project where it outgrew one machine: on PostgreSQL and Redis, by environment.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from wsorigin.denial import CLOSE_ORIGIN

from .servers import processes
from .servers.client import Client, Closed
from .servers.processes import START_TIMEOUT, Server, ending
from .servers.sites import manage, unwatched
from .services import PostgreSQL, Redis

pytestmark = pytest.mark.server

PARTNER: Final = "https://partner.example"
DISTRUST: Final = (
    "from wsorigin.models import TrustedOrigin\n"
    "TrustedOrigin.objects.update(is_active=False)"
)
# The interval of five seconds, and as much again for a busy machine.
TIMEOUT: Final = 10.0

DAPHNE: Final = processes.DAPHNE.serving("project.asgi:application")


def the_end_of(socket: Client) -> str | Closed:
    """Listen to the prices for as long as they come; return what came in the end."""
    deadline = time.monotonic() + TIMEOUT
    while isinstance(message := socket.receive(), str):
        assert time.monotonic() < deadline
    return message


@pytest.mark.parametrize(
    ("layer", "command"),
    [
        pytest.param({}, "zadd", id="core"),
        pytest.param(
            {"REDIS_LAYER": "channels_redis.pubsub.RedisPubSubChannelLayer"},
            "publish",
            id="pubsub",
        ),
    ],
)
def test_the_demo_runs_on_postgresql_and_redis(
    layer: dict[str, str],
    command: str,
    postgresql: PostgreSQL,
    redis: Redis,
    tmp_path: Path,
) -> None:
    """Two variables are all it takes; a right that ends is told over Redis."""
    database = postgresql.make_database()
    url = "postgres://{USER}@{HOST}:{PORT}/{NAME}".format(**database)
    env = {
        **unwatched(),
        **layer,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DEMO_VAR": str(tmp_path),
        "DATABASE_URL": url,
        "REDIS_URL": redis.url,
    }
    manage("migrate", "--verbosity=0", env=env)
    manage("wsorigin", "trust", PARTNER, env=env)
    server = Server.start(DAPHNE, tmp_path / "server.log", env)
    with ending([server]):
        socket = server.connect(
            "/ws/prices/", origin=PARTNER, host="localhost", timeout=START_TIMEOUT
        )
        assert socket.opened, server.log.read_text()
        greeting = socket.receive_json()
        with closing(redis.client()) as client:
            client.config_resetstat()
            manage("shell", "--verbosity=0", "--command", DISTRUST, env=env)
            told = client.info("commandstats")
        last = the_end_of(socket)

    assert greeting == {"portfolio": ""}
    assert last == Closed(CLOSE_ORIGIN, "")
    assert f"cmdstat_{command}" in told
    assert "Traceback" not in server.log.read_text()
