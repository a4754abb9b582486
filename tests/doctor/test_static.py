"""The doctor at home: what checks, database, channel layer and clock have to say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from tests.services import PostgreSQL
from wsorigin.doctor import Severity, examine_statically, static
from wsorigin.doctor.static import CLOCKS, MAX_SKEW

HERE = "tests.doctor.test_static"


class Deaf(InMemoryChannelLayer):
    """A layer that takes messages and loses them."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        pass


class Down(InMemoryChannelLayer):
    """A layer whose server is away."""

    async def new_channel(self, prefix: str = "specific.") -> str:
        raise ConnectionRefusedError("nobody there")


@pytest.fixture(autouse=True)
def layers() -> Iterator[None]:
    """Forget the layers that a test has made."""
    yield
    channel_layers.backends.clear()


def layer(name: str) -> Any:
    """Configure a layer of this module."""
    return override_settings(CHANNEL_LAYERS={"default": {"BACKEND": f"{HERE}.{name}"}})


def found(number: str) -> list[str]:
    """Return what is said about one cause."""
    return [one.found for one in examine_statically() if one.id == number]


@pytest.mark.parametrize("debug", [True, False])
def test_finds_nothing_in_a_sound_project(debug: bool) -> None:
    """Whether it is being developed or runs; Django's own advice is another command's."""
    with override_settings(
        DEBUG=debug,
        SESSION_COOKIE_SECURE=True,
        SILENCED_SYSTEM_CHECKS=["fields.W342"],
    ):
        assert examine_statically() == []


@override_settings(ASGI_APPLICATION="tests.applications.mixed")
def test_names_each_route_that_nothing_guards() -> None:
    """As the system check does, with its id and its hint."""
    findings = [one for one in examine_statically() if one.id == "wsorigin.W011"]

    assert len(findings) == 3
    assert "/sync/" in findings[1].found
    assert findings[1].severity is Severity.WARNING
    assert "GuardedJsonWebsocketConsumer" in findings[1].remedies["django"]


@pytest.mark.parametrize(
    ("debug", "expected"), [(True, []), (False, ["wsorigin.W014"])], ids=["on", "off"]
)
def test_checks_the_deployment_where_there_is_one(
    debug: bool, expected: list[str]
) -> None:
    """With DEBUG on, this is a developer's machine."""
    with override_settings(DEBUG=debug):
        assert [one.id for one in examine_statically()] == expected


@override_settings(DEBUG=False, SILENCED_SYSTEM_CHECKS=["wsorigin.W014"])
def test_what_is_silenced_is_no_finding() -> None:
    """Somebody has read it, and knows better."""
    assert examine_statically() == []


@override_settings(DEBUG=True)
@pytest.mark.parametrize(
    ("level", "severity"),
    [
        pytest.param(checks.CRITICAL, Severity.ERROR, id="critical"),
        pytest.param(checks.ERROR, Severity.ERROR, id="error"),
        pytest.param(checks.WARNING, Severity.WARNING, id="warning"),
        pytest.param(checks.INFO, Severity.INFO, id="info"),
    ],
)
def test_takes_over_the_level_of_any_check(
    level: int, severity: Severity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of other apps count too: they may be the cause."""
    message = checks.CheckMessage(level, "Something.", id="other.X001")

    def check(**_: Any) -> list[checks.CheckMessage]:
        return [message]

    registered = {checks.registry.CheckRegistry().register(check)}
    monkeypatch.setattr(checks.registry.registry, "registered_checks", registered)
    (finding,) = examine_statically()

    assert (finding.id, finding.severity, finding.found) == (
        "other.X001",
        severity,
        "Something.",
    )
    assert finding.remedies == {}


@override_settings(ASGI_APPLICATION="tests.nowhere.application")
def test_says_that_the_application_cannot_be_imported() -> None:
    """In one line, where the check itself raises."""
    (text,) = found("asgi-application")

    assert "cannot import" in text.lower() or "No module" in text


# The database


with_database = override_settings(
    DEBUG=True, WSORIGIN_INHERIT=["same-origin", "database"]
)


@pytest.mark.django_db
@with_database
def test_finds_nothing_in_a_migrated_database() -> None:
    """All tables, and a clock that agrees."""
    assert examine_statically() == []


@pytest.mark.django_db
@with_database
def test_names_the_migrations_that_are_missing() -> None:
    """Without them no row counts."""
    recorder = MigrationRecorder(connection)
    ((app, newest),) = MigrationLoader(connection).graph.leaf_nodes("wsorigin")
    recorder.record_unapplied(app, newest)
    (text,) = found("database")

    assert text == f"DATABASES['default'] lacks these migrations: {newest}."


@override_settings(DEBUG=True, WSORIGIN_INHERIT=[], WSORIGIN_AUDIT=True)
@pytest.mark.django_db
@pytest.mark.parametrize(
    "error", [OperationalError, InterfaceError, ImproperlyConfigured]
)
def test_says_that_the_database_does_not_answer(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audit needs one as well."""

    def away(*_: Any, **__: Any) -> Any:
        raise error("nobody there")

    monkeypatch.setattr(connection, "cursor", away)
    (text,) = found("database")

    assert text == "DATABASES['default'] does not answer: nobody there"


@pytest.mark.django_db
@with_database
@pytest.mark.parametrize("seconds", [-MAX_SKEW - 5, MAX_SKEW + 5], ids=["-", "+"])
def test_compares_the_databases_clock_with_this_one(seconds: float) -> None:
    """Tickets live for seconds."""
    connection.ensure_connection()
    database = connection.connection
    database.create_function("strftime", -1, lambda *_: time.time() + seconds)
    try:
        (text,) = found("clock-skew")
    finally:
        database.create_function("strftime", -1, None)

    assert "DATABASES['default'] and this one are 15 s apart" in text


@pytest.mark.django_db
@with_database
def test_asks_no_clock_in_a_language_that_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each kind of database tells the time in its own way."""
    monkeypatch.setattr(connection, "vendor", "another")

    assert examine_statically() == []


def test_postgresql_tells_the_time(postgresql: PostgreSQL) -> None:
    """In seconds since the epoch."""
    with postgresql.connect("postgres") as client:
        row = client.execute(CLOCKS["postgresql"]).fetchone()

    assert row
    assert abs(float(row[0]) - time.time()) < MAX_SKEW


# The channel layer


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("Deaf", "TimeoutError", id="loses messages"),
        pytest.param("Down", "ConnectionRefusedError: nobody there", id="is away"),
        pytest.param("Nowhere", "InvalidChannelLayerError", id="does not exist"),
    ],
)
def test_sends_a_message_through_the_channel_layer(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not deliver is no use to a revocation."""
    monkeypatch.setattr(static, "_LAYER_PATIENCE", 0.2)
    with layer(name):
        (text,) = found("channel-layer")

    assert words in text


def test_a_layer_that_delivers_is_no_finding() -> None:
    """Though it be in memory: that is another finding, of a deployment."""
    with layer("InMemoryChannelLayer"):
        assert found("channel-layer") == []
