"""
Denied handshakes in the admin: what was denied, what would be now, and trusting it.

All of it was sent by strangers, so that all of it is shown in printable ASCII.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.models import DELETION
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wsorigin.audit import outdated, prune
from wsorigin.conf import conf
from wsorigin.explanation import NoRoute, explain
from wsorigin.models import DeniedHandshake, TrustedOrigin, readable, translated
from wsorigin.policy import Explanation, Reason

from .chart import Chart, draw
from .filters import ReasonFilter
from .log import log
from .pages import Pages

if TYPE_CHECKING:
    DeniedHandshakeModelAdmin = admin.ModelAdmin[DeniedHandshake]
else:
    DeniedHandshakeModelAdmin = admin.ModelAdmin

CHART_DAYS: Final = 30
# What *Trust this origin* offers: long enough to find out, short enough to be asked.
_TRUST_DAYS: Final = 30

# Where an operator's word is what was missing.
_TRUSTABLE: Final = frozenset({Reason.UNLISTED, Reason.OPAQUE})
# Where the decision hung on the page's host, which was the one connected to.
_AT_ITS_OWN_HOST: Final = frozenset({Reason.HOST_NOT_ALLOWED, Reason.ORIGIN_REWRITTEN})
# Where it hung on what the row does not hold: a token, subprotocols, a proxy.
_DEPENDS_ON_MORE: Final = frozenset(
    {
        Reason.NO_COMMON_SUBPROTOCOL,
        Reason.UPGRADE_STRIPPED,
        *(reason for reason in Reason if reason.startswith("token-")),
    }
)


@admin.register(DeniedHandshake)
class DeniedHandshakeAdmin(Pages, DeniedHandshakeModelAdmin):
    """What was denied: to look at, to trust, to delete; never to write."""

    list_display = [
        "day",
        "origin_shown",
        "reason_shown",
        "count",
        "now",
        "endpoint_shown",
        "nearest_shown",
        "first_seen_at",
        "last_seen_at",
        "report_only",
    ]
    list_display_links = ["origin_shown"]
    list_filter = [ReasonFilter, "report_only", "day"]
    list_per_page = 50
    search_fields = ["origin", "endpoint", "nearest"]
    search_help_text = gettext_lazy("Search origins, endpoints and nearest rules.")
    fields = [
        "origin_shown",
        "endpoint_shown",
        "reason_shown",
        "sentence",
        "now",
        "trust",
        "nearest_shown",
        "count",
        "day",
        "first_seen_at",
        "last_seen_at",
        "report_only",
    ]

    class Media:
        css = {"all": ["wsorigin/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: DeniedHandshake | None = None
    ) -> bool:
        return False

    def get_list_display(self, request: HttpRequest) -> Any:
        names = [*super().get_list_display(request)]
        if self.may_trust(request):
            names.insert(names.index("now") + 1, "trust")
        return names

    def get_readonly_fields(
        self, request: HttpRequest, obj: DeniedHandshake | None = None
    ) -> Any:
        return self.get_fields(request, obj)

    def get_fields(
        self, request: HttpRequest, obj: DeniedHandshake | None = None
    ) -> Any:
        names = super().get_fields(request, obj)
        offered = obj is not None and is_trustable(obj) and self.may_trust(request)
        return [name for name in names if name != "trust" or offered]

    def may_trust(self, request: HttpRequest) -> bool:
        """Whether a user may trust what is denied here."""
        return self.admin_site.is_registered(
            TrustedOrigin
        ) and self.admin_site.get_model_admin(TrustedOrigin).has_add_permission(request)

    # Columns ------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("origin"), ordering="origin")
    def origin_shown(self, row: DeniedHandshake) -> str:
        if not row.origin:
            return _("(others, beyond the bound)")
        return _("(none)") if row.origin == "-" else readable(row.origin)

    @admin.display(description=gettext_lazy("endpoint"), ordering="endpoint")
    def endpoint_shown(self, row: DeniedHandshake) -> str:
        return readable(row.endpoint)

    @admin.display(description=gettext_lazy("reason"), ordering="reason")
    def reason_shown(self, row: DeniedHandshake) -> str:
        title = sentence_of(row)
        return format_html('<span title="{}">{}</span>', title, readable(row.reason))

    @admin.display(description=gettext_lazy("meaning"))
    def sentence(self, row: DeniedHandshake) -> str:
        return sentence_of(row)

    @admin.display(description=gettext_lazy("nearest rule"), ordering="nearest")
    def nearest_shown(self, row: DeniedHandshake) -> str:
        rule, end, difference = readable(row.nearest).partition(") ")
        return f"{rule}{end}{translated(difference)}"

    @admin.display(description=gettext_lazy("now"))
    def now(self, row: DeniedHandshake) -> str:
        """What the policy in force would say."""
        try:
            explanation = decide_again(row)
        except Undecidable as exc:
            return str(exc)
        decision = explanation.decision
        return format_html(
            '<span class="wsorigin-state wsorigin-{}" title="{}">{}</span>',
            "active" if decision else "expired",
            translated(decision.reason.sentence),
            _("allowed") if decision else _("denied"),
        )

    @admin.display(description=gettext_lazy("trust"))
    def trust(self, row: DeniedHandshake) -> str:
        """The way to the form that trusts the origin, where that would change anything."""
        if not is_trustable(row):
            return ""
        return format_html(
            '<a class="button wsorigin-trust" href="{}" aria-label="{}">{}</a>',
            self.trust_url(row),
            # What is seen comes first: whoever speaks to the browser says that.
            _("Trust this origin…: %(origin)s") % {"origin": readable(row.origin)},
            _("Trust this origin…"),
        )

    def trust_url(self, row: DeniedHandshake) -> str:
        """Return the address of the form, filled in with what is known."""
        note = _("Seen at %(endpoint)s on %(day)s") % {
            "endpoint": readable(row.endpoint),
            "day": row.day.isoformat(),
        }
        query = {"pattern": readable(row.origin), "note": note[:300]}
        query["expires"] = str(_TRUST_DAYS)
        url = reverse(
            "admin:wsorigin_trustedorigin_add", current_app=self.admin_site.name
        )
        return f"{url}?{urlencode(query)}"

    # Pages --------------------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "chart": chart(),
            "chart_days": CHART_DAYS,
            "retention_days": conf.WSORIGIN_AUDIT_RETENTION_DAYS,
            "may_prune": self.has_delete_permission(request),
            "audit_is_on": conf.WSORIGIN_AUDIT,
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def get_urls(self) -> list[URLPattern]:
        return [self.page_url("prune", self.prune_view), *super().get_urls()]

    def prune_view(self, request: HttpRequest) -> HttpResponse:
        """Ask, then delete what is older than the retention."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            with transaction.atomic():
                now = timezone.now()
                log(request, outdated(now), DELETION)
                count = prune(now)
            message = ngettext(
                "%(count)d row was deleted.", "%(count)d rows were deleted.", count
            )
            self.message_user(request, message % {"count": count}, messages.SUCCESS)
            return redirect(self.way_back(request))
        context = {
            "count": outdated().count(),
            "retention_days": conf.WSORIGIN_AUDIT_RETENTION_DAYS,
        }
        return self.page(request, "prune.html", _("Delete old rows"), context)


