"""
The application that each server serves; it does not know which one runs it.
"""

from __future__ import annotations

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import SessionMiddlewareStack
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from wsorigin.handshake import Receive, Scope, Send
from wsorigin.policy import SITE

pages = get_asgi_application()  # before anything that may need the app registry

from wsorigin.guard import Application, OriginGuard  # noqa: E402
from wsorigin.signals import handshake_checked  # noqa: E402

from . import consumers  # noqa: E402

ONE = "https://one.example"
OTHER = "https://other.example"


def witnessed(application: Application) -> Application:
    """Count the handshakes that a server passes on at all."""

    async def wrapper(scope: Scope, receive: Receive, send: Send) -> None:
        consumers.Witness.handshakes += 1
        await application(scope, receive, send)

    return wrapper


handshake_checked.connect(consumers.note_reason)

guarded = URLRouter(
    [
        path("async/", consumers.GuardedAsyncEcho.as_asgi()),
        path("sync/", consumers.GuardedSyncEcho.as_asgi()),
        path("async-default-connect/", consumers.AsyncDefaultConnect.as_asgi()),
        path("sync-default-connect/", consumers.SyncDefaultConnect.as_asgi()),
        path("async-json/", consumers.AsyncJson.as_asgi()),
        path("sync-json/", consumers.SyncJson.as_asgi()),
        path("async-own-handler/", consumers.AsyncOwnHandler.as_asgi()),
        path("sync-own-handler/", consumers.SyncOwnHandler.as_asgi()),
        path("wrapped-async/", OriginGuard(consumers.AsyncEcho.as_asgi())),
        path("wrapped-sync/", OriginGuard(consumers.SyncEcho.as_asgi())),
        # Channels' path() takes only a bare router for one with routes below it.
        re_path(
            "^wrapped-router/",
            OriginGuard(URLRouter([path("echo/", consumers.AsyncEcho.as_asgi())])),
        ),
        path(
            "one-mount/",
            consumers.GuardedAsyncEcho.as_asgi(allowed_origins=[ONE]),
        ),
        path(
            "other-mount/",
            consumers.GuardedAsyncEcho.as_asgi(allowed_origins=[SITE, OTHER]),
        ),
        path(
            "two-guards/",
            OriginGuard(
                consumers.GuardedAsyncEcho.as_asgi(allowed_origins=[ONE, OTHER]),
                allowed_origins=[SITE, ONE],
            ),
        ),
        path("tenants/<tenant>/", consumers.Tenants.as_asgi()),
        path("sync-tenants/<tenant>/", consumers.SyncTenants.as_asgi()),
        path("token/", consumers.GuardedAsyncEcho.as_asgi(require_token=True)),
        path("report-only/", consumers.GuardedReport.as_asgi(report_only=True)),
        path("prices/", consumers.Prices.as_asgi()),
        path("report/", consumers.GuardedReport.as_asgi()),
        path(
            "session-inside/",
            OriginGuard(SessionMiddlewareStack(consumers.Report.as_asgi())),
        ),
        path(
            "session-outside/",
            SessionMiddlewareStack(consumers.GuardedReport.as_asgi()),
        ),
        path("unguarded/", consumers.AsyncEcho.as_asgi()),
        path("unguarded-report/", consumers.Report.as_asgi()),
    ]
)

application = ProtocolTypeRouter(
    {
        "http": OriginGuard(pages),
        "websocket": URLRouter(
            [
                path("witness/", consumers.Witness.as_asgi()),
                re_path("", witnessed(guarded)),
            ]
        ),
    }
)
