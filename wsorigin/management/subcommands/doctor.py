"""
The subcommand doctor: what is wrong between a page and its socket. Finding it is the
doctor's own business.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from textwrap import indent
from typing import Any

from django.core.management.base import CommandParser

from wsorigin.doctor import (
    PROXIES,
    Finding,
    Severity,
    WrongQuestion,
    examine,
    examine_statically,
)

from . import Subcommand, wrong_question


def seconds(text: str) -> float:
    """Read a number of seconds above zero; raises ArgumentTypeError for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86400:
        raise ArgumentTypeError(f"{text!a} is not a number of seconds")
    return value


class Doctor(Subcommand):
    """Examine the project, and a URL."""

    name = "doctor"
    description = """
    Say what is wrong between a page and its WebSocket, and what to change.

      manage.py wsorigin doctor
      manage.py wsorigin doctor wss://app.example.com/ws/prices/ --idle 65

    Without a URL: settings, database, channel layer. With one, it also knocks there.
    Exit code 0: nothing was found; 1: there is something to change; 2: the question
    was wrong.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("url", nargs="?", help="the URL that the page connects to")
        parser.add_argument("--origin", help="the page's (default: the URL's own)")
        parser.add_argument(
            "--proxy", choices=PROXIES, help="what is in front, if it does not show it"
        )
        parser.add_argument(
            "--i-own-this-host",
            action="store_true",
            help="knock there although it is not in ALLOWED_HOSTS",
        )
        parser.add_argument(
            "--timeout", type=seconds, default=10.0, help="per handshake (default: 10)"
        )
        parser.add_argument(
            "--idle", type=seconds, help="leave a socket silent for so many seconds"
        )
        parser.add_argument("--user", help="use a ticket of this user, twice")
        parser.add_argument("--ca-file", help="certificates to trust besides others")

    def handle(
        self,
        *args: Any,
        url: str | None,
        origin: str | None,
        proxy: str | None,
        i_own_this_host: bool,
        timeout: float,
        idle: float | None,
        user: str | None,
        ca_file: str | None,
        **options: Any,
    ) -> int | None:
        if url is None and any([origin, proxy, idle, user, ca_file, i_own_this_host]):
            raise wrong_question("These options are about a URL, and there is none.")
        findings = []
        if url is not None:
            try:
                findings = examine(
                    url,
                    origin=origin,
                    proxy=proxy,
                    own_host=i_own_this_host,
                    timeout=timeout,
                    idle=idle,
                    user=user,
                    cafile=ca_file,
                )
            except WrongQuestion as exc:
                raise wrong_question(str(exc)) from exc
        findings = [*examine_statically(), *findings]
        if options["json"]:
            self.print_json([finding.as_json() for finding in findings])
        elif findings:
            self.print_lines("\n".join(self.block(finding)) for finding in findings)
        else:
            self.stdout.write("Nothing was found.")
        return int(any(finding.fails for finding in findings))

    def block(self, finding: Finding) -> Iterator[str]:
        """Yield the lines about one finding."""
        style = self.command.style
        painted = {Severity.ERROR: style.ERROR, Severity.WARNING: style.WARNING}
        paint = painted.get(finding.severity, style.NOTICE)
        about = f" at {finding.subject}" if finding.subject else ""
        about += f", behind {finding.front}" if finding.front else ""
        yield paint(f"{finding.severity}: {finding.id}{about}")
        yield indent(f"found: {finding.found}", "  ")
        if finding.expected:
            yield indent(f"expected: {finding.expected}", "  ")
        for name, text in finding.applicable.items():
            what = "remedy" if name == "django" else f"remedy ({name})"
            yield f"  {what}:"
            yield indent(text, "    ")
        yield ""
