"""ASGI applications with every kind of guarding, for the walk through the routes."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import (
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
)
from channels.middleware import BaseMiddleware
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import (
    AllowedHostsOriginValidator,
    OriginValidator,
)
from channels.sessions import CookieMiddleware
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from wsorigin.consumers import (
    GuardedAsyncWebsocketConsumer,
    GuardedJsonWebsocketConsumer,
)
from wsorigin.guard import Application, OriginGuard
from wsorigin.policy import SITE


class Guarded(GuardedAsyncWebsocketConsumer):
    allowed_origins = [SITE, "https://partner.example"]


class Tenants(GuardedJsonWebsocketConsumer):
    def get_allowed_origins(self, scope: Any) -> list[str]:
        return [f"https://{scope['url_route']['kwargs']['tenant']}.example"]


class Bare(AsyncWebsocketConsumer):
    pass


class BareSync(JsonWebsocketConsumer):
    pass


def traced(app: Application) -> Application:
    """Wrap an application as function middleware does."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return inner


async def opaque(scope: Any, receive: Any, send: Any) -> None:
    """Be an application that shows nothing of itself."""


class Tagged(BaseMiddleware):
    """Wrap an application as Channels' middleware does."""


guarded = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": CookieMiddleware(
            URLRouter(
                [
                    path("ws/prices/", Guarded.as_asgi()),
                    path("ws/<slug:tenant>/", Tenants.as_asgi()),
                    path("wrapped/", traced(OriginGuard(opaque))),
                    path("below/", OriginGuard(URLRouter([path("x/", opaque)]))),
                    path(
                        "twice/",
                        OriginGuard(
                            Guarded.as_asgi(), allowed_origins=["https://a.example"]
                        ),
                    ),
                ]
            )
        ),
    }
)

mixed = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [
                path("guarded/", Tagged(traced(Guarded.as_asgi()))),
                path(
                    "inner/",
                    URLRouter([re_path(r"^(?P<room>\w+)/$", Bare.as_asgi())]),
                ),
                path("sync/", BareSync.as_asgi()),
                path("opaque/", traced(opaque)),
            ]
        )
    }
)

validated = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [
                path("old/", AllowedHostsOriginValidator(Bare.as_asgi())),
                path(
                    "both/", OriginValidator(Guarded.as_asgi(), ["https://a.example"])
                ),
            ]
        )
    }
)

only_http = get_asgi_application()
