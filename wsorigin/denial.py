"""
Saying no: to the client over ASGI, and to the operator in the log.

The client learns the reason's name and nothing about the configuration; the log
line holds everything needed to act. Deciding is the policy's.
"""

from __future__ import annotations

import json
import logging
import time
from functools import cache
from typing import Any, Final, Literal

from .handshake import Handshake, Message, Receive, Scope, Send, redacted
from .policy import Decision, Explanation, Reason

logger = logging.getLogger(__name__)

# Private use (RFC 6455, section 7.4.2). 1008 would be the standard's own word, but
# it raises inside Daphne's WebSocket library, and the client sees 1011.
CLOSE_CREDENTIAL: Final = 4401  #: A credential is missing, bad, or has ended.
CLOSE_ORIGIN: Final = 4403  #: The origin is not allowed, or no more.
CLOSE_REVOKED: Final = 4410  #: The token was revoked.
CLOSE_EXPIRED: Final = 4419  #: The token has expired, or the ticket was used.
CLOSE_UNAVAILABLE: Final = 4503  #: Tokens cannot be checked at the moment.

DENIAL_EXTENSION: Final = "websocket.http.response"

# What a client may put into one line of our log.
_LOGGED_LENGTH: Final = 200

_CLOSE_CODES: Final = {
    Reason.TOKEN_REQUIRED: CLOSE_CREDENTIAL,
    Reason.TOKEN_MALFORMED: CLOSE_CREDENTIAL,
    Reason.TOKEN_IN_URL: CLOSE_CREDENTIAL,
    Reason.TOKEN_CONFLICT: CLOSE_CREDENTIAL,
    Reason.TOKEN_UNKNOWN: CLOSE_CREDENTIAL,
    Reason.TOKEN_WRONG_AUDIENCE: CLOSE_CREDENTIAL,
    Reason.TOKEN_WRONG_SESSION: CLOSE_CREDENTIAL,
    Reason.TOKEN_USER_INACTIVE: CLOSE_CREDENTIAL,
    Reason.TOKEN_REVOKED: CLOSE_REVOKED,
    # Another ticket would do.
    Reason.TOKEN_EXPIRED: CLOSE_EXPIRED,
    Reason.TOKEN_USED: CLOSE_EXPIRED,
    Reason.TOKEN_UNAVAILABLE: CLOSE_UNAVAILABLE,
}

# Seconds after which it makes sense to try again without a database.
_RETRY_AFTER: Final = 5


def close_code(reason: Reason) -> int:
    """Return the close code for a denial, one for each thing a client should do."""
    return _CLOSE_CODES.get(reason, CLOSE_ORIGIN)


async def send_denial(
    decision: Decision,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    deny_with: Literal["http", "close"],
    subprotocol: str | None = None,
) -> None:
    """
    Answer a handshake with no.

    ``"http"`` answers 403, with the reason in the body where the server offers
    denial responses: on one that does not (Daphne) they would hang for five
    seconds. ``"close"`` opens the socket, sends nothing and closes it with a code
    that the page can read; ``subprotocol`` has to be one that the client offered,
    if it offered any, or Chromium fails the handshake and the page sees 1006.
    """
    message = await receive()
    if message["type"] != "websocket.connect":
        return  # gone already
    messages = _answer(decision.reason, scope, deny_with, subprotocol)
    await send(messages[0])
    if len(messages) == 1:
        return
    try:
        await send(messages[1])
    except Exception:
        # A client may hang up between the two, and some servers raise then: granian a
        # RuntimeError, uvicorn an AttributeError. That is no error of ours to report,
        # or a stranger could fill the log with it.
        logger.debug("the client left before its denial was complete", exc_info=True)


def _answer(
    reason: Reason,
    scope: Scope,
    deny_with: Literal["http", "close"],
    subprotocol: str | None,
) -> tuple[Message, ...]:
    has_extension = DENIAL_EXTENSION in (scope.get("extensions") or ())
    is_temporary = reason is Reason.TOKEN_UNAVAILABLE
    # 403 would say that it is no use to come back, and Daphne has no other status.
    if deny_with == "close" or (is_temporary and not has_extension):
        return (
            {"type": "websocket.accept", "subprotocol": subprotocol},
            {"type": "websocket.close", "code": close_code(reason), "reason": reason},
        )
    if not has_extension:
        return ({"type": "websocket.close", "code": close_code(reason)},)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
    ]
    if is_temporary:
        headers.append((b"retry-after", str(_RETRY_AFTER).encode()))
    start = "websocket.http.response.start"
    return (
        {"type": start, "status": status(reason), "headers": headers},
        {"type": "websocket.http.response.body", "body": problem_body(reason)},
    )


def status(reason: Reason) -> int:
    """Return the HTTP status of a denial: 503 where it may be allowed in a moment."""
    return 503 if reason is Reason.TOKEN_UNAVAILABLE else 403


def problem(reason: Reason) -> dict[str, Any]:
    """Return the denial's body (RFC 9457): a stranger learns the reason, no rule."""
    return {
        "title": "WebSocket handshake denied",
        "status": status(reason),
        "reason": reason,
        "detail": reason.sentence,
    }


@cache
def problem_body(reason: Reason) -> bytes:
    """Return the denial's body as it is sent."""
    return json.dumps(problem(reason)).encode()


