"""
Denials, counted, for an operator to decide about. Who counts them is the audit.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from wsorigin.origins import MAX_LENGTH
from wsorigin.reasons import Reason

from .text import readable


def reason_choices() -> list[tuple[str, str]]:
    """Return the reasons as choices; by a function, so that none is a migration."""
    return [(reason.value, reason.value) for reason in Reason]


class DeniedHandshake(models.Model):
    """
    Denials of one day, origin, endpoint and reason, counted.

    Bounded in rows and in length: a stranger chooses how many and how long. An empty
    origin stands for all those beyond the bound. ``report_only`` rows were let through.
    """

    day = models.DateField(_("day"))
    origin = models.CharField(_("origin"), max_length=MAX_LENGTH, blank=True)
    endpoint = models.CharField(_("endpoint"), max_length=200, blank=True)
    reason = models.CharField(
        _("reason"),
        max_length=40,
        choices=reason_choices,
    )
    report_only = models.BooleanField(_("report only"), default=False)
    count = models.PositiveBigIntegerField(_("count"), default=0)
    nearest = models.CharField(_("nearest rule"), max_length=500, blank=True)
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("denied handshake")
        verbose_name_plural = _("denied handshakes")
        ordering = ["-last_seen_at"]
        default_permissions = ("view", "delete")
        constraints = [
            models.UniqueConstraint(
                fields=["day", "origin", "endpoint", "reason", "report_only"],
                name="wsorigin_one_row_per_denial",
            )
        ]

    def __str__(self) -> str:
        what = f"{self.origin or '*'} {self.endpoint} {self.reason}: {self.count}"
        return readable(what)
