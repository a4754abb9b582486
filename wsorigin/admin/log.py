"""
The admin's log of changes, for those that Django's own forms do not write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.http import HttpRequest

Item = TypeVar("Item")

# SQLite and others bound the parameters of one statement.
_BATCH: Final = 500


def log(
    request: HttpRequest, rows: Iterable[Model], flag: int, message: Any = ""
) -> None:
    """Write an entry for each row: who did what, in the words of Django's own log."""
    chosen: Any = list(rows)
    for batch in batched(chosen):
        LogEntry.objects.log_actions(request.user.pk or 0, batch, flag, message)


def batched(items: Sequence[Item], size: int = _BATCH) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces that fit into one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
