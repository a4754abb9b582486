"""
Help for tests of guarded consumers: a client with an origin, and a policy to suit.

With pytest, the fixtures of ``wsorigin.pytest_plugin`` save the clean-up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from channels.testing import WebsocketCommunicator
from django.test.utils import override_settings

from .denial import DENIAL_EXTENSION
from .guard import Application
from .reasons import Reason

_TIMEOUT: Final = 5  # seconds: Daphne's own patience with a handshake


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a handshake was answered with; true when the socket opened.

    ``status`` is 101, or the HTTP status of a denial. ``reason`` is the denial's,
    None where the application itself refused. ``close_code`` is set where the socket
    was opened and closed at once (``WSORIGIN_DENY_WITH = "close"``).
    """

    status: int
    reason: Reason | None = None
    subprotocol: str | None = None
    close_code: int | None = None

    def __bool__(self) -> bool:
        return self.status == 101 and self.close_code is None


class OriginCommunicator(WebsocketCommunicator):
    """
    Channels' ``WebsocketCommunicator`` with an origin.

    ``origin`` is the header to send, None for none; ``host`` is the site's own, so
    that ``origin="http://testserver"`` is same-origin. ``headers`` come on top::

        communicator = OriginCommunicator(application, "/ws/", origin="https://a.example")
        answer = await communicator.handshake()
        assert answer.reason == "unlisted"
    """

    def __init__(
        self,
        application: Application,
        path: str,
        *,
        origin: str | bytes | None = "http://testserver",
        host: str = "testserver",
        headers: Iterable[tuple[bytes, bytes]] = (),
        subprotocols: Sequence[str] = (),
        scheme: str | None = None,
    ) -> None:
        own = [(b"host", host.encode())]
        if origin is not None:
            value = origin if isinstance(origin, bytes) else origin.encode()
            own.append((b"origin", value))
        if subprotocols:
            own.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode()))
        super().__init__(application, path, [*own, *headers], list(subprotocols))
        self.scope["extensions"] = {DENIAL_EXTENSION: {}}
        if scheme:  # none by default, as on Daphne
            self.scope["scheme"] = scheme

    async def handshake(self) -> Answer:
        """
        Open the socket and say how that went; unlike ``connect()``, with the reason.

        Raises TimeoutError where the application answers nothing for five seconds.
        """
        await self.send_input({"type": "websocket.connect"})
        message = await self.receive_output(_TIMEOUT)
        match message["type"]:
            case "websocket.close":
                return Answer(403)
            case "websocket.http.response.start":
                body = await self.receive_output(_TIMEOUT)
                return Answer(message["status"], _reason(body.get("body", b"")))
        opened = Answer(101, subprotocol=message.get("subprotocol"))
        # A denial that closes has closed by now: nothing awaited in between.
        waiting = [
            self.output_queue.get_nowait() for _ in range(self.output_queue.qsize())
        ]
        if waiting and waiting[0]["type"] == "websocket.close":
            return replace(opened, close_code=waiting[0]["code"])
        for message in waiting:
            self.output_queue.put_nowait(message)
        return opened


def _reason(body: bytes) -> Reason | None:
    """Read the reason out of a denial's body, if it is one of ours."""
    try:
        return Reason(json.loads(body)["reason"])
    except (ValueError, TypeError, KeyError):
        return None  # the application's own refusal


class override_policy(override_settings):
    """
    Replace the site's policy for a test, as a decorator or a context manager.

    Only the given patterns count, and what ``inherit`` names: by default the site's
    own pages, as in production::

        with override_policy("https://app.example", inherit=[]):
            ...
    """

    def __init__(
        self,
        *origins: str,
        inherit: Sequence[str] = ("same-origin",),
        **settings: Any,
    ) -> None:
        super().__init__(
            **{
                "WSORIGIN_ALLOWED_ORIGINS": list(origins),
                "WSORIGIN_ALLOWED_ORIGIN_REGEXES": [],
                "WSORIGIN_ALLOW_ALL_ORIGINS": False,
                "WSORIGIN_INHERIT": list(inherit),
                **settings,
            }
        )
