"""
Who may do what with tokens: Django's permissions, and whom a token acts as.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest

from wsorigin.credentials import TokenKind
from wsorigin.models import ConnectionToken

from .disconnect import PERMISSION

if TYPE_CHECKING:
    Permissions = admin.ModelAdmin[ConnectionToken]
else:
    Permissions = object


class TokenPermissions(Permissions):
    """What the pages and actions about tokens ask before they do anything."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request, "mint_token")

    def has_change_permission(
        self, request: HttpRequest, obj: ConnectionToken | None = None
    ) -> bool:
        """Whether a token may be renamed: by whoever sees it, and could have minted it."""
        return (
            self.has_view_permission(request, obj)
            and may(request, "mint_token")
            and (obj is None or (is_kept(obj) and may_act_as_owner(request, obj)))
        )

    def has_rotate_permission(
        self, request: HttpRequest, obj: ConnectionToken | None = None
    ) -> bool:
        """Whether a token may be rotated: that hands out what acts as its owner."""
        return may(request, "rotate_token") and (
            obj is None or may_act_as_owner(request, obj)
        )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return may(request, "revoke_token")

    def has_disconnect_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)


def may(request: HttpRequest, codename: str) -> bool:
    """Whether a user has one of the tokens' own permissions."""
    return request.user.has_perm(f"wsorigin.{codename}")


def may_act_as_owner(request: HttpRequest, row: ConnectionToken) -> bool:
    """Whether a user may hold what acts as a token's owner, if that is somebody else."""
    is_own = row.user_id in (None, request.user.pk)
    return is_own or may(request, "mint_token_for_others")


def is_kept(row: ConnectionToken) -> bool:
    """Whether people keep a token; tickets come and go by themselves."""
    return row.kind != TokenKind.TICKET
