"""
*Disconnect now*: closing live connections without ending any right.

Which connections those are, each process finds by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import model_ngettext
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wsorigin import tokens

from .effect import closing_when
from .log import log

PERMISSION = "wsorigin.disconnect"


@admin.action(description=gettext_lazy("Disconnect now (WebSockets)"))
def disconnect_users(
    model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]
) -> None:
    """
    Close the live connections of users; an action for the project's own ``UserAdmin``.

    Whatever they rest upon: a session, a ticket, a secret token. Raises
    PermissionDenied for who lacks ``wsorigin.disconnect``.
    """
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    disconnect(model_admin, request, [(user, {"user": user}) for user in queryset])


def disconnect(
    model_admin: Any,
    request: HttpRequest,
    orders: Sequence[tuple[Model, dict[str, Any]]],
) -> None:
    """
    Give orders to disconnect, with an entry in the log for each row, and say so.

    Each order is a row, and what `wsorigin.tokens.disconnect` takes for it.
    """
    rows = [row for row, what in orders]
    with transaction.atomic():
        tokens.disconnect_each(what for row, what in orders)
        log(request, rows, CHANGE, _("Disconnected its live connections."))
    text = _(
        "The live connections of %(count)d %(items)s close %(when)s. They may come "
        "again, as far as they still may."
    )
    values = {
        "count": len(rows),
        "items": model_ngettext(model_admin.model, len(rows)),
        "when": closing_when(),
    }
    level = messages.SUCCESS if rows else messages.WARNING
    model_admin.message_user(request, text % values, level)
