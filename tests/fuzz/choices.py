"""
From octets to something worth trying: nearly right, as a rule.

A fuzzer changes octets without knowing what they mean. Read as choices, most of them lead
past the first check, to where the mistakes are; what each target makes of the choices is
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from .model import tokens

T = TypeVar("T")

NAMES = (
    "a.test",
    "b.test",
    "app.example",
    "example",
    "localhost",
    "co.uk",
    "yours.co.uk",
    "github.io",
    "kawasaki.jp",
    "city.kawasaki.jp",
    "vercel.app",
    "com",
    "127.0.0.1",
    "1.2.3.4",
    "1.2.3",
    "0x7f.1",
    "256.1.1.1",
    "a.0x",
    "1e3",
    "[::1]",
    "[2001:db8::1]",
    "[2001:DB8:0::1]",
    "[::ffff:1.2.3.4]",
    "[1:0:0:2:0:0:0:3]",
    "[1:2:3:4:5:6:7::]",
    "[::1%25eth0]",
    "bücher",
    "例え.テスト",
    "faß.example",
    "\uff41pp.test",
    "\N{KELVIN SIGN}.test",
    "a。test",
    "a_b.test",
    "xn--bcher-kva.test",
    "a" * 63,
    "a" * 64,
    f"{'a' * 61}." * 4 + "a.test",
    "3c078156-979c-498b-8990-85f7987dd929",
    "3C078156-979c-498b-8990-85f7987dd929",
)
LABELS = ("a", "b", "app", "www", "x-", "-x", "1", "0", "*", "", "_", "xn--", "aa")
SCHEMES = (
    "https",
    "http",
    "HTTPS",
    "wss",
    "ws",
    "moz-extension",
    "chrome-extension",
    "capacitor",
    "file",
    "*",
    "h+t.t-p",
    "1http",
    "",
    "d3Nva1" + "A" * 20,
)
PORTS = (
    "",
    ":443",
    ":80",
    ":8443",
    ":*",
    ":0",
    ":",
    ":080",
    ":65535",
    ":65536",
    ":99999",
    ":+80",
    ":8a",
    ":1:2",
)
TAILS = (
    "",
    "/",
    "//",
    "/path",
    "?",
    "?q",
    "#",
    ",",
    ", null",
    " ",
    "\t",
    "\0",
    "\\",
    "%2e",
)
PIECES = (
    ".",
    "..",
    "*",
    "*.",
    "-",
    ":",
    "://",
    "/",
    "@",
    "[",
    "]",
    "%",
    "\\",
    "\n",
    "\x85",
    "\xa0",
    "\xe9",
    ",",
    "null",
    "0",
    "x",
    "A",
    "evil.example",
    "wsok_",
)


class Choices:
    """Choices out of octets; where these end, everything is the first there is."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def octet(self) -> int:
        """Take one octet."""
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0

    def number(self, below: int) -> int:
        """Choose a number from zero, 256 of them at most."""
        return self.octet() % below

    def flag(self) -> bool:
        """Choose between no and yes."""
        return self.octet() % 2 == 1

    def rarely(self) -> bool:
        """Choose between no and yes, which comes once in sixteen times."""
        return self.octet() % 16 == 15

    def pick(self, things: Sequence[T]) -> T:
        """Choose one of these."""
        return things[self.octet() % len(things)]

    def some(self, make: Callable[[Choices], T], most: int) -> list[T]:
        """Make none of something, or several."""
        return [make(self) for _ in range(self.number(most + 1))]

    def octets(self, most: int) -> bytes:
        """Take up to so many octets as they are."""
        start = self._at + 1
        length = self.number(most + 1)
        self._at = start + length
        return self._data[start : start + length]

    def rest(self) -> bytes:
        """Take all that is left."""
        start, self._at = self._at, len(self._data)
        return self._data[start:]

    def bent(self, text: str) -> str:
        """Return a text, as a rule unchanged, else changed in one place or two."""
        for _ in range((0, 0, 0, 0, 0, 1, 1, 2)[self.number(8)]):
            at = self.number(len(text) + 1)
            match self.number(6):
                case 0:
                    text = text[:at] + self.pick(PIECES) + text[at:]
                case 1:
                    text = text[:at] + text[at + 1 :]
                case 2:
                    text = text[:at] + self.pick(PIECES) + text[at + 1 :]
                case 3:
                    text = text[:at] + chr(self.octet()) + text[at:]
                case 4:
                    text = text[:at] + text[at : at + 1].swapcase() + text[at + 1 :]
                case _:
                    text = text[:at] + text[: self.number(80)] + text[at:]
        return text


def host(choices: Choices) -> str:
    """Choose a host: a name, as a rule with labels before it."""
    labels = [choices.pick(LABELS) for _ in range(choices.number(3))]
    names = NAMES if choices.flag() else NAMES[:5]
    return ".".join([*labels, choices.pick(names)])


def written(choices: Choices) -> str:
    """Choose what looks like an origin, or like a pattern of some."""
    shape = choices.number(16)
    if shape == 15:
        return choices.rest().decode("latin-1")
    if shape == 14:
        return choices.bent(
            choices.pick(("null", "", "*", "moz-extension://*", "NULL"))
        )
    scheme = choices.pick(SCHEMES if shape < 4 else SCHEMES[:4])
    port = choices.pick(PORTS if shape < 6 else PORTS[:5])
    tail = choices.pick(TAILS) if shape < 3 else ""
    return choices.bent(f"{scheme}://{host(choices)}{port}{tail}")


TOKENS = tuple(
    tokens.make(prefix, public_id, secret)
    for prefix in tokens.KINDS
    for public_id in ("AAAAAAAA", "zzzzzzz9")
    for secret in (tokens.ALPHABET[:32], tokens.ALPHABET[30:])
)


def token(choices: Choices) -> str:
    """Choose a token, as a rule a good one."""
    return choices.bent(choices.pick(TOKENS))
