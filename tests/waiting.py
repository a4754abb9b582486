"""
Waiting for what is to happen: until it is so, and never for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

_STEP: Final = 0.02


def eventually(
    condition: Callable[[], object],
    within: float = 10.0,
    complaint: Callable[[], str] = str,
) -> float:
    """Return the seconds until something is so; fails, with a complaint, where not."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + within, complaint()
        time.sleep(_STEP)
    return time.monotonic() - started


async def aeventually(condition: Callable[[], object], within: float = 10.0) -> None:
    """Let an event loop go on until something is so; fails where it is not."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + within
        await asyncio.sleep(_STEP)
