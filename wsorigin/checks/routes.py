"""
Checks of the WebSocket routes of ``ASGI_APPLICATION``: what stands before each.

It is imported and walked through, and nothing of it is run.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage

from wsorigin.routes import Route, websocket_routes

from .finding import finding


def check_routes(**_: Any) -> Iterator[CheckMessage]:
    """Check what stands before each WebSocket route of ``ASGI_APPLICATION``."""
    for route in websocket_routes():
        path = f"/{route.path}"
        if route.validator:
            yield finding(
                "W010",
                f"Channels' {route.validator} stands before {path}: it keeps a list of its own, "
                "read once at start-up, and refuses without a word.",
                _guard_hint(route, f"Remove {route.validator}."),
            )
        elif not route.guards:
            yield finding(
                "W011",
                f"Nothing checks the origin of WebSocket handshakes at {path} "
                f"({route.name}): any website can open it with the visitor's session.",
                _guard_hint(route, ""),
            )


def _guard_hint(route: Route, remedy: str) -> str:
    if route.guards:
        return remedy
    bases = [base.__name__ for base in getattr(route.app, "__mro__", ())]
    for name in (
        "AsyncJsonWebsocketConsumer",
        "AsyncWebsocketConsumer",
        "JsonWebsocketConsumer",
        "WebsocketConsumer",
    ):
        if name in bases:
            guard = f"from wsorigin.consumers import Guarded{name}\n"
            return f"{remedy} Subclass the guarded twin:\n{guard}".strip()
    app = f"{route.name}.as_asgi()" if inspect.isclass(route.app) else route.name
    return f"{remedy} Wrap it: OriginGuard({app}) from wsorigin.guard.".strip()
