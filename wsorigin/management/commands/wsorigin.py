"""
The command line of wsorigin: parse, call, print. It decides nothing itself.
"""

from __future__ import annotations

import json
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from wsorigin.audit import prune
from wsorigin.conf import conf
from wsorigin.explanation import NoRoute, as_json, explain, rule_as_json
from wsorigin.models import DeniedHandshake, TrustedOrigin
from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import OriginPattern
from wsorigin.policy import Explanation
from wsorigin.reconciliation import reconcile
from wsorigin.refresh import get_policy

EXPLAIN_HELP = """
Say whether a page of ORIGIN may open a WebSocket here, and why.

  manage.py wsorigin explain https://app.example.com
  manage.py wsorigin explain https://app.example.com --path /ws/prices/ --json

Exit code 0: allowed; 1: denied; 2: the question was wrong.
"""

LIST_HELP = """
List the rules of the site's policy, with the setting each comes from.

  manage.py wsorigin list
  manage.py wsorigin list --json
"""

DIFF_HELP = """
Compare what each origin may do over HTTP (CORS, CSRF, hosts) and over WebSockets.

  manage.py wsorigin diff
  manage.py wsorigin diff --json

Prints settings that make the lists agree. Exit code 0: they agree; 1: they do not.
"""


TRUST_HELP = """
Trust an origin from now on, in every process, without a restart.

  manage.py wsorigin trust https://app.example.com --note "Partner, ticket 12"
  manage.py wsorigin trust https://pr-7.example.dev --expires 7d --credentials

Exit code 0: it is trusted; 2: it isn't a pattern of origins.
"""

DENIED_HELP = """
List the denials of late, the most frequent first.

  manage.py wsorigin denied
  manage.py wsorigin denied --since 1d --json
"""

PRUNE_HELP = """
Delete denials older than WSORIGIN_AUDIT_RETENTION_DAYS; for cron.

  manage.py wsorigin prune
  manage.py wsorigin prune --json
"""


