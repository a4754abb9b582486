"""
Tokens in a handshake: which texts are some, where they stand, what may be shown of them.

The rows that they name are no concern of this.
"""

from __future__ import annotations

from functools import lru_cache
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import NamedTuple

from .origins import lowered, only

ALPHABET = digits + ascii_uppercase + ascii_lowercase
BASE64URL = ascii_uppercase + ascii_lowercase + digits + "-_"
KINDS = {"wsok_": "secret", "wsop_": "publishable", "wsot_": "ticket"}
MARKER = "wsorigin.v1"
PREFIX = "base64url.bearer.wsorigin."
# How the three prefixes begin in base64: their first four octets and half of the fifth.
ENCODED_PREFIXES = ("d3Nva1", "d3NvcF", "d3NvdF")


@lru_cache(maxsize=4096)
def checksum(text: str) -> str:
    """CRC-32 (ISO 3309), a bit at a time, as six digits to the base of 62."""
    register = 0xFFFFFFFF
    for octet in text.encode():
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    number = register ^ 0xFFFFFFFF
    return "".join(ALPHABET[number // 62**place % 62] for place in range(5, -1, -1))


def make(prefix: str, public_id: str, secret: str) -> str:
    """Write a token with the checksum that it needs."""
    text = prefix + public_id + secret
    return text + checksum(text)


def is_token(text: str) -> bool:
    """Whether a text is a token: prefix, 46 letters and digits, and they fit."""
    return (
        len(text) == 51
        and text[:5] in KINDS
        and only(ascii_letters + digits, text[5:])
        and checksum(text[:45]) == text[45:]
    )


@lru_cache(maxsize=4096)
def encoded(text: str) -> str:
    """Write a text of ASCII in base64url, without padding (RFC 4648, section 5)."""
    bits = "".join(f"{octet:08b}" for octet in text.encode())
    bits += "0" * (-len(bits) % 6)
    return "".join(BASE64URL[int(bits[i : i + 6], 2)] for i in range(0, len(bits), 6))


def decoded(text: str) -> str:
    """Read base64url of a length that four divides."""
    bits = "".join(f"{BASE64URL.index(letter):06b}" for letter in text)
    return "".join(chr(int(bits[i : i + 8], 2)) for i in range(0, len(bits), 8))


def run_of(letters: str, text: str, start: int) -> int:
    """Return how many characters from a place on are among these letters."""
    rest = text[start:]
    return len(rest) - len(rest.lstrip(letters))


def shows_token(text: str) -> bool:
    """Whether all of a token stands somewhere in a text, plain or encoded."""
    return any(
        (
            text[at : at + 5] in KINDS
            and run_of(ascii_letters + digits, text, at + 5) >= 46
        )
        or (
            text[at : at + 6] in ENCODED_PREFIXES
            and run_of(BASE64URL, text, at + 6) >= 62
        )
        for at in places(text)
    )


def shows_secret(text: str) -> bool:
    """Whether a text shows any of a token beyond what is public of it."""
    return any(
        (
            text[at : at + 5] in KINDS
            and run_of(ascii_letters + digits, text, at + 5) >= 9
        )
        or (
            text[at : at + 6] in ENCODED_PREFIXES
            and run_of(BASE64URL, text, at + 6) >= 20
        )
        for at in places(text)
    )


def leaks(sent: str, shown: str) -> list[str]:
    """Return the secrets of whole plain tokens in a text that still show after redaction."""
    secrets = [
        sent[at + 13 : at + 45]
        for at in places(sent)
        if sent[at : at + 5] in KINDS
        and run_of(ascii_letters + digits, sent, at + 5) >= 46
    ]
    # One that stands there without its token's beginning is a text like others.
    return [
        secret
        for secret in set(secrets)
        if shown.count(secret) > sent.count(secret) - secrets.count(secret)
    ]


def places(text: str) -> list[int]:
    """Return where a token may begin."""
    found = []
    for beginning in (*KINDS, *ENCODED_PREFIXES):
        at = text.find(beginning)
        while at >= 0:
            found.append(at)
            at = text.find(beginning, at + 1)
    return found


def percent_decoded(octets: bytes) -> str:
    """Undo percent-encoding once (RFC 3986, section 2.1), to one character an octet."""
    if b"%" not in octets:
        return octets.decode("latin-1")
    text, at = "", 0
    while at < len(octets):
        pair = octets[at + 1 : at + 3].decode("latin-1")
        escaped = octets[at] == 0x25 and len(pair) == 2 and only(HEXADECIMAL, pair)
        text += chr(int(pair, 16)) if escaped else chr(octets[at])
        at += 3 if escaped else 1
    return text


HEXADECIMAL = digits + "abcdefABCDEF"


class Credential(NamedTuple):
    """What a handshake brought: the text of a token, or what is wrong with it."""

    token: str = ""
    problem: str = ""


def bearers(authorization: str) -> list[str]:
    """Return what looks like tokens of ours in an Authorization header."""
    found = []
    for part in authorization.split(","):
        scheme, _, text = part.strip().partition(" ")
        if lowered(scheme) == "bearer" and text.strip()[:5] in KINDS:
            found.append(text.strip())
    return found


def offered_tokens(subprotocols: list[str]) -> list[str]:
    """Return the tokens among subprotocols, "" for what should be one and is not."""
    found = []
    for name in subprotocols:
        if name.strip().startswith(PREFIX):
            text = name.strip()[len(PREFIX) :]
            well_formed = len(text) == 68 and only(BASE64URL, text)
            found.append(decoded(text) if well_formed else "")
    return found


def find(
    *,
    path: str,
    query: bytes,
    authorization: str,
    subprotocols: list[str],
) -> Credential | None:
    """Say what a handshake brought, None for nothing."""
    if shows_token(path) or shows_token(percent_decoded(query)):
        return Credential(problem="token-in-url")
    found = {*bearers(authorization), *offered_tokens(subprotocols)}
    if not found:
        return None
    if len(found) > 1:
        return Credential(problem="token-conflict")
    (text,) = found
    return Credential(text) if is_token(text) else Credential(problem="token-malformed")
