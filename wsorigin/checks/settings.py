"""
Checks of our own settings: their names, types and choices.

What their entries mean is not asked here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage

from wsorigin.conf import (
    DEFAULTS,
    MAX_TICKET_AGE,
    SOURCE_NAMES,
    conf,
    is_list,
    is_positive,
)
from wsorigin.reasons import MissingOrigin

from .finding import finding

_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "WSORIGIN_MISSING_ORIGIN": tuple(MissingOrigin),
    "WSORIGIN_DENY_WITH": ("http", "close"),
}


def check_settings(**_: Any) -> Iterator[CheckMessage]:
    """Check names, types and choices of ``WSORIGIN_*``."""
    for name in dir(settings):
        if name.startswith("WSORIGIN_") and name not in DEFAULTS:
            close = difflib.get_close_matches(name, DEFAULTS, n=1, cutoff=0)
            yield finding(
                "E003", f"{name} isn't a setting of wsorigin.", f"Write {close[0]}."
            )
    for name, default in DEFAULTS.items():
        value = getattr(settings, name, default)
        if name in _CHOICES:
            if value not in _CHOICES[name]:
                yield _not_a_choice(name, value, _CHOICES[name])
        elif isinstance(default, bool):
            if not isinstance(value, bool):
                yield finding(
                    "E002",
                    f"{name} is {value!r}, not a bool, and reads as "
                    f"{getattr(conf, name)}.",
                    f"Write {name} = {str(value).lower() in {'1', 'true', 'yes', 'on'}}.",
                )
        elif isinstance(default, int):
            if not is_positive(value):
                yield finding(
                    "E002",
                    f"{name} is {value!r}, not a number above zero, and reads as "
                    f"{default}.",
                    f"Write {name} = {default}.",
                )
            elif name == "WSORIGIN_TICKET_MAX_AGE" and value > MAX_TICKET_AGE:
                yield finding(
                    "E002",
                    f"{name} is {value!r}, and reads as {MAX_TICKET_AGE}: a ticket is "
                    "fetched to be used at once.",
                    f"Write {name} = {default}; what lives longer is a token.",
                )
        elif not is_list(value):
            fixed = value.split(",") if isinstance(value, str) else []
            yield finding(
                "E002",
                f"{name} is {value!r}, not a list, and reads as empty.",
                f"Write {name} = {[part.strip() for part in fixed if part.strip()]!r}.",
            )
    for index, name in enumerate(conf.WSORIGIN_INHERIT):
        if name not in SOURCE_NAMES:
            yield _not_a_choice(f"WSORIGIN_INHERIT[{index}]", name, SOURCE_NAMES)


def _not_a_choice(name: str, value: Any, choices: Sequence[str]) -> CheckMessage:
    close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0)
    return finding(
        "E004",
        f"{name} is {value!r}, which is none of {', '.join(map(repr, choices))}.",
        f"Write {close[0]!r}.",
    )
