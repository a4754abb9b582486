"""
Scopes: what servers pass on, as well as what they might.
"""

from __future__ import annotations

from typing import Any

from tests.fuzz import choices as chosen
from tests.fuzz.choices import Choices
from tests.fuzz.disagreement import agree
from tests.fuzz.model import tokens
from tests.fuzz.situations import octets
from wsorigin.handshake import Handshake, redacted

NAMES = (
    b"origin",
    b"origin",
    b"host",
    b"cookie",
    b"authorization",
    b"sec-websocket-protocol",
    b"sec-fetch-site",
    b"x-forwarded-host",
    b"Origin",
    b"",
    b"origin\xff",
)
SECRET = (b"cookie", b"authorization", b"sec-websocket-protocol")
SCHEMES = (None, "ws", "wss", "http", "https", "", "WSS")
VALUES = (
    b"null",
    b"",
    b"cross-site",
    b"a=b; sessionid=x",
    b"https://a.test",
    b"\xff\0",
)


def value(choices: Choices) -> bytes:
    """Choose a header's value."""
    match choices.number(4):
        case 0:
            return choices.octets(40)
        case 1:
            return octets(chosen.written(choices))
        case 2:
            return choices.octets(4) + octets(chosen.token(choices)) + choices.octets(4)
    return choices.pick(VALUES)


def text(choices: Choices) -> str:
    """Choose a path, or the name of a subprotocol."""
    kind = choices.number(6)
    if kind == 0:
        return choices.octets(30).decode("utf-8", "replace")
    if kind == 1:
        return f"/ws/{chosen.token(choices)}/"
    if kind == 2:
        return tokens.PREFIX + choices.bent(tokens.encoded(chosen.token(choices)))
    return choices.pick(("/ws/", "", "wsorigin.v1", "chat.v1"))


def scope_of(choices: Choices) -> dict[str, Any]:
    """Choose a scope: of each part there may be none, or None."""
    pairs = choices.some(lambda choices: (choices.pick(NAMES), value(choices)), 5)
    names = choices.some(text, 3)
    parts = {
        "headers": (pairs, tuple(pairs), [list(pair) for pair in pairs], None),
        "path": (text(choices), None),
        "scheme": SCHEMES,
        "subprotocols": (names, tuple(names), None),
    }
    scope: dict[str, Any] = {"type": "websocket"}
    for name, kinds in parts.items():
        if choices.number(8):
            scope[name] = choices.pick(kinds)
    return scope


def target(data: bytes) -> None:
    """Read a scope; nothing is lost of it, and nothing secret is kept."""
    scope = scope_of(Choices(data))
    seen = Handshake.from_scope(scope)
    headers = scope.get("headers") or ()
    values: dict[bytes, list[bytes]] = {}
    for name, one in headers:
        values.setdefault(name, []).append(one)
    origins = values.pop(b"origin", [])
    agree(scope, seen.headers.keys() - {b"origin"}, values.keys() - {*SECRET})
    for name in values.keys() - {*SECRET}:
        agree(scope, seen.headers[name], b",".join(values[name]))
    agree(scope, b"origin" in seen.headers, seen.origin is not None)
    sent = b",".join(origins).decode("latin-1") if origins else None
    check_redacted(sent, seen.origin)
    check_redacted(scope.get("path") or "", seen.path)
    agree(scope, seen.scheme, scope.get("scheme"))
    offered = scope.get("subprotocols") or ()
    ours = ("wsorigin.", tokens.PREFIX)
    kept = [name for name in offered if name[: len(ours[0])] != ours[0]]
    kept = [name for name in kept if name[: len(ours[1])] != ours[1]]
    agree(scope, list(seen.subprotocols), kept)
    agree(scope, seen.is_cross_site, values.get(b"sec-fetch-site") == [b"cross-site"])


def check_redacted(sent: str | None, shown: str | None) -> None:
    """Compare what a client sent with what is shown of it."""
    if sent is None or not tokens.shows_secret(sent):
        agree(sent, shown, sent)
        return
    agree(sent, tokens.shows_secret(shown or ""), False)
    agree(sent, redacted(shown or ""), shown)
    agree(sent, tokens.leaks(sent, shown or ""), [])
