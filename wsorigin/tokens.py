"""
Tokens: mint, verify, rotate, revoke, prune.

Access is granted if and only if the text is a token whose checksum fits, a row has its
public id and its digest, nothing has ended that row, its user is active, and origin,
audience and session are those that it is bound to; a ticket, moreover, is used for the
first time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from .conf import conf
from .credentials import InvalidToken, Secret, TokenKind
from .handshake import Handshake, redacted
from .models import ConnectionToken, Disconnection
from .origins import Origin
from .patterns import OriginPattern
from .policy import MissingOrigin, Policy, Reason, Rule
from .sessions import is_on_the_server, standing_sessions
from .signals import standing_changed
from .threads import Threads

logger = logging.getLogger(__name__)

# A page needs one at a time; more only where many open at once.
MAX_OUTSTANDING: Final = 20
# Long enough to deploy the new secret everywhere; longer, and nobody ends the old one.
MAX_OVERLAP: Final = timedelta(days=30)

# last_used_at tells days from minutes, and a write costs more than all the rest.
_LAST_USED_EVERY: Final = timedelta(minutes=1)
# Dead tickets are kept for so long, to say "used" rather than "unknown".
_TICKETS_KEPT: Final = timedelta(hours=1)
# Every process has found an order by then, those cut off from the database for hours too.
_DISCONNECTIONS_KEPT: Final = timedelta(days=1)
# Daphne gives an application five seconds for a handshake.
_threads: Final = Threads("wsorigin-tokens", 2, most=200, patience=3.0)
# Compared where there is no row, so that both cases take the same time.
_DUMMY: Final = Secret.new(TokenKind.SECRET).digest


class TooManyTickets(Exception):
    """A user has `MAX_OUTSTANDING` tickets that nobody has used yet."""


class Verified(NamedTuple):
    """
    A token that holds, and the session that it was fetched in.

    ``session_key`` is empty for all but tickets; ``repr()`` does not show it.
    """

    token: ConnectionToken
    session_key: str = ""

    def __repr__(self) -> str:
        return f"<Verified {self.token}>"


def mint(
    kind: TokenKind,
    *,
    name: str = "",
    user: Any = None,
    origins: Iterable[str] = (),
    audience: str = "",
    expires_in: timedelta | None = None,
    created_by: Any = None,
) -> tuple[ConnectionToken, str]:
    """
    Make a secret or a publishable token; return its row, and the text to hand out.

    The text is nowhere else, ever. ``origins`` are patterns; a publishable token needs
    one at least, and has no ``user``. ``expires_in`` None means never, which
    ``WSORIGIN_TOKENS_MUST_EXPIRE`` forbids.

    Raises ValidationError, by field, for what does not fit together.
    """
    now, secret = timezone.now(), Secret.new(kind)
    token = ConnectionToken(
        kind=kind,
        public_id=secret.public_id,
        digest=secret.digest,
        name=redacted(name),  # people paste what they hold
        user=user,
        origins="\n".join(origins),
        audience=audience,
        created_at=now,
        created_by=created_by,
        expires_at=now + expires_in if expires_in is not None else None,
    )
    check_fields(token)
    token.origins = "\n".join(canonical(token.origins))
    token.save(force_insert=True)
    return token, secret.text


def check_fields(token: ConnectionToken) -> None:
    """
    Check whether what a new token says fits together.

    Raises ValidationError, by field.
    """
    errors: dict[str, Any] = {}
    try:
        token.full_clean(validate_constraints=False)
    except ValidationError as exc:
        errors = exc.update_error_dict({})
    if token.kind == TokenKind.TICKET:
        errors["kind"] = _("Tickets are fetched from the ticket endpoint, not minted.")
    if not token.name.strip():
        errors["name"] = _("Say who holds it, and what for.")
    if token.kind == TokenKind.PUBLISHABLE:
        if token.user_id is not None:
            errors["user"] = _(
                "A publishable token stands in pages for all to read, so it names an "
                "integration and never a person. Leave the owner empty."
            )
        if not token.origins.split():
            errors["origins"] = _(
                "A publishable token is bound to origins. Name the sites whose pages "
                "it stands in."
            )
    if token.expires_at is None:
        if conf.WSORIGIN_TOKENS_MUST_EXPIRE:
            errors["expires_at"] = _(
                "A token has to expire, or WSORIGIN_TOKENS_MUST_EXPIRE has to be False."
            )
    elif token.expires_at <= timezone.now():
        errors["expires_at"] = _("This is in the past. Choose a later time.")
    if errors:
        raise ValidationError(errors)


def canonical(origins: str) -> list[str]:
    """Return patterns, one a line, in canonical form; raises InvalidOrigin."""
    return [str(OriginPattern.parse(line)) for line in origins.split()]


def mint_ticket(
    user: Any, *, origin: str | None, audience: str = "", session_key: str = ""
) -> tuple[ConnectionToken, str]:
    """
    Make a ticket: one connection, for this user, from this origin, within seconds.

    ``origin`` is the Origin header of the request that fetches it, None without one.
    ``session_key`` is the session that it was fetched in: what ends that ends the
    connection too.

    Raises InvalidOrigin for an origin that is none, or opaque: ``null`` is nobody's.
    Raises TooManyTickets where too many wait to be used.
    """
    page = None if origin is None else Origin.parse(origin)
    now, secret = timezone.now(), Secret.new(TokenKind.TICKET)
    token = ConnectionToken(
        kind=TokenKind.TICKET,
        public_id=secret.public_id,
        digest=secret.digest,
        user=user,
        origins="" if origin is None else str(OriginPattern.parse(str(page))),
        audience=audience,
        created_at=now,
        expires_at=now + timedelta(seconds=conf.WSORIGIN_TICKET_MAX_AGE),
    )
    if session_key and is_on_the_server():
        token.sealed_session_key = secret.seal(session_key)
    token.clean_fields(exclude=["name"])
    mine = ConnectionToken.objects.filter(user=user, kind=TokenKind.TICKET)
    with transaction.atomic():
        # Whoever fetches several at once waits here, so that the bound is one. SQLite
        # locks no rows, and refuses a transaction that reads first and writes later
        # than another: a write comes first, though of nothing.
        mine.filter(pk=0).update(name="")
        users = user._meta.model._base_manager
        users.select_for_update().filter(pk=user.pk).first()
        mine.filter(expires_at__lt=now - _TICKETS_KEPT).delete()
        outstanding = mine.filter(expires_at__gt=now, used_at=None, revoked_at=None)
        if outstanding.count() >= MAX_OUTSTANDING:
            raise TooManyTickets
        token.save(force_insert=True)
    return token, secret.text


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


class Inspection(NamedTuple):
    """
    What is known of a pasted text.

    ``token`` is its row, where there is one; ``reason`` why it opens nothing, None
    where it does. ``is_previous`` says that it is the secret before the last rotation.
    Origin, audience and session are not asked for.
    """

    token: ConnectionToken | None
    reason: Reason | None
    is_previous: bool = False


def inspect(text: str) -> Inspection:
    """Say which token a text is, and whether it holds; nothing is used up or stored."""
    try:
        secret = Secret.parse(text.strip())
    except InvalidToken:
        return Inspection(None, Reason.TOKEN_MALFORMED)
    token = find(secret)
    if token is None:
        return Inspection(None, Reason.TOKEN_UNKNOWN)
    reason = why_not(token, secret, None, token.audience)
    # An origin is needed to use it, not to know it.
    if reason is Reason.TOKEN_WRONG_ORIGIN:
        reason = None
    return Inspection(token, reason, token.digest != secret.digest)


def rotate(token: ConnectionToken, overlap: timedelta = timedelta(0)) -> str:
    """
    Give a token another secret, and return it; connections stay open.

    The old one counts for ``overlap`` more, zero to thirty days; a leaked one gets
    none. Raises ValidationError for a ticket, a token that has ended, and an overlap
    out of bounds.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise ValidationError(
            _("The overlap is from nothing to %(days)d days."),
            code="overlap",
            params={"days": MAX_OVERLAP.days},
        )
    now = timezone.now()
    secret = Secret.new(TokenKind(token.kind), token.public_id)
    with transaction.atomic():
        row = ConnectionToken.objects.select_for_update().get(pk=token.pk)
        if row.kind == TokenKind.TICKET or row.state != "active":
            raise ValidationError(
                _("%(token)s can't be rotated: it is a ticket, or has ended."),
                code="ended",
                params={"token": str(row)},
            )
        row.previous_digest = row.digest if overlap else ""
        row.previous_expires_at = now + overlap if overlap else None
        row.previous_used_at = row.last_used_at
        row.digest, row.last_used_at = secret.digest, None
        row.save(update_fields=_ROTATED)
    for name in _ROTATED:
        setattr(token, name, getattr(row, name))
    logger.info("rotated token=%s overlap=%s", token.public_id, overlap)
    return secret.text


