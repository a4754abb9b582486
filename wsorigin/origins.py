"""
Origins, as browsers send them: parsing and serialising.

Strict, since a hostile page may stand behind every header. Nothing here knows Django,
and nothing decides; deciding is the policy's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


# 253 characters of host name (RFC 1035, section 2.3.4), and room for the longest
# scheme and port in use. Regular expressions rely on this bound.
MAX_LENGTH: Final = 300

DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}

# Possessive quantifiers (a + more): no part can end in what the next one begins with,
# so that going back is never worth it.
SCHEME = r"[a-z][a-z0-9+.-]*+"
# The characters that DNS names and browsers have in common, and the underscore,
# which browsers keep (RFC 1035 bounds a label at 63).
_LABEL = r"[a-z0-9_-]{1,63}+"
HOST = rf"{_LABEL}(?:\.{_LABEL})*+\.?"
PORT = r"[1-9][0-9]{0,4}"
_SERIALIZED = re.compile(rf"({SCHEME})://({HOST}|\[[0-9a-f:.]+\])(?::({PORT}))?")
# The WHATWG host parser reads a name whose last label is a number as an IPv4
# address, and serialises it as four decimal numbers.
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_NUMBERS_END = frozenset("0123456789.")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
IPV6_REMEDY: Final = "Write it as in '[2001:db8::1]'."


class InvalidOrigin(ValueError):
    """
    A text that is no origin, or no pattern of origins.

    ``value`` is the text, ``problem`` what is wrong with it (a clause such as
    ``"it has a path"``), ``remedy`` what to write instead, where that is known.
    """

    def __init__(self, value: object, problem: str = "", remedy: str = "") -> None:
        super().__init__(value, problem, remedy)
        self.value = value
        self.remedy = remedy
        self._problem = problem

    @property
    def problem(self) -> str:
        # Looked for when it is asked for: strangers cause these, and it takes a
        # dozen searches.
        return self._problem or _wire_problem(str(self.value))

    def __str__(self) -> str:
        shown = ascii(self.value)
        if len(shown) > 200:
            shown = shown[:200] + "…"
        return f"{shown} isn't a valid origin: {self.problem}"


@dataclass(frozen=True, slots=True)
class Origin:
    """
    A tuple origin: scheme, host, port (RFC 6454, section 4).

    ``port`` is None where it is the scheme's default, or where the scheme has
    none. IPv6 hosts keep their brackets. ``str()`` gives the ASCII serialisation.
    """

    scheme: str
    host: str
    port: int | None = None
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        port = "" if self.port is None else f":{self.port}"
        object.__setattr__(self, "text", f"{self.scheme}://{self.host}{port}")

    def __str__(self) -> str:
        return self.text

    @property
    def effective_port(self) -> int | None:
        """The port that a connection to this origin would use, if known."""
        return self.port or DEFAULT_PORTS.get(self.scheme)

    @classmethod
    def parse(cls, value: str) -> Origin:
        """
        Read a serialized origin, as a browser sends it (RFC 6454, section 6.2).

        Letter case and an explicit default port are normalised. User info, paths,
        percent signs, spaces, controls, leading zeros and non-ASCII characters are
        refused, never repaired.

        Raises InvalidOrigin, which says what was wrong.
        """
        return _parse_serialized(value)


def _parse_serialized(value: str) -> Origin:
    # isascii() first: lower() turns some non-ASCII letters (KELVIN SIGN) into
    # ASCII ones, and gorilla/websocket had exactly that bug.
    if len(value) > MAX_LENGTH:
        raise InvalidOrigin(value, f"it is longer than {MAX_LENGTH} characters")
    if not value.isascii():
        raise InvalidOrigin(value, "it has a character outside ASCII")
    match = _SERIALIZED.fullmatch(value.lower())
    if match is None:
        raise InvalidOrigin(value)
    scheme, host, digits = match.groups()
    if host[0] == "[":
        if host != canonical_ipv6(value, host):
            raise InvalidOrigin(value, "its IPv6 address isn't in canonical form")
    elif len(host) > 254 or (len(host) == 254 and host[-1] != "."):
        raise InvalidOrigin(value, "its host is longer than 253 characters")
    elif scheme in DEFAULT_PORTS:
        check_ipv4(value, host)
    if digits is None:
        return Origin(scheme, host)
    port = read_port(value, digits)
    return Origin(scheme, host, None if DEFAULT_PORTS.get(scheme) == port else port)


def is_loopback(host: str) -> bool:
    """
    Whether a host names this very machine (Secure Contexts, section 3.1).

    That is localhost, *.localhost, 127.0.0.1 and [::1].
    """
    return host in {"localhost", "127.0.0.1", "[::1]"} or host.endswith(".localhost")


def read_port(value: object, digits: str) -> int:
    """Read a port of at most five digits; raises InvalidOrigin above 65535."""
    port = int(digits)
    if port > 65535:
        raise InvalidOrigin(value, f"port {port} is above 65535", "Ports end there.")
    return port


def check_ipv4(value: object, host: str) -> None:
    """Raise InvalidOrigin where a host looks like an IPv4 address and is none."""
    if host[-1] not in _NUMBERS_END and "0x" not in host:
        return  # most names
    if _ENDS_IN_NUMBER.fullmatch(host) and not IPV4.fullmatch(host):
        raise InvalidOrigin(
            value,
            "its host ends in a number but isn't an IPv4 address",
            "Write four numbers from 0 to 255, without leading zeros.",
        )


def canonical_ipv6(value: object, host: str) -> str:
    """
    Serialise an IPv6 host as the WHATWG URL standard does (RFC 5952).

    Not ``str(IPv6Address)``, which since Python 3.13 writes IPv4-mapped addresses
    with dots, where browsers write them in hexadecimal.
    """
    try:
        if "%" in host:  # a zone means something on one machine only
            raise AddressValueError
        packed = IPv6Address(host[1:-1]).packed
    except AddressValueError as exc:
        raise InvalidOrigin(value, "its IPv6 address isn't one", IPV6_REMEDY) from exc
    groups = [f"{packed[i] << 8 | packed[i + 1]:x}" for i in range(0, 16, 2)]
    start, length = max(_zero_runs(groups), key=lambda run: run[1], default=(0, 0))
    if length < 2:
        return f"[{':'.join(groups)}]"
    head, tail = groups[:start], groups[start + length :]
    return f"[{':'.join(head)}::{':'.join(tail)}]"


def _zero_runs(groups: list[str]) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(groups):
        length = 0
        while start + length < len(groups) and groups[start + length] == "0":
            length += 1
        if length:
            yield start, length
        start += length + 1


def _wire_problem(value: str) -> str:
    """Say what keeps a header value from being a serialized origin."""
    if not value:
        return "it is empty"
    for pattern, problem in (
        (r"[\x00-\x20\x7f]", "it has a space or a control character"),
        (r"^(?!.*://)", "it has no scheme"),
        (r"@", "it has user info"),
        (r"%", "it has a percent sign"),
        (r"\\", "it has a backslash"),
        (r"://[^/]*\?", "it has a query"),
        (r"://[^/]*#", "it has a fragment"),
        (r"://.*/", "it has a path"),
        (r"://(:|$)", "it has no host"),
        (r"\.\.|://\.", "its host has an empty label"),
        (r":0[0-9]*$", "its port has a leading zero"),
        (r"(\]|://[^\[\]:]+):[^:]*$", "its port isn't one"),
    ):
        if re.search(pattern, value):
            return problem
    return "its host isn't one"
