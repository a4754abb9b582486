"""
Patterns of origins: which texts are some, how they are written, and what they cover.

The grammar of the specification, one sentence after the other.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

from .origins import (
    DEFAULT_PORTS,
    LABEL_LETTERS,
    LONGEST,
    Tuple,
    ipv6,
    is_host,
    is_number,
    is_scheme,
    lowered,
    only,
    split_port,
)

# Labels in other scripts, with what the registries make of them. The model knows no
# more of Unicode than this list.
KNOWN_LABELS = {
    "bücher": "xn--bcher-kva",
    "BÜCHER": "xn--bcher-kva",
    "faß": "xn--fa-hia",
    "例え": "xn--r8jz45g",
    "テスト": "xn--zckzah",
    "\uff41pp": "app",
    "\N{KELVIN SIGN}": "k",
}
KNOWN_DOTS = "\u3002\uff0e\uff61"


class Unknown(Exception):
    """A text of which the model cannot tell whether it is a pattern."""


class Pattern(NamedTuple):
    """A pattern; ``host`` has its wildcard as written, ``port`` may be "*"."""

    scheme: str
    host: str
    port: int | Literal["*"]

    @property
    def text(self) -> str:
        """The one way to write it."""
        if self == NULL:
            return "null"
        if self.port == "*":
            return f"{self.scheme}://{self.host}:*"
        return Tuple(self.scheme, self.host, self.port).text

    @property
    def is_anybodys(self) -> bool:
        """Whether strangers satisfy it at will."""
        return self in (NULL, ANY_EXTENSION)

    @property
    def is_wildcard(self) -> bool:
        return "*" in self.host or self.host.startswith(".")


NULL = Pattern("null", "", 0)
ANY_EXTENSION = Pattern("moz-extension", "*", 0)


def read_pattern(text: str) -> Pattern | None:
    """Read a pattern; None where it is refused. Raises Unknown."""
    if text == "null":
        return NULL
    if len(text) > LONGEST or text != text.strip() or any(c in text for c in ",; "):
        return None
    scheme, separator, rest = text.partition("://")
    scheme = lowered(scheme)
    if not separator or not is_scheme(scheme):
        return None
    rest = rest.removesuffix("/")
    if any(mark in rest for mark in "@?#/"):
        return None
    any_port = rest.endswith(":*")
    host, port = split_port(rest.removesuffix(":*"))
    if not host or port is None or (any_port and port):
        return None
    if "*" not in host and not host.startswith("."):
        host = plain_host(scheme, host)
    elif (scheme, host, port, any_port) == ("moz-extension", "*", 0, False):
        return ANY_EXTENSION
    else:
        host = wildcard_host(scheme, host)
    if host is None:
        return None
    return Pattern(
        scheme, host, "*" if any_port else port or DEFAULT_PORTS.get(scheme, 0)
    )


def plain_host(scheme: str, written: str) -> str | None:
    """Normalise a host without wildcard; None where it is none."""
    host = lowered(in_ascii(written))
    if host.startswith("["):
        return ipv6(host)
    return host if is_host(scheme, host) else None


def in_ascii(host: str) -> str:
    """Write a host in ASCII; raises Unknown."""
    if host.isascii():
        return host
    for dot in KNOWN_DOTS:
        host = host.replace(dot, ".")
    labels = [KNOWN_LABELS.get(label, label) for label in host.split(".")]
    if not all(label.isascii() for label in labels):
        raise Unknown
    return ".".join(labels)


def wildcard_host(scheme: str, host: str) -> str | None:
    """Normalise a host with one wildcard in its left-most label; None for anything else."""
    if scheme not in DEFAULT_PORTS:
        return None
    first, _, written = host.partition(".")
    if "*" in written or first.count("*") > 1 or not written:
        return None
    parent = plain_host(scheme, written)
    if parent is None or parent.startswith("["):
        return None
    if is_number(parent.removesuffix(".").split(".")[-1]):
        return None  # an address
    if first in ("*", ""):
        shared = is_shared(parent, with_private=True)
        return None if shared else f"{first}.{parent}"
    if not first.isascii():
        raise Unknown
    first = lowered(first)
    if not only(LABEL_LETTERS + "*", first) or len(first) > 63:
        return None
    return None if is_shared(parent, with_private=False) else f"{first}.{parent}"


def is_shared(name: str, *, with_private: bool) -> bool:
    """Whether strangers can have names below this one (publicsuffix.org)."""
    rules = suffix_rules(with_private=with_private)
    name = name.removesuffix(".")
    parent = name.partition(".")[2]
    return (
        name in rules
        or f"*.{name}" in rules
        or (f"*.{parent}" in rules and f"!{name}" not in rules)
    )


@cache
def suffix_rules(*, with_private: bool) -> frozenset[str]:
    """Return the lines of the list, in ASCII."""
    path = files("publicsuffixlist") / "public_suffix_list.dat"
    text = path.read_text(encoding="utf-8")
    if not with_private:
        text = text.partition("===END ICANN DOMAINS===")[0]
    lines = (line.strip() for line in text.splitlines())
    return frozenset(
        line if line.isascii() else line.encode("idna").decode()
        for line in lines
        if line and not line.startswith("//")
    )


def covers(pattern: Pattern, origin: Tuple) -> bool:
    """Whether a pattern covers an origin."""
    if pattern == ANY_EXTENSION:
        return (origin.scheme, origin.port) == ("moz-extension", 0) and is_uuid(
            origin.host
        )
    return (
        pattern != NULL
        and pattern.scheme == origin.scheme
        and pattern.port in ("*", origin.port)
        and covers_host(pattern.host.split("."), origin.host.split("."))
    )


def covers_host(pattern: list[str], host: list[str]) -> bool:
    """Whether the labels of a pattern cover the labels of a host."""
    first, rest = pattern[0], pattern[1:]
    if first == "*":
        return len(host) > len(rest) and host[len(host) - len(rest) :] == rest
    if first == "":
        return host == rest or covers_host(["*", *rest], host)
    if "*" in first:
        before, _, after = first.partition("*")
        return (
            host[1:] == rest
            and host[0].startswith(before)
            and host[0].endswith(after)
            and len(host[0]) > len(before) + len(after)
        )
    return host == pattern


def is_uuid(text: str) -> bool:
    """Whether a text is 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12."""
    groups = text.split("-")
    return [len(group) for group in groups] == [8, 4, 4, 4, 12] and only(
        "0123456789abcdef", "".join(groups)
    )
