"""
The pages about trusted origins: preview, import, export, and the policy.

What becomes of pasted lines is said in `lines`, what a pattern means in `preview`.
"""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.contrib.admin.models import ADDITION
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from wsorigin.models import TrustedOrigin

from . import lines
from .effect import in_force_within
from .log import log
from .pages import Pages
from .policy_page import policy_page
from .preview import preview

_PREVIEW_TEMPLATE: Final = "admin/wsorigin/includes/preview.html"


class TrustedOriginPages(Pages):
    """What is shown of trusted origins besides the list and the form."""

    def get_urls(self) -> list[URLPattern]:
        return [
            self.page_url("preview", self.preview_view),
            self.page_url("import", self.import_view),
            self.page_url("export", self.export_view),
            self.page_url("policy", self.policy_view),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Answer what the typed pattern means, as JSON."""
        if not (
            self.has_add_permission(request) or self.has_change_permission(request)
        ):
            raise PermissionDenied
        found = preview(request.GET.get("pattern", ""))
        html = render_to_string(_PREVIEW_TEMPLATE, {"preview": found}, request)
        return JsonResponse({"pattern": found.pattern, "html": html})

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Judge pasted lines; save those that were shown as new, once confirmed."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        text = request.POST.get("lines", "")
        verdicts = lines.judge(text) if request.method == "POST" else None
        changed = False
        if verdicts and "_import" in request.POST:
            if request.POST.get("fingerprint") == verdicts.fingerprint:
                try:
                    rows = self.import_lines(request, verdicts)
                except IntegrityError:
                    verdicts = lines.judge(text)
                else:
                    return self.imported(request, len(rows))
            changed = True
        context = {
            "lines": text,
            "verdicts": verdicts,
            "changed": changed,
            "max_lines": lines.MAX_LINES,
        }
        title = _("Import trusted origins")
        return self.page(request, "import.html", title, context)

    def import_lines(
        self, request: HttpRequest, verdicts: lines.Verdicts
    ) -> list[TrustedOrigin]:
        """Save the new lines with an entry in the log for each, or nothing at all."""
        with transaction.atomic():
            rows = lines.save(verdicts, request.user)
            log(request, rows, ADDITION, [{"added": {}}])
        return rows

    def imported(self, request: HttpRequest, count: int) -> HttpResponse:
        message = ngettext(
            "%(count)d trusted origin was imported.",
            "%(count)d trusted origins were imported.",
            count,
        )
        self.report(request, message, count)
        return redirect(self.way_back(request))

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Write all rows as text, JSON or CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        suffix = request.GET.get("format", "txt")
        if suffix not in lines.FORMATS:
            known = ", ".join(lines.FORMATS)
            return HttpResponseNotFound(
                _("There is no such format. Known are: %(known)s.") % {"known": known},
                content_type="text/plain; charset=utf-8",
            )
        content_type, write = lines.FORMATS[suffix]
        rows = self.get_queryset(request).select_related("created_by")
        response = HttpResponse(
            write(rows), content_type=f"{content_type}; charset=utf-8"
        )
        name = f'attachment; filename="trusted-origins.{suffix}"'
        response["Content-Disposition"] = name
        return response

    def policy_view(self, request: HttpRequest) -> HttpResponse:
        """Show the policy in force, and answer a question about it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = policy_page(request)
        context["may_trust"] = self.has_add_permission(request)
        return self.page(request, "policy.html", _("WebSocket policy"), context)

    def report(
        self, request: HttpRequest, message: str, count: int, consequence: str = ""
    ) -> None:
        """Say how many rows an action changed, when that counts, and what follows."""
        level = messages.SUCCESS if count else messages.WARNING
        text = message % {"count": count}
        when = in_force_within()
        if count and when:
            text = " ".join(filter(None, [text, when, consequence]))
        self.message_user(request, text, level)