def duration(text: str) -> timedelta:
    """Read ``30m``, ``12h`` or ``7d``; raises ValueError for anything else."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    return timedelta(**{units.get(text[-1:], ""): float(text[:-1])})


class Command(BaseCommand):
    """``manage.py wsorigin``: explain, list, diff, trust, denied, prune."""

    help = "Explain, list, compare and trust the origins that may open WebSockets."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        subcommands = parser.add_subparsers(dest="subcommand", required=True)

        def add(name: str, description: str) -> CommandParser:
            subparser: CommandParser = subcommands.add_parser(
                name,
                help=description.strip().splitlines()[0],
                description=description,
                formatter_class=RawDescriptionHelpFormatter,
            )
            subparser.add_argument("--json", action="store_true", help="print JSON")
            return subparser

        question = add("explain", EXPLAIN_HELP)
        question.add_argument(
            "origin",
            nargs="?",
            help="the Origin header, as a browser sends it; none without it",
        )
        where = question.add_mutually_exclusive_group()
        where.add_argument("--path", help="a path of this site, such as /ws/prices/")
        where.add_argument("--audience", default="", help="an audience of this site")
        question.add_argument("--host", help="the Host header (default: this site's)")
        question.add_argument(
            "--scheme", choices=["http", "https"], help="how the request came, if known"
        )
        add("list", LIST_HELP)
        add("diff", DIFF_HELP)
        trust = add("trust", TRUST_HELP)
        trust.add_argument("origin", help="an origin or a pattern of origins")
        trust.add_argument("--audience", default="", help="only for this audience")
        trust.add_argument("--note", default="", help="why it is here")
        trust.add_argument("--expires", type=duration, help="such as 12h or 7d")
        trust.add_argument(
            "--credentials", action="store_true", help="with the visitor's session"
        )
        trust.add_argument("--cors", action="store_true", help="over HTTP too")
        denied = add("denied", DENIED_HELP)
        denied.add_argument("--since", type=duration, help="such as 1h (default: 7d)")
        denied.add_argument("--limit", type=int, default=20, help="rows (default: 20)")
        add("prune", PRUNE_HELP)

    def handle(self, *args: Any, subcommand: str, **options: Any) -> None:
        getattr(self, f"handle_{subcommand}")(**options)

    # explain ------------------------------------------------------------------------

    def handle_explain(
        self,
        origin: str | None,
        path: str | None,
        audience: str,
        host: str | None,
        scheme: str | None,
        **options: Any,
    ) -> None:
        try:
            explanation = explain(
                origin,
                path=path,
                audience=audience,
                host=host or "",
                scheme=scheme or "",
            )
        except NoRoute as exc:
            raise CommandError(str(exc), returncode=2) from exc
        if explanation is None:
            self.stdout.write(f"Nothing checks the origin at {path}.")
            return
        answer = as_json(origin, path, explanation)
        if options["json"]:
            self.print_json(answer)
        else:
            self.stdout.write("\n".join(in_words(answer, explanation)))
        if not explanation.decision:
            sys.exit(1)

    # list ---------------------------------------------------------------------------

    def handle_list(self, **options: Any) -> None:
        policy = get_policy()
        if options["json"]:
            self.print_json(
                {
                    "fingerprint": policy.fingerprint,
                    "same_origin": policy.same_origin,
                    "missing_origin": policy.missing,
                    "rules": [rule_as_json(rule) for rule in policy.rules],
                }
            )
            return
        rows = [("origin", "session", "audience", "from")]
        if policy.same_origin:
            rows.append(("(the site itself)", "yes", "", "same-origin"))
        rows += [
            (
                str(rule.pattern),
                "yes" if rule.credentials else "no",
                rule.audience,
                rule.source,
            )
            for rule in policy.rules
        ]
        self.print_table(rows)
        self.stdout.write(
            f"\nNo Origin header: {policy.missing}. Policy {policy.fingerprint}."
        )

    # diff ---------------------------------------------------------------------------

    def handle_diff(self, **options: Any) -> None:
        result = reconcile(database=True)
        if options["json"]:
            self.print_json(
                {
                    "rows": [
                        {name: getattr(row, name) for name in row.__slots__}
                        for row in result.rows
                    ],
                    "settings": str(result.proposal),
                }
            )
        else:
            yes = {True: "yes", False: "-"}
            rows = [
                ("origin", "cors", "session", "csrf", "host", "websocket", ""),
                *(
                    (
                        row.origin,
                        yes[row.cors],
                        yes[row.credentials],
                        yes[row.csrf],
                        yes[row.host],
                        row.websocket if row.websocket != "no" else "-",
                        row.disagreement or row.note or "agrees",
                    )
                    for row in result.rows
                ),
            ]
            self.print_table(rows)
            if result.disagreements:
                self.stdout.write(f"\nTo make them agree:\n\n{result.proposal}")
            else:
                self.stdout.write("\nHTTP and WebSockets agree.")
        if result.disagreements:
            sys.exit(1)

    # trust, denied, prune -------------------------------------------------------------

    def handle_trust(
        self,
        origin: str,
        audience: str,
        note: str,
        expires: timedelta | None,
        credentials: bool,
        cors: bool,
        **options: Any,
    ) -> None:
        try:
            pattern = str(OriginPattern.parse(origin))
        except InvalidOrigin as exc:
            message = f"{exc}. {exc.remedy}".strip()
            raise CommandError(message, returncode=2) from exc
        known = TrustedOrigin.objects.filter(pattern=pattern, audience=audience).first()
        row = known or TrustedOrigin(pattern=pattern, audience=audience)
        row.is_active = True
        row.note = note or row.note
        row.allow_credentials = credentials or row.allow_credentials
        row.allow_cors = cors or row.allow_cors
        row.expires_at = timezone.now() + expires if expires else None
        try:
            row.full_clean()
        except ValidationError as exc:
            raise CommandError("\n".join(exc.messages), returncode=2) from exc
        row.save()
        if options["json"]:
            names = ("pattern", "audience", "note", "allow_credentials", "allow_cors")
            answer = {name: getattr(row, name) for name in names}
            until = row.expires_at and row.expires_at.isoformat()
            self.print_json({**answer, "expires_at": until, "created": known is None})
            return
        session = "with" if row.allow_credentials else "without"
        until = f" until {row.expires_at:%Y-%m-%d %H:%M %Z}" if row.expires_at else ""
        self.stdout.write(
            f"{row} is trusted {session} the session{until}: within "
            f"{conf.WSORIGIN_REFRESH_INTERVAL:g} seconds in every process."
        )

    def handle_denied(
        self, since: timedelta | None, limit: int, **options: Any
    ) -> None:
        start = timezone.now() - (since or timedelta(days=7))
        rows = DeniedHandshake.objects.filter(last_seen_at__gte=start)
        found = list(rows.order_by("-count", "-last_seen_at")[:limit])
        if options["json"]:
            self.print_json([denial_as_json(row) for row in found])
        elif not found:
            self.stdout.write("No handshake was denied.")
        else:
            table = [("count", "origin", "endpoint", "reason", "last seen", "nearest")]
            table += [
                (
                    str(row.count),
                    ascii(row.origin)[1:-1] or "(others)",
                    ascii(row.endpoint)[1:-1],
                    row.reason + (" (report-only)" if row.report_only else ""),
                    f"{row.last_seen_at:%Y-%m-%d %H:%M}",
                    row.nearest,
                )
                for row in found
            ]
            self.print_table(table)

    def handle_prune(self, **options: Any) -> None:
        deleted = prune()
        if options["json"]:
            self.print_json({"deleted": deleted})
        else:
            self.stdout.write(f"Deleted {deleted} rows of denied handshakes.")

    # printing -----------------------------------------------------------------------

    def print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2))

    def print_table(self, rows: Sequence[Sequence[str]]) -> None:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for number, row in enumerate(rows):
            line = "  ".join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            ).rstrip()
            self.stdout.write(self.style.MIGRATE_HEADING(line) if number == 0 else line)


def denial_as_json(row: DeniedHandshake) -> dict[str, Any]:
    """Return a row of denials as plain data."""
    return {
        "day": row.day.isoformat(),
        "origin": row.origin,
        "endpoint": row.endpoint,
        "reason": row.reason,
        "report_only": row.report_only,
        "count": row.count,
        "nearest": row.nearest,
        "first_seen_at": row.first_seen_at.isoformat(),
        "last_seen_at": row.last_seen_at.isoformat(),
    }


def in_words(answer: dict[str, Any], explanation: Explanation) -> Iterable[str]:
    """Yield the lines that explain a decision to a person."""
    who = "A handshake without Origin" if answer["origin"] is None else answer["origin"]
    where = f" at {answer['path']}" if answer["path"] else ""
    if answer["allowed"]:
        session = "with" if answer["credentials"] else "without"
        yield f"{who}{where}: allowed ({answer['reason']}), {session} the session."
    else:
        yield f"{who}{where}: denied ({answer['reason']})."
    yield f"  {answer['sentence']}"
    if answer["problem"]:
        yield f"  The header isn't an origin: {answer['problem']}."
    for number, rule in enumerate(explanation.matches):
        yield f"  {'By' if number == 0 else 'Also'} {rule}."
    if explanation.nearest:
        yield f"  Nearest: {explanation.nearest}."
    if answer["remedy"]:
        yield f"  {answer['remedy']}"