_ROTATED: Final = (
    "digest",
    "previous_digest",
    "previous_expires_at",
    "previous_used_at",
    "last_used_at",
)


def revoke(token: ConnectionToken, reason: str = "") -> bool:
    """
    End a token for good, and the connections that it opened; they close with 4410.

    Returns whether this call did it: what is revoked stays revoked, with its reason.
    """
    now = timezone.now()
    rows = ConnectionToken.objects.filter(pk=token.pk, revoked_at=None)
    revoked = rows.update(revoked_at=now, revoke_reason=redacted(reason)[:200])
    with suppress(ConnectionToken.DoesNotExist):  # somebody has deleted it
        token.refresh_from_db(fields=["revoked_at", "revoke_reason"])
    if revoked:
        logger.info("revoked token=%s", token.public_id)
        announce("token", token.pk)
    return bool(revoked)


def disconnect(
    *, user: Any = None, token: ConnectionToken | None = None, origin: str = ""
) -> None:
    """
    Close the live connections of a user, a token or a pattern of origins, once.

    They may come again, as far as they still may. In every process: at once where a
    channel layer tells it, within ``WSORIGIN_REFRESH_INTERVAL`` otherwise.

    Raises InvalidOrigin for a bad pattern, ValueError where nothing is named.
    """
    if user is None and token is None and not origin:
        raise ValueError("name a user, a token or an origin")
    if origin:
        origin = str(OriginPattern.parse(origin))
    old = timezone.now() - _DISCONNECTIONS_KEPT
    Disconnection.objects.filter(requested_at__lt=old).delete()
    Disconnection.objects.create(user=user, token=token, origin=origin)
    announce("disconnection", 0)


