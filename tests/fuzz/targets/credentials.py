"""
Tokens as text, and where in a handshake they stand.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.fuzz import choices as chosen
from tests.fuzz.choices import Choices
from tests.fuzz.disagreement import agree
from tests.fuzz.model import tokens
from wsorigin.credentials import (
    Credential,
    InvalidToken,
    Secret,
    TokenKind,
    find_credential,
    is_ours,
)
from wsorigin.handshake import SECRET_HEADERS, read_headers

SCHEMES = ("Bearer ", "bearer  ", "BEARER ", "Bearer", "Basic ", "Token ", "")
NAMES = ("wsorigin.v1", "chat.v1", "base64url.bearer.other.x", "wsorigin.preflight", "")
SEPARATORS = (",", ", ", " ,", ",,", " ")
PARAMETERS = ("token=", "a=b&t=", "", "%", "d3Nv", "wsok_", "a=%zz&")


def authorization(choices: Choices) -> str:
    """Choose an Authorization header, or several that were joined."""
    parts = [
        choices.pick(SCHEMES) + chosen.token(choices)
        for _ in range(1 + choices.number(8) // 7)
    ]
    return choices.bent(choices.pick(SEPARATORS).join(parts))


def offered(choices: Choices) -> list[str]:
    """Choose what a client offers for subprotocols."""
    return [
        tokens.PREFIX + choices.bent(tokens.encoded(chosen.token(choices)))
        if choices.flag()
        else choices.pick(NAMES)
        for _ in range(1 + choices.number(3))
    ]


def in_url(choices: Choices) -> str:
    """Choose a part of a URL that may have a token in it."""
    token = chosen.token(choices)
    shapes = (token, tokens.encoded(token), quote(token), token.replace("_", "%5f"))
    return choices.bent(choices.pick(PARAMETERS) + choices.pick(shapes))


def scope_of(choices: Choices) -> dict[str, Any]:
    """Choose a scope, as a rule with a token in one place."""
    kind = choices.octet()
    headers: list[tuple[bytes, bytes]] = []
    scope: dict[str, Any] = {"path": "/ws/", "query_string": b"", "headers": headers}
    if kind & 1:
        headers.append((b"authorization", octets(authorization(choices))))
    if kind & 2:
        names = offered(choices)
        separator = choices.pick(SEPARATORS)
        if kind & 4:
            scope["subprotocols"] = names
        if kind & 8 or not kind & 4:
            headers.append((b"sec-websocket-protocol", octets(separator.join(names))))
    if kind & 0x30 == 0x30:
        scope["query_string"] = octets(in_url(choices))
    if kind & 0xC0 == 0xC0:
        scope["raw_path"] = octets(f"/ws/{in_url(choices)}/")
        scope["path"] = tokens.percent_decoded(scope["raw_path"])
    if choices.rarely() and headers:
        headers.append(choices.pick(headers))
    return scope


def octets(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def target(data: bytes) -> None:
    """Read a token; find one in a scope."""
    choices = Choices(data)
    read(chosen.token(choices), choices)
    find(scope_of(choices))


def read(text: str, choices: Choices) -> None:
    """Read a text as a token, and seal something with it."""
    try:
        secret = Secret.parse(text)
    except InvalidToken as exc:
        agree(text, tokens.is_token(text), False)
        agree(text, not text or text not in str(exc), True)
        return
    agree(text, tokens.is_token(text), True)
    agree(text, secret.kind, TokenKind(tokens.KINDS[text[:5]]))
    agree(text, (secret.text, secret.public_id), (text, text[5:13]))
    agree(text, secret.subprotocol, tokens.PREFIX + tokens.encoded(text))
    agree(text, text[13:] in repr(secret), False)
    note = choices.octets(40).decode("utf-8", "replace")
    sealed = secret.seal(note)
    agree(text, secret.unseal(sealed), note)
    agree(text, len(note) > 8 and note.encode().hex() == sealed, False)


def find(scope: dict[str, Any]) -> None:
    """Find the token of a handshake, and see it gone from the URL."""
    before = {**scope, "headers": list(scope["headers"])}
    headers = read_headers(scope, SECRET_HEADERS)
    found = find_credential(scope, headers)
    values = [value.decode("latin-1") for name, value in scope["headers"]]
    names = [name for name, _ in scope["headers"]]
    by_name = {
        name: ",".join(
            value for key, value in zip(names, values, strict=True) if key == name
        )
        for name in names
    }
    sent = by_name.get(b"authorization", "")
    header = by_name.get(b"sec-websocket-protocol", "")
    modelled = tokens.find(
        path=before["path"],
        query=before["query_string"],
        authorization=sent,
        subprotocols=[*scope.get("subprotocols", ()), *header.split(",")],
    )
    agree(before, said_of(found), modelled)
    agree(before, is_ours(octets(sent)), bool(tokens.bearers(sent)))
    agree(before, scope["headers"], before["headers"])
    if modelled and modelled.problem == "token-in-url":
        check_url(scope, before)
    else:
        agree(before, scope, before)


def said_of(found: Credential | None) -> tokens.Credential | None:
    """Return what was found as the model puts it."""
    if found is None:
        return None
    agree(found, (found.secret is None) != (found.problem is None), True)
    return tokens.Credential(
        found.secret.text if found.secret else "", found.problem or ""
    )


def check_url(scope: dict[str, Any], before: dict[str, Any]) -> None:
    """See that no token is left in a URL, plain or encoded."""
    for name in ("path", "raw_path", "query_string"):
        was, left = plain(before.get(name, "")), plain(scope.get(name, ""))
        agree(before, tokens.shows_token(left), False)
        agree(before, tokens.leaks(was, left), [])


def plain(part: str | bytes) -> str:
    """Return a part of a URL without percent-encoding; servers have decoded the path."""
    return part if isinstance(part, str) else tokens.percent_decoded(part)
