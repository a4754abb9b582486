"""
Trusted origins in the admin: the list, its actions, and the form.

What a pattern means is said in `preview`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import label_for_field
from django.db import transaction
from django.db.models import F, QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wsorigin.conf import conf
from wsorigin.models import TrustedOrigin, batches, printable, readable, translated
from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import OriginPattern
from wsorigin.refresh import current
from wsorigin.sources import collect

from . import lines
from .disconnect import PERMISSION, disconnect
from .effect import in_force_within
from .filters import SOON, AudienceFilter, ExpiryFilter
from .log import log
from .preview import preview
from .trusted_form import TrustedOriginForm
from .trusted_pages import TrustedOriginPages

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

    TrustedOriginModelAdmin = admin.ModelAdmin[TrustedOrigin]
else:
    TrustedOriginModelAdmin = admin.ModelAdmin

WEEK: Final = timedelta(days=7)
# The settings' origins beside the list; all of them are on the policy page.
_SHOWN_SETTINGS: Final = 100


@admin.register(TrustedOrigin)
class TrustedOriginAdmin(TrustedOriginPages, TrustedOriginModelAdmin):
    """The rows, with the settings' origins beside them."""

    form = TrustedOriginForm
    list_display = [
        "pattern_shown",
        "state",
        "audience_shown",
        "note_shown",
        "allow_credentials",
        "allow_cors",
        "created_by",
        "expires_at",
    ]
    list_filter = [
        "is_active",
        ExpiryFilter,
        AudienceFilter,
        "allow_credentials",
        "allow_cors",
    ]
    list_select_related = ["created_by"]
    search_fields = ["pattern", "audience", "note"]
    search_help_text = gettext_lazy("Search origins, audiences, notes and settings.")
    actions = ["activate", "deactivate", "extend", "disconnect_selected"]

    class Media:
        css = {"all": ["wsorigin/admin.css"]}
        js = [Script("wsorigin/preview.js", defer=True)]

    # The list -----------------------------------------------------------------------

    @admin.display(description=gettext_lazy("origin"), ordering="pattern")
    def pattern_shown(self, row: TrustedOrigin) -> str:
        return readable(row.pattern)

    @admin.display(description=gettext_lazy("audience"), ordering="audience")
    def audience_shown(self, row: TrustedOrigin) -> str:
        return printable(row.audience)

    @admin.display(description=gettext_lazy("note"), ordering="note")
    def note_shown(self, row: TrustedOrigin) -> str:
        return printable(row.note)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: TrustedOrigin) -> str:
        name, words = state_of(row)
        return format_html(
            '<span class="wsorigin-state wsorigin-{}">{}</span>', name, words
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data:
            changelist = response.context_data.get("cl")
            if changelist:
                response.context_data |= self.settings_context(request, changelist)
        return response

    def settings_context(
        self, request: HttpRequest, changelist: ChangeList
    ) -> dict[str, Any]:
        """Return what the settings trust, as far as it belongs to what is looked for."""
        found = collect()
        query = changelist.query.casefold()
        rules = [rule for rule in found.rules if query in str(rule).casefold()]
        shown = changelist.page_num == 1 and not changelist.has_active_filters
        return {
            "settings_rules": rules[:_SHOWN_SETTINGS] if shown else [],
            "settings_same_origin": (
                shown and not query and "same-origin" in conf.WSORIGIN_INHERIT
            ),
            "settings_more": max(len(rules) - _SHOWN_SETTINGS, 0),
            "settings_problems": [
                (
                    ascii(one.error.value),
                    one.source,
                    translated(readable(one.error.problem)),
                )
                for one in found.problems
                if shown and query in f"{one.source} {one.error.value}".casefold()
            ],
            "reads_database": current.reads_database,
            "export_formats": list(lines.FORMATS),
        }

    # Actions ------------------------------------------------------------------------

    @admin.action(
        permissions=["change"],
        description=gettext_lazy("Activate the selected trusted origins"),
    )
    def activate(self, request: HttpRequest, queryset: QuerySet[TrustedOrigin]) -> None:
        count = self.change(request, queryset.filter(is_active=False), is_active=True)
        self.report(
            request,
            ngettext(
                "%(count)d trusted origin was activated.",
                "%(count)d trusted origins were activated.",
                count,
            ),
            count,
        )

    @admin.action(
        permissions=["change"],
        description=gettext_lazy("Deactivate the selected trusted origins"),
    )
    def deactivate(
        self, request: HttpRequest, queryset: QuerySet[TrustedOrigin]
    ) -> None:
        count = self.change(request, queryset.filter(is_active=True), is_active=False)
        self.report(
            request,
            ngettext(
                "%(count)d trusted origin was deactivated.",
                "%(count)d trusted origins were deactivated.",
                count,
            ),
            count,
            _("Live connections that nothing else allows close with it."),
        )

    @admin.action(
        permissions=["change"],
        description=gettext_lazy("Extend the selected trusted origins by a week"),
    )
    def extend(self, request: HttpRequest, queryset: QuerySet[TrustedOrigin]) -> None:
        now = timezone.now()
        with transaction.atomic():
            # Those that run first: the others' new time would have them run as well.
            running = queryset.filter(expires_at__gt=now)
            count = self.change(request, running, expires_at=F("expires_at") + WEEK)
            expired = queryset.filter(expires_at__lte=now)
            count += self.change(request, expired, expires_at=now + WEEK)
        self.report(
            request,
            ngettext(
                "%(count)d trusted origin was extended by a week.",
                "%(count)d trusted origins were extended by a week.",
                count,
            ),
            count,
        )

    def change(
        self, request: HttpRequest, rows: QuerySet[TrustedOrigin], **values: Any
    ) -> int:
        """Change rows at once, with an entry in the log for each; return how many."""
        labels = [
            capfirst(str(label_for_field(name, TrustedOrigin, self))) for name in values
        ]
        message = [{"changed": {"fields": labels}}]
        with transaction.atomic():
            chosen = list(rows)
            log(request, chosen, CHANGE, message)
            for batch in batches(row.pk for row in chosen):
                TrustedOrigin.objects.filter(pk__in=batch).update(**values)
        return len(chosen)

    @admin.action(
        permissions=["disconnect"],
        description=gettext_lazy("Disconnect the selected trusted origins now"),
    )
    def disconnect_selected(
        self, request: HttpRequest, queryset: QuerySet[TrustedOrigin]
    ) -> None:
        # What isn't readable trusts nobody, so that nothing of it is open.
        readable_rows = (row for row in queryset if state_of(row)[0] != "unreadable")
        orders = [(row, {"origin": row.pattern}) for row in readable_rows]
        disconnect(self, request, orders)

    def has_disconnect_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    # The form -----------------------------------------------------------------------

    def get_fieldsets(
        self, request: HttpRequest, obj: TrustedOrigin | None = None
    ) -> Any:
        expiry = ["expires_at"]
        if may_write(self, request, obj):
            expiry.append("lifetime")
        powers = ["audience", "allow_credentials", "allow_cors"]
        return [
            (None, {"fields": ["pattern"]}),
            (_("What it may do"), {"fields": powers}),
            (_("For how long, and why"), {"fields": ["is_active", *expiry, "note"]}),
        ]

    def get_form(
        self,
        request: HttpRequest,
        obj: TrustedOrigin | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        # Of this request's own subclass, which Django makes anew each time.
        form.is_preview = "_preview" in request.POST  # type: ignore[attr-defined]
        return form

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> TrustedOrigin | None:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            # What came by raw SQL may hide something; the form refuses it as it is.
            row.pattern = readable(row.pattern)
            row.note, row.audience = printable(row.note), printable(row.audience)
        return row

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Read what *Trust this origin* asks for: ``expires`` is in days."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        initial.pop("expires_at", None)
        for name, shown in {"pattern": readable, "note": printable}.items():
            initial[name] = shown(request.GET.get(name, ""))
        days = request.GET.get("expires", "")
        if days.isdecimal() and len(days) < 5:
            initial["expires_at"] = timezone.now() + timedelta(days=int(days))
        return initial

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        form = context["adminform"].form
        bound = form["pattern"].value() if "pattern" in form.fields else None
        pattern = form.instance.pattern if bound is None else bound
        context |= {
            "preview": preview(pattern or ""),
            "may_write": may_write(self, request, context["original"]),
            "reads_database": current.reads_database,
            "in_force_within": in_force_within(),
        }
        response: HttpResponse = super().render_change_form(
            request, context, *args, **kwargs
        )
        return response

    def save_model(
        self, request: HttpRequest, obj: TrustedOrigin, form: Any, change: bool
    ) -> None:
        if not change:
            obj.created_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)


def state_of(row: TrustedOrigin) -> tuple[str, str]:
    """Return the state of a row: a stable name, and words for people."""
    try:
        OriginPattern.parse(row.pattern)
    except InvalidOrigin as exc:
        return "unreadable", _("unreadable: %(problem)s") % {
            "problem": translated(readable(exc.problem))
        }
    if not row.is_active:
        return "inactive", _("inactive")
    if row.is_expired:
        return "expired", _("expired")
    left = row.expires_at and row.expires_at - timezone.now()
    if left and left <= SOON:
        days = left.days
        if not days:
            return "soon", _("expires within a day")
        text = ngettext("expires in %(days)d day", "expires in %(days)d days", days)
        return "soon", text % {"days": days}
    return "active", _("active")


def may_write(
    model_admin: TrustedOriginModelAdmin,
    request: HttpRequest,
    row: TrustedOrigin | None,
) -> bool:
    """Whether a user may save the form that is shown."""
    if row is None:
        return model_admin.has_add_permission(request)
    return model_admin.has_change_permission(request, row)
