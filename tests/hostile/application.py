"""
The guarded application that hostile clients meet, and a note of each that got so far.
"""

from __future__ import annotations

import time
from typing import Any, Final

from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import SessionMiddlewareStack
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from wsorigin.handshake import Message, Receive, Scope, Send

pages = get_asgi_application()  # before anything that may need the app registry

from wsorigin.guard import Application, OriginGuard  # noqa: E402

EVENTS: Final[list[dict[str, Any]]] = []


class Witness(AsyncJsonWebsocketConsumer):
    """Tell which requests arrived on this side of the server."""

    async def connect(self) -> None:
        await self.accept()
        await self.send_json(EVENTS)


class Landing(AsyncWebsocketConsumer):
    """Where a handshake ends that the guard lets through, at whatever path."""

    async def connect(self) -> None:
        headers = dict(self.scope["headers"])
        self.scope["event"] |= {"ran": True, "cookies": b"cookie" in headers}
        await self.accept()


guarded = OriginGuard(
    SessionMiddlewareStack(URLRouter([re_path("", Landing.as_asgi())]))
)


def noted(application: Application) -> Application:
    """Note what arrives, and what the application answers or raises."""

    async def wrapper(scope: Scope, receive: Receive, send: Send) -> None:
        event = {
            # granian's are text, and uvicorn knows no client that has left already.
            "port": int((scope["client"] or (None, 0))[1]),
            "time": time.monotonic(),
            "type": scope["type"],
            "path": scope["path"],
            "origins": [
                value.decode("latin-1")
                for name, value in scope["headers"]
                if name == b"origin"
            ],
            "ran": False,
            "cookies": False,
            "answer": None,
            "explained": "",
            "raised": None,
        }
        EVENTS.append(event)

        async def noting(message: Message) -> None:
            event["answer"] = event["answer"] or message.get("status", message["type"])
            await send(message)

        try:
            if scope["type"] == "websocket":
                explanation = await guarded.explain(scope)
                if not explanation.decision:
                    event["explained"] = explanation.decision.reason
            await application({**scope, "event": event}, receive, noting)
        except Exception as error:
            event["raised"] = repr(error)
            raise

    return wrapper


application = ProtocolTypeRouter(
    {
        "http": noted(OriginGuard(pages)),
        "websocket": URLRouter(
            [path("witness/", Witness.as_asgi()), re_path("", noted(guarded))]
        ),
    }
)
