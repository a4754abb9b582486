"""
What one opening handshake said, read from an ASGI scope.

Reading never raises and never judges: whatever a client sent becomes a value,
and the policy decides about it.
"""

from __future__ import annotations

import re
from collections.abc import (
    Awaitable,
    Callable,
    Container,
    Iterable,
    Mapping,
    MutableMapping,
)
from typing import Any, Final, NamedTuple

# What ASGI hands to an application (its specification, "Applications").
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

# RFC 6455, section 11.3.4, as ASGI spells it.
SUBPROTOCOL_HEADER: Final = b"sec-websocket-protocol"

# A browser cannot add a header to a handshake; the list of subprotocols is the one
# thing a page controls besides the URL. So a token travels there, beside a marker
# that the server can select without repeating the token.
MARKER: Final = "wsorigin.v1"
CREDENTIAL_PREFIX: Final = "base64url.bearer.wsorigin."
# Asks for the decision alone: the guard answers with it, and no application runs.
PREFLIGHT: Final = "wsorigin.preflight"

# Every subprotocol that means something to us, and nothing to an application.
_OURS: Final = ("wsorigin.", CREDENTIAL_PREFIX)

# What a decision looks at of every handshake.
BROWSER_HEADERS: Final = (b"origin", b"host", b"sec-fetch-site")
# What no decision looks at, and a guard does.
SECRET_HEADERS: Final = (b"cookie", b"authorization", SUBPROTOCOL_HEADER)

# A token, plain or as it travels among the subprotocols. The public id stays: it is
# what people call a token by.
_TOKEN: Final = re.compile(
    r"(wso[kpt]_[0-9A-Za-z]{8})[0-9A-Za-z][0-9A-Za-z_-]*"
    r"|(d3Nv(?:a1|cF|dF))[0-9A-Za-z_-]{20,}"
)


class Handshake(NamedTuple):
    """
    What a decision may look at: never a cookie, a token or a query string.

    ``origin`` is the header as sent, None where there was none; ``headers`` holds
    the others under their lower-case names, repeated ones joined with a comma.
    ``scheme`` is the scope's, None where the server gives none (Daphne).
    ``subprotocols`` are the application's: neither marker nor credential.
    """

    path: str
    origin: str | None
    headers: Mapping[bytes, bytes] = {}
    scheme: str | None = None
    subprotocols: tuple[str, ...] = ()

    @classmethod
    def from_scope(cls, scope: Scope) -> Handshake:
        """Read an ASGI ``websocket`` (or ``http``) scope; never raises."""
        pairs = scope.get("headers") or ()
        if not isinstance(pairs, (list, tuple)):  # ASGI promises but an iterable
            pairs = list(pairs)
        headers = dict(pairs)
        if len(headers) != len(pairs):
            headers = read_headers({"headers": pairs}, headers.keys())
        for name in SECRET_HEADERS:
            headers.pop(name, None)
        return read_handshake(scope, headers)

    @property
    def is_cross_site(self) -> bool:
        """
        Whether the browser itself said that another site started this.

        Pages cannot set ``Sec-Fetch-Site`` (Fetch Metadata, section 2.4). Chromium
        sends none on handshakes, so that its absence proves nothing.
        """
        return self.headers.get(b"sec-fetch-site") == b"cross-site"

    def __repr__(self) -> str:
        return f"<Handshake {self.path!a} origin={self.origin!a}>"


def read_headers(scope: Scope, wanted: Container[bytes]) -> dict[bytes, bytes]:
    """
    Return those headers of a scope that are wanted, repeated ones joined.

    With a comma, as Django and Daphne do: it cannot occur in an origin or a host, so
    whoever reads the joined value sees that there was more than one, whichever server
    passed them on. Cookies are joined as they are written: HTTP/2 may split them (RFC
    9113, section 8.2.3).
    """
    headers: dict[bytes, bytes] = {}
    for name, value in scope.get("headers") or ():
        if name in wanted:
            if name in headers:
                comma = b"; " if name == b"cookie" else b","
                headers[name] += comma + value
            else:
                headers[name] = value
    return headers


def read_handshake(scope: Scope, headers: dict[bytes, bytes]) -> Handshake:
    """Return what a scope said, with these headers of it."""
    value = headers.get(b"origin")
    origin = None if value is None else value.decode("latin-1")
    if origin and may_hold_token(origin):
        shown = redacted(origin)
        # Malformed by that, wherever it stood: a scheme may have dots in it.
        origin = origin if shown == origin else f"{shown} "
        headers[b"origin"] = origin.encode("latin-1")
    path = scope.get("path") or ""
    return Handshake(
        redacted(path) if may_hold_token(path) else path,
        origin,
        headers,
        scope.get("scheme"),
        application_subprotocols(scope) if scope.get("subprotocols") else (),
    )


def may_hold_token(text: str) -> bool:
    """Whether there may be a token in a text: a glance, since in most there is none."""
    return "wso" in text or "d3Nv" in text


def application_subprotocols(scope: Scope) -> tuple[str, ...]:
    """Return the offered subprotocols that are the application's."""
    return tuple(filter(is_application_subprotocol, scope["subprotocols"]))


def redacted(text: str) -> str:
    """Return a text with every token in it cut to what is public of it."""
    return _TOKEN.sub(lambda found: f"{found[1] or found[2]}...", text)


def is_application_subprotocol(name: str) -> bool:
    """Whether a subprotocol is the application's, not part of our token transport."""
    return not name.startswith(_OURS)
