"""
What a consumer says about a handshake by itself: its hooks, called and read.

What a hook that fails means is the guard's to say.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Final

from .handshake import Scope
from .threads import Threads

# Daphne gives an application five seconds for a handshake.
_PATIENCE: Final = 3.0
_threads: Final = Threads("wsorigin-hooks", 4, most=200, patience=None)


async def run_hook(
    hook: Callable[[Scope], Any], scope: Scope, *, then: Callable[[Any], Any]
) -> Any:
    """
    Call a consumer's hook, and ``then`` on what it returns.

    A plain function runs in a thread, so that it may use the ORM; so does ``then``,
    since a queryset asks the database only when it is read. The thread is one of our
    own: a hook that hangs would otherwise hold up every consumer of the process.

    Raises TimeoutError where that takes longer than three seconds.
    """

    def call() -> Any:
        result = hook(scope)
        return result if isawaitable(result) else then(result)

    async with asyncio.timeout(_PATIENCE):
        if iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__):
            return then(await hook(scope))
        result = await _threads.ask(contextvars.copy_context().run, call)
        return then(await result) if isawaitable(result) else result


def as_origins(origins: Any) -> tuple[str, ...] | None:
    """Return what a hook gave as a list of origins; raises TypeError where it is none."""
    if origins is None:
        return None
    if not isinstance(origins, (str, bytes, Mapping)):
        listed = tuple(origins)
        if all(isinstance(origin, str) for origin in listed):
            return listed
    raise TypeError(f"origins have to be a list of strings, not {origins!r}")


def as_audience(audience: Any) -> str:
    """Return what a hook gave as an audience; None is none."""
    return "" if audience is None else str(audience)
