"""
An ASGI application without wsorigin, Channels or Django: what a server does by itself.
"""

from __future__ import annotations

from typing import Any


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Open every socket, and be no reason for an error."""
    message = await receive()
    if message["type"] == "websocket.connect":
        await send({"type": "websocket.accept"})
