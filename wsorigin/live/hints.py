"""
What processes tell and ask each other, over the project's channel layer if it has one.

A hint says where to look, and nothing is done for its sake alone: layers lose
messages, and anybody who can write to one could make them up. One thread of its own
sends and listens, so that a layer that hangs holds up nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import InMemoryChannelLayer, channel_layers

logger = logging.getLogger(__name__)

_GROUP: Final = "wsorigin.hints"
# Seconds. Layers forget who belongs to a group: after a day, or when Redis restarts.
_REJOIN_EVERY: Final = 60.0
_SEND_PATIENCE: Final = 2.0
_RETRY_AFTER: Final = 0.5
_ASK_PATIENCE: Final = 0.3
# Hints on their way to a layer that does not take them; newer ones are not told.
_MAX_PENDING: Final = 1000


class Hint(NamedTuple):
    """
    Something may have ended: ``what`` kind of thing, and ``key``, which one.

    ``what`` is ``"origins"``, ``"token"``, ``"user"``, ``"session"`` or
    ``"disconnection"``; the key of a session is its `session_name`.
    """

    what: str
    key: str = ""


def session_name(session_key: str) -> str:
    """Return what a session is called in a hint: nobody can be logged in by that."""
    return hashlib.sha256(f"wsorigin:{session_key}".encode()).hexdigest()[:20]


class Process(NamedTuple):
    """
    What a process says of itself: who it is, its policy, and its live connections.

    ``name`` is its machine and its number there, ``fingerprint`` the policy's.
    """

    name: str
    fingerprint: str
    connections: int


class Hints:
    """The thread that sends and listens, started when there is something to do."""

    def __init__(
        self, heard: Callable[[Hint], None], describe: Callable[[], Process]
    ) -> None:
        self._heard = heard
        self._describe = describe
        self._channel = ""
        self._answers: dict[str, Process] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._layer: Any = None
        self._listening: asyncio.Task[None] | None = None
        self._free = threading.Semaphore(_MAX_PENDING)
        self._is_away = False

    def send(self, hint: Hint) -> None:
        """
        Tell the other processes.

        From an event loop it never waits; elsewhere until the layer has it, two seconds
        at most, since a command or a script may end right afterwards.
        """
        if not self.listen() or self._loop is None:
            return
        if not self._free.acquire(blocking=False):
            return
        sent = asyncio.run_coroutine_threadsafe(self._send(hint), self._loop)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if not self._is_away:
                with suppress(TimeoutError):
                    sent.result(_SEND_PATIENCE)

    def ask(self, patience: float = _ASK_PATIENCE) -> list[Process] | None:
        """
        Ask the processes that listen what they are, and wait a moment for the answers.

        Those are the ones that have, or had, live connections, this one included. None
        where there is no layer to ask over, or it is away. Not for event loops: it waits.
        """
        if not self.listen() or self._loop is None:
            return None
        asked = asyncio.run_coroutine_threadsafe(self._ask(patience), self._loop)
        try:
            return asked.result(_SEND_PATIENCE)
        except Exception:
            asked.cancel()  # where the layer is away, it would wait there for ever
            return None

    def listen(self) -> bool:
        """Start the thread where there is a layer that others share; say whether."""
        if not has_shared_layer():
            return False
        with self._lock:
            # A thread is not alive any more in a process that was forked off.
            if self._thread is None or not self._thread.is_alive():
                started = threading.Event()
                self._thread = threading.Thread(
                    target=self._in_thread,
                    args=[started],
                    name="wsorigin-hints",
                    daemon=True,
                )
                self._thread.start()
                started.wait()
        return True

    def stop(self) -> None:
        """End the thread, for those who take the layer away: it starts when needed."""
        if self._thread and self._thread.is_alive() and self._loop and self._listening:
            self._loop.call_soon_threadsafe(self._listening.cancel)
            self._thread.join(_SEND_PATIENCE)
        self._thread = None

    def _in_thread(self, started: threading.Event) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._run(started))

    async def _run(self, started: threading.Event) -> None:
        self._listening = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._joined = asyncio.Event()
        # A layer of our own: those of channels_redis keep state for each event loop,
        # and its core layer loses messages when a consumer that receives is cancelled.
        self._layer = channel_layers.make_backend(DEFAULT_CHANNEL_LAYER)
        started.set()
        await self._listen_for_ever()

    async def _send(self, hint: Hint) -> None:
        try:
            async with asyncio.timeout(_SEND_PATIENCE):
                message = {"type": "wsorigin.hint", **hint._asdict()}
                await self._layer.group_send(_GROUP, message)
            self._note_back()
        except Exception as exc:
            self._note(exc)
        finally:
            self._free.release()

    async def _ask(self, patience: float) -> list[Process]:
        await self._joined.wait()  # the thread may have just begun
        self._answers = {}
        question = {"type": "wsorigin.question", "channel": self._channel}
        await self._layer.group_send(_GROUP, question)
        await asyncio.sleep(patience)
        return sorted(self._answers.values())

    async def _listen_for_ever(self) -> None:
        channel = ""
        while True:
            try:
                channel = channel or await self._layer.new_channel("wsorigin")
                await self._listen(channel)
            except Exception as exc:
                # To have heard nothing for five seconds is an error to redis-py 8, where
                # nobody told it otherwise (redis-py issue 4091).
                if type(exc).__name__ != "TimeoutError":
                    self._note(exc)
                    await asyncio.sleep(_RETRY_AFTER)
                # What was said meanwhile is lost: the watchers find it out themselves.

    async def _listen(self, channel: str) -> None:
        async with asyncio.timeout(_REJOIN_EVERY):
            await self._layer.group_add(_GROUP, channel)
            self._note_back()
            self._channel = channel
            self._joined.set()
            while True:
                await self._hear(await self._layer.receive(channel))

    async def _hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "wsorigin.hint", "what": what, "key": key}:
                self._heard(Hint(what, key))
            case {"type": "wsorigin.question", "channel": channel}:
                answer = self._describe()._asdict()
                await self._layer.send(channel, {"type": "wsorigin.answer", **answer})
            case {"type": "wsorigin.answer", "name": name}:
                fields = {field: message[field] for field in Process._fields}
                self._answers[name] = Process(**fields)

    def _note(self, exc: Exception) -> None:
        """Log an outage of the layer once."""
        if not self._is_away:
            self._is_away = True
            logger.warning(
                "the channel layer does not answer (%s): what ends is found within "
                "WSORIGIN_REFRESH_INTERVAL instead of at once",
                type(exc).__name__,
            )

    def _note_back(self) -> None:
        """Log that an outage is over."""
        if self._is_away:
            self._is_away = False
            logger.info("the channel layer is back")


def has_shared_layer() -> bool:
    """Whether the project has a channel layer that other processes share."""
    if DEFAULT_CHANNEL_LAYER not in channel_layers.configs:
        return False
    return not isinstance(channel_layers[DEFAULT_CHANNEL_LAYER], InMemoryChannelLayer)
