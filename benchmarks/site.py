"""
The application that real servers serve: one echo behind each contender, by path.

How they are asked is the callers' business.
"""

from __future__ import annotations

import gc
from typing import Any, Final

import django
from django.db.backends.signals import connection_created

django.setup()

from channels.auth import AuthMiddlewareStack  # noqa: E402  # after the app registry
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.security.websocket import (  # noqa: E402
    AllowedHostsOriginValidator,
    OriginValidator,
)

from wsorigin.consumers import OriginGuardMixin  # noqa: E402
from wsorigin.denial import DENIAL_EXTENSION, problem_body  # noqa: E402
from wsorigin.guard import Application, OriginGuard  # noqa: E402
from wsorigin.handshake import Scope  # noqa: E402
from wsorigin.policy import Reason  # noqa: E402

GROUP: Final = "measured"
# As in servers.py, for those who know no database.
LISTED: Final = "https://www.tenant{}.example"


class Bare(AsyncWebsocketConsumer):
    """Send everything back."""

    channel_layer_alias = "none"

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class Guarded(OriginGuardMixin, Bare):
    """The same, guarded."""


class Grouped(AsyncWebsocketConsumer):
    """Join a group that is told when to end: revocation without us."""

    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def end(self, event: dict[str, Any]) -> None:
        """Close, for somebody has said so."""
        await self.close(code=4410)


class Queries:
    """How many queries have asked for sessions or users, in all threads."""

    count = 0

    def watch(self, connection: Any, **_: Any) -> None:
        """Have a connection counted, also where it has been opened before."""
        if self._note not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._note)

    def _note(self, execute: Any, sql: str, *arguments: Any) -> Any:
        if "django_session" in sql or "auth_user" in sql:
            self.count += 1
        return execute(sql, *arguments)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Tell the number, and tidy up: what one left behind is not for the next."""
        await receive()
        gc.collect()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": str(self.count)})
        await receive()


queries: Final = Queries()
connection_created.connect(queries.watch)


async def accept(scope: Scope, receive: Any, send: Any) -> None:
    """Send everything back, without Channels: the least that is useful."""
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


async def refuse(scope: Scope, receive: Any, send: Any) -> None:
    """Refuse all: the least that a refusal costs."""
    await receive()
    await send({"type": "websocket.close"})


_REASON: Final = {
    "type": "websocket.http.response.body",
    "body": problem_body(Reason.UNLISTED),
}


async def refuse_with_reason(scope: Scope, receive: Any, send: Any) -> None:
    """Refuse all as wsorigin does, with its very answer where a server can give one."""
    if DENIAL_EXTENSION not in (scope.get("extensions") or ()):
        await refuse(scope, receive, send)
        return
    await receive()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
    ]
    start = "websocket.http.response.start"
    await send({"type": start, "status": 403, "headers": headers})
    await send(_REASON)


def validated(count: int) -> Application:
    """Return the echo behind Channels' validator with so many origins."""
    origins = [LISTED.format(number) for number in range(count)]
    return OriginValidator(Bare.as_asgi(), origins)


APPLICATIONS: Final[dict[str, Application]] = {
    "/accept/": accept,
    "/refuse/": refuse,
    "/refuse/reason/": refuse_with_reason,
    "/bare/": Bare.as_asgi(),
    "/guarded/": Guarded.as_asgi(),
    "/wrapped/": OriginGuard(Bare.as_asgi()),
    "/hosts/": AllowedHostsOriginValidator(Bare.as_asgi()),
    "/channels-10/": validated(10),
    "/channels-1000/": validated(1000),
    "/session/": AuthMiddlewareStack(Bare.as_asgi()),
    "/session/guarded/": AuthMiddlewareStack(Guarded.as_asgi()),
    "/guarded/session/": OriginGuard(AuthMiddlewareStack(Bare.as_asgi())),
    "/grouped/": Grouped.as_asgi(),
    "/queries/": queries,
}


async def application(scope: Scope, receive: Any, send: Any) -> None:
    """Go by the path."""
    await APPLICATIONS[scope["path"]](scope, receive, send)
