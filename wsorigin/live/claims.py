"""
What a connection rests upon besides its origin: a token, a user, a session.

Asking whether they still stand is one query for each kind, however many connections
there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import inf
from typing import Any, Final, NamedTuple

from django.utils import timezone

from wsorigin.credentials import TokenKind
from wsorigin.denial import CLOSE_CREDENTIAL, CLOSE_EXPIRED, CLOSE_REVOKED
from wsorigin.handshake import Scope
from wsorigin.models import ConnectionToken, batches
from wsorigin.sessions import (
    auser_of,
    has_sessions,
    is_on_the_server,
    session_key_in,
    standing_sessions,
)
from wsorigin.verification import Verified


class Claim(NamedTuple):
    """
    The token, user and session behind a connection, as far as there are any.

    ``token`` is a primary key, 0 for none; ``user`` one too, None for nobody.
    ``auth_hash`` changes with the user's password, and is empty where that does not
    matter: a secret token is a credential of its own. ``until`` is when the token
    expires, in seconds since the epoch. ``repr()`` shows no session.
    """

    token: int = 0
    is_ticket: bool = False
    user: Any = None
    auth_hash: str = ""
    session_key: str = ""
    until: float = inf

    def __repr__(self) -> str:
        return f"<Claim token={self.token} user={self.user}>"


NOTHING: Final = Claim()


async def claim_for(scope: Scope, cookies: bytes, verified: Verified | None) -> Claim:
    """
    Say what a connection rests upon, before its application runs.

    That is the token where there is one, since cookies do not count beside it; else
    the user whom middleware outside the guard found; else the session of the cookies,
    which costs the queries that reading it costs. Not to be asked where there is no token
    and ``cookies`` do not count.
    """
    if verified is not None:
        return _of_token(verified)
    if not has_sessions():
        return NOTHING
    if "user" in scope:
        session_key = getattr(scope.get("session"), "session_key", None)
        return _of_user(scope["user"], session_key or "")
    session_key = session_key_in(cookies)
    if not session_key:
        return NOTHING
    return _of_user(await auser_of(session_key), session_key)


def _of_token(verified: Verified) -> Claim:
    token = verified.token
    is_ticket = token.kind == TokenKind.TICKET
    return Claim(
        token=token.pk,
        is_ticket=is_ticket,
        user=token.user_id,
        auth_hash=auth_hash(token.user) if is_ticket else "",
        session_key=verified.session_key,
        until=(
            inf
            if is_ticket or token.expires_at is None
            else token.expires_at.timestamp()
        ),
    )


def _of_user(user: Any, session_key: str) -> Claim:
    if not getattr(user, "is_authenticated", False) or user.pk is None:
        return NOTHING
    return Claim(
        # Some backends let the deactivated in; then that is no reason to end it.
        user=user.pk if getattr(user, "is_active", True) else None,
        auth_hash=auth_hash(user),
        session_key=session_key if is_on_the_server() else "",
    )


def auth_hash(user: Any) -> str:
    """
    Return what changes with a user's password, empty where users have none.

    A part of the hash, kept for each connection: enough to see that it is another.
    """
    hashed = getattr(user, "get_session_auth_hash", None)
    return hashed()[:16] if hashed else ""


def ended(claims: Collection[Claim]) -> dict[Claim, int]:
    """
    Return those of these claims that stand no more, each with its close code.

    In a thread: it asks the database, and raises what that raises. Only an answer ends
    a claim, never the lack of one.
    """
    codes = _ended_tokens(claims)
    users = _users(claim.user for claim in claims if claim.user is not None)
    keys = {claim.session_key for claim in claims if claim.session_key}
    sessions = standing_sessions(keys) if keys else set()
    found = {}
    for claim in claims:
        code = codes.get(claim.token, 0)
        is_gone = claim.session_key and claim.session_key not in sessions
        if not code and (is_gone or not _stands(claim, users)):
            code = CLOSE_CREDENTIAL
        if code:
            found[claim] = code
    return found


def _ended_tokens(claims: Iterable[Claim]) -> dict[int, int]:
    """Return the close codes of tokens that have ended; a ticket is only ever revoked."""
    lasting = {claim.token for claim in claims if claim.token and not claim.is_ticket}
    tickets = {claim.token for claim in claims if claim.is_ticket}
    codes = dict.fromkeys(lasting, CLOSE_REVOKED)  # also where the row is gone
    now = timezone.now()
    for batch in batches(lasting):
        rows = ConnectionToken.objects.filter(pk__in=batch, revoked_at=None)
        for pk, expires_at in rows.values_list("pk", "expires_at"):
            if expires_at is None or expires_at > now:
                del codes[pk]
            else:
                codes[pk] = CLOSE_EXPIRED
    for batch in batches(tickets):
        revoked = ConnectionToken.objects.filter(pk__in=batch, revoked_at__isnull=False)
        codes.update(dict.fromkeys(revoked.values_list("pk", flat=True), CLOSE_REVOKED))
    return codes


def _users(keys: Iterable[Any]) -> Mapping[Any, Any]:
    """Return the users of these keys; whoever was deleted is missing."""
    keys = set(keys)
    if not keys:
        return {}
    from django.contrib.auth import get_user_model  # needs the app registry

    users: dict[Any, Any] = {}
    for batch in batches(keys):
        users |= get_user_model()._default_manager.in_bulk(batch)
    return users


def _stands(claim: Claim, users: Mapping[Any, Any]) -> bool:
    """Whether the user is there, active, and has the password that he had."""
    if claim.user is None:
        return True
    user = users.get(claim.user)
    if user is None or not getattr(user, "is_active", True):
        return False
    return not claim.auth_hash or claim.auth_hash == auth_hash(user)
