"""
The site that the doctor examines: sound endpoints, and one for each thing that ails them.
"""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

pages = get_asgi_application()  # before anything that may need the app registry

from wsorigin.consumers import OriginGuardMixin  # noqa: E402


class Quiet(AsyncWebsocketConsumer):
    """Opens, and says nothing of its own accord."""


class Guarded(OriginGuardMixin, Quiet):
    """The same behind a guard."""


class Refusing(OriginGuardMixin, AsyncWebsocketConsumer):
    """Wants somebody who has logged in, and nobody ever has."""

    async def connect(self) -> None:
        await self.close()


class Leaving(OriginGuardMixin, AsyncWebsocketConsumer):
    """Opens, and closes at once."""

    async def connect(self) -> None:
        await self.accept()
        await self.close(4000)


class Raising(AsyncWebsocketConsumer):
    """Fails."""

    async def connect(self) -> None:
        raise ValueError("on purpose")


async def deaf(scope: Any, receive: Any, send: Any) -> None:
    """Take a handshake, and never answer it."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def hanging(scope: Any, receive: Any, send: Any) -> None:
    """Let the site's own origin in, and deny others as Daphne cannot."""
    host = dict(scope["headers"])[b"host"]
    if dict(scope["headers"]).get(b"origin") == b"http://" + host:
        await Quiet.as_asgi()(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"no"})
    await deaf(scope, receive, send)


urlpatterns: list[object] = []
application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": URLRouter(
            [
                path("witness/", Quiet.as_asgi()),
                path("ws/guarded/", Guarded.as_asgi()),
                path("ws/token/", Guarded.as_asgi(require_token=True)),
                path("ws/prices/", Guarded.as_asgi(audience="prices")),
                path("ws/own/", Guarded.as_asgi(subprotocols=["v2"])),
                path(
                    "ws/partner/",
                    Guarded.as_asgi(allowed_origins=["https://partner.example"]),
                ),
                path("ws/report-only/", Guarded.as_asgi(report_only=True)),
                path("ws/refusing/", Refusing.as_asgi()),
                path("ws/leaving/", Leaving.as_asgi()),
                path("ws/open/", Quiet.as_asgi()),
                path("ws/raising/", Raising.as_asgi()),
                path("ws/deaf/", deaf),
                path("ws/hanging/", hanging),
                path(
                    "ws/validated/",
                    OriginValidator(Quiet.as_asgi(), ["http://localhost"]),
                ),
            ]
        ),
    }
)
