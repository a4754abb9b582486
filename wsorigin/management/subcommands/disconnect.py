"""
The subcommand disconnect: close live connections now. Closing is each process's own.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from wsorigin import tokens
from wsorigin.conf import conf
from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import OriginPattern

from . import Subcommand, wrong_question
from .token_rows import token_called, user_called


class Disconnect(Subcommand):
    """Order live connections to close."""

    name = "disconnect"
    description = """
    Close the live connections of a user, a token or an origin, once.

      manage.py wsorigin disconnect --user alice
      manage.py wsorigin disconnect --origin "https://*.example.com"

    They may come again, as far as they still may: see token revoke, and the admin.

    Exit code 0: it is ordered; 2: there is no such user or token, or it isn't a
    pattern of origins.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", help="a user's name")
        whose.add_argument("--token", help="a public id, as token list prints it")
        whose.add_argument("--origin", help="an origin or a pattern of origins")

    def handle(
        self,
        *args: Any,
        user: str | None,
        token: str | None,
        origin: str | None,
        **options: Any,
    ) -> None:
        try:
            tokens.disconnect(
                user=None if user is None else user_called(user),
                token=None if token is None else token_called(token),
                origin="" if origin is None else str(OriginPattern.parse(origin)),
            )
        except InvalidOrigin as exc:
            raise wrong_question(f"{exc}. {exc.remedy}".strip()) from exc
        seconds = conf.WSORIGIN_REFRESH_INTERVAL
        if options["json"]:
            order = {"user": user, "token": token, "origin": origin}
            self.print_json({**order, "within_seconds": seconds})
        else:
            self.stdout.write(
                f"The connections close within {seconds:g} seconds, in every process. "
                "They may come again."
            )
