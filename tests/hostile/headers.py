"""
Hostile headers beside Origin: all that might speak for a stranger, or break a reader.
"""

from __future__ import annotations

from typing import Final

from tests.servers.settings import TOKEN
from wsorigin.credentials import Secret
from wsorigin.handshake import MARKER, PREFLIGHT
from wsorigin.policy import Reason

from .case import TOO_MUCH, Case, friendly, handshake, lines

CREDENTIAL: Final = TOKEN.subprotocol.encode()
OTHER: Final = Secret.new(TOKEN.kind).subprotocol.encode()
BEARER: Final = b"Authorization: Bearer " + TOKEN.text.encode()
OFFER: Final = b"Sec-WebSocket-Protocol: " + MARKER.encode() + b", "

OTHERS: Final = [
    Case(
        "the stranger's own host",
        "Host and Origin agree, as after DNS rebinding; `ALLOWED_HOSTS` does not know it.",
        (handshake(host=b"Host: evil.example"),),
        Reason.HOST_NOT_ALLOWED,
    ),
    Case("no Host", "HTTP/1.1 demands one.", (handshake(host=None),)),
    Case(
        "two Hosts",
        "The site's, then the stranger's.",
        (handshake(host=lines(b"Host: site.example", b"Host: evil.example")),),
    ),
    Case(
        "Host with user info",
        "The site's name before an `@`.",
        (handshake(host=b"Host: site.example@evil.example"),),
    ),
    Case(
        "Host with a broken port",
        "A port that is no number.",
        (handshake(host=b"Host: site.example:443:80"),),
    ),
    Case(
        "Host outside ASCII",
        "Bytes that no name has.",
        (handshake(host=b"Host: \xff\xc0\xaf[::1"),),
    ),
    Case(
        "forwarded headers",
        "Whatever a proxy would write to say that this is the stranger's site.",
        (
            handshake(
                more=lines(
                    b"X-Forwarded-Host: evil.example",
                    b"X-Forwarded-Proto: https",
                    b"X-Forwarded-Port: 443",
                    b"Forwarded: host=evil.example;proto=https",
                    b"X-Original-URL: /friendly/",
                    b"X-HTTP-Method-Override: OPTIONS",
                )
            ),
        ),
    ),
    Case(
        "Sec-Fetch-Site: same-origin",
        "A program may write it; no page can. It opens nothing.",
        (handshake(more=b"Sec-Fetch-Site: same-origin"),),
    ),
    Case(
        "rewritten origin",
        "The site's own origin, while the browser says that another site asks.",
        (
            handshake(
                origin=b"Origin: https://site.example",
                more=b"Sec-Fetch-Site: cross-site",
            ),
        ),
        Reason.ORIGIN_REWRITTEN,
    ),
    Case(
        "Sec-Fetch-Site twice",
        "Both answers at once.",
        (
            handshake(
                more=lines(
                    b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Site: same-origin"
                )
            ),
        ),
    ),
    Case(
        "broken cookies",
        "Two Cookie headers without any order, outside ASCII, from a trusted page.",
        (
            friendly(
                cookie=lines(
                    b"Cookie: sessionid=\xff\xfe; =; ;;sessionid",
                    b'Cookie: "sessionid="\\; sessionid=.:.:.',
                )
            ),
        ),
    ),
    Case(
        "a stranger's token",
        "A valid token for any origin does not vouch for a wrong one.",
        (handshake(more=OFFER + CREDENTIAL),),
    ),
    Case(
        "a token four times",
        "The same token twice in both places: they agree, so it counts, and the cookies do not.",
        (friendly(more=lines(BEARER, BEARER, OFFER + CREDENTIAL, OFFER + CREDENTIAL)),),
    ),
    Case(
        "two tokens",
        "Different ones in Authorization and among the subprotocols.",
        (friendly(more=lines(BEARER, OFFER + OTHER)),),
        Reason.TOKEN_CONFLICT,
    ),
    Case(
        "broken token",
        "A credential that is cut short.",
        (friendly(more=OFFER + CREDENTIAL[:-9]),),
        Reason.TOKEN_MALFORMED,
    ),
    Case(
        "broken Authorization",
        "Bytes outside ASCII, and no scheme.",
        (handshake(more=b"Authorization: \xff\x80 Bearer"),),
    ),
    Case(
        "eight thousand subprotocols",
        "A list of 40 KB.",
        (
            handshake(
                more=b"Sec-WebSocket-Protocol: "
                + b",".join(b"%d" % number for number in range(8000))
            ),
        ),
        timing=TOO_MUCH,
    ),
    Case(
        "broken subprotocols",
        "Names that are none, the same one twice, and empty ones.",
        (handshake(more=b'Sec-WebSocket-Protocol: a,,a, "b c",\xff'),),
    ),
    Case(
        "preflight by a stranger",
        "The question whether it would be allowed, of which no application hears.",
        (handshake(more=b"Sec-WebSocket-Protocol: " + PREFLIGHT.encode()),),
    ),
]
