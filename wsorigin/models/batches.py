"""
Many rows, cut into pieces: SQLite and others bound the parameters of one statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

_Item = TypeVar("_Item")

_SIZE: Final = 500


def batches(items: Iterable[_Item], size: int = _SIZE) -> Iterator[list[_Item]]:
    """Cut what there is into lists that fit into one statement."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
