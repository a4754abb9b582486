"""
Running a target on octets out of an ordinary generator, the same for the same seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

LONGEST = 160

Target = Callable[[bytes], None]


class Found(Exception):
    """An input on which a target raised; the error is the cause."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data.hex())
        self.data = data


def inputs(seed: int, count: int) -> Iterator[bytes]:
    """Yield inputs of all lengths up to the longest."""
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    for _ in range(count):
        yield chance.randbytes(chance.randint(0, LONGEST))


def run(target: Target, seed: int, count: int) -> None:
    """Give a target so many inputs; raises Found at the first that it raises on."""
    for data in inputs(seed, count):
        try:
            target(data)
        except Exception as exc:
            raise Found(data) from exc
