"""
A raw handshake through a proxy, with TLS or without.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.client import TIMEOUT

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class ProxiedStream:
    """``GET`` with ``Upgrade`` (RFC 6455, section 4.1) to a ``ws`` or ``wss`` URL."""

    def __init__(
        self,
        url: str,
        certificate: Path,
        headers: Mapping[str, str],
        timeout: float = TIMEOUT,
    ) -> None:
        target = urlsplit(url)
        self._connection = HTTPConnection(target.netloc, timeout=timeout)
        if target.scheme == "wss":
            # Offers no HTTP/2, in which an Upgrade header would be illegal.
            context = ssl.create_default_context(cafile=certificate)
            self._connection = HTTPSConnection(
                target.netloc, timeout=timeout, context=context
            )
        self._connection.request("GET", target.path, headers={**UPGRADE, **headers})
        # Kept, since an answer that ends the connection takes it away.
        self._socket = self._connection.sock
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.opened = False

    def await_answer(self) -> None:
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.headers = {k.lower(): v for k, v in self._response.getheaders()}
        self.opened = self.status == 101
        if not self.opened:
            self.body = self._response.read()

    def read(self) -> bytes:
        return self._response.fp.read1()

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self._response.close()
        self._connection.close()
