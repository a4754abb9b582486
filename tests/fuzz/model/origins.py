"""
Origins as they stand in a header, read one character at a time.

Patterns of origins are read next door; nothing is decided here.
"""

from __future__ import annotations

import socket
from string import ascii_lowercase, ascii_uppercase, digits, hexdigits
from typing import NamedTuple

LONGEST = 300
DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
SCHEME_LETTERS = ascii_lowercase + digits + "+.-"
LABEL_LETTERS = ascii_lowercase + digits + "-_"


class Tuple(NamedTuple):
    """A tuple origin; ``port`` is the one in use, 0 where the scheme has no default."""

    scheme: str
    host: str
    port: int

    @property
    def text(self) -> str:
        """The origin as a browser would write it."""
        usual = self.port == DEFAULT_PORTS.get(self.scheme, 0)
        return f"{self.scheme}://{self.host}" + ("" if usual else f":{self.port}")


def lowered(text: str) -> str:
    """Lower the 26 letters of ASCII, and no others."""
    return text.translate(_LOWER)


_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def only(letters: str, text: str) -> bool:
    """Whether a text is made of these letters alone: stripped of them, nothing is left."""
    return not text.strip(letters)


def read_origin(value: str) -> Tuple | None:
    """Read a serialized origin (RFC 6454, section 6.2); None for anything else."""
    if len(value) > LONGEST:
        return None
    scheme, separator, rest = lowered(value).partition("://")
    if not separator or not is_scheme(scheme):
        return None
    host, port = split_port(rest)
    if port is None or not is_host(scheme, host):
        return None
    return Tuple(scheme, host, port or DEFAULT_PORTS.get(scheme, 0))


def is_scheme(text: str) -> bool:
    """A letter, then letters, digits, plus, dot and hyphen (RFC 3986, section 3.1)."""
    return only(ascii_lowercase, text[:1]) and text != "" and only(SCHEME_LETTERS, text)


def split_port(text: str) -> tuple[str, int | None]:
    """Split ``host[:port]``; the port is 0 where there is none, None where it is bad."""
    end = text.find("]") + 1 if text.startswith("[") else 0
    host, colon, port = text[end:].partition(":")
    if not colon:
        return text[:end] + host, 0
    is_number = 1 <= len(port) <= 5 and only(digits, port) and port[0] != "0"
    if not is_number or int(port) > 65535:
        return text[:end] + host, None
    return text[:end] + host, int(port)


def is_host(scheme: str, host: str) -> bool:
    """Whether this is a host as browsers write it."""
    if host.startswith("["):
        return ipv6(host) == host
    bare = host.removesuffix(".")
    if not 1 <= len(bare) <= 253:
        return False
    labels = bare.split(".")
    if not all(
        1 <= len(label) <= 63 and only(LABEL_LETTERS, label) for label in labels
    ):
        return False
    if scheme in DEFAULT_PORTS and is_number(labels[-1]):
        return is_ipv4(host)
    return True


def is_number(label: str) -> bool:
    """Whether a name that ends in this is an IPv4 address (WHATWG URL, "ends in a number")."""
    return only(digits, label) or (label[:2] == "0x" and only(hexdigits, label[2:]))


def is_ipv4(host: str) -> bool:
    """Four decimal numbers up to 255, written in the one way there is."""
    parts = host.split(".")
    return len(parts) == 4 and all(part in _OCTETS for part in parts)


_OCTETS = {str(number) for number in range(256)}


def ipv6(host: str) -> str | None:
    """Write a bracketed IPv6 address as browsers do (RFC 5952); None for none."""
    if not (host.endswith("]") and host.isascii() and "\0" not in host):
        return None
    try:
        packed = socket.inet_pton(socket.AF_INET6, host[1:-1])
    except OSError:
        return None
    groups = [int.from_bytes(packed[i : i + 2]) for i in range(0, 16, 2)]
    # The longest run of zeros, two at least, and of equals the first.
    runs = [
        (length, -start)
        for start in range(8)
        for length in range(2, 9 - start)
        if not any(groups[start : start + length])
    ]
    if not runs:
        return f"[{':'.join(f'{group:x}' for group in groups)}]"
    length, start = max(runs)
    before = ":".join(f"{group:x}" for group in groups[:-start])
    after = ":".join(f"{group:x}" for group in groups[length - start :])
    return f"[{before}::{after}]"
