"""What an operator manages: rows in canonical form, and triggers that tell of changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from wsorigin.models import (
    DeniedHandshake,
    TrustedOrigin,
    TrustedOriginVersion,
    install_triggers,
    printable,
    validate_pattern,
)
from wsorigin.policy import Reason
from wsorigin.refresh import database_version
from wsorigin.signals import trusted_origins_changed

from .processes.servers import environment
from .servers.sites import manage
from .services import PostgreSQL

APP = "https://app.example"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        pytest.param("HTTPS://App.Example:443/", APP, id="case, port, slash"),
        pytest.param(
            "https://b\u00fccher.example", "https://xn--bcher-kva.example", id="IDN"
        ),
        pytest.param("https://[0::1]:8443", "https://[::1]:8443", id="IPv6"),
        pytest.param("https://.app.example", "https://.app.example", id="dot"),
    ],
)
@pytest.mark.django_db
def test_a_pattern_is_kept_in_canonical_form(typed: str, kept: str) -> None:
    """What is unique is what the pattern means, not how it was typed."""
    row = TrustedOrigin(pattern=typed)
    row.full_clean()

    assert row.pattern == kept


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        pytest.param("app.example", "no scheme", id="no scheme"),
        pytest.param("https://app.example/chat", "path", id="path"),
        pytest.param("https://*.co.uk", "public suffix", id="public suffix"),
        pytest.param("*", "isn't a pattern", id="everything"),
        pytest.param("re:https://.*", "", id="regular expression"),
        pytest.param("https://\u202eexample", "\\u202e", id="hidden character"),
    ],
)
@pytest.mark.django_db
def test_what_is_no_pattern_is_refused_with_a_remedy(typed: str, says: str) -> None:
    """The validator speaks as the policy's parser does, and hides nothing."""
    with pytest.raises(ValidationError) as refused:
        TrustedOrigin(pattern=typed).full_clean()
    (message,) = refused.value.message_dict["pattern"]

    assert says in message
    assert message.isascii()
    with pytest.raises(ValidationError) as directly:
        validate_pattern(typed)
    assert directly.value.code == "invalid_origin"


def test_fields_left_out_are_left_alone() -> None:
    """A form without the pattern does not touch it."""
    row = TrustedOrigin(pattern="HTTPS://APP.example")
    row.clean_fields(exclude=["pattern"])

    assert row.pattern == "HTTPS://APP.example"


@pytest.mark.django_db
def test_one_row_for_each_origin_and_audience() -> None:
    """The same origin may be trusted again for another audience only."""
    TrustedOrigin.objects.create(pattern=APP)
    TrustedOrigin(pattern=APP, audience="prices").full_clean()

    with pytest.raises(ValidationError, match="trusted already"):
        TrustedOrigin(pattern="https://APP.example/").full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        TrustedOrigin.objects.create(pattern=APP)


@pytest.mark.django_db
def test_which_rows_are_in_force() -> None:
    """Active ones, from whose expiry we are still away."""
    now = timezone.now()
    rows = {
        "always": TrustedOrigin(),
        "still": TrustedOrigin(expires_at=now + timedelta(minutes=1)),
        "over": TrustedOrigin(expires_at=now),
        "off": TrustedOrigin(is_active=False),
    }
    for name, row in rows.items():
        row.pattern = f"https://{name}.example"
        row.save()

    assert {row.pattern for row in TrustedOrigin.objects.in_force()} == {
        "https://always.example",
        "https://still.example",
    }
    assert [name for name, row in rows.items() if row.is_expired] == ["over"]


def test_rows_as_text() -> None:
    """Short, and for rows of strangers' text without surprises."""
    denied = DeniedHandshake(
        origin="", endpoint="/ws/\u202e", reason=Reason.UNLISTED, count=3
    )

    assert str(TrustedOrigin(pattern=APP)) == APP
    assert str(TrustedOrigin(pattern=APP, audience="prices")) == f"{APP} (prices)"
    assert str(denied) == "* /ws/\\u202e unlisted: 3"
    assert str(TrustedOriginVersion(number=5)) == "5"
    assert printable("caf\u00e9 \u202e") == "caf\u00e9 \\u202e"


