"""
The application: guarded sockets that count how they ended, and a page to log out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth import logout
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

pages = get_asgi_application()  # before anything that may need the app registry

from wsorigin.consumers import (  # noqa: E402
    GuardedAsyncWebsocketConsumer,
    GuardedWebsocketConsumer,
)


class Async(GuardedAsyncWebsocketConsumer):
    """Send everything back, and count the codes of the ends."""

    codes: ClassVar[Counter[int]] = Counter()

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)

    async def disconnect(self, code: int) -> None:
        self.codes[code] += 1


class Sync(GuardedWebsocketConsumer):
    """The same in a thread."""

    # Its own: two threads that count in one place would lose some.
    codes: ClassVar[Counter[int]] = Counter()

    def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)

    def disconnect(self, code: int) -> None:
        self.codes[code] += 1


class AsyncOffLayer(Async):
    """The same, without a channel layer: what ends that does not end these."""

    # Channels' consumers listen to the default layer, and end when it does (1011).
    channel_layer_alias = "none"


class SyncOffLayer(Sync):
    """The same in a thread."""

    channel_layer_alias = "none"


class Witness(AsyncJsonWebsocketConsumer):
    """Tell how often ``disconnect()`` has run in this process, for each code."""

    channel_layer_alias = "none"

    async def connect(self) -> None:
        await self.accept()
        await self.send_json({"async": Async.codes, "sync": Sync.codes})


def log_out(request: HttpRequest) -> HttpResponse:
    """End the session, as a site's own page does."""
    user: Any = request.user
    logout(request)
    return HttpResponse(user.get_username())


urlpatterns = [path("log-out/", log_out)]
application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": AuthMiddlewareStack(
            URLRouter(
                [
                    path("witness/", Witness.as_asgi()),
                    path("async/", Async.as_asgi()),
                    path("sync/", Sync.as_asgi()),
                    path("async/off-layer/", AsyncOffLayer.as_asgi()),
                    path("sync/off-layer/", SyncOffLayer.as_asgi()),
                ]
            )
        ),
    }
)
