"""
The subcommands about tokens: mint, list, verify, rotate, revoke.

A secret is printed by mint and rotate alone, once, and with nothing else on standard
output, so that a shell can catch it. What a token may do, its own module decides.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from getpass import getpass
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from wsorigin import tokens
from wsorigin.conf import conf
from wsorigin.credentials import TokenKind
from wsorigin.models import ConnectionToken, printable

from . import Subcommand, duration, moment, wrong_question
from .token_rows import (
    as_json,
    in_words,
    owner_of,
    state_of,
    token_called,
    until,
    user_called,
)

OVERLAPS: Final = {
    "now": timedelta(0),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}

# What mint's arguments are called, by the field that they fill.
_OPTIONS: Final = {"expires_at": "--expires", "origins": "--origin"}


def lifetime(text: str) -> timedelta | None:
    """Read a duration, or ``never``."""
    return None if text == "never" else duration(text)


class Mint(Subcommand):
    """Make a token."""

    name = "mint"
    description = """
    Mint a token, and print it this once; the rest goes to standard error.

      manage.py wsorigin token mint --kind secret --name "Partner feed" --user feed
      TOKEN=$(manage.py wsorigin token mint --kind publishable --name Widget \\
        --origin https://app.example.com --expires 30d)

    Exit code 0: it is minted; 2: the parts don't fit together.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--kind",
            required=True,
            choices=[TokenKind.SECRET, TokenKind.PUBLISHABLE],
            help="secret: for machines; publishable: may stand in a page",
        )
        parser.add_argument("--name", required=True, help="who holds it, what for")
        parser.add_argument("--user", help="the user that a secret token identifies")
        parser.add_argument(
            "--origin",
            dest="origins",
            metavar="ORIGIN",
            action="append",
            default=[],
            help="only from this pattern of origins; may be repeated",
        )
        parser.add_argument("--audience", default="", help="only for this audience")
        parser.add_argument(
            "--expires",
            type=lifetime,
            default="90d",
            help="such as 12h or 30d, or never (default: 90d)",
        )

    def handle(
        self,
        *args: Any,
        kind: str,
        name: str,
        user: str | None,
        origins: Sequence[str],
        audience: str,
        expires: timedelta | None,
        **options: Any,
    ) -> None:
        owner = user_called(user) if user is not None else None
        try:
            token, secret = tokens.mint(
                TokenKind(kind),
                name=name,
                user=owner,
                origins=origins,
                audience=audience,
                expires_in=expires,
            )
        except ValidationError as exc:
            raise wrong_question(
                " ".join(
                    f"{_OPTIONS.get(field, f'--{field}')}: {message}"
                    for field, messages in exc.message_dict.items()
                    for message in messages
                )
            ) from exc
        if options["json"]:
            self.print_json({"token": secret, **as_json(token)})
            return
        self.stdout.write(secret)
        self.print_aside(
            f"{in_words(token)}, {until(token)}. Keep it: it is shown this once."
        )


class List(Subcommand):
    """List the tokens."""

    name = "list"
    description = """
    List the tokens that have not ended, the newest first.

      manage.py wsorigin token list
      manage.py wsorigin token list --all --json
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--all", action="store_true", help="with tickets, and what has ended"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        rows = ConnectionToken.objects.select_related("user")
        if not options["all"]:
            ended = ConnectionToken.objects.dead().values("pk")
            rows = rows.exclude(kind=TokenKind.TICKET).exclude(pk__in=ended)
        if options["json"]:
            self.print_json([as_json(row) for row in rows])
        elif not rows:
            self.stdout.write("There are no tokens.")
        else:
            heading = "kind", "public id", "name", "owner", "last used", "expires"
            table: list[Sequence[str]] = [(*heading, "state")]
            table += [
                (
                    row.kind,
                    row.public_id,
                    printable(row.name),
                    printable(owner_of(row) or ""),
                    moment(row.last_used_at) if row.last_used_at else "never",
                    moment(row.expires_at) if row.expires_at else "never",
                    state_of(row) + (" (rotating)" if row.is_rotating else ""),
                )
                for row in rows
            ]
            self.print_table(table)


class Verify(Subcommand):
    """Say whether a token holds."""

    name = "verify"
    description = """
    Say which token a text is, and whether it holds. Nothing is used up or stored.

      manage.py wsorigin token verify
      printenv TOKEN | manage.py wsorigin token verify --json

    Without TOKEN it is read from standard input, or asked for and not shown. As an
    argument it would stay in the history of the shell, and in the list of processes.

    Exit code 0: it opens connections; 1: it doesn't; 2: there was no text.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "token", nargs="?", default="-", help="better left out; - is the default"
        )

    def handle(self, *args: Any, token: str, **options: Any) -> int:
        text = token if token != "-" else read_token()  # noqa: S105  # no password
        if not text.strip():
            raise wrong_question("There was no token. Write it to standard input.")
        found = tokens.inspect(text)
        row, reason = found.token, found.reason
        if options["json"]:
            self.print_json(
                {
                    "usable": reason is None,
                    "reason": reason,
                    "sentence": reason and reason.sentence,
                    "is_previous": found.is_previous,
                    "token": row and as_json(row),
                }
            )
        else:
            self.print_lines(verdict(found))
        return 0 if reason is None else 1


