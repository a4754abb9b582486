"""
The application: the same consumers with the guard around all, or around each of them.

The first segment of a path says which.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth import logout
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path

from wsorigin.handshake import Handshake, Receive, Scope, Send
from wsorigin.policy import Decision

pages = get_asgi_application()  # before anything that may need the app registry

from wsorigin import audit, denial  # noqa: E402
from wsorigin.guard import OriginGuard  # noqa: E402
from wsorigin.signals import handshake_checked  # noqa: E402

from . import consumers  # noqa: E402

logger = logging.getLogger(__name__)

# No line is left out: the tests look for what should not be in them.
denial.limit = denial.withheld_limit = denial.RateLimit(burst=10_000, per_second=0)
# Nor does anybody want to wait for what is written.
audit._FLUSH_SECONDS = 0.2

CONSUMERS: Final[dict[str, Any]] = {
    "async/<name>/": consumers.AsyncEcho,
    "sync/<name>/": consumers.SyncEcho,
    "failing/": consumers.Failing,
    "failing-later/": consumers.FailingLater,
}


async def note(handshake: Handshake, decision: Decision, **rest: Any) -> None:
    """Write down all that a receiver of the signal gets."""
    logger.info("checked reason=%s", decision.reason)
    logger.info("checked %r", (handshake, decision, rest, [*handshake], [*decision]))


handshake_checked.connect(note)


def inside() -> Any:
    """Guard each consumer, inside of everything."""
    return AuthMiddlewareStack(
        URLRouter(
            [
                path("witness/", consumers.Witness.as_asgi()),
                *(
                    path(f"inside/{route}", OriginGuard(consumer.as_asgi()))
                    for route, consumer in CONSUMERS.items()
                ),
                # Whatever follows: a path may have a token in it.
                re_path("^inside/report/", OriginGuard(consumers.Report.as_asgi())),
            ]
        )
    )


def outside(place: str, **options: Any) -> OriginGuard:
    """Guard everything, outside of the rest."""
    router = URLRouter(
        [
            *(
                path(f"{place}/{route}", consumer.as_asgi())
                for route, consumer in CONSUMERS.items()
            ),
            re_path(f"^{place}/report/", consumers.Report.as_asgi()),
        ]
    )
    return OriginGuard(AuthMiddlewareStack(router), **options)


PLACES: Final = {
    "inside": inside(),
    "outside": outside("outside"),
    "report-only": outside("report-only", report_only=True),
    "prices": outside("prices", subprotocols=["prices.v1"]),
}


async def by_place(scope: Scope, receive: Receive, send: Send) -> None:
    """Pass the server's own scope on; a router would pass a copy."""
    place = scope["path"].split("/")[1]
    await PLACES.get(place, PLACES["inside"])(scope, receive, send)


def log_out(request: HttpRequest) -> HttpResponse:
    """End the session, as a site's own page does."""
    user: Any = request.user
    logout(request)
    return HttpResponse(user.get_username())


def go_on(request: HttpRequest) -> HttpResponse:
    """Let busy handlers finish."""
    consumers.go_on.set()
    return HttpResponse("ok")


urlpatterns = [path("log-out/", log_out), path("go-on/", go_on)]
application = ProtocolTypeRouter({"http": pages, "websocket": by_place})
