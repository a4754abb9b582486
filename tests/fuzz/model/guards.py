"""
What guards do with a handshake: let it through, deny it, or answer what it asks.

One guard after the other, the outermost first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import tokens
from .decision import Answer, Entry, Place, Seen, decide, denied
from .origins import read_origin
from .patterns import NULL, Pattern, covers

PREFLIGHT = "wsorigin.preflight"
CLOSE_CODES = {
    "token-revoked": 4410,
    "token-expired": 4419,
    "token-used": 4419,
    "token-unavailable": 4503,
    "token-wrong-origin": 4403,
}


def close_code(reason: str) -> int:
    """Return the close code of a denial."""
    of_tokens = 4401 if reason.startswith("token-") else 4403
    return CLOSE_CODES.get(reason, of_tokens)


class Row(NamedTuple):
    """What the database knows of a token."""

    kind: str
    problem: str = ""
    origins: tuple[Pattern, ...] = ()
    audience: str = ""

    def misplaced(self, seen: Seen, audience: str) -> str:
        """Return why it is none for an origin and an audience, empty where it is."""
        sent = seen.joined(b"origin")
        if sent is None:
            bound = not self.origins
        elif self.origins:
            origin = None if tokens.shows_secret(sent) else read_origin(sent)
            bound = any(
                sent == "null" if one == NULL else origin and covers(one, origin)
                for one in self.origins
            )
        else:
            bound = self.kind == "secret"
        if not bound:
            return "token-wrong-origin"
        return "" if self.audience in ("", audience) else "token-wrong-audience"


class Terms(NamedTuple):
    """What one guard asks."""

    entries: Sequence[Entry]
    place: Place
    audience: str = ""
    require_token: bool = False
    enforced: bool = True
    subprotocols: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """
    What becomes of a handshake.

    ``to`` is "application", "preflight" or "denied"; ``answer`` and ``enforced`` are
    those of the guard that had the last word; ``withheld`` whether any has taken the
    cookies; ``token`` is the text of the token that counts; ``selects`` what each guard selects where nobody further in has named
    anything, if that is its business.
    """

    to: str
    answer: Answer
    enforced: bool = True
    withheld: bool = False
    token: str = ""
    selects: tuple[tuple[bool, str | None], ...] = ()

    def subprotocol(self, chosen: str | None) -> str | None:
        """Return what the guards make of the subprotocol that was chosen behind them."""
        for negotiates, name in reversed(self.selects):
            if negotiates and (chosen is None or chosen.startswith(tokens.PREFIX)):
                chosen = name
        return chosen


def offered(scope: Mapping[str, Any]) -> list[str]:
    """Return what a client offers for subprotocols."""
    return list(scope.get("subprotocols") or ())


def is_applications(name: str) -> bool:
    """Whether a subprotocol is the application's."""
    return not name.startswith(("wsorigin.", tokens.PREFIX))


def credential(scope: Mapping[str, Any], seen: Seen) -> tokens.Credential | None:
    """Return what a handshake brought."""
    header = seen.joined(b"sec-websocket-protocol") or ""
    return tokens.find(
        path=scope["path"],
        query=scope["query_string"],
        authorization=seen.joined(b"authorization") or "",
        subprotocols=[*offered(scope), *header.split(",")],
    )


def through(
    guards: Sequence[Terms], scope: Mapping[str, Any], rows: Mapping[str, Row]
) -> Outcome:
    """Say what becomes of a handshake."""
    seen = Seen(scope["headers"], scope.get("scheme"))
    brought, names = credential(scope, seen), offered(scope)
    outcome = Outcome("application", denied("nobody has been asked"))
    for terms in guards:
        answer = first_answer(terms, seen, names, bool(brought or outcome.token))
        token = outcome.token
        if PREFLIGHT in names:
            if answer.allowed or "token-required" in answer.reasons:
                return Outcome("preflight", answer)
        elif token and answer.allowed:
            reason = rows[token].misplaced(seen, terms.audience)
            answer = denied(reason) if reason else answer
        elif brought and answer.allowed:
            reason = brought.problem or why_not(brought.token, seen, terms, rows)
            answer = denied(reason) if reason else answer
            token = "" if reason else brought.token
        if outcome.withheld:
            answer = answer._replace(credentials=False)
        selects = (*outcome.selects, selected(terms, names))
        if not answer.allowed and (terms.enforced or PREFLIGHT in names):
            return Outcome("denied", answer, selects=selects)
        withheld = outcome.withheld or (terms.enforced and not answer.credentials)
        outcome = Outcome(
            "application", answer, terms.enforced, withheld, token, selects
        )
        # What is ours ends at the first guard.
        brought, names = None, [name for name in names if is_applications(name)]
    return outcome


def first_answer(
    terms: Terms, seen: Seen, names: Sequence[str], with_token: bool
) -> Answer:
    """Decide as far as nobody has looked at the token."""
    answer = decide(terms.entries, terms.place, seen, terms.audience)
    if with_token:
        is_missing = answer.reasons == {"missing"}
        if is_missing and terms.place.missing == "require-token":
            answer = Answer(True, False, frozenset({"token"}))
        answer = answer._replace(credentials=False)
    elif terms.require_token and answer.allowed:
        return denied("token-required")
    speaks = not terms.subprotocols or set(terms.subprotocols) & {*names}
    if answer.allowed and not speaks and PREFLIGHT not in names:
        return denied("no-common-subprotocol")
    return answer


def why_not(text: str, seen: Seen, terms: Terms, rows: Mapping[str, Row]) -> str:
    """Return why a token opens nothing here, empty where it does."""
    row = rows.get(text)
    if row is None:
        return "token-unknown"
    return row.problem or row.misplaced(seen, terms.audience)


def selected(terms: Terms, names: Sequence[str]) -> tuple[bool, str | None]:
    """Return whether a guard negotiates, and what it would select."""
    for name in terms.subprotocols:
        if name in names:
            return True, name
    return bool(names), tokens.MARKER if tokens.MARKER in names else None