def is_trustable(row: DeniedHandshake) -> bool:
    """Whether trusting the origin of a row would change anything."""
    return row.reason in _TRUSTABLE and bool(row.origin)


def sentence_of(row: DeniedHandshake) -> str:
    """Return what the reason of a row means; raw SQL can have written any."""
    try:
        return translated(Reason(row.reason).sentence)
    except ValueError:
        return ""


class Undecidable(Exception):
    """A recorded handshake that nothing decides about; the message says why."""


def decide_again(row: DeniedHandshake) -> Explanation:
    """
    Ask the policy in force about a recorded handshake, at its endpoint if that exists.

    Raises Undecidable where the row does not hold what the decision depends on.
    """
    if not row.origin or row.reason in _DEPENDS_ON_MORE or not sentence_of(row):
        raise Undecidable(_("depends on more than the origin"))
    origin = None if row.origin == "-" else row.origin
    host, headers = "", []
    if row.reason in _AT_ITS_OWN_HOST:
        host = row.origin.partition("://")[2]
    if row.reason == Reason.ORIGIN_REWRITTEN:
        headers.append((b"sec-fetch-site", b"cross-site"))
    try:
        explanation = explain(origin, path=row.endpoint, host=host, headers=headers)
    except (NoRoute, ImproperlyConfigured, ImportError):
        # The endpoint is gone, or was never there: what would the site's policy say?
        explanation = explain(origin, host=host, headers=headers)
    if explanation is None:
        raise Undecidable(_("nothing checks this endpoint"))
    return explanation


def chart() -> Chart:
    """Draw the denials of the last days by reason."""
    last = timezone.now().date()
    first = last - timedelta(days=CHART_DAYS - 1)
    rows = DeniedHandshake.objects.filter(day__gte=first, day__lte=last)
    sums = rows.order_by().values_list("day", "reason").annotate(Sum("count"))
    counts: dict[tuple[date, str], int] = {
        (day, readable(reason)): count for day, reason, count in sums
    }
    return draw(counts, last, days=CHART_DAYS, others=_("others"))
