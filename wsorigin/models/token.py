"""
Tokens that open connections, and what ends connections by an operator's hand.

Only digests are kept. Minting and verifying are the tokens' own module's.
"""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from wsorigin.credentials import TokenKind
from wsorigin.origins import MAX_LENGTH

from .text import readable
from .trusted import validate_pattern

# Patterns in one token: it is bound to a site, not to the web.
_MAX_PATTERNS: Final = 100


def validate_patterns(value: str) -> None:
    """Check patterns of origins, one a line; raises ValidationError for the first bad one."""
    lines = value.split()
    if len(lines) > _MAX_PATTERNS:
        raise ValidationError(
            _("At most %(limit)d origins; these are %(count)d."),
            code="too_many",
            params={"limit": _MAX_PATTERNS, "count": len(lines)},
        )
    for line in lines:
        validate_pattern(line)


class ConnectionTokenQuerySet(models.QuerySet["ConnectionToken"]):
    """Rows of tokens, by what they may do now."""

    def usable(self) -> ConnectionTokenQuerySet:
        """Return the tokens that may open a connection."""
        return self.standing().filter(used_at=None)

    def standing(self) -> ConnectionTokenQuerySet:
        """
        Return the tokens whose connections may stay open.

        A ticket is used up and expires at once; the connection that it opened goes on.
        """
        lasting = Q(kind=TokenKind.TICKET, used_at__isnull=False) | self._unexpired()
        return self.filter(lasting, self._of_active_user(), revoked_at=None)

    def dead(self) -> ConnectionTokenQuerySet:
        """Return the tokens that open nothing any more, and never will."""
        return self.exclude(self._unexpired(), used_at=None, revoked_at=None)

    @staticmethod
    def _unexpired() -> Q:
        return Q(expires_at=None) | Q(expires_at__gt=timezone.now())

    @staticmethod
    def _of_active_user() -> Q:
        return Q(user=None) | Q(user__is_active=True)


class ConnectionToken(models.Model):
    """
    A credential for WebSockets: secret, publishable, or a ticket.

    A *secret* token identifies ``user`` wherever it comes from. A *publishable* one
    may stand in a page: it is bound to ``origins`` and names an integration, never a
    person. A *ticket* opens one connection for a user who has logged in, from the
    origin that fetched it.

    What its client holds is nowhere in the row: ``digest`` is a hash, after a rotation
    ``previous_digest`` too, which counts until ``previous_expires_at``. ``origins`` are
    patterns, one a line; a ticket has the one origin that it was fetched from, or none.
    """

    kind = models.CharField(
        _("kind"),
        max_length=12,
        choices=[
            (TokenKind.SECRET, _("secret")),
            (TokenKind.PUBLISHABLE, _("publishable")),
            (TokenKind.TICKET, _("ticket")),
        ],
    )
    public_id = models.CharField(_("public id"), max_length=8, unique=True)
    digest = models.CharField(max_length=80, editable=False)
    previous_digest = models.CharField(max_length=80, blank=True, editable=False)
    previous_expires_at = models.DateTimeField(
        _("previous secret counts until"), null=True, blank=True, editable=False
    )
    name = models.CharField(
        _("name"),
        max_length=100,
        blank=True,
        help_text=_("Who holds it, and what for."),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
    )
    origins = models.TextField(
        _("origins"),
        blank=True,
        max_length=_MAX_PATTERNS * (MAX_LENGTH + 1),
        validators=[validate_patterns],
        help_text=_("One a line, such as https://app.example.com; empty for any."),
    )
    audience = models.CharField(
        _("audience"),
        max_length=100,
        blank=True,
        help_text=_("Only endpoints with this audience; empty for all."),
    )
    sealed_session_key = models.CharField(max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    expires_at = models.DateTimeField(
        _("expires at"), null=True, blank=True, help_text=_("Empty: never.")
    )
    used_at = models.DateTimeField(_("used at"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    previous_used_at = models.DateTimeField(
        _("previous secret last used"), null=True, editable=False
    )
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)
    revoke_reason = models.CharField(
        _("why it was revoked"), max_length=200, blank=True, editable=False
    )

    objects = ConnectionTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("token")
        verbose_name_plural = _("tokens")
        ordering = ["-created_at", "-pk"]
        default_permissions = ("view", "delete")
        permissions = [
            ("mint_token", _("Can mint tokens for oneself and publishable ones")),
            ("mint_token_for_others", _("Can mint tokens that act as another user")),
            ("rotate_token", _("Can rotate tokens")),
            ("revoke_token", _("Can revoke tokens")),
            ("disconnect", _("Can close live connections")),
        ]
        indexes = [
            # Outstanding tickets of a user, and what pruning looks for.
            models.Index(
                fields=["user", "kind", "expires_at"], name="wsorigin_token_owner"
            ),
            models.Index(fields=["expires_at"], name="wsorigin_token_expiry"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind=TokenKind.PUBLISHABLE)
                | (Q(user=None) & ~Q(origins="")),
                name="wsorigin_publishable_names_no_person",
            ),
            models.CheckConstraint(
                condition=~Q(kind=TokenKind.TICKET)
                | Q(user__isnull=False, expires_at__isnull=False),
                name="wsorigin_ticket_has_user_and_end",
            ),
        ]

    def __str__(self) -> str:
        label = f"{TokenKind(self.kind).prefix}{self.public_id}"
        return f"{label} {readable(self.name)}".rstrip()

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def is_rotating(self) -> bool:
        """Whether the secret before the last rotation still counts."""
        until = self.previous_expires_at
        return until is not None and until > timezone.now()

    @property
    def state(self) -> str:
        """``"active"``, ``"revoked"``, ``"used"`` or ``"expired"``."""
        if self.revoked_at:
            return "revoked"
        if self.used_at:
            return "used"
        return "expired" if self.is_expired else "active"


class Disconnection(models.Model):
    """
    An order to close the live connections of a user, a token or an origin, now.

    Each process finds it by itself, so that it needs no channel layer. What opened
    later is not meant. ``origin`` is a pattern.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.CASCADE,
        related_name="+",
    )
    token = models.ForeignKey(
        ConnectionToken, null=True, on_delete=models.CASCADE, related_name="+"
    )
    origin = models.CharField(max_length=MAX_LENGTH, blank=True)
    requested_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False)
                | Q(token__isnull=False)
                | ~Q(origin=""),
                name="wsorigin_disconnection_of_something",
            )
        ]

    def __str__(self) -> str:
        return readable(f"{self.user_id or self.token_id or self.origin}")
