"""
The subcommands about origins: explain, list, diff, trust. Deciding is the policy's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.utils import timezone

from wsorigin.conf import conf
from wsorigin.explanation import NoRoute, as_json, explain, rule_as_json
from wsorigin.models import TrustedOrigin
from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import OriginPattern
from wsorigin.policy import Explanation
from wsorigin.preflight import UNGUARDED
from wsorigin.reconciliation import reconcile
from wsorigin.refresh import current, get_policy
from wsorigin.routes import validator_at

from . import Subcommand, duration, moment, wrong_question


class Explain(Subcommand):
    """Explain one decision."""

    name = "explain"
    description = """
    Say whether a page of ORIGIN may open a WebSocket here, and why.

      manage.py wsorigin explain https://app.example.com
      manage.py wsorigin explain https://app.example.com --path /ws/prices/ --json

    Exit code 0: allowed; 1: denied; 2: the question was wrong.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "origin",
            nargs="?",
            help="the Origin header, as a browser sends it; none without it",
        )
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--path", help="a path of this site, such as /ws/prices/")
        where.add_argument("--audience", default="", help="an audience of this site")
        parser.add_argument("--host", help="the Host header (default: this site's)")
        parser.add_argument(
            "--scheme", choices=["http", "https"], help="how the request came, if known"
        )

    def handle(
        self,
        *args: Any,
        origin: str | None,
        path: str | None,
        audience: str,
        host: str | None,
        scheme: str | None,
        **options: Any,
    ) -> int:
        try:
            explanation = explain(
                origin,
                path=path,
                audience=audience,
                host=host or "",
                scheme=scheme or "",
            )
        except NoRoute as exc:
            raise wrong_question(str(exc)) from exc
        if explanation is None:
            answer = unguarded(origin, path)
        else:
            answer = as_json(origin, path, explanation)
        if options["json"]:
            self.print_json(answer)
        elif explanation is None:
            self.stdout.write(answer["sentence"])
        else:
            self.print_lines(in_words(answer, explanation))
        return 0 if answer["allowed"] else 1


def unguarded(origin: str | None, path: str | None) -> dict[str, Any]:
    """Return, as plain data, what to say where no guard stands: who decides there."""
    validator = validator_at(path or "")
    sentence = (
        f"No guard stands at {path}: Channels' {validator} decides there."
        if validator
        else f"Nothing checks the origin at {path}."
    )
    # As a no-op handshake says it there.
    return {
        "origin": origin,
        "path": path,
        "allowed": True,
        "reason": UNGUARDED,
        "sentence": sentence,
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


class List(Subcommand):
    """List the rules."""

    name = "list"
    description = """
    List the rules of the site's policy, with the setting each comes from.

      manage.py wsorigin list
      manage.py wsorigin list --json
    """

    def handle(self, *args: Any, **options: Any) -> None:
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


class Diff(Subcommand):
    """Compare the lists of HTTP with the policy."""

    name = "diff"
    description = """
    Compare what each origin may do over HTTP (CORS, CSRF, hosts) and over WebSockets.

      manage.py wsorigin diff
      manage.py wsorigin diff --json

    Prints settings that make the lists agree. Exit code 0: they agree; 1: they do not.
    """

    def handle(self, *args: Any, **options: Any) -> int:
        result = reconcile(database=True)
        if options["json"]:
            self.print_json(
                {
                    "rows": [asdict(row) for row in result.rows],
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
        return 1 if result.disagreements else 0


class Trust(Subcommand):
    """Store a trusted origin."""

    name = "trust"
    description = """
    Trust an origin from now on, in every process, without a restart.

      manage.py wsorigin trust https://app.example.com --note "Partner, ticket 12"
      manage.py wsorigin trust https://pr-7.example.dev --expires 7d --credentials

    Exit code 0: it is trusted; 1: it is stored, but WSORIGIN_INHERIT leaves out what is
    stored; 2: it isn't a pattern of origins.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("origin", help="an origin or a pattern of origins")
        parser.add_argument("--audience", default="", help="only for this audience")
        parser.add_argument("--note", default="", help="why it is here")
        parser.add_argument("--expires", type=duration, help="such as 12h or 7d")
        parser.add_argument(
            "--credentials", action="store_true", help="with the visitor's session"
        )
        parser.add_argument("--cors", action="store_true", help="over HTTP too")

    def handle(
        self,
        *args: Any,
        origin: str,
        audience: str,
        note: str,
        expires: timedelta | None,
        credentials: bool,
        cors: bool,
        **options: Any,
    ) -> int:
        try:
            pattern = str(OriginPattern.parse(origin))
        except InvalidOrigin as exc:
            raise wrong_question(f"{exc}. {exc.remedy}".strip()) from exc
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
            raise wrong_question("\n".join(exc.messages)) from exc
        row.save()
        if options["json"]:
            names = ("pattern", "audience", "note", "allow_credentials", "allow_cors")
            answer = {name: getattr(row, name) for name in names}
            until = row.expires_at and row.expires_at.isoformat()
            self.print_json({**answer, "expires_at": until, "created": known is None})
        else:
            self.stdout.write(trusted(row))
        return 0 if current.reads_database else 1


def trusted(row: TrustedOrigin) -> str:
    """Return what an operator should know of a row that he has just stored."""
    if not current.reads_database:
        return (
            f'{row} is stored, and trusts nobody: add "database" to WSORIGIN_INHERIT.'
        )
    session = "with" if row.allow_credentials else "without"
    until = f" until {moment(row.expires_at)}" if row.expires_at else ""
    return (
        f"{row} is trusted {session} the session{until}: within "
        f"{conf.WSORIGIN_REFRESH_INTERVAL:g} seconds in every process."
    )
