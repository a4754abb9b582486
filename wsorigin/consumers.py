"""
Consumers that check the origin before anything of theirs runs.

The guard stands in ``__call__``, so that no override of ``connect()`` or
``websocket_connect()`` can forget it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import wraps
from typing import Any, ClassVar

from channels.consumer import AsyncConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)

from .endpoints import checked_origins
from .guard import OriginGuard
from .handshake import Receive, Scope, Send


class OriginGuardMixin:
    """
    Guard a consumer; name it before the consumer class among the bases.

    The attributes are those of `OriginGuard`, and ``as_asgi()`` takes them as keyword
    arguments for one mount. ``get_allowed_origins`` and ``get_audience`` may be
    overridden, as plain or as coroutine functions, for tenants whose origins are known
    only at the handshake; plain ones run in a thread and may use the ORM.

    Raises TypeError at class creation where the order of the bases would skip the
    guard, ImproperlyConfigured where ``allowed_origins`` holds anything but patterns.
    """

    allowed_origins: ClassVar[Sequence[str] | None] = None
    audience: ClassVar[str] = ""
    require_token: ClassVar[bool] = False
    report_only: ClassVar[bool | None] = None
    subprotocols: ClassVar[Sequence[str]] = ()

    _guard_attributes: ClassVar = (
        "allowed_origins",
        "audience",
        "require_token",
        "report_only",
        "subprotocols",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for name in self._guard_attributes:
            if name in kwargs:
                setattr(self, name, kwargs.pop(name))
        super().__init__(*args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if AsyncConsumer in order and (
            order.index(AsyncConsumer) < order.index(OriginGuardMixin)
        ):
            raise TypeError(
                f"{cls.__name__} would never be guarded: name OriginGuardMixin before "
                f"the consumer class, as in class {cls.__name__}(OriginGuardMixin, ...)."
            )
        if cls.allowed_origins is not None:
            cls.allowed_origins = checked_origins(cls.allowed_origins, cls.__name__)

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Any:
        """Return the ASGI application; keyword arguments override the attributes."""
        if initkwargs.get("allowed_origins") is not None:
            origins = checked_origins(initkwargs["allowed_origins"], cls.__name__)
            initkwargs["allowed_origins"] = origins
        parent = super().as_asgi  # type: ignore[misc]  # the consumer's
        app = parent(**initkwargs)
        if parent.__func__ is not AsyncConsumer.as_asgi.__func__:
            return app

        # As Channels' own, but for one thing: it lets go of the scope that it was
        # called with, which would else live as long as the connection, beside the one
        # that the guard made of it.
        @wraps(app)
        async def lean(scope: Scope, receive: Receive, send: Send) -> None:
            running = cls(**initkwargs)(scope, receive, send)
            del scope
            await running

        return lean

    def get_allowed_origins(
        self, scope: Scope
    ) -> Sequence[str] | Awaitable[Sequence[str]] | None:
        """Return the patterns that may open this endpoint; by default the attribute."""
        return self.allowed_origins

    def get_audience(self, scope: Scope) -> str | Awaitable[str]:
        """Return what this endpoint is for; by default the attribute."""
        return self.audience

    def guard(self) -> OriginGuard:
        """Return the guard that stands before this consumer."""
        cls = type(self)
        own_origins = (
            cls.get_allowed_origins is not OriginGuardMixin.get_allowed_origins
        )
        own_audience = cls.get_audience is not OriginGuardMixin.get_audience
        return OriginGuard(
            super().__call__,  # type: ignore[misc]  # the consumer's, by the MRO
            allowed_origins=(
                self.get_allowed_origins if own_origins else self.allowed_origins
            ),
            audience=self.get_audience if own_audience else self.audience,
            require_token=self.require_token,
            report_only=self.report_only,
            subprotocols=self.subprotocols,
            name=cls.__name__,
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not a coroutine of its own: it would stay as long as the connection does.
        return self.guard()(scope, receive, send)


class GuardedWebsocketConsumer(OriginGuardMixin, WebsocketConsumer):
    """Channels' ``WebsocketConsumer``, guarded."""


class GuardedJsonWebsocketConsumer(OriginGuardMixin, JsonWebsocketConsumer):
    """Channels' ``JsonWebsocketConsumer``, guarded."""


class GuardedAsyncWebsocketConsumer(OriginGuardMixin, AsyncWebsocketConsumer):
    """Channels' ``AsyncWebsocketConsumer``, guarded."""


class GuardedAsyncJsonWebsocketConsumer(OriginGuardMixin, AsyncJsonWebsocketConsumer):
    """Channels' ``AsyncJsonWebsocketConsumer``, guarded."""
