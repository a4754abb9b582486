"""
The command line of wsorigin, put together. Each subcommand is in ``subcommands``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError, ProgrammingError

from wsorigin.database import in_words
from wsorigin.management.subcommands import wrong_question
from wsorigin.management.subcommands.denied import Denied, Prune
from wsorigin.management.subcommands.disconnect import Disconnect
from wsorigin.management.subcommands.doctor import Doctor
from wsorigin.management.subcommands.origins import Diff, Explain, List, Trust
from wsorigin.management.subcommands.tokens import Token

SUBCOMMANDS = (
    Doctor,
    Explain,
    List,
    Diff,
    Trust,
    Denied,
    Token,
    Disconnect,
    Prune,
)


class Command(BaseCommand):
    """``manage.py wsorigin``, made of `SUBCOMMANDS`."""

    help = (
        "Explain, list, compare and trust the origins that may open WebSockets; "
        "mint and revoke tokens."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True)
        for subcommand in SUBCOMMANDS:
            subcommand(self).add_to(subparsers)

    def handle(
        self, *args: Any, run: Callable[..., int | None], **options: Any
    ) -> None:
        try:
            code = run(**options)
        except (OperationalError, ProgrammingError) as exc:
            raise wrong_question(
                f"The database has no answer: {in_words(exc)}."
            ) from exc
        if code:
            sys.exit(code)
