"""
Hostile requests: what is wrong with them as HTTP, or as an upgrade to a WebSocket.
"""

from __future__ import annotations

from typing import Final

from wsorigin.policy import Reason

from .case import EVIL, FRAME, TOO_MUCH, Case, friendly, handshake, page

REQUEST_LINES: Final = [
    Case(
        "TLS to a plain port",
        "The first bytes of a TLS handshake, which are no request at all.",
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",),
    ),
    Case(
        "no version",
        "A request line as in HTTP/0.9, and headers after it all the same.",
        (handshake(request=b"GET /hostile/"),),
    ),
    Case(
        "HTTP/1.0",
        "RFC 6455 asks for HTTP/1.1 at least; some servers upgrade an HTTP/1.0 request.",
        (handshake(request=b"GET /hostile/ HTTP/1.0"),),
    ),
    Case(
        "HTTP/1.0, trusted",
        "The same from a trusted page: where this opens, it is no stranger who gets in.",
        (friendly(request=b"GET /friendly/ HTTP/1.0"),),
    ),
    Case(
        "HTTP/9.9",
        "A version that does not exist.",
        (handshake(request=b"GET /hostile/ HTTP/9.9"),),
    ),
    Case(
        "lower-case method",
        "Methods are case-sensitive; `get` is not `GET`.",
        (handshake(request=b"get /hostile/ HTTP/1.1"),),
    ),
    Case(
        "POST",
        "A handshake with the wrong method.",
        (handshake(request=b"POST /hostile/ HTTP/1.1", more=b"Content-Length: 0"),),
    ),
    Case(
        "CONNECT",
        "A handshake as if to a proxy.",
        (handshake(request=b"CONNECT app.example:443 HTTP/1.1"),),
    ),
    Case(
        "no path",
        "`OPTIONS *`, which has no path.",
        (handshake(request=b"OPTIONS * HTTP/1.1"),),
    ),
    Case(
        "absolute URI",
        "The whole URL in the request line, with the stranger's host in it.",
        (handshake(request=b"GET https://evil.example/hostile/ HTTP/1.1"),),
    ),
    Case(
        "absolute URI of a trusted site",
        "The request line says `app.example`, the Origin header a stranger.",
        (handshake(request=b"GET https://app.example/hostile/ HTTP/1.1"),),
    ),
    Case(
        "spaces and tabs",
        "A request line whose parts are separated by more than one space.",
        (handshake(request=b"GET  /hostile/\tHTTP/1.1"),),
    ),
    Case(
        "empty lines first",
        "Line ends before the request line, which HTTP lets servers skip.",
        (b"\r\n\r\n" + handshake(),),
    ),
    Case(
        "bare LF",
        "Lines that end in LF alone.",
        (handshake(end=b"\n"),),
    ),
    Case(
        "bare CR",
        "Lines that end in CR alone, so that the request never ends.",
        (handshake(end=b"\r"),),
    ),
    Case(
        "HTTP/2",
        "HTTP/2 with prior knowledge, and then nothing.",
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",),
    ),
    Case(
        "upgrade to HTTP/2",
        "An upgrade to h2c instead of a WebSocket, with the stranger's origin.",
        (
            handshake(
                upgrade=b"Upgrade: h2c",
                connection=b"Connection: Upgrade, HTTP2-Settings",
                more=b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
            ),
        ),
    ),
]

