"""
Tokens in the admin: the list, one token, and the pages that do something with it.

A secret is shown by the answer to the form that made it, and nowhere else: not in a
message, a session, a redirect, the log of changes, or an address.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import (
    sensitive_post_parameters,
    sensitive_variables,
)

from wsorigin import tokens
from wsorigin.credentials import Secret
from wsorigin.handshake import redacted
from wsorigin.models import ConnectionToken, printable, translated

from . import token_columns as columns
from .disconnect import disconnect
from .effect import closing_when
from .log import log
from .pages import Pages
from .samples import sample_for
from .token_filters import KindFilter, OwnerFilter, StateFilter
from .token_forms import MintForm, RenameForm, RevokeForm, RotateForm, VerifyForm
from .token_permissions import TokenPermissions, is_kept, may

if TYPE_CHECKING:
    ConnectionTokenModelAdmin = admin.ModelAdmin[ConnectionToken]
else:
    ConnectionTokenModelAdmin = admin.ModelAdmin

# In the session: which forms have minted, so that none does it twice.
_MINTED: Final = "wsorigin_minted"
_REMEMBERED: Final = 10


@admin.register(ConnectionToken)
class ConnectionTokenAdmin(
    TokenPermissions, columns.TokenColumns, Pages, ConnectionTokenModelAdmin
):
    """Tokens: to mint, rename, rotate, verify, revoke; what they hold is never shown."""

    form = RenameForm
    list_filter = [KindFilter, StateFilter, OwnerFilter]
    list_select_related = ["user"]
    list_per_page = 50
    search_help_text = gettext_lazy(
        "Search public ids, names and owners. Never paste a whole token here: Verify "
        "takes it."
    )
    actions = ["revoke_selected", "disconnect_selected"]

    class Media:
        css = {"all": ["wsorigin/admin.css"]}
        js = [Script("wsorigin/tokens.js", defer=True)]

    # The list -----------------------------------------------------------------------

    def get_search_results(
        self,
        request: HttpRequest,
        queryset: QuerySet[ConnectionToken],
        search_term: str,
    ) -> tuple[QuerySet[ConnectionToken], bool]:
        words = (columns.without_prefix(word) for word in search_term.split())
        return super().get_search_results(request, queryset, " ".join(words))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        query = request.GET.get(SEARCH_VAR, "")
        public = redacted(query)
        if public != query:
            # The page's script sends the public id alone. Without it the harm is done:
            # servers and proxies log addresses. At least it goes no further.
            text = _(
                "There was a token in what you searched for, so it is in the address "
                "now, and in the logs of servers: rotate or revoke it. Verify takes "
                "tokens without that."
            )
            self.message_user(request, text, messages.WARNING)
            parameters = request.GET.copy()
            parameters[SEARCH_VAR] = public.replace("...", "")
            return redirect(f"{request.path}?{parameters.urlencode()}")
        return super().changelist_view(request, extra_context)

    @admin.action(
        permissions=["revoke"], description=gettext_lazy("Revoke the selected tokens…")
    )
    def revoke_selected(
        self, request: HttpRequest, queryset: QuerySet[ConnectionToken]
    ) -> HttpResponse:
        return self.revoke(request, list(queryset), request.get_full_path())

    @admin.action(
        permissions=["disconnect"],
        description=gettext_lazy("Disconnect the selected tokens now"),
    )
    def disconnect_selected(
        self, request: HttpRequest, queryset: QuerySet[ConnectionToken]
    ) -> None:
        disconnect(self, request, [(row, {"token": row}) for row in queryset])

    # One token ----------------------------------------------------------------------

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> ConnectionToken | None:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            row.name = printable(row.name)
        return row

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = context["original"]
        is_kept_active = is_kept(row) and row.state == "active"
        context |= {
            "may_rotate": is_kept_active and self.has_rotate_permission(request, row),
            "may_revoke": not row.revoked_at and self.has_revoke_permission(request),
            "may_disconnect": self.has_disconnect_permission(request),
            "show_save_and_add_another": False,
        }
        response: HttpResponse = super().render_change_form(
            request, context, *args, **kwargs
        )
        return response

    def save_model(
        self, request: HttpRequest, obj: ConnectionToken, form: Any, change: bool
    ) -> None:
        obj.save(update_fields=["name"])

    # Pages --------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        return [
            self.page_url("verify", self.verify_view),
            self.page_url("<int:pk>/rotate", self.rotate_view),
            self.page_url("<int:pk>/revoke", self.revoke_view),
            self.page_url("<int:pk>/disconnect", self.disconnect_view),
            *super().get_urls(),
        ]

    @sensitive_variables()
    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Mint a token, once for each form that was shown; show its secret."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = MintForm(
            request.POST if request.method == "POST" else None,
            minter=request.user,
            for_others=may(request, "mint_token_for_others"),
        )
        remembered = request.session.get(_MINTED, {})
        key = remembered.get(request.POST.get("once"))
        if key is not None:
            return self.minted_before(request, key)
        if form.is_valid():
            with transaction.atomic():
                minted = form.mint()
                if minted:
                    log(request, minted[:1], ADDITION, [{"added": {}}])
            if minted:
                row, text = minted
                remembered[form.cleaned_data["once"]] = row.pk
                last = list(remembered.items())[-_REMEMBERED:]
                request.session[_MINTED] = dict(last)
                return self.secret_page(request, row, text, _("Token minted"))
        return self.page(request, "mint.html", _("Mint a token"), {"form": form})

    def minted_before(self, request: HttpRequest, key: int) -> HttpResponse:
        """Say that a form was sent twice, and what became of it the first time."""
        row = ConnectionToken.objects.filter(pk=key).first()
        title = _("This form has minted a token already")
        return self.page(request, "already.html", title, {"token": row})

    @sensitive_variables()
    @transaction.atomic
    def rotate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the overlap, then rotate a token and show its new secret."""
        # Locked, so that of two who send the form one finds it outdated.
        row = get_object_or_404(ConnectionToken.objects.select_for_update(), pk=pk)
        if not self.has_rotate_permission(request, row):
            raise PermissionDenied
        is_outdated = False
        form = RotateForm(token=row)
        if request.method == "POST":
            sent = RotateForm(request.POST, token=row)
            is_outdated = sent.is_outdated
            if not is_outdated:
                form = sent
        if form.is_valid():
            text = form.rotate()
            if text:
                overlap = _("Rotated; the old secret counts for: %(overlap)s.")
                log(request, [row], CHANGE, overlap % {"overlap": form.chosen[1]})
                return self.secret_page(request, row, text, _("Token rotated"))
        context = {"form": form, "token": row, "is_outdated": is_outdated}
        return self.page(request, "rotate.html", _("Rotate a token"), context)

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask why, then revoke a token."""
        if not self.has_revoke_permission(request):
            raise PermissionDenied
        row = get_object_or_404(ConnectionToken, pk=pk)
        return self.revoke(request, [row], self.way_back_to(request, row))

    def revoke(
        self, request: HttpRequest, rows: Sequence[ConnectionToken], back: str
    ) -> HttpResponse:
        """Ask why, then revoke tokens; those that were revoked keep their reason."""
        form = RevokeForm(request.POST if "_revoke" in request.POST else None)
        if not form.is_valid():
            context = {"form": form, "tokens": rows, "back": back}
            context |= {"when": closing_when(), "is_action": "action" in request.POST}
            return self.page(request, "revoke.html", _("Revoke tokens"), context)
        reason = form.cleaned_data["reason"]
        with transaction.atomic():
            revoked = [row for row in rows if tokens.revoke(row, reason)]
            text = _("Revoked: %(reason)s") if reason else _("Revoked.")
            log(request, revoked, CHANGE, text % {"reason": printable(reason)})
        text = ngettext(
            "%(count)d token was revoked; its live connections close %(when)s.",
            "%(count)d tokens were revoked; their live connections close %(when)s.",
            len(revoked),
        )
        level = messages.SUCCESS if revoked else messages.WARNING
        values = {"count": len(revoked), "when": closing_when()}
        self.message_user(request, text % values, level)
        return redirect(back)

    def disconnect_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, then close the live connections of a token."""
        if not self.has_disconnect_permission(request):
            raise PermissionDenied
        row = get_object_or_404(ConnectionToken, pk=pk)
        back = self.way_back_to(request, row)
        if request.method == "POST":
            disconnect(self, request, [(row, {"token": row})])
            return redirect(back)
        context = {"token": row, "back": back, "when": closing_when()}
        return self.page(request, "disconnect.html", _("Disconnect now"), context)

    @method_decorator(sensitive_post_parameters("token"))
    @sensitive_variables()
    def verify_view(self, request: HttpRequest) -> HttpResponse:
        """Say which token a pasted text is, and whether it holds; keep nothing of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found, form = None, VerifyForm()
        if request.method == "POST":
            form = VerifyForm(request.POST)
            if form.is_valid():
                found, form = tokens.inspect(form.cleaned_data["token"]), VerifyForm()
        token = found.token if found else None
        context = {
            "form": form,
            "found": found,
            "sentence": translated(found.reason.sentence)
            if found and found.reason
            else "",
            "origins": columns.origins_of(token) if token else [],
            "audience": printable(token.audience) if token else "",
        }
        return self.page(request, "verify.html", _("Verify a token"), context)

    @sensitive_variables()
    def secret_page(
        self, request: HttpRequest, row: ConnectionToken, text: str, title: str
    ) -> HttpResponse:
        """Show a secret this once; nobody between here and the reader keeps a copy."""
        context = {
            # Not the text itself, which the report of an error in the template would show.
            "secret": Secret.parse(text),
            "token": row,
            "owner": columns.owner_of(row),
            "sample": sample_for(row, request),
            "back": self.way_back_to(request, row),
        }
        response = self.page(request, "secret.html", title, context)
        response["Cache-Control"] = "no-store"
        return response

    def way_back_to(self, request: HttpRequest, row: ConnectionToken) -> str:
        """Return where to go when a page is done: to the token, for who may see it."""
        if not self.has_view_permission(request):
            return self.way_back(request)
        name = "admin:wsorigin_connectiontoken_change"
        return reverse(name, args=[row.pk], current_app=self.admin_site.name)
