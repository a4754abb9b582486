"""
The static examination: the system checks, and what needs a database or a channel layer.

It knocks nowhere.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from typing import Any, Final

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from wsorigin.conf import conf
from wsorigin.models import TrustedOrigin
from wsorigin.refresh import current
from wsorigin.routes import websocket_routes

from .finding import IDS, Finding, Severity

# Seconds. A layer that needs longer is no use to live revocation.
_LAYER_PATIENCE: Final = 5.0
# Between two clocks. Tickets live for 30 seconds.
MAX_SKEW: Final = 10.0

# Seconds since the epoch, as each kind of database tells them.
CLOCKS: Final = {
    "sqlite": "SELECT strftime('%s', 'now')",
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP()",
}


def examine_statically() -> list[Finding]:
    """
    Return what is wrong with the project; nothing if all is well.

    Runs all system checks, and those about the deployment of sockets only while
    ``DEBUG`` is off: on a developer's machine things are meant to be so. What Django
    itself says about deployments is left to ``manage.py check --deploy``.
    Synchronous: not to be called on an event loop.
    """
    return [*_checks(), *_database(), *_channel_layer()]


def _found(number: str, found: str, expected: str, remedy: str) -> Finding:
    return Finding(number, IDS[number][0], found, expected, {"django": remedy})


def _checks() -> Iterator[Finding]:
    try:
        websocket_routes()
        messages = checks.run_checks(include_deployment_checks=not settings.DEBUG)
    except Exception as exc:  # of the project's code, whatever it is
        yield _found(
            "asgi-application",
            f"ASGI_APPLICATION, or a system check, raises {type(exc).__name__}: {exc}",
            "an application that can be imported",
            "`manage.py check` has the traceback.",
        )
        return
    for message in messages:
        identity = str(message.id)
        if message.is_silenced() or identity.startswith("security."):
            continue
        yield Finding(
            identity,
            _severity(message.level),
            message.msg,
            "",
            {"django": message.hint} if message.hint else {},
        )


def _severity(level: int) -> Severity:
    if level >= checks.ERROR:
        return Severity.ERROR
    return Severity.WARNING if level >= checks.WARNING else Severity.INFO


def _database() -> Iterator[Finding]:
    if not (current.reads_database or conf.WSORIGIN_AUDIT):
        return
    alias = router.db_for_read(TrustedOrigin)
    connection = connections[alias]
    try:
        executor = MigrationExecutor(connection)
        leaves = executor.loader.graph.leaf_nodes("wsorigin")
        missing = [migration.name for migration, _ in executor.migration_plan(leaves)]
        skew = _skew(connection)
    except (Error, ImproperlyConfigured) as exc:
        yield _found(
            "database",
            f"DATABASES[{alias!r}] does not answer: {exc}",
            "an answer",
            "Start it, or correct its settings. Until then, known origins keep "
            "connecting and tokens are refused.",
        )
        return
    if missing:
        yield _found(
            "database",
            f"DATABASES[{alias!r}] lacks these migrations: {', '.join(missing)}.",
            "all of them",
            "manage.py migrate",
        )
    if abs(skew) > MAX_SKEW:
        yield _found(
            "clock-skew",
            f"The clock of DATABASES[{alias!r}] and this one are {abs(skew):.0f} s apart.",
            f"at most {MAX_SKEW:g} s",
            "Set both by NTP: tickets live for seconds.",
        )


def _skew(connection: BaseDatabaseWrapper) -> float:
    """Return how many seconds this clock is ahead of the database's."""
    query = CLOCKS.get(connection.vendor)
    if query is None:
        return 0.0
    with connection.cursor() as cursor:
        cursor.execute(query)
        return time.time() - float(cursor.fetchone()[0])


def _channel_layer() -> Iterator[Finding]:
    try:
        layer = get_channel_layer()
        if layer is not None:
            async_to_sync(_round_trip)(layer)
    except Exception as exc:  # of whatever layer it is
        yield _found(
            "channel-layer",
            "CHANNEL_LAYERS['default'] does not deliver a message: "
            f"{type(exc).__name__}{f': {exc}' if str(exc) else ''}",
            f"a message back within {_LAYER_PATIENCE:g} s",
            "Start it, or correct its settings. Until then, what is revoked ends live "
            "sockets only at the next look at the database.",
        )


async def _round_trip(layer: Any) -> None:
    """Send a message to a group and receive it; raises whatever comes in between."""
    group = f"wsorigin.doctor.{secrets.token_hex(8)}"
    async with asyncio.timeout(_LAYER_PATIENCE):
        channel = await layer.new_channel()
        await layer.group_add(group, channel)
        await layer.group_send(group, {"type": "wsorigin.doctor"})
        await layer.receive(channel)
        await layer.group_discard(group, channel)
