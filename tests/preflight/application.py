"""
The application: endpoints guarded in several ways, and their pages over HTTP.
"""

from __future__ import annotations

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path, re_path

pages = get_asgi_application()  # before anything that may need the app registry

from tests.servers.consumers import (  # noqa: E402
    AsyncEcho,
    GuardedAsyncEcho,
    Prices,
    SyncTenants,
    Tenants,
)
from wsorigin.audit import audit  # noqa: E402
from wsorigin.guard import OriginGuard  # noqa: E402
from wsorigin.models import DeniedHandshake  # noqa: E402
from wsorigin.policy import SITE  # noqa: E402
from wsorigin.views import handshake_urls  # noqa: E402

CORS = "https://cors.example"


def denied(request: HttpRequest) -> JsonResponse:
    """Tell what the audit has written."""
    audit.flush()
    rows = DeniedHandshake.objects.values_list("origin", "endpoint", "reason", "count")
    return JsonResponse({"rows": list(rows)})


websocket_urlpatterns = [
    path("ws/echo/", GuardedAsyncEcho.as_asgi()),
    path("ws/tenants/<slug:tenant>/", Tenants.as_asgi()),
    path(
        "ws/nested/",
        URLRouter([re_path(r"^(?P<tenant>\w+)/$", SyncTenants.as_asgi())]),
    ),
    path(
        "ws/two-guards/",
        OriginGuard(
            GuardedAsyncEcho.as_asgi(allowed_origins=[SITE]),
            allowed_origins=["null", "https://app.example"],
        ),
    ),
    path("ws/prices/", Prices.as_asgi()),
    path("ws/token/", GuardedAsyncEcho.as_asgi(require_token=True)),
    path("ws/report-only/", GuardedAsyncEcho.as_asgi(report_only=True)),
    path("ws/open/", AsyncEcho.as_asgi()),
]

urlpatterns = [path("denied/", denied), *handshake_urls(websocket_urlpatterns)]

application = ProtocolTypeRouter(
    {"http": pages, "websocket": URLRouter(websocket_urlpatterns)}
)
