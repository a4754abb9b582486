"""
Tokens: mint, inspect, rotate, revoke, prune.

Whether one opens a connection is for `verification` to say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from .conf import conf
from .credentials import InvalidToken, Secret, TokenKind
from .handshake import redacted
from .models import ConnectionToken, Disconnection
from .origins import Origin
from .patterns import OriginPattern
from .policy import Reason
from .sessions import is_on_the_server
from .signals import standing_changed
from .verification import find, why_not

logger = logging.getLogger(__name__)

# A page needs one at a time; more only where many open at once.
MAX_OUTSTANDING: Final = 20
# Long enough to deploy the new secret everywhere; longer, and nobody ends the old one.
MAX_OVERLAP: Final = timedelta(days=30)

# Dead tickets are kept for so long, to say "used" rather than "unknown".
_TICKETS_KEPT: Final = timedelta(hours=1)
# Every process has found an order by then, those cut off from the database for hours too.
_DISCONNECTIONS_KEPT: Final = timedelta(days=1)


class TooManyTickets(Exception):
    """A user has `MAX_OUTSTANDING` tickets that nobody has used yet."""


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
    disconnect_each([{"user": user, "token": token, "origin": origin}])


def disconnect_each(orders: Iterable[Mapping[str, Any]]) -> None:
    """
    Give several orders, each with what `disconnect` takes, and tell of them once.

    Raises what `disconnect` raises, and then gives none.
    """
    rows = [_order(**order) for order in orders]
    if rows:
        old = timezone.now() - _DISCONNECTIONS_KEPT
        Disconnection.objects.filter(requested_at__lt=old).delete()
        Disconnection.objects.bulk_create(rows)
        announce("disconnection", 0)


def _order(
    user: Any = None, token: ConnectionToken | None = None, origin: str = ""
) -> Disconnection:
    if user is None and token is None and not origin:
        raise ValueError("name a user, a token or an origin")
    if origin:
        origin = str(OriginPattern.parse(origin))
    return Disconnection(user=user, token=token, origin=origin)


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
