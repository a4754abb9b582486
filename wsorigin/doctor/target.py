"""
What is examined: the URL of a WebSocket, taken apart.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from wsorigin.origins import DEFAULT_PORTS, InvalidOrigin, Origin


class WrongQuestion(ValueError):
    """What the doctor cannot examine, or must not; the message says why."""


class Target(NamedTuple):
    """Where to knock: a ``ws`` or ``wss`` URL, taken apart. ``path`` has the query."""

    tls: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Target:
        """Read a URL; ``https`` stands for ``wss``, as in browsers. Raises WrongQuestion."""
        scheme, _, rest = url.strip().partition("://")
        scheme = {"https": "wss", "http": "ws"}.get(scheme.lower(), scheme.lower())
        if scheme not in {"ws", "wss"}:
            raise WrongQuestion(f"{url!a} doesn't begin with wss:// or ws://.")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        if "#" in rest or "@" in authority:
            raise WrongQuestion(f"{url!a} has a fragment or user info.")
        try:
            # The one reader of hosts and ports that this package has.
            origin = Origin.parse(f"{scheme}://{authority}")
        except InvalidOrigin as exc:
            raise WrongQuestion(f"{url!a} isn't the URL of a WebSocket.") from exc
        split = urlsplit(f"//{rest}")
        path = (split.path or "/") + (f"?{split.query}" if split.query else "")
        if not path.isascii() or re.search(r"[\x00-\x20\x7f]", path):
            raise WrongQuestion(f"{url!a} has a character that has to be %-encoded.")
        port = origin.effective_port or DEFAULT_PORTS[scheme]
        return cls(scheme == "wss", origin.host, port, path)

    @property
    def host_header(self) -> str:
        """The Host header as a browser sends it: without the default port."""
        return str(self.origin).partition("://")[2]

    @property
    def origin(self) -> Origin:
        """The origin of a page at the same place."""
        scheme = "https" if self.tls else "http"
        return Origin.parse(f"{scheme}://{self.host}:{self.port}")

    @property
    def route(self) -> str:
        """The path as an application sees it: decoded, without the query."""
        return unquote(self.path.partition("?")[0])

    def __str__(self) -> str:
        scheme = "wss" if self.tls else "ws"
        return f"{scheme}://{self.host_header}{self.path}"
