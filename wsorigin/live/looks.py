"""
Looking into the database for what has ended, from a thread of its own.

One that hangs with the database holds up neither event loops nor other sync code.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple

from django.db.models import F
from django.db.models.functions import Now

from wsorigin.denial import CLOSE_CREDENTIAL, CLOSE_ORIGIN
from wsorigin.models import Disconnection
from wsorigin.patterns import OriginPattern
from wsorigin.policy import MissingOrigin, Policy, Rule
from wsorigin.threads import Threads

from .claims import Claim, ended
from .connection import Connection

logger = logging.getLogger(__name__)

# Orders to disconnect may be committed some seconds after they were given.
_SLACK: Final = 60.0


@dataclass(frozen=True)
class Order:
    """
    An operator's order to disconnect what was open at ``given_at``.

    On this process's monotonic clock: no machine needs the time of another.
    """

    given_at: float
    user: Any
    token: int | None
    origin: str

    @property
    def code(self) -> int:
        """The close code that says what to do about it."""
        return CLOSE_ORIGIN if self.origin else CLOSE_CREDENTIAL

    @cached_property
    def _policy(self) -> Policy:
        rule = Rule(OriginPattern.parse(self.origin), "Disconnection")
        return Policy([rule], missing=MissingOrigin.DENY)

    def means(self, connection: Connection) -> bool:
        """Whether a connection is to be closed."""
        if connection.opened_at >= self.given_at:
            return False
        if self.origin:
            return self._policy.decide(connection.handshake).allowed
        claim = connection.claim
        if self.token is not None:
            return claim.token == self.token
        return self.user is not None and claim.user == self.user


class Findings(NamedTuple):
    """What a look found: claims that have ended, with close codes, and orders."""

    ended: dict[Claim, int]
    orders: list[Order]


async def look(claims: Collection[Claim], since: float | None) -> Findings | None:
    """
    Ask which claims have ended, and for the orders of the last ``since`` seconds.

    None where the database gives no answer, which is logged once for each outage.
    """
    try:
        return await _threads.ask(_look, claims, since)
    except TimeoutError:
        return None  # looks before it hang with the database, as many as may


def _look(claims: Collection[Claim], since: float | None) -> Findings | None:
    global _is_away
    try:
        findings = Findings(
            ended(claims) if claims else {},
            list(_orders(since)) if since is not None else [],
        )
    except Exception:
        if not _is_away:
            logger.exception("connections cannot be looked after; they stay open")
        _is_away = True
        return None
    if _is_away:
        logger.info("connections are looked after again")
    _is_away = False
    return findings


_is_away = False
# One that hangs with the database hangs for as long as that takes: nobody waits for it.
_threads: Final = Threads("wsorigin-live", 1, most=100, patience=None)


def _orders(since: float) -> Iterator[Order]:
    """Yield the orders of the last seconds; giving one twice does nothing more."""
    window = timedelta(seconds=since + _SLACK)
    rows = Disconnection.objects.filter(requested_at__gt=Now() - window)
    found = list(
        rows.annotate(age=Now() - F("requested_at")).values_list(
            "age", "user", "token", "origin"
        )
    )
    now = time.monotonic()
    for age, user, token, origin in found:
        yield Order(now - age.total_seconds(), user, token, origin)