UPGRADES: Final = [
    Case(
        "no Upgrade",
        "As a proxy leaves it that drops the header: an ordinary request, "
        "which `StrippedUpgradeMiddleware` answers with 426.",
        (handshake(upgrade=None),),
    ),
    Case(
        "no Connection",
        "The other header that makes an upgrade.",
        (handshake(connection=None),),
    ),
    Case(
        "Connection: close",
        "Upgrade without the token in Connection.",
        (handshake(connection=b"Connection: close"),),
    ),
    Case(
        "Connection with more",
        "As Firefox sends it; whitespace and letter case as hostile as HTTP allows.",
        (handshake(connection=b"Connection: keep-alive ,\t,uPGRADE"),),
    ),
    Case(
        "several Upgrades",
        "A choice of protocols, with WebSocket the last.",
        (handshake(upgrade=b"Upgrade: h2c, foo/2, websocket"),),
    ),
    Case(
        "no key",
        "A trusted page's handshake without Sec-WebSocket-Key.",
        (friendly(key=None),),
    ),
    Case(
        "short key",
        "A key that is not 16 bytes.",
        (friendly(key=b"Sec-WebSocket-Key: AAAA"),),
    ),
    Case(
        "long key",
        "A key of 64 KiB.",
        (friendly(key=b"Sec-WebSocket-Key: " + b"A" * 65536),),
        timing=TOO_MUCH,
    ),
    Case(
        "broken key",
        "A key that is no Base64, outside ASCII.",
        (friendly(key=b"Sec-WebSocket-Key: \xff\xfe =*="),),
    ),
    Case(
        "two keys",
        "The header twice, with different values.",
        (
            friendly(
                more=b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            ),
        ),
    ),
    Case(
        "no version of the protocol",
        "A trusted page's handshake without Sec-WebSocket-Version.",
        (friendly(version=None),),
    ),
    Case(
        "old version of the protocol",
        "Version 8, before RFC 6455, where the origin had another header.",
        (
            handshake(
                version=b"Sec-WebSocket-Version: 8",
                origin=b"Sec-WebSocket-Origin: " + EVIL,
            ),
        ),
        Reason.MISSING,
    ),
    Case(
        "unknown version of the protocol",
        "A number that is none.",
        (friendly(version=b"Sec-WebSocket-Version: 1e1"),),
    ),
    Case(
        "two versions of the protocol",
        "The header twice, with different values.",
        (friendly(more=b"Sec-WebSocket-Version: 8"),),
    ),
    Case(
        "broken extension",
        "An offer of permessage-deflate with a parameter that it must not have.",
        (
            friendly(
                more=b"Sec-WebSocket-Extensions: "
                b"permessage-deflate; server_max_window_bits=99",
            ),
        ),
    ),
    Case(
        "extension that is no list",
        "Punctuation where extensions should be.",
        (friendly(more=b'Sec-WebSocket-Extensions: ;=,,"'),),
    ),
    Case(
        "a thousand extensions",
        "Far more offers than any server needs to read.",
        (friendly(more=b"Sec-WebSocket-Extensions: " + b", ".join([b"x"] * 1000)),),
    ),
]

FRAMING: Final = [
    Case(
        "handshake behind a page",
        "Two requests in one packet: a page that anybody may read, then a stranger.",
        (page() + handshake(),),
    ),
    Case(
        "page behind a handshake",
        "The same two, the stranger first.",
        (handshake() + page(),),
    ),
    Case(
        "handshake behind a handshake",
        "A trusted page's handshake, and a stranger's behind it: the second is data.",
        (friendly() + handshake(),),
    ),
    Case(
        "trusted handshake behind a stranger's",
        "The stranger first; what follows must not lend him its origin.",
        (handshake() + friendly(),),
    ),
    Case(
        "handshake as a body",
        "A stranger's handshake whose body looks like a trusted one.",
        (handshake(more=b"Content-Length: %d" % len(friendly())) + friendly(),),
    ),
    Case(
        "handshake in a page's body",
        "A page's request whose body looks like a stranger's handshake.",
        (page(b"Content-Length: %d" % len(handshake())) + handshake(),),
    ),
    Case(
        "two lengths",
        "Content-Length twice, with different values: where does the body end?",
        (page(b"Content-Length: 0", b"Content-Length: 9999") + handshake(),),
    ),
    Case(
        "length and chunks",
        "Content-Length and Transfer-Encoding, the classic of request smuggling.",
        (
            page(b"Content-Length: 4", b"Transfer-Encoding: chunked")
            + b"0\r\n\r\n"
            + handshake(),
        ),
    ),
    Case(
        "spoilt Transfer-Encoding",
        "A coding that one reader takes for chunked and another does not.",
        (page(b"Content-Length: 0", b"Transfer-Encoding: \x0bchunked") + handshake(),),
    ),
    Case(
        "negative length",
        "A body of less than nothing.",
        (page(b"Content-Length: -1") + handshake(),),
    ),
    Case(
        "endless length",
        "A length of 5,000 digits, more than Python converts.",
        (handshake(more=b"Content-Length: " + b"9" * 5000),),
        timing=TOO_MUCH,
    ),
    Case(
        "broken chunk",
        "A chunk whose size is no number.",
        (page(b"Transfer-Encoding: chunked") + b"zz\r\n" + handshake(),),
    ),
    Case(
        "Expect",
        "The client asks to be told to go on.",
        (handshake(more=b"Expect: 100-continue"),),
    ),
    Case(
        "frames at once",
        "WebSocket frames in the same packet as the handshake: a stranger's are "
        "never read by an application.",
        (handshake() + FRAME * 3,),
    ),
    Case(
        "frames at once, trusted",
        "The same from a trusted page, which may do so.",
        (friendly() + FRAME * 3,),
    ),
    Case(
        "broken frames at once",
        "A trusted page's handshake, and bytes that are no frames.",
        (friendly() + b"\xff" * 64,),
    ),
]
