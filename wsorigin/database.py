"""
The trusted origins in the database: read, compiled, and let go of piece by piece.

In threads, beside event loops that must not notice. `wsorigin.refresh` says when.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from math import inf
from typing import Final, NamedTuple

from django.db import DatabaseError, ProgrammingError

from .models import TrustedOrigin, TrustedOriginVersion
from .policy import Policy
from .rules import Rule
from .sources import Rules

logger = logging.getLogger(__name__)

# A thread that computes lets others wait for the interpreter's lock, 5 ms at a time:
# after so many rows it steps aside by itself, for so many seconds.
_ROWS_AT_A_TIME: Final = 100
_PAUSE: Final = 0.0001

_COLUMNS: Final = (
    "pk",
    "pattern",
    "audience",
    "allow_credentials",
    "allow_cors",
    "expires_at",
)


class Database(NamedTuple):
    """
    What was last read of the trusted origins.

    ``policy`` has all of them, ``cors`` those whose pages may also read over HTTP.
    ``version`` is the number that the triggers raise, None where there are none;
    ``until`` the moment when the next row expires (seconds since the epoch),
    ``read_at`` when they were read (on the monotonic clock).
    """

    policy: Policy
    cors: Policy
    version: int | None
    until: float
    read_at: float


def database_version() -> int | None:
    """Ask for the number that each change raises: one row, whatever the table's size."""
    return TrustedOriginVersion.objects.values_list("number", flat=True).first()


def read_database() -> Database:
    """Read and compile all trusted origins; runs in a thread, never on an event loop."""
    # The number first: what changes while the rows are read is seen at the next look.
    version = database_version()
    found, with_cors, until = Rules(), Rules(), inf
    rows = TrustedOrigin.objects.in_force().order_by("pk").values_list(*_COLUMNS)
    # All at once, since SQLite keeps writers waiting for as long as somebody reads.
    waiting = deque(rows.iterator())
    cors: deque[tuple[str, str]] = deque()

    # Then one by one, and nothing kept but the policies' plain values: 100,000 rules in
    # a list would have the garbage collector hold up the event loop, again and again.
    def read() -> Iterator[Rule]:
        nonlocal until
        while waiting:
            if len(waiting) % _ROWS_AT_A_TIME == 0:
                time.sleep(_PAUSE)
            pk, pattern, audience, credentials, over_http, expires_at = (
                waiting.popleft()
            )
            source = f"TrustedOrigin {pk}"
            found.read(source, pattern, credentials=credentials, audience=audience)
            yield from found.take()
            if over_http:
                cors.append((source, pattern))
            if expires_at:
                until = min(until, expires_at.timestamp())

    def read_cors() -> Iterator[Rule]:
        while cors:
            with_cors.read(*cors.popleft())
            yield from with_cors.take()

    policies = Policy(read()), Policy(read_cors())
    for problem in found.problems:
        logger.error("%s trusts nobody: %s", problem.source, problem.error)
    return Database(*policies, version, until, time.monotonic())


def let_go(databases: list[Database]) -> None:
    """
    Free what was read piece by piece: all at once would hold up the event loop.

    The list has to hold the last reference to each, and is empty afterwards.
    """
    pieces: deque[object] = deque()
    while databases:
        known = databases.pop()
        # In a loop of Python's, which lets other threads in: extend() would not.
        for policy in (known.policy, known.cors):
            for piece in policy.pieces():
                pieces.append(piece)
        del known, policy
    while pieces:
        pieces.popleft()


def in_words(error: DatabaseError) -> str:
    """Return what a database said, in one line, with the remedy where tables miss."""
    text = " ".join(str(error).split())
    if isinstance(error, ProgrammingError) or text.startswith("no such table"):
        text += " (manage.py migrate makes what is missing)"
    return text
