"""
Reverse proxies of the tests' own: they note what passes, and some spoil it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.servers.client import Address
from tests.servers.threads import accepting

_BAD_GATEWAY: Final = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


class Request(NamedTuple):
    """What a browser sent; the names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def is_handshake(self) -> bool:
        return "sec-websocket-key" in self.headers

    @property
    def credential(self) -> str:
        """The token among the subprotocols, as it travels."""
        return self.headers.get("sec-websocket-protocol", "").rpartition(".")[2]


@dataclass
class Front:
    """
    A proxy: one connection for each request, so that each can be seen.

    ``behind`` None accepts connections and never answers. ``drops_upgrade`` passes a
    handshake on as the ordinary request that it is without its hop-by-hop headers.
    """

    behind: Address | None
    drops_upgrade: bool = False
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    @property
    def socket(self) -> str:
        return self.origin.replace("http", "ws", 1)

    def handshakes(self) -> list[Request]:
        """Return the handshakes that have come so far."""
        return [request for request in self.requests if request.is_handshake]

    def sent(self, method: str, path: str) -> list[Request]:
        """Return the other requests for one path that have come so far."""
        return [
            request
            for request in self.requests
            if (request.method, request.path) == (method, path)
            and not request.is_handshake
        ]

    @contextmanager
    def running(self) -> Iterator[Front]:
        """Serve from a thread of its own."""
        with accepting(self._handle, self.tls) as self.port:
            yield self

    async def _handle(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        # Cancelled is how it ends when the front stops; hung up, when the browser does.
        with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._pass_on(head.decode("latin-1"), reader, writer)
            finally:
                writer.close()

    async def _pass_on(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request_line, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        request = Request(
            method, target, {name.lower(): headers[name] for name in headers}
        )
        self.requests.append(request)
        if self.behind is None:
            await reader.read()
            return
        if self.drops_upgrade or not request.is_handshake:
            headers.pop("Upgrade", None)
            headers["Connection"] = "close"
        lines = [f"{name}: {value}" for name, value in headers.items()]
        try:
            inner_reader, inner_writer = await asyncio.open_connection(*self.behind)
        except ConnectionRefusedError:
            writer.write(_BAD_GATEWAY)
            return
        try:
            inner_writer.write("\r\n".join([request_line, *lines, "", ""]).encode())
            ways = [(reader, inner_writer), (inner_reader, writer)]
            pumps = [asyncio.ensure_future(pump(*way)) for way in ways]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for task in pumps:
                task.cancel()
        finally:
            inner_writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes, until one of the two hangs up."""
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
