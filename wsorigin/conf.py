"""
The settings of wsorigin, typed: the only reader of ``WSORIGIN_*``.

Nothing is read at import, so that ``override_settings`` works at once. A value of
the wrong kind reads as the strictest one it could have meant; the system checks
report it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, Literal, TypeGuard

from django.conf import settings
from django.core.signals import setting_changed

from .reasons import MissingOrigin

# Seconds. A ticket is fetched to be used at once; what lives longer is a token.
MAX_TICKET_AGE: Final = 120

# Above this no number of rows, days or seconds is meant, and arithmetic overflows.
MAX_NUMBER: Final = 10**9

SOURCE_NAMES: Final = ("same-origin", "cors", "csrf", "hosts", "database", "debug")

DEFAULTS: Final[dict[str, Any]] = {
    "WSORIGIN_ALLOWED_ORIGINS": [],
    "WSORIGIN_ALLOWED_ORIGIN_REGEXES": [],
    "WSORIGIN_ALLOW_ALL_ORIGINS": False,
    "WSORIGIN_INHERIT": ["same-origin", "cors", "database", "debug"],
    "WSORIGIN_MISSING_ORIGIN": "require-token",
    "WSORIGIN_REPORT_ONLY": False,
    "WSORIGIN_DENY_WITH": "http",
    "WSORIGIN_REFRESH_INTERVAL": 5,
    "WSORIGIN_TICKET_MAX_AGE": 30,
    "WSORIGIN_TOKENS_MUST_EXPIRE": True,
    "WSORIGIN_AUDIT": True,
    "WSORIGIN_AUDIT_MAX_ROWS": 10_000,
    "WSORIGIN_AUDIT_RETENTION_DAYS": 30,
}


class Settings:
    """``django.conf.settings`` with our defaults; each property says what it means."""

    @cached_property
    def WSORIGIN_ALLOWED_ORIGINS(self) -> Sequence[str]:
        """Origins and patterns that may open WebSockets, with the session."""
        return self._sequence("WSORIGIN_ALLOWED_ORIGINS")

    @cached_property
    def WSORIGIN_ALLOWED_ORIGIN_REGEXES(self) -> Sequence[str | re.Pattern[str]]:
        """Regular expressions that have to match the whole normalised origin."""
        return self._sequence("WSORIGIN_ALLOWED_ORIGIN_REGEXES")

    @cached_property
    def WSORIGIN_ALLOW_ALL_ORIGINS(self) -> bool:
        """Whether every well-formed origin may open sockets, never with the session."""
        return self._get("WSORIGIN_ALLOW_ALL_ORIGINS") is True

    @cached_property
    def WSORIGIN_INHERIT(self) -> Sequence[str]:
        """The lists of the project that count, out of `SOURCE_NAMES`."""
        return self._sequence("WSORIGIN_INHERIT")

    @cached_property
    def WSORIGIN_MISSING_ORIGIN(self) -> MissingOrigin:
        """What becomes of a handshake without an Origin header."""
        value = self._get("WSORIGIN_MISSING_ORIGIN")
        try:
            return MissingOrigin(value)
        except ValueError:
            return MissingOrigin.DENY

    @cached_property
    def WSORIGIN_REPORT_ONLY(self) -> bool:
        """Whether denials are recorded and let through."""
        # "False" out of an environment variable is a true string: only True counts.
        return self._get("WSORIGIN_REPORT_ONLY") is True

    @cached_property
    def WSORIGIN_DENY_WITH(self) -> Literal["http", "close"]:
        """How to deny: HTTP 403 before the socket opens, or open and close with 44xx."""
        return "close" if self._get("WSORIGIN_DENY_WITH") == "close" else "http"

    @cached_property
    def WSORIGIN_REFRESH_INTERVAL(self) -> float:
        """Seconds until a change of the database counts in every process."""
        return self._positive("WSORIGIN_REFRESH_INTERVAL")

    @cached_property
    def WSORIGIN_TICKET_MAX_AGE(self) -> float:
        """Seconds for which a ticket can be used, at most `MAX_TICKET_AGE`."""
        return min(self._positive("WSORIGIN_TICKET_MAX_AGE"), MAX_TICKET_AGE)

    @cached_property
    def WSORIGIN_TOKENS_MUST_EXPIRE(self) -> bool:
        """Whether a token has to have an end; anything but False reads as yes."""
        return self._get("WSORIGIN_TOKENS_MUST_EXPIRE") is not False

    @cached_property
    def WSORIGIN_AUDIT(self) -> bool:
        """Whether denials are counted in the database."""
        return self._get("WSORIGIN_AUDIT") is True

    @cached_property
    def WSORIGIN_AUDIT_MAX_ROWS(self) -> int:
        """How many rows of denials there may be."""
        return int(self._positive("WSORIGIN_AUDIT_MAX_ROWS"))

    @cached_property
    def WSORIGIN_AUDIT_RETENTION_DAYS(self) -> float:
        """Days after which ``wsorigin prune`` deletes denials."""
        # A hundred years: more, and there is no date so long ago.
        return min(self._positive("WSORIGIN_AUDIT_RETENTION_DAYS"), 36_500)

    def forget(self, **_: Any) -> None:
        """Read again: a setting has changed."""
        self.__dict__.clear()

    def _positive(self, name: str) -> float:
        value = self._get(name)
        return value if is_positive(value) else DEFAULTS[name]

    def _get(self, name: str) -> Any:
        return getattr(settings, name, DEFAULTS[name])

    def _sequence(self, name: str) -> Sequence[Any]:
        return as_entries(self._get(name))


def is_list(value: object) -> bool:
    """Whether a setting holds several values; a string is a sequence, but never meant."""
    return isinstance(value, (list, tuple, set, frozenset))


def as_entries(value: Any) -> Sequence[Any]:
    """
    Return the entries of a list in a setting, none where it is no list.

    A set has no order of its own, and the entries' places are in the rules' sources.
    """
    if not is_list(value):
        return []
    return sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value


def is_positive(value: object) -> TypeGuard[float]:
    """Whether a setting is a number above zero that means something; True is none."""
    return (
        isinstance(value, (int, float))
        and value is not True
        and 0 < value <= MAX_NUMBER
    )


conf: Final = Settings()

# Where a setting is absent, asking Django for it costs more than a whole decision.
setting_changed.connect(conf.forget, dispatch_uid="wsorigin.conf")
