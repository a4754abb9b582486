"""
What the lists of the admin can be narrowed down by.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wsorigin.models import DeniedHandshake, TrustedOrigin, printable
from wsorigin.reasons import Reason

SOON: Final = timedelta(days=7)
# Choices of a filter; a site with a tenant for each audience searches instead.
_SHOWN_AUDIENCES: Final = 50


class ExpiryFilter(admin.SimpleListFilter):
    """Rows by whether, and when, their time is over."""

    title = gettext_lazy("expiry")
    parameter_name = "expiry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("expired", _("Expired")),
            ("soon", _("Within 7 days")),
            ("later", _("Later")),
            ("never", _("Never")),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[TrustedOrigin]
    ) -> QuerySet[TrustedOrigin] | None:
        now = timezone.now()
        soon = now + SOON
        match self.value():
            case "expired":
                return queryset.filter(expires_at__lte=now)
            case "soon":
                return queryset.filter(expires_at__gt=now, expires_at__lte=soon)
            case "later":
                return queryset.filter(expires_at__gt=soon)
            case "never":
                return queryset.filter(expires_at=None)
        return None


class AudienceFilter(admin.SimpleListFilter):
    """Rows by their audience; those for all endpoints have none."""

    title = gettext_lazy("audience")
    parameter_name = "audience"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = TrustedOrigin.objects.exclude(audience="").order_by("audience")
        names = rows.values_list("audience", flat=True).distinct()[:_SHOWN_AUDIENCES]
        return [
            ("", _("For all endpoints")),
            *((name, printable(name)) for name in names),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[TrustedOrigin]
    ) -> QuerySet[TrustedOrigin] | None:
        value = self.value()
        return None if value is None else queryset.filter(audience=value)


class ReasonFilter(admin.SimpleListFilter):
    """Rows by their reason, out of those that there are."""

    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = DeniedHandshake.objects.order_by()
        found = set(rows.values_list("reason", flat=True).distinct())
        return [(reason, reason) for reason in Reason if reason in found]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[DeniedHandshake]
    ) -> QuerySet[DeniedHandshake] | None:
        value = self.value()
        return queryset.filter(reason=value) if value else None
