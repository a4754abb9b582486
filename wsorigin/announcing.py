"""
Sending a signal without waiting for its receivers.

Which signals there are is said by `wsorigin.signals`.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, Final

from asgiref.sync import ThreadSensitiveContext
from django.dispatch import Signal

_MAX_PENDING: Final = 1000
# By loop, since one that was closed discards no task that it left unfinished.
_pending: Final[
    dict[tuple[asyncio.AbstractEventLoop, Signal], set[asyncio.Task[None]]]
] = {}


def announce(signal: Signal, sender: type[Any], **what: Any) -> None:
    """
    Send a signal from a task of its own on the running loop: nobody waits for receivers.

    Receivers that cannot keep up lose events, beyond a thousand that wait.
    """
    loop = asyncio.get_running_loop()
    pending = _pending.get((loop, signal))
    if pending is None:
        for key in [one for one in list(_pending) if one[0].is_closed()]:
            _pending.pop(key, None)  # another thread may have done it
        pending = _pending[loop, signal] = set()
    if len(pending) >= _MAX_PENDING:
        return
    task = loop.create_task(_send(signal, sender, what), context=contextvars.Context())
    pending.add(task)
    task.add_done_callback(pending.discard)


async def _send(signal: Signal, sender: type[Any], what: dict[str, Any]) -> None:
    # In a context of its own, plain receivers run in a thread of their own: one that
    # hangs would otherwise block the thread that sync consumers and the ORM share.
    async with ThreadSensitiveContext():
        await signal.asend_robust(sender, **what)
