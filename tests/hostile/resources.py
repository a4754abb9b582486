"""
Hostile amounts, paces and paths: too much, too slowly, gone too early, the wrong place.
"""

from __future__ import annotations

from typing import Final

from wsorigin.policy import Reason

from .case import (
    EVIL,
    FRAME,
    TOO_MUCH,
    Act,
    Case,
    Slowly,
    friendly,
    handshake,
    lines,
    origins,
)

SIZES: Final = [
    Case(
        "Origin of 8 KB",
        "More than any host may have, and less than most servers read.",
        (origins(b"https://" + b"a." * 4000 + b"example"),),
        Reason.MALFORMED,
    ),
    Case(
        "Origin of 64 KB",
        "More than most servers read.",
        (origins(b"https://" + b"a" * 65536),),
        Reason.MALFORMED,
        timing=TOO_MUCH,
    ),
    Case(
        "header of 1 MB",
        "Far more than any server should read.",
        (handshake(more=b"X-Filler: " + b"x" * 1_000_000),),
        timing=TOO_MUCH,
    ),
    Case(
        "cookies of 64 KB",
        "From a trusted page whose site has lost count.",
        (friendly(cookie=b"Cookie: a=" + b"x" * 65536),),
        timing=TOO_MUCH,
    ),
    Case(
        "five thousand headers",
        "Short ones.",
        (handshake(more=lines(*(b"X-%d: x" % number for number in range(5000)))),),
        timing=TOO_MUCH,
    ),
    Case(
        "path of 64 KB",
        "A request line that is too long.",
        (handshake(request=b"GET /hostile/" + b"a" * 65536 + b" HTTP/1.1"),),
        timing=TOO_MUCH,
    ),
]

PACES: Final = [
    Case(
        "nothing",
        "The connection alone.",
        (b"",),
    ),
    Case(
        "byte by byte, then silence",
        "Half a handshake, a byte at a time, and no more.",
        (Slowly(handshake()[:120]),),
    ),
    Case(
        "byte by byte",
        "A whole handshake of a stranger's, a byte at a time.",
        (Slowly(handshake()),),
    ),
    Case(
        "byte by byte, trusted",
        "The same from a trusted page.",
        (Slowly(friendly()),),
    ),
    Case(
        "half a handshake, half closed",
        "The client says that nothing more comes, and waits.",
        (handshake()[:120], Act.HALF_CLOSE),
    ),
    Case(
        "half closed",
        "A whole handshake, and nothing more to send; the answer would arrive.",
        (handshake(), Act.HALF_CLOSE),
        timing=("server: closed", "server: closed (denied)", "403 unlisted"),
    ),
    Case(
        "half closed, trusted",
        "The same from a trusted page.",
        (friendly(), Act.HALF_CLOSE),
        timing=("101", "server: closed", "server: closed (ran)"),
    ),
    Case(
        "half closed at once",
        "Nothing but the end.",
        (Act.HALF_CLOSE,),
    ),
    Case(
        "reset",
        "A whole handshake, and the connection dropped before the answer.",
        (handshake(), Act.RESET),
    ),
    Case(
        "reset, trusted",
        "The same from a trusted page: the application may run, for nobody.",
        (friendly(), Act.RESET),
    ),
    Case(
        "reset in the middle",
        "Half a handshake, and the connection dropped.",
        (handshake()[:120], Act.RESET),
    ),
    Case(
        "frames after the denial",
        "The stranger goes on as if it had been let in.",
        (handshake(), Act.LISTEN, FRAME * 3),
    ),
    Case(
        "again after the denial",
        "Another handshake of the stranger's on the same connection.",
        (handshake(), Act.LISTEN, handshake()),
    ),
    Case(
        "trusted after the denial",
        "A trusted page's handshake on the connection that was denied, as behind a "
        "proxy that keeps connections open.",
        (handshake(), Act.LISTEN, friendly()),
    ),
]


def target(name: str, tries: str, value: bytes) -> Case:
    """Return a case that is a stranger's handshake for a path."""
    return Case(name, tries, (handshake(request=b"GET " + value + b" HTTP/1.1"),))


PATHS: Final = [
    target("two slashes", "A path that looks like a host.", b"//app.example/hostile/"),
    target("dots", "Steps up, plain.", b"/friend/../hostile/../../"),
    target("encoded dots", "Steps up, encoded.", b"/hostile/%2e%2e/%2e%2e%2ffriend/"),
    target("path parameter", "A step up behind a semicolon.", b"/hostile/..;/friend/"),
    target("encoded NUL", "The end of a string in C.", b"/hostile/%00/friend/"),
    target("NUL in the path", "The same, not encoded.", b"/hostile/\x00"),
    target("broken encoding", "Percent signs of nothing.", b"/hostile/%zz%f%"),
    target("encoded bytes", "Bytes that are no UTF-8.", b"/hostile/%ff%c0%af"),
    target("bytes outside ASCII", "The same, not encoded.", b"/hostile/\xff\xc0\xaf"),
    target("fragment", "Browsers keep it to themselves.", b"/hostile/#/friend/"),
    target("question marks", "Several, and an origin.", b"/hostile/???origin=" + EVIL),
    target("backslashes", "Another way to separate.", b"\\hostile\\..\\friend\\"),
]
