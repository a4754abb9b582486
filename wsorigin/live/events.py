"""
What happens in this process that may end a connection, told as hints.

`apps` connects these to Django's signals.
"""

from __future__ import annotations

from typing import Any, Final

from django.utils import timezone

from wsorigin.credentials import TokenKind
from wsorigin.tokens import announce

from .hints import Hint, session_name
from .watcher import tell

# A log-in writes a user too, and ends nothing.
_TELLING_FIELDS: Final = frozenset({"is_active", "password"})


def origins_changed(**_: Any) -> None:
    """Tell that trusted origins are others."""
    tell(Hint("origins"))


def standing_changed(what: str, key: Any, **_: Any) -> None:
    """Tell that a token, a user, a session may have ended."""
    tell(Hint(what, str(key)))


def token_changed(instance: Any, using: str, created: bool = False, **_: Any) -> None:
    """
    Tell, once it is committed, that a token was changed or deleted.

    Not of tickets, which come and go by the thousand: only revoking one ends anything.
    """
    if not created and instance.kind != TokenKind.TICKET:
        announce("token", instance.pk, using)


def user_changed(
    instance: Any,
    using: str,
    created: bool = False,
    update_fields: Any = None,
    **_: Any,
) -> None:
    """Tell, once it is committed, that a user may have another password, or none."""
    if created:
        return
    if update_fields is None or _TELLING_FIELDS.intersection(update_fields):
        announce("user", instance.pk, using)


def session_deleted(instance: Any, using: str, **_: Any) -> None:
    """
    Tell, once it is committed, that a session was deleted from the database.

    Not of expired ones, which ``clearsessions`` deletes by the thousand: they ended
    before, and a look has found that.
    """
    if instance.expire_date > timezone.now():
        announce("session", session_name(instance.pk), using)


def logged_out(request: Any, **_: Any) -> None:
    """Tell that the session of a request is about to end, whatever keeps it."""
    session = getattr(request, "session", None)
    if session is not None and session.session_key:
        announce("session", session_name(session.session_key))
