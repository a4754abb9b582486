"""
Servers of the tests' own: connections are accepted in an event loop of a thread.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def accepting(connected: Connected, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Accept connections on a free port of this machine; yield the port."""
    loop, started, stopping = asyncio.new_event_loop(), Event(), asyncio.Event()
    ports: list[int] = []

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
        ports.append(server.sockets[0].getsockname()[1])
        started.set()
        await stopping.wait()
        server.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = Thread(target=run)
    thread.start()
    try:
        started.wait()
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
