"""
What came back for a handshake, as a value. What it means is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from wsorigin.models import readable


class Failure(StrEnum):
    """Why there is no answer to a handshake."""

    NO_NAME = "its name has no address"
    NO_CONNECTION = "nothing accepts connections there"
    CERTIFICATE = "its certificate isn't valid"
    TLS = "TLS does not come about"
    SILENT = "nothing came back"
    CLOSED = "the connection was closed without an answer"
    NOT_HTTP = "the answer isn't HTTP"
    BROKEN_UPGRADE = "the answer isn't a valid upgrade"


@dataclass(slots=True)
class Answer:
    """
    What came back for one handshake.

    Either ``failure`` says why there is no answer, with ``detail``, or ``status`` is
    set. Where the socket opened, ``message`` is its first text, ``close_code`` how it
    was closed, and ``cut`` that it ended without a close frame. ``elapsed`` are the
    seconds to the answer, ``lasted`` those that the socket was open.
    """

    failure: Failure | None = None
    detail: str = ""
    status: int = 0
    phrase: str = ""
    fields: Sequence[tuple[str, str]] = ()
    body: str = ""
    elapsed: float = 0.0
    message: str = ""
    close_code: int | None = None
    cut: bool = False
    lasted: float = 0.0

    @property
    def opened(self) -> bool:
        """Whether the socket opened."""
        return self.status == 101 and self.failure is None

    def get(self, name: str) -> str:
        """Return a header's values, joined with a comma; empty without any."""
        return ", ".join(value for key, value in self.fields if key.lower() == name)

    def __str__(self) -> str:
        if self.failure:
            return f"{self.failure}{f' ({self.detail})' if self.detail else ''}"
        return f"{self.status} {self.phrase}".strip()


def excerpt(what: object) -> str:
    """Return the beginning of what a stranger sent, in printable ASCII."""
    return readable(str(what))[:200]
