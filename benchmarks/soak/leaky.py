"""
The site that is soaked, as somebody would serve it who keeps what he should not.

So that there is a leak to be found.
"""

from __future__ import annotations

import os
from typing import Any, Final

from wsorigin.handshake import Scope

from . import site

kept: Final[list[Any]] = []


async def application(scope: Scope, receive: Any, send: Any) -> None:
    """Keep some copies of each scope, and a file open."""
    kept.append([dict(scope) for _ in range(60)])
    kept.append(os.open(os.devnull, os.O_RDONLY))
    await site.application(scope, receive, send)