def announce(what: str, key: Any, using: str | None = None) -> None:
    """
    Tell this process, once the change is committed, that something may have ended.

    ``what`` is ``"token"``, ``"user"``, ``"session"`` or ``"disconnection"``.
    """
    transaction.on_commit(
        lambda: standing_changed.send_robust(ConnectionToken, what=what, key=key),
        using=using,
    )


def dead_for_long() -> QuerySet[ConnectionToken]:
    """
    Return what nobody asks about any more.

    Tickets that ended an hour ago, and tokens that ended as long ago as denials are
    kept: ``WSORIGIN_AUDIT_RETENTION_DAYS``.
    """
    now = timezone.now()
    hour, days = now - _TICKETS_KEPT, timedelta(days=conf.WSORIGIN_AUDIT_RETENTION_DAYS)
    old = Q(expires_at__lt=now - days) | Q(revoked_at__lt=now - days)
    return ConnectionToken.objects.filter(
        old | Q(kind=TokenKind.TICKET, expires_at__lt=hour)
    )


def prune() -> int:
    """Delete what has been `dead_for_long`; return how many tokens that were."""
    old = timezone.now() - _DISCONNECTIONS_KEPT
    Disconnection.objects.filter(requested_at__lt=old).delete()
    doomed = dead_for_long()
    count = doomed.count()
    doomed.delete()
    return count
