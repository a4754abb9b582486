"""
The admin's log of changes, for those that Django's own forms do not write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.http import HttpRequest

from wsorigin.models import batches


def log(
    request: HttpRequest, rows: Iterable[Model], flag: int, message: Any = ""
) -> None:
    """Write an entry for each row: who did what, in the words of Django's own log."""
    for batch in batches(rows):
        LogEntry.objects.log_actions(request.user.pk or 0, batch, flag, message)
