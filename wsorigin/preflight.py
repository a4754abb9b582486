"""
What a page may learn beforehand: the decision about its own handshake, as plain data.

Both preflights answer with it, the one over HTTP and the no-op handshake. Neither
decides anything.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final

from django.http import HttpRequest

from .handshake import PREFLIGHT, Handshake, Receive, Scope, Send
from .policy import Decision, Reason

logger = logging.getLogger(__name__)

# In place of a reason, where no guard of ours stands and so nobody decides.
UNGUARDED: Final = "unguarded"


def describe(decision: Decision | None, handshake: Handshake) -> dict[str, Any]:
    """
    Return a decision as plain data for whoever asked: a stranger learns no rule.

    ``origin`` is the header as it arrived, behind whatever proxies there are, and None
    where there was none. ``credentials`` says whether the cookies would count. No
    decision stands for an endpoint without a guard.
    """
    if decision is None:
        allowed, credentials, reason = True, True, UNGUARDED
        detail = "No guard of wsorigin stands at this endpoint."
    else:
        allowed, credentials = decision.allowed, decision.credentials
        reason, detail = decision.reason, decision.reason.sentence
    return {
        "allowed": allowed,
        "reason": reason,
        "detail": detail,
        "origin": handshake.origin,
        "endpoint": handshake.path,
        "credentials": credentials,
    }


def is_for_page(decision: Decision) -> bool:
    """
    Whether a page of another origin may read a decision: one that is trusted.

    An endpoint that asks for a token has found nothing wrong with the origin.
    """
    return decision.allowed or decision.reason is Reason.TOKEN_REQUIRED


async def answer_preflight(
    decision: Decision,
    handshake: Handshake,
    receive: Receive,
    send: Send,
    **more: Any,
) -> None:
    """
    Answer a no-op handshake: open the socket, send one JSON message, close it (1000).

    ``more`` goes into the message beside the decision.
    For those that offered `PREFLIGHT` and whose answer `is_for_page`; others are denied
    as ever.
    """
    message = await receive()
    if message["type"] != "websocket.connect":
        return  # gone already
    await send({"type": "websocket.accept", "subprotocol": PREFLIGHT})
    try:
        text = json.dumps({**describe(decision, handshake), **more})
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close", "code": 1000})
    except Exception:
        # As with a denial: on some servers it raises when a client hangs up meanwhile.
        logger.debug("the client left before its preflight was over", exc_info=True)


def handshake_scope(request: HttpRequest) -> Scope:
    """
    Return the scope of the handshake that an HTTP request is about; never its query.

    From what Django makes of a request, so that WSGI and ASGI agree; it has joined
    repeated headers with a comma, as `Handshake` does.
    """
    return {
        "type": "websocket",
        "path": request.path,
        "scheme": "wss" if request.is_secure() else "ws",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in request.headers.items()
        ],
    }
