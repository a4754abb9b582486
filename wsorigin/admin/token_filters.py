"""
What the list of tokens can be narrowed down by.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wsorigin.credentials import TokenKind
from wsorigin.models import ConnectionToken

# Before this, somebody should rotate it or mint another.
SOON: Final = timedelta(days=14)

Tokens = QuerySet[ConnectionToken]


class KindFilter(admin.SimpleListFilter):
    """
    Tokens by kind.

    Each page fetches tickets as it goes: they would hide all else, so they are shown to
    those alone who ask for them, or search.
    """

    title = gettext_lazy("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (TokenKind.SECRET.value, _("Secret")),
            (TokenKind.PUBLISHABLE.value, _("Publishable")),
            (TokenKind.TICKET.value, _("Ticket")),
        ]

    def choices(self, changelist: Any) -> Iterator[Any]:
        default, *others = super().choices(changelist)
        yield {**default, "display": _("Secret and publishable")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: Tokens) -> Tokens:
        if self.value():
            return queryset.filter(kind=self.value())
        if request.GET.get(SEARCH_VAR):
            return queryset
        return queryset.exclude(kind=TokenKind.TICKET)


class StateFilter(admin.SimpleListFilter):
    """Tokens by what they may do now."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("active", _("Active")),
            ("soon", _("Expires within 14 days")),
            ("rotating", _("Two secrets work")),
            ("unused", _("Never used")),
            ("expired", _("Expired")),
            ("revoked", _("Revoked")),
        ]

    def queryset(self, request: HttpRequest, queryset: Tokens) -> Tokens | None:
        now = timezone.now()
        usable = Q(pk__in=ConnectionToken.objects.usable().values("pk"))
        match self.value():
            case "active":
                return queryset.filter(usable)
            case "soon":
                return queryset.filter(usable, expires_at__lte=now + SOON)
            case "rotating":
                return queryset.filter(usable, previous_expires_at__gt=now)
            case "unused":
                return queryset.filter(usable, last_used_at=None, previous_used_at=None)
            case "expired":
                return queryset.filter(expires_at__lte=now, revoked_at=None)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return None


class OwnerFilter(admin.SimpleListFilter):
    """Tokens by whom they identify."""

    title = gettext_lazy("owner")
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("me", _("Myself")),
            ("others", _("Somebody else")),
            ("inactive", _("Deactivated")),
            ("nobody", _("Nobody")),
        ]

    def queryset(self, request: HttpRequest, queryset: Tokens) -> Tokens | None:
        match self.value():
            case "me":
                return queryset.filter(user=request.user.pk)
            case "others":
                return queryset.exclude(user=request.user.pk).exclude(user=None)
            case "inactive":
                return queryset.filter(user__is_active=False)
            case "nobody":
                return queryset.filter(user=None)
        return None
