"""
Tokens and users as an operator names them, and what he may see of a token.

No digest, and no secret: a row has none.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from wsorigin.denial import shown
from wsorigin.handshake import redacted
from wsorigin.models import ConnectionToken, printable

from . import moment, wrong_question


def token_called(public_id: str) -> ConnectionToken:
    """
    Return the token of a public id, with or without the prefix of its kind.

    Raises CommandError where there is none; whoever gives a whole token instead does
    not find it in the message.
    """
    rows = ConnectionToken.objects.select_related("user")
    row = rows.filter(public_id=public_id.rpartition("_")[2]).first()
    if row is None:
        raise wrong_question(
            f"No token has the public id {shown(redacted(public_id))}. "
            "See manage.py wsorigin token list --all"
        )
    return row


def user_called(name: str) -> Any:
    """Return the user of a name; raises CommandError where there is none."""
    model = get_user_model()
    row = model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
    if row is None:
        raise wrong_question(
            f"No user has the {model.USERNAME_FIELD} {shown(name)}. "
            "See manage.py createsuperuser, or the admin's page of users."
        )
    return row


def owner_of(row: ConnectionToken) -> str | None:
    """Return the name of the user whom a token identifies, None for nobody."""
    return row.user.get_username() if row.user else None


def state_of(row: ConnectionToken) -> str:
    """Return a token's state; one whose owner is deactivated opens nothing either."""
    if row.state == "active" and row.user and not row.user.is_active:
        return "user-inactive"
    return row.state


def in_words(row: ConnectionToken) -> str:
    """Return which token it is."""
    owner = owner_of(row)
    return f"{row.kind.capitalize()} token {row}" + (
        f" of {printable(owner)}" if owner else ""
    )


def until(row: ConnectionToken) -> str:
    """Return until when a token counts."""
    return f"until {moment(row.expires_at)}" if row.expires_at else "without an end"


def as_json(row: ConnectionToken) -> dict[str, Any]:
    """Return a token as plain data: what may be seen of it, and no digest."""
    times = "created_at", "last_used_at", "expires_at", "previous_expires_at"
    return {
        "kind": row.kind,
        "public_id": row.public_id,
        "name": row.name,
        "user": owner_of(row),
        "origins": row.origins.split(),
        "audience": row.audience,
        "state": state_of(row),
        **{
            name: time and time.isoformat()
            for name in (*times, "revoked_at")
            for time in [getattr(row, name)]
        },
        "revoke_reason": row.revoke_reason,
    }
