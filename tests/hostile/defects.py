"""
Errors that servers make before they call any application, with or without wsorigin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# The last line of a Python traceback, also inside of a group; and a panic of Rust.
_FAILURE: Final = re.compile(
    r"^(?:\s+\| )?([\w.]+(?:Error|Exception|Group|Disconnected)\b.*)$|panicked at .*",
    re.MULTILINE,
)
_TRACEBACK: Final = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Defect:
    """What goes wrong, in which cases, and why."""

    server: str
    cases: tuple[str, ...]
    why: str


DEFECTS: Final = [
    Defect(
        "uvicorn-websockets",
        (
            "broken key",
            "next line",
            "no-break space around",
            "homograph",
            "full width",
            "overlong UTF-8",
            "Host outside ASCII",
            "broken cookies",
            "broken Authorization",
            "broken subprotocols",
        ),
        "Any byte outside ASCII in any header is a `UnicodeEncodeError`: websockets "
        "reads it as a surrogate, which uvicorn cannot encode. The answer is 500, and "
        "the log has a traceback. `--ws websockets-sansio` and `--ws wsproto` do not "
        "have this.",
    ),
    Defect(
        "uvicorn-wsproto",
        ("Host outside ASCII", "broken subprotocols"),
        "wsproto decodes `Host` and `Sec-WebSocket-Protocol` as ASCII, without a thought "
        "of other bytes. The `UnicodeDecodeError` ends the connection, and asyncio "
        "logs it.",
    ),
    Defect(
        "hypercorn-h1",
        ("broken subprotocols",),
        "The same function of wsproto, and the same end.",
    ),
    Defect(
        "granian",
        ("broken chunk",),
        "granian tells the application that the client has left, and answers 500 itself "
        "when the application returns. The log has nothing.",
    ),
]


def failures(log: str) -> list[str]:
    """Return the exceptions in a server's log, sorted."""
    found = sorted(match[0].strip(" |") for match in _FAILURE.finditer(log))
    assert bool(found) == (_TRACEBACK in log or "panicked at" in log), log
    return found
