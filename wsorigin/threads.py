"""
Asking the database from an event loop, in threads of our own.

Not in the one that Channels shares among all sync code: there a database that hangs
would hold up every consumer of the process, for it also passes through that thread
before each message.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Threads:
    """
    A few threads, and a bound on what waits for them.

    ``count`` threads, each with a database connection while it works; ``most`` questions
    wait at the same time, and each for ``patience`` seconds, None for ever. The threads
    start at first use, so that forking before that is harmless.
    """

    def __init__(
        self, name: str, count: int, *, most: int, patience: float | None
    ) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._free = threading.Semaphore(most)
        self._patience = patience

    async def ask(
        self, question: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        """
        Call a function in a thread and return its answer.

        Raises TimeoutError where it takes too long, or too many ask already.
        """
        if not self._free.acquire(blocking=False):
            raise TimeoutError("too many questions wait for the database")
        given_up = threading.Event()
        work = self._executor.submit(
            _answer, partial(question, *args, **kwargs), given_up
        )
        # Not when nobody waits for it any more: it still occupies a place then.
        work.add_done_callback(lambda _: self._free.release())
        try:
            async with asyncio.timeout(self._patience):
                # Shielded, since what is cancelled would stay in the queue uncounted.
                return await asyncio.shield(asyncio.wrap_future(work))
        finally:
            given_up.set()


def _answer(question: Callable[[], _R], given_up: threading.Event) -> _R:
    if given_up.is_set():
        raise TimeoutError("nobody waits for the answer any more")
    close_old_connections()
    try:
        return question()
    finally:
        close_old_connections()
