"""
The site behind the proxies: a guarded endpoint, and an open one that tells what came in.
"""

from __future__ import annotations

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

pages = get_asgi_application()  # before anything that may need the app registry

from wsorigin.consumers import OriginGuardMixin  # noqa: E402


class Witness(AsyncJsonWebsocketConsumer):
    """Tell what of the handshake has arrived."""

    async def connect(self) -> None:
        await self.accept()
        headers = self.scope["headers"]
        await self.send_json(
            {name.decode(): value.decode() for name, value in headers}
            | {"path": self.scope["path"]}
        )


class GuardedWitness(OriginGuardMixin, Witness):
    """Tell it to those who may ask."""


urlpatterns: list[object] = []
application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": URLRouter(
            [
                path("ws/guarded/", GuardedWitness.as_asgi()),
                path("ws/witness/", Witness.as_asgi()),
                # What a proxy makes of it that strips the prefix.
                path("witness/", Witness.as_asgi()),
            ]
        ),
    }
)
