"""
The site itself: which hosts are its own, and how its proxies are read.

A value made from Django's settings, which this module never sees. It answers one
question: does this origin look like the site that the handshake was sent to?
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from .handshake import BROWSER_HEADERS, SECRET_HEADERS, Handshake
from .origins import DEFAULT_PORTS, Origin

# Django's own idea of a Host header (django.http.request.host_validation_re), plus
# the underscore, which browsers keep and Django refuses: see allows().
_HOST_HEADER = re.compile(r"([a-z0-9._-]+|\[[a-f0-9]*:[a-f0-9.:]+\])(?::([0-9]+))?")


class Relation(Enum):
    """How an origin stands to the host that the handshake was sent to."""

    INSECURE = "insecure"
    SAME = "same"
    FOREIGN_HOST = "foreign-host"


@dataclass(frozen=True, slots=True)
class Site:
    """
    The settings that say what "this site" means, named after Django's.

    ``allowed_hosts`` as ``ALLOWED_HOSTS``. ``https_only`` where a setting says that
    the site is never served over http. ``proxy_ssl_header`` is a lower-case header
    name and the value that means https; None where no proxy is trusted for it.
    ``told`` are the headers of a proxy that a decision looks at, ``read`` all that a
    guard does.
    """

    allowed_hosts: tuple[str, ...] = ()
    https_only: bool = False
    proxy_ssl_header: tuple[bytes, str] | None = None
    use_forwarded_host: bool = False
    use_forwarded_port: bool = False
    told: tuple[bytes, ...] = field(init=False, compare=False, repr=False)
    read: frozenset[bytes] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        names = []
        if self.use_forwarded_host:
            names.append(b"x-forwarded-host")
        if self.use_forwarded_port:
            names.append(b"x-forwarded-port")
        if self.proxy_ssl_header:
            names.append(self.proxy_ssl_header[0])
        object.__setattr__(self, "told", tuple(names))
        read = frozenset((*BROWSER_HEADERS, *names, *SECRET_HEADERS))
        object.__setattr__(self, "read", read)

    def relation(self, origin: Origin, handshake: Handshake) -> Relation | None:
        """
        Compare an origin with the host that the handshake was sent to; None: another.

        Host and port have to be equal. The scheme counts only against http, and
        only where the request is known to be https: TLS may have ended at a proxy
        that says nothing about it.
        """
        if origin.scheme not in {"https", "http"}:
            return None
        host, digits = _split_host(self._host_header(handshake))
        if host != origin.host:
            return None
        port = self._port(handshake, digits)
        if (port or DEFAULT_PORTS[origin.scheme]) != origin.effective_port:
            return None
        if origin.scheme == "http" and self.is_https(handshake):
            return Relation.INSECURE
        return Relation.SAME if self.allows(host) else Relation.FOREIGN_HOST

    def allows(self, host: str) -> bool:
        """Whether a host passes ``ALLOWED_HOSTS``, by the rules of Django's get_host()."""
        host = host.removesuffix(".")
        if not host or "_" in host:
            return False
        for allowed in self.allowed_hosts:
            if allowed == "*" or allowed == host:
                return True
            if allowed[:1] == "." and (host.endswith(allowed) or host == allowed[1:]):
                return True
        return False

    def is_https(self, handshake: Handshake) -> bool:
        """Whether the request is known to have been sent over https (or wss)."""
        if self.https_only:
            return True
        if self.proxy_ssl_header is not None:
            name, secure = self.proxy_ssl_header
            value = handshake.headers.get(name)
            if value is not None:
                # The first of several, as Django reads it. Traefik says "wss".
                first = value.decode("latin-1").split(",", 1)[0].strip()
                return first == secure or (first == "wss" and secure == "https")
        return handshake.scheme in {"wss", "https"}

    def _host_header(self, handshake: Handshake) -> bytes:
        headers = handshake.headers
        host = headers.get(b"x-forwarded-host") if self.use_forwarded_host else None
        return headers.get(b"host", b"") if host is None else host

    def _port(self, handshake: Handshake, digits: str | None) -> int | None:
        if self.use_forwarded_port:
            forwarded = handshake.headers.get(b"x-forwarded-port")
            if forwarded is not None:
                digits = forwarded.decode("latin-1")
        if digits is None:
            return None
        # At most five digits: int() refuses some thousands of them with an error.
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5):
            return -1
        return int(digits) or -1


@lru_cache(maxsize=1024)
def _split_host(header: bytes) -> tuple[str, str | None]:
    """Split a Host header into lower-case host and port; no host where it is broken."""
    match = _HOST_HEADER.fullmatch(header.decode("latin-1").lower())
    return (match[1], match[2]) if match else ("", None)
