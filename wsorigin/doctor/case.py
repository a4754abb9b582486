"""
The case in hand: where the doctor knocks, as whom, and what this project knows of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from wsorigin.origins import Origin
from wsorigin.routes import Route, websocket_routes

from .answer import Answer
from .client import Client
from .finding import IDS, Finding, Severity
from .remedies import remedies_for
from .target import Target


@dataclass(frozen=True, slots=True)
class Case:
    """
    What all steps of an examination share.

    ``origin`` is the page's that wants to connect, ``front`` the proxy in front,
    where it is known, and ``is_own`` whether the host is one of this project.
    """

    client: Client
    origin: Origin
    front: str = ""
    is_own: bool = True

    @property
    def target(self) -> Target:
        """The place in question."""
        return self.client.target

    def ask(
        self, *subprotocols: str, origin: str | None = None, path: str = ""
    ) -> Answer:
        """Send a handshake that offers these; from the page's origin, or another."""
        fields = [
            ("Origin", origin or str(self.origin)),
            ("Sec-WebSocket-Protocol", ", ".join(subprotocols)),
        ]
        return self.client.handshake(fields, path=path)

    def finding(
        self,
        number: str,
        found: str,
        expected: str,
        *,
        cause: str = "",
        severity: Severity | None = None,
    ) -> Finding:
        """Make a finding about the target; ``cause`` names the remedy, else the id."""
        return Finding(
            number,
            severity or IDS[number][0],
            found,
            expected,
            remedies_for(cause or number),
            str(self.target),
            self.front,
        )

    def routes(self) -> Sequence[Route] | None:
        """List the project's WebSocket routes; None where they are not known."""
        if not self.is_own or not getattr(settings, "ASGI_APPLICATION", None):
            return None
        try:
            return websocket_routes()
        except Exception:  # whatever the project's code raises
            return None  # and the static examination tells

    def is_known(self, path: str) -> bool:
        """Whether a path leads to a WebSocket route of this project."""
        return any(route.match(path) is not None for route in self.routes() or ())

    def audience(self) -> str:
        """Return what the endpoint is for, empty where only a handshake would tell."""
        for route in self.routes() or ():
            if route.match(self.target.route) is not None:
                fixed = [one.audience for one in route.guards]
                return next((one for one in fixed if isinstance(one, str) and one), "")
        return ""
