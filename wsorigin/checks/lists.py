"""
Checks of the lists of origins: each entry, and whether the lists agree.

Ours and those that the project has for HTTP. Regular expressions are probed elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage

from wsorigin.conf import conf
from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import OriginPattern, PatternKind, normalisations
from wsorigin.reconciliation import reconcile
from wsorigin.sources import (
    collect,
    cors_all_origins,
    cors_origins,
    django_list,
    parse_exact,
)

from .finding import finding


def check_lists(**_: Any) -> Iterator[CheckMessage]:
    """Check each entry of each list, and whether the lists agree."""
    found = collect()
    for problem in found.problems:
        ours = problem.source.startswith("WSORIGIN_")
        yield finding(
            "E001" if ours else "W001",
            f"{problem.source} is {problem.error.value!r}: {problem.error.problem}. "
            "It trusts nobody over WebSockets.",
            problem.error.remedy,
        )
    for index, entry in enumerate(conf.WSORIGIN_ALLOWED_ORIGINS):
        yield from _check_own_entry(f"WSORIGIN_ALLOWED_ORIGINS[{index}]", entry)
    for source, canonical in _unmatchable_cors_entries():
        yield finding(
            "W002",
            f"{source} never matches a browser over HTTP: django-cors-headers compares "
            "the text as written.",
            f"Write {canonical!r}.",
        )
    if conf.WSORIGIN_ALLOW_ALL_ORIGINS:
        yield finding(
            "W003",
            "WSORIGIN_ALLOW_ALL_ORIGINS is on: every website may open WebSockets here, "
            "without the visitor's session.",
            "List the origins instead: WSORIGIN_ALLOW_ALL_ORIGINS = False",
        )
    for_all = cors_all_origins()
    inherited = for_all and "cors" in conf.WSORIGIN_INHERIT
    if inherited and not conf.WSORIGIN_ALLOW_ALL_ORIGINS:
        yield finding(
            "W004",
            f"{for_all} is on, which WebSockets never inherit.",
            "List the origins in CORS_ALLOWED_ORIGINS; or, to let every website "
            "open sockets without a session, WSORIGIN_ALLOW_ALL_ORIGINS = True",
        )
    if (
        "*" in django_list("ALLOWED_HOSTS")[1]
        and "same-origin" in conf.WSORIGIN_INHERIT
    ):
        yield finding(
            "W005",
            "ALLOWED_HOSTS has '*', so that a page under any name that resolves to "
            "this server counts as the same origin (DNS rebinding).",
            "Name the hosts: ALLOWED_HOSTS = ['example.com']",
        )
    reconciliation = reconcile()
    if reconciliation.disagreements:
        rows = reconciliation.disagreements
        shown = " ".join(f"{row.origin}: {row.disagreement}" for row in rows[:3])
        more = f" And {len(rows) - 3} more." if len(rows) > 3 else ""
        yield finding(
            "W009",
            f"HTTP and WebSockets disagree. {shown}{more}",
            f"`manage.py wsorigin diff` shows all. To agree:\n{reconciliation.proposal}",
        )


def _check_own_entry(source: str, entry: Any) -> Iterator[CheckMessage]:
    try:
        pattern = OriginPattern.parse(entry)
    except InvalidOrigin:
        return  # E001
    changes = normalisations(entry, pattern)
    if str(pattern) != entry:
        yield finding(
            "I001",
            f"{source} is read as {str(pattern)!r}: {', '.join(changes)}.",
            f"Write {str(pattern)!r}.",
        )
    if pattern.scheme in {"ws", "wss"}:
        page = {"ws": "http", "wss": "https"}[pattern.scheme]
        fixed = str(pattern).replace(f"{pattern.scheme}:", f"{page}:", 1)
        yield finding(
            "W002",
            f"{source} never matches a browser: the origin is the page's, "
            f"and no page is served over {pattern.scheme}.",
            f"Write {fixed!r}.",
        )
    elif pattern.is_cleartext:
        fixed = str(pattern).replace("http:", "https:", 1)
        yield finding(
            "W006",
            f"{source} trusts pages over plain http: anybody on a visitor's network can "
            "write such a page.",
            f"Write {fixed!r}.",
        )
    elif pattern.kind is PatternKind.NULL:
        yield finding(
            "W007",
            f"{source} is 'null', which any website can send from a sandboxed frame. "
            "It opens sockets without a session.",
            "Remove it, and give such pages a real origin.",
        )


def _unmatchable_cors_entries() -> Iterator[tuple[str, str]]:
    """
    Yield entries of the CORS list that match no browser over HTTP, with their cure.

    django-cors-headers compares what is written, so that upper case, a default port
    or a Unicode name never equals what a browser sends.
    """
    name, entries = cors_origins()
    for index, entry in enumerate(entries):
        try:
            canonical = str(parse_exact(entry))
        except InvalidOrigin:
            continue  # W001, or null, which has one spelling
        if canonical != entry:
            yield f"{name}[{index}]", canonical
