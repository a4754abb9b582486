"""
Tokens as text: what a client holds, and where in a handshake it may stand.

Whether there is such a token, and what it is good for, only the database knows.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import secrets
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote

from .handshake import (
    CREDENTIAL_PREFIX,
    SUBPROTOCOL_HEADER,
    Scope,
    may_hold_token,
    redacted,
)
from .reasons import Reason

# 62 ** 32 secrets are 190 bits; ASVS 5.0 asks for 128 (11.5.1).
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PUBLIC_ID_LENGTH: Final = 8
_SECRET_LENGTH: Final = 32
_CHECKSUM_LENGTH: Final = 6

_TOKEN: Final = re.compile(r"(wso[kpt]_)([0-9A-Za-z]{8})[0-9A-Za-z]{32}[0-9A-Za-z]{6}")
_ENCODED: Final = re.compile(r"[0-9A-Za-z_-]{68}")
# A token, or one as it travels among the subprotocols: 51 octets make 68 characters.
_ANYWHERE: Final = re.compile(
    r"wso[kpt]_[0-9A-Za-z]{46}|d3Nv(?:a1|cF|dF)[0-9A-Za-z_-]{62}"
)
_ALGORITHM: Final = "sha256"


class TokenKind(StrEnum):
    """What a token is for; the prefix of its text says which."""

    SECRET = "secret"  # noqa: S105  # a kind, no password
    PUBLISHABLE = "publishable"
    TICKET = "ticket"

    @property
    def prefix(self) -> str:
        """How the text of such a token begins."""
        return _PREFIXES[self]


_PREFIXES: Final = {
    TokenKind.SECRET: "wsok_",
    TokenKind.PUBLISHABLE: "wsop_",
    TokenKind.TICKET: "wsot_",
}
_KINDS: Final = {prefix: kind for kind, prefix in _PREFIXES.items()}


class InvalidToken(ValueError):
    """A text that is no token. The message never repeats the text."""


@dataclass(frozen=True, slots=True)
class Secret:
    """
    The text of a token, as its client holds it; ``repr()`` does not show it.

    Kind prefix, 8-character public id, 32 random characters, and a CRC-32 of all
    before, in base62. The checksum tells typing errors and scanners' finds apart from
    tokens without asking a database; it protects nothing.
    """

    kind: TokenKind
    public_id: str
    text: str = field(repr=False)

    @classmethod
    def new(cls, kind: TokenKind, public_id: str = "") -> Secret:
        """Draw a secret from the system's CSPRNG, for a new public id by default."""
        public_id = public_id or _random(_PUBLIC_ID_LENGTH)
        text = f"{kind.prefix}{public_id}{_random(_SECRET_LENGTH)}"
        return cls(kind, public_id, text + _checksum(text))

    @classmethod
    def parse(cls, text: str) -> Secret:
        """Read the text of a token; raises InvalidToken for anything else."""
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise InvalidToken(
                "it isn't a token: wsok_, wsop_ or wsot_, then 46 letters and digits"
            )
        if _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
            raise InvalidToken("its checksum is wrong: it is cut, mistyped or made up")
        return cls(_KINDS[match[1]], match[2], text)

    @property
    def digest(self) -> str:
        """
        What is stored of it, with the name of the algorithm.

        A fast hash without salt is right for 190 random bits (ASVS 5.0, 6.5.2).
        """
        return f"{_ALGORITHM}:{hashlib.sha256(self.text.encode()).hexdigest()}"

    @property
    def subprotocol(self) -> str:
        """It as one of the subprotocols of a handshake; '=' would be illegal there."""
        encoded = urlsafe_b64encode(self.text.encode()).decode()
        return f"{CREDENTIAL_PREFIX}{encoded}"

    def seal(self, text: str) -> str:
        """
        Encrypt a short text so that only who holds this token can read it.

        The key stream is as long as the text and used once: `SHAKE256` of the token,
        of which the database has but another hash.
        """
        octets = text.encode()
        return bytes(
            one ^ other for one, other in zip(octets, self._pad(octets), strict=True)
        ).hex()

    def unseal(self, sealed: str) -> str:
        """Decrypt what `seal` made with this very token."""
        octets = bytes.fromhex(sealed)
        return bytes(
            one ^ other for one, other in zip(octets, self._pad(octets), strict=True)
        ).decode()

    def _pad(self, octets: bytes) -> bytes:
        material = f"wsorigin.seal:{self.text}".encode()
        return hashlib.shake_256(material).digest(len(octets))


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    number, digits = binascii.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


