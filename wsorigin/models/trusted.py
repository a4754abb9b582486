"""
Trusted origins, and how a change of them is noticed.

Rows become rules in the sources; nothing here compares origins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from wsorigin.origins import MAX_LENGTH, InvalidOrigin
from wsorigin.patterns import OriginPattern
from wsorigin.signals import trusted_origins_changed

from .text import readable
from .words import translated


def validate_pattern(value: str) -> None:
    """
    Check a pattern of origins as the policy will read it.

    Raises ValidationError with the problem and the remedy.
    """
    try:
        OriginPattern.parse(value)
    except InvalidOrigin as exc:
        raise ValidationError(
            _("%(value)s isn't a pattern of origins: %(problem)s. %(remedy)s"),
            code="invalid_origin",
            params={
                "value": ascii(value),
                "problem": translated(exc.problem),
                "remedy": translated(exc.remedy),
            },
        ) from exc


class TrustedOriginQuerySet(models.QuerySet["TrustedOrigin"]):
    """Rows of trusted origins; bulk changes announce themselves like single ones."""

    def in_force(self) -> TrustedOriginQuerySet:
        """Return the rows that count now: active, and not expired."""
        unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return self.filter(unexpired, is_active=True)

    def update(self, **kwargs: Any) -> int:
        rows = super().update(**kwargs)
        announce_change(self.db)
        return rows

    update.alters_data = True  # type: ignore[attr-defined]  # Django's template guard

    def bulk_create(
        self, objs: Iterable[TrustedOrigin], *args: Any, **kwargs: Any
    ) -> list[TrustedOrigin]:
        created = super().bulk_create(objs, *args, **kwargs)
        announce_change(self.db)
        return created

    bulk_create.alters_data = True  # type: ignore[attr-defined]  # as above


class TrustedOrigin(models.Model):
    """
    An origin, or a pattern of them, that an operator vouches for.

    ``pattern`` is kept in canonical form. The row counts for every endpoint, or for
    those of one ``audience``. Its pages get the visitor's session only with
    ``allow_credentials``; with ``allow_cors`` they may also read over HTTP. From
    ``expires_at`` on it counts no more, without anybody touching it.
    """

    pattern = models.CharField(
        _("origin"),
        max_length=MAX_LENGTH,
        validators=[validate_pattern],
        help_text=_(
            "Such as https://app.example.com, https://*.example.com or "
            "https://app.example.com:8443."
        ),
    )
    audience = models.CharField(
        _("audience"),
        max_length=100,
        blank=True,
        help_text=_("Only endpoints with this audience; empty for all."),
    )
    note = models.CharField(
        _("note"),
        max_length=300,
        blank=True,
        help_text=_("Why it is here; somebody will ask."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    allow_credentials = models.BooleanField(
        _("allow credentials"),
        default=False,
        help_text=_("Its pages open sockets with the visitor's session."),
    )
    allow_cors = models.BooleanField(
        _("allow CORS"),
        default=False,
        help_text=_("Its pages may also read over HTTP (django-cors-headers)."),
    )
    expires_at = models.DateTimeField(
        _("expires at"), null=True, blank=True, help_text=_("Empty: never.")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    objects = TrustedOriginQuerySet.as_manager()

    class Meta:
        verbose_name = _("trusted origin")
        verbose_name_plural = _("trusted origins")
        ordering = ["pattern", "audience"]
        constraints = [
            models.UniqueConstraint(
                fields=["pattern", "audience"],
                name="wsorigin_one_row_per_origin",
                violation_error_message=_("This origin is trusted already."),
            )
        ]

    def __str__(self) -> str:
        pattern = readable(self.pattern)
        return f"{pattern} ({readable(self.audience)})" if self.audience else pattern

    def clean_fields(self, exclude: Any = None) -> None:
        """Write the pattern in canonical form, so that it is unique as what it means."""
        super().clean_fields(exclude=exclude)
        if not exclude or "pattern" not in exclude:
            self.pattern = str(OriginPattern.parse(self.pattern))

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()


class TrustedOriginVersion(models.Model):
    """
    One row, with a number that database triggers raise at every change of the origins.

    Reading it is how the sources see that there is something to read: also after bulk
    updates, raw SQL and what other programs write. It is a hint; the rows decide.
    """

    number = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.number)


def announce_change(using: str | None = None) -> None:
    """Tell this process, once the change is committed, that the origins are others."""
    transaction.on_commit(
        lambda: trusted_origins_changed.send_robust(TrustedOrigin), using=using
    )


# Triggers, and not only Django's signals: bulk updates, raw SQL and other programs
# send none. PostgreSQL counts statements, SQLite rows; either way the number moves
# with the transaction that wrote, and back with it. It starts at the time, or emptying
# all tables would start it over at numbers that some process has already seen.
_SQLITE_TRIGGER: Final = """
CREATE TRIGGER wsorigin_{event}
AFTER {event} ON wsorigin_trustedorigin
BEGIN
    INSERT INTO wsorigin_trustedoriginversion (id, number)
    VALUES (1, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER))
    ON CONFLICT (id) DO UPDATE SET number = number + 1;
END
"""
_POSTGRESQL_TRIGGER: Final = """
CREATE OR REPLACE FUNCTION wsorigin_raise_version() RETURNS trigger AS $$
BEGIN
    INSERT INTO wsorigin_trustedoriginversion AS version (id, number)
    VALUES (1, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint))
    ON CONFLICT (id) DO UPDATE SET number = version.number + 1;
    RETURN NULL;
END
$$ LANGUAGE plpgsql;
CREATE OR REPLACE TRIGGER wsorigin_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wsorigin_trustedorigin
FOR EACH STATEMENT EXECUTE FUNCTION wsorigin_raise_version();
"""


def install_triggers(using: str = "default", **_kwargs: Any) -> None:
    """
    Create the triggers that raise the version.

    Runs after each migrate: SQLite loses triggers where a migration rebuilds a table.
    Other databases get none, and are read in full at every look instead.
    """
    connection = connections[using]
    if TrustedOrigin._meta.db_table not in connection.introspection.table_names():
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for event in ("INSERT", "UPDATE", "DELETE"):
                # Anew each time, or a later release could not change them.
                cursor.execute(f"DROP TRIGGER IF EXISTS wsorigin_{event}")
                cursor.execute(_SQLITE_TRIGGER.format(event=event))
        elif connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL_TRIGGER)
