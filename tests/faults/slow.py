"""
A slow line: a TCP port that leads to a service, and whatever is sent there takes time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from tests.servers.threads import accepting

_CHUNK: Final = 65536


@dataclass
class Line:
    """
    A port of our own through which a service is reached.

    ``delay`` seconds are added to each piece, in both directions, from the next one on.
    """

    target: int
    port: int = 0
    delay: float = 0.0

    async def connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Connect one client to the service, until both have hung up."""
        there = await asyncio.open_connection("127.0.0.1", self.target)
        with suppress(ConnectionError):
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, there[1]))
                both.create_task(self._pass_on(there[0], writer))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


@contextmanager
def line(target: int) -> Iterator[Line]:
    """Lay a line to a port of this machine."""
    laid = Line(target)
    with accepting(laid.connect) as laid.port:
        yield laid
