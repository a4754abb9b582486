"""
The consumers: echoes that tell how they ended, and others that tell all they know.

None is guarded; the application says where the guards stand.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, Final

from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)

from wsorigin.admission import Admission

logger = logging.getLogger(__name__)

# What a handler that is busy waits for, in seconds at most.
go_on: Final = threading.Event()
_PATIENCE: Final = 30.0

# The name and the code of each connection whose ``disconnect()`` has run.
ends: Final[list[tuple[str, int]]] = []


def wait_to_go_on() -> None:
    """Be busy until somebody says that it is enough."""
    go_on.wait(_PATIENCE)
    go_on.clear()


class Witness(AsyncJsonWebsocketConsumer):
    """Tell which connections have ended."""

    async def connect(self) -> None:
        await self.accept()
        await self.send_json(ends)


class AsyncEcho(AsyncWebsocketConsumer):
    """Send everything back; at ``work``, take one's time for it."""

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        if text_data == "work":
            await self.send(text_data="working")
            await asyncio.to_thread(wait_to_go_on)
        await self.send(text_data=text_data)

    async def disconnect(self, code: int) -> None:
        ends.append((self.scope["url_route"]["kwargs"]["name"], code))


class SyncEcho(WebsocketConsumer):
    """The same in a thread."""

    def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        if text_data == "work":
            self.send(text_data="working")
            wait_to_go_on()
        self.send(text_data=text_data)

    def disconnect(self, code: int) -> None:
        ends.append((self.scope["url_route"]["kwargs"]["name"], code))


def told(admission: Admission) -> list[str]:
    """Return how an admission looks, and everything in it."""
    parts: list[Any] = [admission, *admission, *admission.handshake]
    if admission.connection:
        parts += [admission.connection.claim, *admission.connection.terms]
    return [form(part) for part in parts for form in (repr, str)]


class Report(AsyncJsonWebsocketConsumer):
    """Tell what there is to see of the handshake, to the client and to the log."""

    async def connect(self) -> None:
        await self.accept()
        scope, admission = self.scope, self.scope["wsorigin"]
        logger.debug("admitted %s", told(admission))
        await self.send_json(
            {
                "reason": admission.decision.reason,
                "user": scope["user"].get_username(),
                "told": told(admission),
                "scope": repr(
                    [
                        scope[name]
                        for name in ("path", "query_string", "headers", "subprotocols")
                    ]
                ),
            }
        )


class Failing(AsyncWebsocketConsumer):
    """Fail before the socket is open, with a message that tells all."""

    async def connect(self) -> None:
        raise RuntimeError(f"cannot open for {told(self.scope['wsorigin'])}")


class FailingLater(AsyncWebsocketConsumer):
    """Fail when the socket is open."""

    async def connect(self) -> None:
        await self.accept()
        raise RuntimeError(f"cannot go on for {told(self.scope['wsorigin'])}")
