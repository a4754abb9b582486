"""
What the subcommands of ``manage.py wsorigin`` have in common: options, output, errors.

No subcommand is here, and none decides anything: they parse, call and print.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from inspect import cleandoc
from typing import Any, ClassVar

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    OutputWrapper,
)


class Subcommand(ABC):
    """
    A subcommand of ``manage.py wsorigin``, or a verb of one.

    Subclasses give ``name`` and ``description``, whose first line is the summary among
    the others and whose rest shows two examples and the exit codes, then
    ``add_arguments`` and ``handle``. Each has ``--json``, which arrives in ``options``.
    """

    name: ClassVar[str]
    description: ClassVar[str]

    def __init__(self, command: BaseCommand) -> None:
        self.command = command

    def add_to(self, subparsers: Any) -> None:
        """Add a parser for this to those of the command, or of a subcommand."""
        description = cleandoc(self.description)
        parser: CommandParser = subparsers.add_parser(
            self.name,
            help=description.splitlines()[0],
            description=description,
            formatter_class=RawDescriptionHelpFormatter,
        )
        # A verb's parser is read after its subcommand's, so that it replaces this.
        parser.set_defaults(run=self.handle)
        self.add_arguments(parser)

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments; subclasses extend this."""
        parser.add_argument("--json", action="store_true", help="print JSON")

    @abstractmethod
    def handle(self, *args: Any, **options: Any) -> int | None:
        """
        Do it, and return the exit code: 0 or None for yes, 1 for no.

        Raises CommandError with returncode 2 where the question was wrong.
        """

    # The command changes its streams and its style until it executes, so they are
    # looked up when they are needed. Style is colourless where standard output isn't
    # a terminal.

    @property
    def stdout(self) -> OutputWrapper:
        """Return where answers go."""
        return self.command.stdout

    def print_aside(self, text: str) -> None:
        """Print on standard error what is no answer, for people beside a pipe."""
        self.command.stderr.write(text, style_func=str)

    def print_lines(self, lines: Iterable[str]) -> None:
        """Print lines of text."""
        self.stdout.write("\n".join(lines))

    def print_json(self, value: Any) -> None:
        """Print a value as JSON."""
        self.stdout.write(json.dumps(value, indent=2))

    def print_table(self, rows: Sequence[Sequence[str]]) -> None:
        """Print rows of cells in columns; the first row is the heading."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        heading = self.command.style.MIGRATE_HEADING
        for number, row in enumerate(rows):
            line = "  ".join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            ).rstrip()
            self.stdout.write(heading(line) if number == 0 else line)


def wrong_question(message: str) -> CommandError:
    """Return the error for a question that has no answer: exit code 2."""
    return CommandError(message, returncode=2)


def duration(text: str) -> timedelta:
    """Read ``30m``, ``12h`` or ``7d``; raises ArgumentTypeError for anything else."""
    match = re.fullmatch("([1-9][0-9]{0,4})([mhd])", text)
    if match is None:
        raise ArgumentTypeError(
            f"invalid duration value: {text!a}; write minutes, hours or days, "
            "such as 30m, 12h or 7d"
        )
    units = {"m": "minutes", "h": "hours", "d": "days"}
    return timedelta(**{units[match[2]]: int(match[1])})


def moment(time: datetime) -> str:
    """Return a time as people read it."""
    return f"{time:%Y-%m-%d %H:%M %Z}".rstrip()


def positive(text: str) -> int:
    """Read a whole number above zero; raises ArgumentTypeError for anything else."""
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise ArgumentTypeError(f"{text!a} is not a whole number above zero")
    return int(text)