class RateLimit:
    """
    A token bucket: ``burst`` at once, then ``per_second``.

    A stranger chooses how many denials there are, so he must not choose how many
    lines the log gets. ``dropped`` counts what was not let through since the last.
    """

    def __init__(self, burst: float, per_second: float) -> None:
        self.burst = burst
        self.per_second = per_second
        self.dropped = 0
        self._left = burst
        self._seen = time.monotonic()

    def allows(self) -> bool:
        """Take one out of the bucket, if it holds one."""
        now = time.monotonic()
        left = self._left + (now - self._seen) * self.per_second
        self._seen = now
        if left < 1:
            self._left = left
            self.dropped += 1
            return False
        self._left = min(self.burst, left) - 1
        return True


# A developer who reloads a page sees a line each time; a flood gets two a second.
limit: Final = RateLimit(burst=50, per_second=2)
withheld_limit: Final = RateLimit(burst=50, per_second=2)


def may_log() -> bool:
    """Take a line for another denial, if there is one: a flood costs no explanations."""
    return logger.isEnabledFor(logging.WARNING) and limit.allows()


def log_denial(
    explanation: Explanation,
    handshake: Handshake,
    decision: Decision,
    fingerprint: str,
    *,
    enforced: bool,
) -> None:
    """
    Write one line for a denial: what was seen, why, and what to do about it.

    Client-sent text is escaped and cut. Where `may_log` says so, and nowhere else.
    """
    text = "denied" if enforced else "would deny (report-only)"
    text += f" origin={shown(handshake.origin)} reason={decision.reason}"
    text += f" endpoint={shown(handshake.path)} policy={fingerprint}"
    if explanation.problem:
        text += f" problem={explanation.problem!r}"
    if explanation.nearest:
        text += f" nearest={str(explanation.nearest)!r}"
    if limit.dropped:
        text += f" ({limit.dropped} denials before it not logged)"
        limit.dropped = 0
    hint = remedy(decision.reason, explanation)
    logger.warning("%s", f"{text}\n    {hint}" if hint else text)


def log_withheld(handshake: Handshake, decision: Decision) -> None:
    """Write one line for a socket that opens without the session that came along."""
    if logger.isEnabledFor(logging.INFO) and withheld_limit.allows():
        rule = decision.rule or decision.reason.sentence
        logger.info(
            "withheld the session origin=%s endpoint=%s rule=%r\n    %s",
            shown(handshake.origin),
            shown(handshake.path),
            str(rule),
            "It opens anonymously. CORS_ALLOW_CREDENTIALS decides for origins that CORS "
            "lists, 'allow credentials' for rows; null, '*' and no origin never get it.",
        )


def shown(text: str | None) -> str:
    """
    Quote client-sent text for a log line.

    ASCII, escaped, without the secret part of a token, at most 200 characters.
    """
    if text is None:
        return "-"
    text = redacted(text)
    escaped = ascii(text[:_LOGGED_LENGTH])
    if len(text) <= _LOGGED_LENGTH and len(escaped) <= _LOGGED_LENGTH + len("''"):
        return escaped
    return f"{escaped[:_LOGGED_LENGTH]}...{escaped[0]}"


def remedy(reason: Reason, explanation: Explanation) -> str:
    """Return what an operator would do who wants this handshake to be allowed."""
    match reason:
        case Reason.UNLISTED:
            return f"If you trust it: manage.py wsorigin trust {explanation.origin}"
        case Reason.OPAQUE:
            return (
                "If you mean it, add 'null' to WSORIGIN_ALLOWED_ORIGINS: "
                "anybody can send it, so it never gets the session."
            )
        case Reason.MISSING:
            return (
                "A browser always sends one: look for a proxy that removes it. "
                "For other clients see WSORIGIN_MISSING_ORIGIN."
            )
        case Reason.HOST_NOT_ALLOWED:
            host = explanation.origin.host if explanation.origin else ""
            return f"If {host!r} is a name of this site, add it to ALLOWED_HOSTS."
        case Reason.ORIGIN_REWRITTEN:
            return "Have the proxy pass the browser's Origin header on unchanged."
        case Reason.MALFORMED:
            return "No browser sends that: look for a proxy or a client that makes it."
        case Reason.TOKEN_REQUIRED:
            return "Have the client bring a token: manage.py wsorigin token mint"
        case Reason.TOKEN_IN_URL:
            return (
                "Have the client send it as Authorization: Bearer, or among the "
                "subprotocols. It may be in logs by now: revoke it."
            )
        case Reason.TOKEN_MALFORMED | Reason.TOKEN_UNKNOWN:
            return "What is wrong with one: manage.py wsorigin token verify"
        case Reason.TOKEN_CONFLICT:
            return "Have the client send one token."
        case Reason.TOKEN_EXPIRED | Reason.TOKEN_REVOKED:
            return "Give the client another one: manage.py wsorigin token mint"
        case Reason.TOKEN_USED:
            return "Have the client fetch a ticket for each connection."
        case Reason.TOKEN_WRONG_ORIGIN:
            return "A token is for the origins that it names, a ticket for its page's."
        case Reason.TOKEN_WRONG_AUDIENCE:
            return "Have the client ask for the endpoint's own audience."
        case Reason.TOKEN_WRONG_SESSION:
            return "Have the page fetch its ticket in the session that it is in now."
        case Reason.TOKEN_USER_INACTIVE:
            return "Activate the user, or revoke the token."
        case Reason.TOKEN_UNAVAILABLE:
            return "The database has to answer before a token can be checked."
        case Reason.UPGRADE_STRIPPED:
            return "Have the proxy pass Upgrade and Connection on: wsorigin doctor"
        case Reason.MULTIPLE:
            return "Have the proxy pass one Origin header on, the browser's own."
        case Reason.NO_COMMON_SUBPROTOCOL:
            return "Have the client offer one of the consumer's subprotocols."
    return ""
