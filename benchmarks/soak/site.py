"""
The application that is soaked, and a door through which it tells how it is.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from typing import Any, Final

from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import include, path

pages = get_asgi_application()  # before anything that may need the app registry

from wsorigin.consumers import OriginGuardMixin  # noqa: E402
from wsorigin.handshake import Scope  # noqa: E402
from wsorigin.live import open_connections  # noqa: E402
from wsorigin.policy import Decision  # noqa: E402
from wsorigin.signals import handshake_checked  # noqa: E402

counted: Final[Counter[bool]] = Counter()


async def count(decision: Decision, **_: Any) -> None:
    """Count what the guards decided; a receiver of their signal."""
    counted[decision.allowed] += 1


handshake_checked.connect(count)


class Async(OriginGuardMixin, AsyncWebsocketConsumer):
    """Send everything back."""

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class Sync(OriginGuardMixin, WebsocketConsumer):
    """The same in a thread."""

    def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)


async def probe(scope: Scope, receive: Any, send: Any) -> None:
    """Tell what was decided, and what is there: a list, as `servers.Probe` reads it."""
    await receive()
    if not gc.get_freeze_count():
        # What was there from the beginning is no leak, and takes long to go through.
        gc.freeze()
    gc.collect()
    answer = [
        counted[True],
        counted[False],
        open_connections(),
        len(asyncio.all_tasks()),
        len(gc.get_objects()),
    ]
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": json.dumps(answer)})
    await receive()


urlpatterns = [path("wsorigin/", include("wsorigin.urls"))]
application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": URLRouter(
            [
                path("probe/", probe),
                path("async/", Async.as_asgi()),
                path("sync/", Sync.as_asgi()),
                path("token/", Async.as_asgi(require_token=True)),
            ]
        ),
    }
)
