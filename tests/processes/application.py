"""
The application: a guarded socket, and a page through which its process changes rows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone

pages = get_asgi_application()  # before anything that may need the app registry

from tests.servers.consumers import GuardedAsyncEcho, Witness  # noqa: E402
from wsorigin.models import TrustedOrigin  # noqa: E402
from wsorigin.refresh import current  # noqa: E402


def execute(sql: str) -> Callable[[str], object]:
    """Return a change that is written in SQL, past Django."""

    def change(origin: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, [origin] * sql.count("%s"))

    return change


def roll_back(origin: str) -> None:
    """Save a change, and think better of it."""
    with transaction.atomic():
        row = TrustedOrigin.objects.get(pattern=origin)
        row.is_active = False
        row.save()
        transaction.set_rollback(True)


def bulk_update(origin: str) -> None:
    rows = list(TrustedOrigin.objects.filter(pattern=origin))
    for row in rows:
        row.is_active = False
    TrustedOrigin.objects.bulk_update(rows, ["is_active"])


def expire_soon(origin: str) -> None:
    soon = timezone.now() + timedelta(seconds=0.3)
    TrustedOrigin.objects.filter(pattern=origin).update(expires_at=soon)


def update(**values: object) -> Callable[[str], object]:
    return lambda origin: TrustedOrigin.objects.filter(pattern=origin).update(**values)


def empty(_origin: str) -> None:
    # SQLite has no TRUNCATE: there a DELETE of all rows does the same.
    word = "TRUNCATE" if connection.vendor == "postgresql" else "DELETE FROM"
    with connection.cursor() as cursor:
        cursor.execute(f"{word} wsorigin_trustedorigin")


CHANGES: Final[dict[str, Callable[[str], object]]] = {
    "nothing": lambda origin: None,
    "save": lambda origin: TrustedOrigin(pattern=origin).save(),
    "bulk_create": lambda origin: TrustedOrigin.objects.bulk_create(
        [TrustedOrigin(pattern=origin)]
    ),
    "raw INSERT": execute(
        "INSERT INTO wsorigin_trustedorigin (pattern, audience, note, is_active, "
        "allow_credentials, allow_cors, created_at) VALUES "
        "(%s, '', '', true, false, false, CURRENT_TIMESTAMP)"
    ),
    "update": update(is_active=False),
    "activate": update(is_active=True),
    "bulk_update": bulk_update,
    "delete": lambda origin: TrustedOrigin.objects.filter(pattern=origin).delete(),
    "raw UPDATE": execute(
        "UPDATE wsorigin_trustedorigin SET is_active = false WHERE pattern = %s"
    ),
    "raw DELETE": execute("DELETE FROM wsorigin_trustedorigin WHERE pattern = %s"),
    "TRUNCATE": empty,
    "roll back": roll_back,
    "expire soon": expire_soon,
}


def change(request: HttpRequest) -> HttpResponse:
    """Make a change; answer with the seconds since the last look at the database."""
    CHANGES[request.GET["what"]](request.GET.get("origin", ""))
    return HttpResponse(str(current.age))


urlpatterns = [path("change/", change)]
application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": URLRouter(
            [
                path("witness/", Witness.as_asgi()),
                path("ws/", GuardedAsyncEcho.as_asgi()),
            ]
        ),
    }
)
