"""
What one opening handshake said, read from an ASGI scope.

Reading never raises and never judges: whatever a client sent becomes a value,
and the policy decides about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

Scope = MutableMapping[str, Any]
Headers = Iterable[tuple[bytes, bytes]]

# RFC 6455, section 11.3.4, as ASGI spells it.
SUBPROTOCOL_HEADER: Final = b"sec-websocket-protocol"

# A browser cannot add a header to a handshake; the list of subprotocols is the one
# thing a page controls besides the URL. So a token travels there, beside a marker
# that the server can select without repeating the token.
MARKER: Final = "wsorigin.v1"
CREDENTIAL_PREFIX: Final = "base64url.bearer.wsorigin."

_SECRET_HEADERS: Final = (b"cookie", b"authorization", SUBPROTOCOL_HEADER)


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
        pairs = list(scope.get("headers") or ())
        headers = dict(pairs)
        if len(headers) != len(pairs):
            headers = _join_repeated(pairs)
        for name in _SECRET_HEADERS:
            headers.pop(name, None)
        origin = headers.get(b"origin")
        offered = scope.get("subprotocols")
        return cls(
            scope.get("path") or "",
            None if origin is None else origin.decode("latin-1"),
            headers,
            scope.get("scheme"),
            tuple(filter(is_application_subprotocol, offered)) if offered else (),
        )

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


def is_application_subprotocol(name: str) -> bool:
    """Whether a subprotocol is the application's, not part of our token transport."""
    return name != MARKER and not name.startswith(CREDENTIAL_PREFIX)


def _join_repeated(pairs: Headers) -> dict[bytes, bytes]:
    """
    Join repeated headers with a comma, as Django and Daphne do.

    A comma cannot occur in an origin or a host, so whoever reads the joined value
    sees that there was more than one, whichever server passed them on.
    """
    headers: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        headers.setdefault(name, []).append(value)
    return {name: b",".join(values) for name, values in headers.items()}
