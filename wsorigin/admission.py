"""
What an admitted handshake leaves to the application: no more than it may have.

Whether it is admitted is the guard's to say.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any, NamedTuple

from .credentials import is_ours
from .denial import log_withheld
from .handshake import (
    CREDENTIAL_PREFIX,
    SUBPROTOCOL_HEADER,
    Handshake,
    Headers,
    Message,
    Scope,
    Send,
    is_application_subprotocol,
)
from .live import Connection
from .models import ConnectionToken
from .policy import Decision
from .sessions import session_store


class Admission(NamedTuple):
    """
    What the guard leaves in ``scope["wsorigin"]`` for the application.

    ``decision.credentials`` says whether the cookies that came along count; where
    they do not, they are gone from the scope. ``enforced`` is False in report-only
    mode, where a denied handshake goes on with all that it brought. ``token`` is the
    token that it brought, if any: then ``scope["user"]`` is that token's user.
    ``connection`` is what the watcher ends when a right ends; None where a denial was
    only reported. ``withheld`` says that the cookies are gone, by this guard or by one
    further out.
    """

    handshake: Handshake
    decision: Decision
    enforced: bool = True
    token: ConnectionToken | None = None
    connection: Connection | None = None
    withheld: bool = False


def negotiating(send: Send, default: str | None) -> Send:
    """
    Wrap send so that accepting selects a subprotocol where the application names none.

    Chromium fails a handshake that offered some and was given none. A credential is
    never selected: it would stand in the response, and in logs.
    """

    async def negotiating_send(message: Message) -> None:
        if message["type"] == "websocket.accept":
            chosen = message.get("subprotocol")
            if chosen is None or chosen.startswith(CREDENTIAL_PREFIX):
                message = {**message, "subprotocol": default}
        await send(message)

    return negotiating_send


def restrict(scope: Scope, headers: Mapping[bytes, bytes]) -> None:
    """Take from a scope of the application's what it may not have."""
    admission: Admission = scope["wsorigin"]
    token, authorization = admission.token, headers.get(b"authorization")
    withheld = set()
    if admission.withheld:
        withheld.add(b"cookie")
        if b"cookie" in headers and token is None:
            log_withheld(admission.handshake, admission.decision)
        withhold_session(scope)
    if token is not None:
        # It identifies by itself. Channels' AuthMiddleware further in leaves a user
        # alone that is there already.
        scope["user"] = token.user or anonymous_user()
    if authorization and is_ours(authorization):
        withheld.add(b"authorization")
    if scope.get("subprotocols"):
        scope["subprotocols"] = list(
            filter(is_application_subprotocol, scope["subprotocols"])
        )
    # By the header itself too: where one name in it is broken, granian reads none, and
    # hypercorn only one of two headers.
    if SUBPROTOCOL_HEADER in headers or withheld & headers.keys():
        pairs = scope.get("headers") or ()
        scope["headers"] = list(application_headers(pairs, withheld))


def application_headers(
    headers: Headers, withheld: Container[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers without our token, and without those that are withheld."""
    for name, value in headers:
        if name == SUBPROTOCOL_HEADER:
            offered = (one.strip() for one in value.decode("latin-1").split(","))
            kept = ", ".join(filter(is_application_subprotocol, offered))
            if kept:
                yield name, kept.encode("latin-1")
        elif name not in withheld:
            yield name, value


def withhold_session(scope: Scope) -> None:
    """Empty what middleware outside the guard has already read from the cookies."""
    if "cookies" in scope:
        scope["cookies"] = {}
    if "session" in scope:
        scope["session"] = session_store()()
    if "user" in scope:
        scope["user"] = anonymous_user()


def anonymous_user() -> Any:
    """Return nobody."""
    # Not at import: this needs the app registry.
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()
