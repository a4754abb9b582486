"""
What the samples beside a new secret say: where to connect to, and from which origin.

The samples themselves are the template's.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from django.http import HttpRequest

from wsorigin.models import ConnectionToken
from wsorigin.patterns import OriginPattern
from wsorigin.routes import Route, websocket_routes

from .preview import candidates

# One without parameters: a path that can be pasted.
_PLAIN: Final = re.compile(r"[\w./-]*", re.ASCII)


class Sample(NamedTuple):
    """An address for handshakes with a token, and an origin, empty where none matters."""

    scheme: str
    host: str
    path: str
    origin: str

    @property
    def url(self) -> str:
        """The address, as WebSocket clients take it."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def http_url(self) -> str:
        """The address, as HTTP clients take it."""
        return self.url.replace("ws", "http", 1)


def sample_for(token: ConnectionToken, request: HttpRequest) -> Sample:
    """Choose an address of this site that a token is for, as seen by this request."""
    patterns = token.origins.split()
    return Sample(
        "wss" if request.is_secure() else "ws",
        request.get_host(),
        path_for(token.audience),
        next(candidates(OriginPattern.parse(patterns[0]))).origin if patterns else "",
    )


def path_for(audience: str) -> str:
    """Return the first path that can be pasted, of this audience if there is one."""
    try:
        routes = [route for route in websocket_routes() if _PLAIN.fullmatch(route.path)]
    except Exception:  # whatever the project's code raises
        routes = []  # a sample must not cost the secret, which is shown this once
    routes.sort(key=lambda route: audience not in audiences(route))
    return f"/{routes[0].path}" if routes else "/ws/"


def audiences(route: Route) -> set[object]:
    """Return what a route is for, as far as that is no function."""
    return {guard.audience for guard in route.guards}
