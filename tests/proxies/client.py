"""
A raw handshake through a proxy, with TLS or without.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.client import TIMEOUT, Http1Stream


def send_handshake(
    url: str, certificate: Path, headers: Mapping[str, str], timeout: float = TIMEOUT
) -> Http1Stream:
    """Send a handshake to a ``ws`` or ``wss`` URL, and wait for nothing."""
    target = urlsplit(url)
    # Offers no HTTP/2, in which an Upgrade header would be illegal.
    tls = ssl.create_default_context(cafile=certificate)
    return Http1Stream(
        (target.hostname or "", target.port or 0),
        target.path,
        target.netloc.encode(),
        [(name.encode(), value.encode()) for name, value in headers.items()],
        timeout,
        tls if target.scheme == "wss" else None,
    )