def read_token() -> str:
    """Read a token from standard input, without an echo where it is a terminal."""
    if sys.stdin.isatty():
        return getpass("Token: ")
    # Octets, so that what is no text at all is no token either; and no endless line.
    return sys.stdin.buffer.readline(1000).decode("latin-1")


def verdict(found: tokens.Inspection) -> Iterable[str]:
    """Yield the lines that say to a person whether a token holds."""
    row, reason, is_previous = found
    if reason is None:
        yield "It opens connections."
    else:
        yield f"It opens nothing ({reason}). {reason.sentence}"
    if row is not None:
        yield f"  {in_words(row)}, {until(row)}."
        if is_previous:
            yield "  It is the secret before the last rotation."
        if row.origins:
            yield f"  Only from {', '.join(row.origins.split())}."
        if row.audience:
            yield f"  Only for the audience {printable(row.audience)}."
        if row.revoke_reason:
            yield f"  Revoked: {printable(row.revoke_reason)}."


class Rotate(Subcommand):
    """Give a token another secret."""

    name = "rotate"
    description = """
    Give a token a new secret, and print it this once; connections stay open.

      manage.py wsorigin token rotate Ab12Cd34
      manage.py wsorigin token rotate Ab12Cd34 --overlap now

    The old secret counts for the overlap. One that has leaked gets none: now.

    Exit code 0: it is rotated; 1: the token has ended; 2: there is no such token.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("public_id", help="as token list prints it")
        parser.add_argument(
            "--overlap",
            choices=OVERLAPS,
            default="24h",
            help="how long the old secret counts (default: 24h)",
        )

    def handle(self, *args: Any, public_id: str, overlap: str, **options: Any) -> None:
        row = token_called(public_id)
        try:
            secret = tokens.rotate(row, OVERLAPS[overlap])
        except ValidationError as exc:
            raise CommandError(" ".join(exc.messages)) from exc
        if options["json"]:
            self.print_json({"token": secret, **as_json(row)})
            return
        self.stdout.write(secret)
        old = row.previous_expires_at
        self.print_aside(
            f"{row} has a new secret. Keep it: it is shown this once. The old one "
            + (f"counts until {moment(old)}." if old else "counts no more.")
        )


class Revoke(Subcommand):
    """End a token."""

    name = "revoke"
    description = """
    Revoke a token for good, and close the connections that it opened.

      manage.py wsorigin token revoke Ab12Cd34
      manage.py wsorigin token revoke Ab12Cd34 --reason "Found in a repository"

    Exit code 0: it is revoked; 1: it was revoked already; 2: there is no such token.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("public_id", help="as token list prints it")
        parser.add_argument("--reason", default="", help="why; somebody will ask")

    def handle(self, *args: Any, public_id: str, reason: str, **options: Any) -> int:
        row = token_called(public_id)
        revoked = tokens.revoke(row, reason)
        if options["json"]:
            self.print_json({"revoked": revoked, **as_json(row)})
        elif revoked:
            self.stdout.write(
                f"{row} is revoked. Its connections close within "
                f"{conf.WSORIGIN_REFRESH_INTERVAL:g} seconds, in every process."
            )
        else:
            self.stdout.write(f"{row} was revoked already; nothing has changed.")
        return 0 if revoked else 1


VERBS: Final = (Mint, List, Verify, Rotate, Revoke)


class Token(Subcommand):
    """The verbs of a token's life."""

    name = "token"
    description = """
    Mint, list, verify, rotate and revoke the tokens that open connections.

      manage.py wsorigin token list
      manage.py wsorigin token mint --help
    """

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb")
        for verb in VERBS:
            verb(self.command).add_to(verbs)

    def handle(self, *args: Any, **options: Any) -> None:
        verbs = ", ".join(verb.name for verb in VERBS)
        raise wrong_question(
            f"Say what to do: manage.py wsorigin token VERB ({verbs})."
        )
