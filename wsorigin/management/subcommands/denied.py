"""
The subcommands about what was recorded: denied, prune. Recording is the audit's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from wsorigin import tokens
from wsorigin.audit import prune
from wsorigin.models import DeniedHandshake, readable

from . import Subcommand, duration, positive


class Denied(Subcommand):
    """List denials."""

    name = "denied"
    description = """
    List the denials of late, the most frequent first.

      manage.py wsorigin denied
      manage.py wsorigin denied --since 1d --json
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--since", type=duration, help="such as 1h (default: 7d)")
        parser.add_argument(
            "--limit", type=positive, default=20, help="rows (default: 20)"
        )

    def handle(
        self, *args: Any, since: timedelta | None, limit: int, **options: Any
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
                    readable(row.origin) or "(others)",
                    readable(row.endpoint),
                    readable(row.reason)
                    + (" (report-only)" if row.report_only else ""),
                    f"{row.last_seen_at:%Y-%m-%d %H:%M}",
                    readable(row.nearest),
                )
                for row in found
            ]
            self.print_table(table)


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


class Prune(Subcommand):
    """Delete what has been kept long enough."""

    name = "prune"
    description = """
    Delete denials and tokens over for WSORIGIN_AUDIT_RETENTION_DAYS; for cron.

      manage.py wsorigin prune
      manage.py wsorigin prune --json

    Tickets go an hour after their end.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        deleted, dead = prune(), tokens.prune()
        if options["json"]:
            self.print_json({"deleted": deleted, "tokens": dead})
        else:
            self.stdout.write(
                f"Deleted {deleted} rows of denied handshakes and {dead} tokens."
            )
