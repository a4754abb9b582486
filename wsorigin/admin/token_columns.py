"""
What is shown of a token, in the list and on its own page: nothing that opens anything.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.contrib.admin.utils import display_for_value
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wsorigin.credentials import TokenKind
from wsorigin.models import ConnectionToken, printable, readable

from .token_filters import SOON

if TYPE_CHECKING:
    Columns = admin.ModelAdmin[ConnectionToken]
else:
    Columns = object

# Of a token's origins, in the list.
_SHOWN_ORIGINS: Final = 2


class TokenColumns(Columns):
    """The columns and fields of tokens."""

    list_display = [
        "public_id_shown",
        "state_shown",
        "kind_shown",
        "name_shown",
        "owner",
        "last_used",
        "expiry",
        "origins_short",
    ]
    list_display_links = ["public_id_shown"]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return ["public_id", "name", f"user__{get_user_model().USERNAME_FIELD}"]

    def get_fieldsets(
        self, request: HttpRequest, obj: ConnectionToken | None = None
    ) -> Any:
        life = ["created", "expiry", "last_used"]
        if obj and obj.revoked_at:
            life += ["revoked_at", "revoke_reason_shown"]
        return [
            (
                None,
                {"fields": ["public_id_shown", "kind_shown", "state_shown", "name"]},
            ),
            (
                _("What it opens"),
                {"fields": ["owner", "origins_shown", "audience_shown"]},
            ),
            (_("Lifetime"), {"fields": life}),
        ]

    def get_readonly_fields(
        self, request: HttpRequest, obj: ConnectionToken | None = None
    ) -> Any:
        sets = self.get_fieldsets(request, obj)
        names = [name for _title, options in sets for name in options["fields"]]
        return [name for name in names if name != "name"]

    @admin.display(description=gettext_lazy("public id"), ordering="public_id")
    def public_id_shown(self, row: ConnectionToken) -> str:
        prefix = TokenKind(row.kind).prefix
        return format_html("<code>{}{}</code>", prefix, readable(row.public_id))

    @admin.display(description=gettext_lazy("kind"), ordering="kind")
    def kind_shown(self, row: ConnectionToken) -> str:
        return format_html(
            '<span class="wsorigin-kind wsorigin-{}">{}</span>',
            row.kind,
            row.get_kind_display(),
        )

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def name_shown(self, row: ConnectionToken) -> str:
        return printable(row.name)

    @admin.display(description=gettext_lazy("owner"), ordering="user")
    def owner(self, row: ConnectionToken) -> str:
        return owner_of(row) or _("nobody")

    @admin.display(description=gettext_lazy("origins"))
    def origins_short(self, row: ConnectionToken) -> str:
        lines = origins_of(row)
        more = len(lines) - _SHOWN_ORIGINS
        if more > 0:
            words = ngettext("%(more)d more", "%(more)d more", more)
            lines[_SHOWN_ORIGINS:] = [words % {"more": more}]
        return format_html_join("\n", "<span>{}</span>", ((line,) for line in lines))

    @admin.display(description=gettext_lazy("origins"))
    def origins_shown(self, row: ConnectionToken) -> str:
        lines = ((line,) for line in origins_of(row))
        return format_html_join("\n", "<code>{}</code><br>", lines) or _("any")

    @admin.display(description=gettext_lazy("audience"))
    def audience_shown(self, row: ConnectionToken) -> str:
        return printable(row.audience) or _("all")

    @admin.display(description=gettext_lazy("last used"), ordering="last_used_at")
    def last_used(self, row: ConnectionToken) -> str:
        used = [one for one in (row.last_used_at, row.previous_used_at) if one]
        return moment(max(used)) if used else _("never")

    @admin.display(description=gettext_lazy("created"))
    def created(self, row: ConnectionToken) -> str:
        if row.created_by is None:
            return moment(row.created_at)
        name = printable(row.created_by.get_username())
        return _("%(when)s by %(name)s") % {
            "when": moment(row.created_at),
            "name": name,
        }

    @admin.display(description=gettext_lazy("expires"), ordering="expires_at")
    def expiry(self, row: ConnectionToken) -> str:
        """When it expires; marked where that is soon, and matters."""
        if row.expires_at is None:
            return _("never")
        left = row.expires_at - timezone.now()
        if row.state != "active" or left > SOON:
            return moment(row.expires_at)
        words = _("within a day")
        if left.days:
            words = ngettext("in %(days)d day", "in %(days)d days", left.days)
        return format_html(
            '{} <span class="wsorigin-state wsorigin-soon">{}</span>',
            moment(row.expires_at),
            words % {"days": left.days},
        )

    @admin.display(description=gettext_lazy("state"))
    def state_shown(self, row: ConnectionToken) -> str:
        return format_html(
            '<span class="wsorigin-state wsorigin-{}">{}</span>', *state_of(row)
        )

    @admin.display(description=gettext_lazy("why it was revoked"))
    def revoke_reason_shown(self, row: ConnectionToken) -> str:
        return printable(row.revoke_reason) or _("not given")


def owner_of(row: ConnectionToken) -> str:
    """Return the name of the user whom a token identifies, empty for nobody."""
    return printable(row.user.get_username()) if row.user else ""


def origins_of(row: ConnectionToken) -> list[str]:
    """Return the patterns that a token is bound to, as they may be shown."""
    return [readable(line) for line in row.origins.split()]


def state_of(row: ConnectionToken) -> tuple[str, str]:
    """Return the state of a token: a stable name, and words for people."""
    match row.state:
        case "revoked":
            return "expired", _("revoked")
        case "used":
            return "inactive", _("used")
        case "expired":
            return "expired", _("expired")
    if row.user and not row.user.is_active:
        return "expired", _("owner deactivated")
    if row.is_rotating:
        return "soon", _("active, two secrets")
    return "active", _("active")


def moment(time: datetime) -> str:
    """Return a time as the admin shows it."""
    return str(display_for_value(time, ""))


def without_prefix(word: str) -> str:
    """Return the public id of what is shown as one, any other word unchanged."""
    for kind in TokenKind:
        word = word.removeprefix(kind.prefix)
    return word