CHANGES: list[tuple[str, Callable[[], object]]] = [
    ("save", lambda: TrustedOrigin(pattern="https://new.example").save()),
    ("delete", lambda: TrustedOrigin.objects.get().delete()),
    ("delete many", lambda: TrustedOrigin.objects.all().delete()),
    ("update", lambda: TrustedOrigin.objects.update(note="other")),
    (
        "bulk_create",
        lambda: TrustedOrigin.objects.bulk_create(
            [TrustedOrigin(pattern="https://new.example")]
        ),
    ),
    (
        "bulk_update",
        lambda: TrustedOrigin.objects.bulk_update(
            [TrustedOrigin.objects.get()], ["note"]
        ),
    ),
]


@pytest.mark.parametrize(
    "change", [pytest.param(change, id=name) for name, change in CHANGES]
)
@pytest.mark.django_db(transaction=True)
def test_each_change_raises_the_number_and_is_announced(
    change: Callable[[], object],
) -> None:
    """However it was made, once it is there, and not if it was rolled back."""
    TrustedOrigin.objects.create(pattern=APP)
    seen: list[Any] = []

    def receiver(**_: Any) -> None:
        seen.append((connection.in_atomic_block, database_version()))

    before = database_version()
    trusted_origins_changed.connect(receiver)
    try:
        with transaction.atomic():
            change()
            transaction.set_rollback(True)
        assert seen == []
        assert database_version() == before
        change()
    finally:
        trusted_origins_changed.disconnect(receiver)

    assert before is not None
    assert database_version() != before
    assert seen[-1] == (False, database_version())


def trigger_names() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        return sorted(name for (name,) in cursor.fetchall())


ALL_TRIGGERS = ["wsorigin_DELETE", "wsorigin_INSERT", "wsorigin_UPDATE"]


@pytest.mark.django_db(transaction=True)
def test_triggers_survive_migrations() -> None:
    """A second migrate changes nothing; one after a rebuilt table brings them back."""
    call_command("migrate", verbosity=0)
    assert trigger_names() == ALL_TRIGGERS
    field = TrustedOrigin._meta.get_field("note")
    with connection.schema_editor() as editor:
        editor._remake_table(TrustedOrigin, alter_fields=[(field, field)])
    assert trigger_names() == []
    call_command("migrate", verbosity=0)

    assert trigger_names() == ALL_TRIGGERS


@pytest.mark.django_db
def test_no_triggers_where_there_is_no_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Databases that hold other apps, or are of other kinds, are left alone."""
    monkeypatch.setattr(connection, "vendor", "other")
    install_triggers()
    monkeypatch.undo()
    monkeypatch.setattr(TrustedOrigin._meta, "db_table", "elsewhere")
    install_triggers()

    assert trigger_names() == ALL_TRIGGERS


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    """The models as they are need no further migration."""
    call_command(
        "makemigrations", "wsorigin", check=True, dry_run=True, stdout=StringIO()
    )


@pytest.mark.server
def test_triggers_on_postgresql(postgresql: PostgreSQL) -> None:
    """One function and one trigger, after any number of migrations, for any writer."""
    database = postgresql.make_database()
    env = environment(database)
    manage("migrate", "--verbosity=0", env=env)
    manage("migrate", "--verbosity=0", env=env)
    number = "SELECT number FROM wsorigin_trustedoriginversion"
    insert = (
        "INSERT INTO wsorigin_trustedorigin (pattern, audience, note, is_active, "
        "allow_credentials, allow_cors, created_at) "
        "VALUES (%s, '', '', true, false, false, now())"
    )
    with postgresql.connect(database["NAME"]) as other:
        numbers = []
        for statement, values in (
            (insert, [APP]),
            ("UPDATE wsorigin_trustedorigin SET note = 'x'", []),
            ("DELETE FROM wsorigin_trustedorigin", []),
            ("TRUNCATE wsorigin_trustedorigin", []),
        ):
            other.execute(statement, values)
            numbers.append(other.execute(number).fetchall())
        with other.transaction(force_rollback=True):
            other.execute(insert, [APP])
        after = other.execute(number).fetchall()
    manage("makemigrations", "wsorigin", "--check", env=env)

    first = numbers[0][0][0]
    assert numbers == [[(first + n,)] for n in range(4)]
    assert after == numbers[-1]
