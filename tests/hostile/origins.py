"""
Hostile origins: the Origin header written in every wrong way, and values of others.
"""

from __future__ import annotations

from typing import Final

from wsorigin.policy import Reason

from .case import APP, EVIL, Case, friendly, handshake, lines, origins


def origin(name: str, tries: str, value: bytes, reason: Reason) -> Case:
    """Return a case that is a handshake with one value of Origin."""
    return Case(name, tries, (origins(value),), reason)


LINES: Final = [
    Case(
        "trusted, then stranger",
        "Two Origin headers: which one counts?",
        (origins(APP, EVIL),),
        Reason.MULTIPLE,
    ),
    Case(
        "stranger, then trusted",
        "The same in the other order.",
        (origins(EVIL, APP),),
        Reason.MULTIPLE,
    ),
    Case(
        "trusted twice",
        "No browser repeats the header, so not even the same value twice will do.",
        (origins(APP, APP),),
        Reason.MULTIPLE,
    ),
    Case(
        "a hundred times",
        "One trusted origin after ninety-nine strangers.",
        (origins(*[EVIL] * 99, APP),),
        Reason.MULTIPLE,
    ),
    origin("comma", "Two origins in one header.", APP + b", " + EVIL, Reason.MULTIPLE),
    Case(
        "folded line",
        "A header continued on the next line, which HTTP/1.1 has given up.",
        (origins(EVIL + b"\r\n " + APP),),
        Reason.MALFORMED,
    ),
    Case(
        "folded before the value",
        "The value itself on the continued line.",
        (handshake(origin=b"Origin:\r\n\t" + EVIL),),
    ),
    Case(
        "CR inside",
        "A bare CR that one reader takes for a line end and another does not.",
        (origins(EVIL + b"\rOrigin: " + APP),),
        Reason.MALFORMED,
    ),
    Case(
        "LF inside",
        "A bare LF: whoever takes it for a line end sees a second header.",
        (origins(EVIL + b"\nOrigin: " + APP),),
        Reason.MULTIPLE,
    ),
    Case(
        "CR CR LF",
        "A line end too much, inside the headers.",
        (origins(EVIL + b"\r\r\nOrigin: " + APP),),
        Reason.MULTIPLE,
    ),
    Case(
        "vertical tab",
        "The smuggled header of CVE-2026-44546, at which Daphne once split lines.",
        (origins(EVIL + b"\x0bOrigin: " + APP),),
        Reason.MALFORMED,
    ),
    Case(
        "next line",
        "The same with the byte 0x85, a line end to Python's `str.splitlines()`.",
        (origins(EVIL + b"\x85Origin: " + APP),),
        Reason.MALFORMED,
    ),
    origin(
        "NUL", "A NUL byte behind a trusted origin.", APP + b"\x00", Reason.MALFORMED
    ),
    origin("control", "A control character.", APP + b"\x01" + EVIL, Reason.MALFORMED),
    origin("delete", "The byte 0x7f.", APP + b"\x7f", Reason.MALFORMED),
    origin(
        "space inside", "Two origins in a row.", APP + b" " + EVIL, Reason.MALFORMED
    ),
    origin("tab inside", "The same with a tab.", APP + b"\t" + EVIL, Reason.MALFORMED),
    Case(
        "white space around",
        "Spaces and tabs around a value are no part of it (RFC 9110): a trusted page.",
        (friendly(origin=b"Origin: \t " + APP + b" \t "),),
    ),
    Case(
        "no-break space around",
        "Not HTTP's white space but Unicode's, which Daphne takes off like the other.",
        (friendly(origin=b"Origin: \xa0" + APP),),
        Reason.MALFORMED,
    ),
    origin("empty", "The header without a value.", b"", Reason.MALFORMED),
    Case(
        "missing",
        "No Origin header at all, as from a program.",
        (handshake(origin=None),),
        Reason.MISSING,
    ),
    Case(
        "space before the colon",
        "`Origin :` is another name, or a broken one, never Origin.",
        (handshake(origin=b"Origin : " + APP),),
        Reason.MISSING,
    ),
    Case(
        "underscore",
        "`Origin_` and `_Origin`, which CGI once made equal to others.",
        (handshake(origin=lines(b"Origin_: " + APP, b"_Origin: " + APP)),),
        Reason.MISSING,
    ),
    Case(
        "other names",
        "Headers that once meant the origin, or nearly do.",
        (
            handshake(
                more=lines(
                    b"Sec-WebSocket-Origin: " + APP,
                    b"X-Origin: " + APP,
                    b"Referer: " + APP + b"/",
                )
            ),
        ),
    ),
    Case(
        "letter case of the name",
        "`oRIGIN` is Origin.",
        (handshake(origin=b"oRIGIN: " + EVIL),),
    ),
    Case(
        "letter case of two names",
        "`ORIGIN` with a trusted one and `origin` with a stranger are one header.",
        (handshake(origin=lines(b"ORIGIN: " + APP, b"origin: " + EVIL)),),
        Reason.MULTIPLE,
    ),
    Case(
        "no colon",
        "A header line that is none.",
        (handshake(more=b"Origin https://app.example"),),
    ),
    Case(
        "name outside ASCII",
        "A header's name with bytes that no token may have.",
        (handshake(more=b"\xd6rigin: " + APP),),
    ),
    Case(
        "no name",
        "A line that begins with the colon.",
        (handshake(more=b": " + APP),),
    ),
]

