"""
Whether a token opens a connection.

Access is granted if and only if the text is a token whose checksum fits, a row has its
public id and its digest, nothing has ended that row, its user is active, and origin,
audience and session are those that it is bound to; a ticket, moreover, is used for the
first time.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from .credentials import Secret, TokenKind
from .handshake import Handshake
from .models import ConnectionToken
from .patterns import OriginPattern
from .policy import MissingOrigin, Policy, Reason, Rule
from .sessions import standing_sessions
from .threads import Threads

# last_used_at tells days from minutes, and a write costs more than all the rest.
_LAST_USED_EVERY: Final = timedelta(minutes=1)
# Daphne gives an application five seconds for a handshake.
_threads: Final = Threads("wsorigin-tokens", 2, most=200, patience=3.0)
# Compared where there is no row, so that both cases take the same time.
_DUMMY: Final = Secret.new(TokenKind.SECRET).digest


class Verified(NamedTuple):
    """
    A token that holds, and the session that it was fetched in.

    ``session_key`` is empty for all but tickets; ``repr()`` does not show it.
    """

    token: ConnectionToken
    session_key: str = ""

    def __repr__(self) -> str:
        return f"<Verified {self.token}>"


def verify(
    secret: Secret, origin: str | None, audience: str = "", *, session_key: str = ""
) -> Verified | Reason:
    """
    Say whether a token opens a connection; a ticket is used up by that.

    ``origin`` is the Origin header of the handshake, ``audience`` what the endpoint is
    for, ``session_key`` the session that came along in a cookie, if any did. Two
    queries at most, a third one for tickets with a session; and one write a minute.

    Returns what was verified, or the reason why not.
    """
    token = find(secret)
    if token is None:
        return Reason.TOKEN_UNKNOWN
    reason = why_not(token, secret, origin, audience)
    if reason is not None:
        return reason
    if token.kind == TokenKind.TICKET:
        return _redeem(token, secret, session_key)
    _note_use(token, secret)
    return Verified(token)


async def averify(
    secret: Secret, origin: str | None, audience: str = "", *, session_key: str = ""
) -> Verified | Reason:
    """
    Verify as `verify` does, from an event loop.

    Raises TimeoutError where the database does not answer within three seconds, and
    what it raises where it is away.
    """
    return await _threads.ask(verify, secret, origin, audience, session_key=session_key)


def find(secret: Secret) -> ConnectionToken | None:
    """Return the row of a secret, current or previous; None where there is none."""
    token: ConnectionToken | None = None
    with suppress(ConnectionToken.DoesNotExist):
        # get() and nothing more: writing SQL takes Django longer than running it, and
        # first() would have it write an ORDER BY.
        rows = ConnectionToken.objects.select_related("user")
        token = rows.get(public_id=secret.public_id)
    if token and token.kind != secret.kind:
        token = None
    digest = secret.digest
    # Both compared in any case, and the time tells nothing of either.
    known = constant_time_compare(digest, token.digest if token else _DUMMY)
    previous = token.previous_digest if token else ""
    was_known = constant_time_compare(digest, previous or _DUMMY)
    return token if known or was_known else None


def why_not(
    token: ConnectionToken, secret: Secret, origin: str | None, audience: str
) -> Reason | None:
    """Return the first reason for which a token opens nothing here; None for none."""
    is_previous = token.digest != secret.digest
    if token.revoked_at:
        return Reason.TOKEN_REVOKED
    if token.used_at:
        return Reason.TOKEN_USED
    if token.is_expired or (is_previous and not token.is_rotating):
        return Reason.TOKEN_EXPIRED
    if token.user and not token.user.is_active:
        return Reason.TOKEN_USER_INACTIVE
    return misplaced(token, origin, audience)


def misplaced(
    token: ConnectionToken, origin: str | None, audience: str
) -> Reason | None:
    """Return why a token that holds is none for this origin and audience, if so."""
    if not is_bound_to(token, origin):
        return Reason.TOKEN_WRONG_ORIGIN
    if token.audience not in ("", audience):
        return Reason.TOKEN_WRONG_AUDIENCE
    return None


def is_bound_to(token: ConnectionToken, origin: str | None) -> bool:
    """
    Whether a token may be used from an origin; None is a client that sends none.

    Without origins of its own a secret token may be used from anywhere, a ticket only
    where there is no origin either, as where it was fetched.
    """
    if origin is None:
        return not token.origins
    if not token.origins:
        return token.kind == TokenKind.SECRET
    return _policy_of(token.origins).decide(Handshake("", origin)).allowed


@lru_cache(maxsize=1024)
def _policy_of(origins: str) -> Policy:
    """Return the policy of a token's own origins: `Policy` alone compares origins."""
    rules = [Rule(OriginPattern.parse(line), "token") for line in origins.split()]
    return Policy(rules, missing=MissingOrigin.DENY)


def _redeem(
    token: ConnectionToken, secret: Secret, session_key: str
) -> Verified | Reason:
    """Use up a ticket; of all who try at once, one succeeds (ASVS 5.0, 6.5.1)."""
    own_session = secret.unseal(token.sealed_session_key)
    if own_session:
        is_other = session_key and not constant_time_compare(session_key, own_session)
        if is_other or not standing_sessions([own_session]):
            return Reason.TOKEN_WRONG_SESSION
    now = timezone.now()
    # One statement, because two would leave a moment between them for another.
    unused = ConnectionToken.objects.filter(
        pk=token.pk, used_at=None, revoked_at=None, expires_at__gt=now
    )
    if not unused.update(used_at=now, last_used_at=now):
        return Reason.TOKEN_USED
    return Verified(token, own_session)


def _note_use(token: ConnectionToken, secret: Secret) -> None:
    """Note when a token was used last, at most once a minute, and which secret."""
    now = timezone.now()
    name = "last_used_at" if token.digest == secret.digest else "previous_used_at"
    seen = getattr(token, name)
    if seen and seen > now - _LAST_USED_EVERY:
        return
    late = Q(**{name: None}) | Q(**{f"{name}__lte": now - _LAST_USED_EVERY})
    ConnectionToken.objects.filter(late, pk=token.pk).update(**{name: now})
