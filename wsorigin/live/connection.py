"""
One open WebSocket, as the guard holds it: it can be ended from outside.

It decides nothing; the watcher does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from functools import lru_cache
from typing import Final, NamedTuple

from asgiref.sync import markcoroutinefunction

from wsorigin.endpoints import Origins, endpoint_policy
from wsorigin.handshake import Handshake, Message, Receive, Send
from wsorigin.policy import Decision, Policy, Reason

from .claims import NOTHING, Claim

logger = logging.getLogger(__name__)

_SETTLING: Final = 1.0  # seconds


class Terms(NamedTuple):
    """What one guard on the way asked: its origins, its name, its audience."""

    origins: Origins | None
    name: str
    audience: str


@lru_cache(maxsize=1024)
def shared_terms(
    origins: Origins | None, name: str, audience: str
) -> tuple[Terms, ...]:
    """Return terms as those of a connection; connections on the same terms share them."""
    return (Terms(origins, name, audience),)


class Connection:
    """
    A connection that a guard let through, and the terms on which it did.

    Guards further in add their terms to the outermost one's connection. ``receive`` and
    ``send`` are what the application gets: a function call more for each message.
    """

    # Of the class until they change: most connections are never ended from here.
    code = 0
    closed = False
    closing: asyncio.Task[None] | None = None
    _task: asyncio.Task[object] | None = None

    def __init__(
        self,
        handshake: Handshake,
        terms: tuple[Terms, ...],
        receive: Receive,
        send: Send,
        claim: Claim = NOTHING,
        enforced: bool = True,
    ) -> None:
        self.handshake = handshake
        self.terms = terms
        self.claim = claim
        self.enforced = enforced
        self.opened_at = time.monotonic()
        self._receive = receive
        self._send = send

    @property
    def with_session(self) -> bool:
        """Whether it has the visitor's session, by the cookies."""
        return self.claim is not NOTHING and not self.claim.token

    @property
    def is_open(self) -> bool:
        """Whether nobody has ended it from this side."""
        return not self.code

    def decide(self, site: Policy) -> Decision:
        """Decide again, by another policy of the site: the first denial is final."""
        credentials = True
        for origins, name, audience in self.terms:
            policy = endpoint_policy(site, origins, name)
            decision = policy.decide(self.handshake, audience)
            if not decision and not (
                decision.reason is Reason.MISSING and self.claim.token
            ):
                return decision
            credentials = credentials and decision.credentials
        return decision._replace(allowed=True, credentials=credentials)

    def end(self, code: int) -> None:
        """
        Close the socket with a code, and have the application see it closed.

        For applications: what the watcher does when a right ends, by hand. Call it in
        the event loop of the connection; codes of an application's own are 4000 to 4999
        (RFC 6455, section 7.4.2).
        """
        self.close(code)
        self.release()

    def close(self, code: int) -> None:
        """
        Close the socket with a code; the application is for `release` to wake.

        In a task of its own, since some servers wait for the peer's answer. The
        application's later messages are dropped, and its next ``receive()`` returns
        ``websocket.disconnect`` with this code, once it is released.
        """
        if not (self.code or self.closed):
            self.code = code
            self.closing = asyncio.get_running_loop().create_task(self._close())

    def release(self) -> None:
        """Have an application that waits for a message see that it has ended."""
        if self.code and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _close(self) -> None:
        try:
            await self._send({"type": "websocket.close", "code": self.code})
        except Exception:
            # The client may have left at the same moment, and some servers raise then.
            logger.debug("the client left before it was closed", exc_info=True)

    async def settle(self) -> None:
        """
        Wait a moment for the server to take our close, if there was one.

        Where an application ends before that, granian closes the socket itself, and the
        client sees no code. On uvicorn taking it means to wait for the peer's answer,
        which may never come.
        """
        if self.closing is not None:
            await asyncio.wait({self.closing}, timeout=_SETTLING)

    async def receive(self) -> Message:
        """Return the server's next message, or that the connection has ended."""
        if self.code:
            return self._disconnect()
        task = self._task = asyncio.current_task()
        try:
            message = await self._receive()
            if not self.is_open:
                # The peer's answer to our close; `release` is to come. The code that the
                # application sees is ours, whatever the peer answered.
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            # Ours, if this connection was ended and nobody else cancels the task too.
            if self.is_open or task is None or task.uncancel():
                raise
            return self._disconnect()
        finally:
            self._task = None
        if message["type"] == "websocket.disconnect":
            self.closed = True
        return message

    @markcoroutinefunction  # to asgiref, which asks before it calls it from threads
    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on to the server, unless the connection has ended."""
        if self.code:
            return _nothing()
        if message["type"] == "websocket.close":
            self.closed = True
        return self._send(message)

    def _disconnect(self) -> Message:
        return {"type": "websocket.disconnect", "code": self.code, "reason": ""}


async def _nothing() -> None:
    """Be what sending to a connection that has ended amounts to."""