VALUES: Final = [
    origin(
        "suffix",
        "A trusted origin as the beginning of the stranger's host.",
        APP + b".evil.example",
        Reason.UNLISTED,
    ),
    origin(
        "prefix",
        "A trusted host as the end of the stranger's.",
        b"https://evilapp.example",
        Reason.UNLISTED,
    ),
    origin(
        "beside a wildcard",
        "`https://*.apps.example` is trusted, and this only ends like it.",
        b"https://evilapps.example",
        Reason.UNLISTED,
    ),
    origin(
        "trailing dot",
        "The root of DNS, and another origin.",
        APP + b".",
        Reason.UNLISTED,
    ),
    origin(
        "other port",
        "Another origin on the same host.",
        APP + b":8443",
        Reason.UNLISTED,
    ),
    origin(
        "other scheme",
        "The trusted host over plain HTTP, where the network writes the page.",
        b"http://app.example",
        Reason.UNLISTED,
    ),
    origin(
        "user info",
        "The trusted host before an `@`, where browsers have a user's name.",
        APP + b"@evil.example",
        Reason.MALFORMED,
    ),
    origin(
        "backslash",
        "Some parsers take it for a slash.",
        EVIL + b"\\@app.example",
        Reason.MALFORMED,
    ),
    origin("path", "An origin has none.", APP + b"/", Reason.MALFORMED),
    origin(
        "percent",
        "A dot in percent-encoding.",
        b"https://app%2eexample",
        Reason.MALFORMED,
    ),
    origin(
        "homograph",
        "The Cyrillic letter that looks like an `a`, in UTF-8.",
        "https://\N{CYRILLIC SMALL LETTER A}pp.example".encode(),
        Reason.MALFORMED,
    ),
    origin(
        "homograph in Punycode",
        "The same as a browser sends it: the name of another host.",
        b"https://xn--pp-7kc.example",
        Reason.UNLISTED,
    ),
    origin(
        "full width",
        "Letters that IDNA would map onto those of a trusted host.",
        "https://\N{FULLWIDTH LATIN SMALL LETTER A}pp.example".encode(),
        Reason.MALFORMED,
    ),
    origin(
        "overlong UTF-8",
        "A slash in two bytes, which is no UTF-8.",
        b"https:\xc0\xaf\xc0\xafapp.example",
        Reason.MALFORMED,
    ),
    origin("null", "What sandboxed frames and files send.", b"null", Reason.OPAQUE),
    origin("asterisk", "A pattern instead of an origin.", b"*", Reason.MALFORMED),
    Case(
        "letter case and default port",
        "Another spelling of a trusted origin, which is forgiven.",
        (friendly(origin=b"Origin: HTTPS://App.Example:443"),),
    ),
    Case(
        "trusted without credentials",
        "CORS trusts it without credentials: it opens a socket, and its cookies are gone.",
        (friendly(origin=b"Origin: https://cors.example"),),
    ),
]
