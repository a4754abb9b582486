"""
Asking from an event loop: in threads of our own, bounded in time and number.
"""

from __future__ import annotations

import asyncio
import threading

import pytest

from wsorigin.threads import Threads


async def test_a_question_is_asked_in_another_thread() -> None:
    """Arguments, answers and errors pass."""
    threads = Threads("test", 1, most=1, patience=5)

    assert await threads.ask(divmod, 7, 2) == (3, 1)
    assert await threads.ask(int, "11", base=2) == 3
    assert await threads.ask(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await threads.ask(divmod, 7, 0)


async def test_nobody_waits_longer_than_that() -> None:
    """What hangs goes on hanging, without us."""
    threads, release = Threads("test", 1, most=5, patience=0.05), threading.Event()
    try:
        with pytest.raises(TimeoutError):
            await threads.ask(release.wait, 10)
        with pytest.raises(TimeoutError):
            await threads.ask(threading.get_ident)
    finally:
        release.set()


async def test_what_waits_is_bounded() -> None:
    """A flood of questions to a database that hangs costs so much and no more."""
    threads, release = Threads("test", 1, most=2, patience=None), threading.Event()
    waiting = [asyncio.create_task(threads.ask(release.wait, 10)) for _ in range(2)]
    await asyncio.sleep(0)
    try:
        with pytest.raises(TimeoutError, match="too many"):
            await threads.ask(threading.get_ident)
    finally:
        release.set()
    assert await asyncio.gather(*waiting) == [True, True]
    assert await threads.ask(threading.get_ident)


async def test_who_gave_up_frees_no_place_before_its_turn_comes() -> None:
    """Otherwise impatient strangers would pile up questions; none is asked too late."""
    threads, release = Threads("test", 1, most=2, patience=0.05), threading.Event()
    asked: list[int] = []
    try:
        with pytest.raises(TimeoutError):
            await threads.ask(release.wait, 10)
        with pytest.raises(TimeoutError):
            await threads.ask(asked.append, 1)
        with pytest.raises(TimeoutError, match="too many"):
            await threads.ask(asked.append, 2)
    finally:
        release.set()
    threads._executor.shutdown(wait=True)

    assert asked == []
