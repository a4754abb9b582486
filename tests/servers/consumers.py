"""
The consumers that are served: guarded in every way there is, and not at all.
"""

from __future__ import annotations

from typing import Any, ClassVar

from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)

from wsorigin.consumers import (
    GuardedAsyncJsonWebsocketConsumer,
    GuardedAsyncWebsocketConsumer,
    GuardedJsonWebsocketConsumer,
    GuardedWebsocketConsumer,
    OriginGuardMixin,
)
from wsorigin.handshake import Scope
from wsorigin.policy import Decision


class Witness(AsyncJsonWebsocketConsumer):
    """Tell what happened on this side of the wire since it was last asked."""

    handshakes: ClassVar = 0
    connected: ClassVar = 0
    reasons: ClassVar[list[str]] = []

    async def connect(self) -> None:
        await self.accept()
        await self.send_json([Witness.handshakes, Witness.connected, Witness.reasons])
        Witness.handshakes, Witness.connected, Witness.reasons = 0, 0, []


async def note_reason(decision: Decision, **_: Any) -> None:
    """Let the witness know what the guard decided; a receiver of its signal."""
    Witness.reasons.append(decision.reason)


class AsyncEcho(AsyncWebsocketConsumer):
    """Send everything back; ``connect()`` forgets ``super()``, as it may."""

    async def connect(self) -> None:
        Witness.connected += 1
        await self.accept()

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class SyncEcho(WebsocketConsumer):
    """The same in a thread."""

    def connect(self) -> None:
        Witness.connected += 1
        self.accept()

    def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)


class GuardedAsyncEcho(OriginGuardMixin, AsyncEcho):
    """A consumer of the project's own, guarded by the mixin."""


class GuardedSyncEcho(OriginGuardMixin, SyncEcho):
    """The same in a thread."""


class AsyncDefaultConnect(GuardedAsyncWebsocketConsumer):
    """Rely on Channels' own ``connect()``."""

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class SyncDefaultConnect(GuardedWebsocketConsumer):
    """The same in a thread."""

    def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)


class AsyncJson(GuardedAsyncJsonWebsocketConsumer):
    """The JSON echo."""

    async def receive_json(self, content: Any, **_: Any) -> None:
        await self.send_json(content)


class SyncJson(GuardedJsonWebsocketConsumer):
    """The same in a thread."""

    def receive_json(self, content: Any, **_: Any) -> None:
        self.send_json(content)


class AsyncOwnHandler(GuardedAsyncEcho):
    """Replace Channels' own handler of the handshake, without ``super()``."""

    async def websocket_connect(self, message: Any) -> None:
        Witness.connected += 1
        await self.accept()


class SyncOwnHandler(GuardedSyncEcho):
    """The same in a thread."""

    def websocket_connect(self, message: Any) -> None:
        Witness.connected += 1
        self.accept()


class Report(AsyncJsonWebsocketConsumer):
    """Tell what the application can see of the handshake."""

    async def connect(self) -> None:
        Witness.connected += 1
        await self.accept()
        scope = self.scope
        admission = scope.get("wsorigin")
        await self.send_json(
            {
                "headers": [
                    (name.decode("latin-1"), value.decode("latin-1"))
                    for name, value in scope["headers"]
                ],
                "subprotocols": list(scope["subprotocols"]),
                "cookies": scope.get("cookies"),
                "session": dict(scope.get("session", {}).items()),
                "reason": admission and admission.decision.reason,
                "credentials": admission and admission.decision.credentials,
                "http_version": scope.get("http_version"),
                "scheme": scope.get("scheme"),
                "extensions": scope.get("extensions"),
                "text": repr(dict(scope)),
            }
        )


class GuardedReport(OriginGuardMixin, Report):
    """What is left of it behind the guard."""


class Prices(GuardedReport):
    """Speak two versions, the newer one rather; ``accept()`` names neither."""

    subprotocols = ["prices.v2", "prices.v1"]


class Tenants(GuardedAsyncEcho):
    """Know its origins only at the handshake."""

    async def get_allowed_origins(self, scope: Scope) -> list[str]:
        return [f"https://{scope['url_route']['kwargs']['tenant']}.example"]


class SyncTenants(GuardedSyncEcho):
    """The same by a plain function, which may use the ORM."""

    def get_allowed_origins(self, scope: Scope) -> list[str]:
        return [f"https://{scope['url_route']['kwargs']['tenant']}.example"]
