"""
What the doctor says: one cause, what was found, what was expected, what to do.

Finding it is the other modules' business, and so is what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final


class Severity(StrEnum):
    """How bad: sockets fail or strangers get in, something will bite, good to know."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


# What each id stands for, and how bad it is. Never reuse one. System checks have
# their own.
IDS: Final[dict[str, tuple[Severity, str]]] = {
    "unreachable": (Severity.ERROR, "nothing answers at this address"),
    "tls-failure": (Severity.ERROR, "TLS fails, as it would in a browser"),
    "wrong-scheme": (
        Severity.ERROR,
        "wss to a plain port, or ws to one that wants TLS",
    ),
    "mixed-content": (Severity.ERROR, "a page over https, and a socket over ws"),
    "no-answer": (Severity.ERROR, "no answer to the handshake"),
    "not-http": (Severity.ERROR, "an answer that is no HTTP, or no valid upgrade"),
    "redirected": (Severity.ERROR, "a redirect, which browsers do not follow"),
    "upgrade-dropped": (Severity.ERROR, "a proxy drops the Upgrade header"),
    "connection-dropped": (Severity.ERROR, "a proxy drops the Connection header"),
    "not-websocket-server": (Severity.ERROR, "a server that speaks no WebSocket"),
    "wrong-route": (Severity.ERROR, "another path arrives, or none at all"),
    "application-error": (Severity.ERROR, "an exception answers the handshake"),
    "proxy-refuses": (Severity.ERROR, "something in front refuses by itself"),
    "upstream-down": (Severity.ERROR, "the proxy cannot reach the server"),
    "unexpected-answer": (Severity.ERROR, "a status that has no meaning here"),
    "host-rewritten": (Severity.ERROR, "another Host arrives"),
    "origin-stripped": (Severity.ERROR, "no Origin arrives"),
    "origin-rewritten": (Severity.ERROR, "another Origin arrives: no check is left"),
    "scheme-unknown": (Severity.WARNING, "nothing tells the site that it is https"),
    "trusted-origin-refused": (Severity.ERROR, "the page's own origin is refused"),
    "lookalike-admitted": (Severity.ERROR, "an origin that looks alike gets in"),
    "refusal-slow": (Severity.WARNING, "a refusal keeps the client waiting"),
    "refusal-quality": (Severity.INFO, "a refusal that looks like something else"),
    "subprotocol-not-echoed": (
        Severity.ERROR,
        "no subprotocol is selected, so that Chromium fails",
    ),
    "token-echoed": (Severity.ERROR, "the credential comes back, and into logs"),
    "ticket-refused": (Severity.WARNING, "a fresh ticket opens nothing"),
    "ticket-reusable": (Severity.ERROR, "a ticket opens a second socket"),
    "hsts-null": (Severity.WARNING, "HSTS turns the page's origin into null"),
    "idle-timeout": (Severity.WARNING, "a silent socket is cut"),
    "clock-skew": (Severity.WARNING, "two clocks disagree"),
    "no-diagnosis": (Severity.INFO, "the server does not tell what arrived"),
    "not-examined": (Severity.INFO, "something that could not be examined"),
    "asgi-application": (Severity.ERROR, "the ASGI application cannot be imported"),
    "database": (Severity.ERROR, "the database does not answer, or lacks tables"),
    "channel-layer": (Severity.ERROR, "the channel layer does not deliver"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One cause, by its id.

    ``remedies`` maps a proxy (``nginx``, ``apache``, ``haproxy``, ``caddy``, ``alb``,
    ``cloudflare``) or ``django`` to what can be pasted or has to be changed.
    ``subject`` is the route or the URL it is about; ``front`` is the proxy in front,
    where it is known. ``str(severity)`` is one of ``error``, ``warning``, ``info``.
    """

    id: str
    severity: Severity
    found: str
    expected: str
    remedies: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""
    front: str = ""

    @property
    def fails(self) -> bool:
        """Whether somebody has to act."""
        return self.severity is not Severity.INFO

    @property
    def applicable(self) -> Mapping[str, str]:
        """The remedies that count here: the proxy's in front and the site's own."""
        here = {self.front, "django"}
        chosen = {name: text for name, text in self.remedies.items() if name in here}
        return chosen if self.front in chosen else self.remedies

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)
