"""
Checks of regular expressions, ours and those of CORS: whom they let in, and how slowly.

The probes themselves are in `wsorigin.regexes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage

from wsorigin.conf import conf
from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import compiled
from wsorigin.regexes import leak, slow_input
from wsorigin.sources import cors_regexes

from .finding import finding


def check_regexes(**_: Any) -> Iterator[CheckMessage]:
    """Probe each regular expression with hostile strings."""
    own = conf.WSORIGIN_ALLOWED_ORIGIN_REGEXES
    yield from _check_regexes("WSORIGIN_ALLOWED_ORIGIN_REGEXES", own, "E005")
    name, entries = cors_regexes()
    # corsheaders applies them with re.match, so the end is open there.
    yield from _check_regexes(name, entries, "W008")


def _check_regexes(
    name: str, entries: Sequence[Any], leak_id: str
) -> Iterator[CheckMessage]:
    over_http = leak_id == "W008"
    for index, entry in enumerate(entries):
        try:
            regex = compiled(entry)
        except InvalidOrigin:
            continue  # E001, W001
        matches: Callable[[str], object] = regex.match if over_http else regex.fullmatch
        leaked = leak(regex, matches)
        if leaked:
            intended, stranger = leaked
            where = " over HTTP" if over_http else ""
            yield finding(
                leak_id,
                f"{name}[{index}] is {regex.pattern!r}, meant for {intended!r}, and "
                f"matches {stranger!r} too{where}.",
                _anchored(regex, stranger),
            )
        slow = slow_input(regex)
        if slow:
            yield finding(
                "E006",
                f"{name}[{index}] is {regex.pattern!r}, which takes far too long for "
                f"{slow[:60]!r}…: anybody can stop the server with such a header.",
                "No repetition inside a repetition: write '[a-z0-9-]+' for a label.",
            )


def _anchored(regex: re.Pattern[str], stranger: str) -> str:
    """Write an expression so that it no longer matches a stranger, if that is easy."""
    anchored = f"^(?:{regex.pattern.removeprefix('^').removesuffix('$')})$"
    escaped = re.sub(r"(?<![\\\]])\.(?![*+?{])", r"\\.", anchored)
    for candidate in (regex.pattern.removesuffix("$") + "$", anchored, escaped):
        try:
            if not leak(cured := re.compile(candidate), cured.match):
                return f"Write r'{candidate}'."
        except re.error:
            continue
    return "Escape each dot as '\\.', end with '$', and keep '.*' out of host names."