class Credential(NamedTuple):
    """
    The token that a handshake brought, or what is wrong with what it brought.

    One of both is None.
    """

    secret: Secret | None
    problem: Reason | None = None


def find_credential(scope: Scope, headers: Mapping[bytes, bytes]) -> Credential | None:
    """
    Read the token of a handshake; None where there is none. Never raises.

    It may stand in ``Authorization: Bearer`` (RFC 6750, section 2.1) or among the
    subprotocols, in both only where they agree. One in the URL is refused (section
    2.3 there, ASVS 5.0, 14.2.1), and taken out of this very scope: servers log it.
    ``headers`` are all that `read_headers` finds.
    """
    path, query = scope.get("path"), scope.get("query_string")
    # Most have no query, and of a path two look-ups tell that there is nothing.
    if (query and _ANYWHERE.search(unquote(query.decode("latin-1")))) or (
        path and may_hold_token(path) and _ANYWHERE.search(path)
    ):
        _redact_url(scope)
        return Credential(None, Reason.TOKEN_IN_URL)
    authorization = headers.get(b"authorization")
    offered, header = scope.get("subprotocols"), headers.get(SUBPROTOCOL_HEADER)
    if not (authorization or offered or header):
        return None
    found: set[str | None] = set()
    if authorization:
        found.update(_bearers(authorization.decode("latin-1")))
    if offered or header:
        names = (header or b"").decode("latin-1").split(",")
        found.update(_among(*(offered or ()), *names))
    if not found:
        return None
    if len(found) > 1:
        return Credential(None, Reason.TOKEN_CONFLICT)
    try:
        return Credential(Secret.parse(found.pop() or ""))
    except InvalidToken:
        return Credential(None, Reason.TOKEN_MALFORMED)


def is_ours(authorization: bytes) -> bool:
    """Whether there is a token of ours in the value of an Authorization header."""
    return any(_bearers(authorization.decode("latin-1")))


def _bearers(value: str) -> Iterator[str]:
    # Daphne joins repeated headers with a comma. What doesn't look like ours is the
    # application's: it may well have bearer tokens of its own.
    for part in value.split(","):
        scheme, _, text = part.strip().partition(" ")
        if scheme.lower() == "bearer" and text.strip().startswith(tuple(_KINDS)):
            yield text.strip()


def _among(*names: str) -> Iterator[str | None]:
    """Yield the tokens among subprotocols, None for what should be one and isn't."""
    for name in map(str.strip, names):
        if name.startswith(CREDENTIAL_PREFIX):
            encoded = name.removeprefix(CREDENTIAL_PREFIX)
            is_encoded = _ENCODED.fullmatch(encoded)
            yield urlsafe_b64decode(encoded).decode("latin-1") if is_encoded else None


def _redact_url(scope: Scope) -> None:
    for name in ("query_string", "raw_path"):
        octets = scope.get(name)
        if octets:
            text = octets.decode("latin-1")
            plain = unquote(text)
            # As it was sent, if all of it shows there: where the denial is but
            # reported, the application still reads parameters of its own.
            if unquote(redacted(text)) != redacted(plain):
                text = plain
            scope[name] = redacted(text).encode("latin-1", "replace")
    if scope.get("path"):
        scope["path"] = redacted(scope["path"])
