"""
The site: a page that has the helper, a login, and sockets that do as they are told.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth import get_user_model, login, logout
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path

pages = get_asgi_application()  # before anything that may need the app registry

from tests.servers.consumers import AsyncEcho  # noqa: E402
from wsorigin.consumers import GuardedAsyncWebsocketConsumer  # noqa: E402
from wsorigin.views import handshake_urls  # noqa: E402

PAGE = """<!doctype html>
<title>A page</title>
<script type="module">
  import * as helper from "/static/wsorigin/wsorigin.js";
  window.helper = helper;
</script>
"""


class Obedient(GuardedAsyncWebsocketConsumer):
    """Say who is there; close with the code that the URL or a message names."""

    async def connect(self) -> None:
        await self.accept()
        await self.send(str(self.scope["user"]))
        for code in parse_qs(self.scope["query_string"].decode()).get("close", []):
            await self.close(int(code))

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        await self.close(int(text_data or 1000))


def page(request: HttpRequest) -> HttpResponse:
    """Return the page, with the policy that the URL asks for."""
    get_token(request)  # sets the cookie
    response = HttpResponse(PAGE)
    if "csp" in request.GET:
        response["Content-Security-Policy"] = request.GET["csp"]
    return response


def log_in(request: HttpRequest) -> HttpResponse:
    """Log Ada in, and return the page."""
    ada, _ = get_user_model().objects.get_or_create(username="ada")
    login(request, ada)
    return page(request)


def log_out(request: HttpRequest) -> HttpResponse:
    """End the session, and return the page."""
    logout(request)
    return page(request)


websocket_urlpatterns = [
    path("ws/plain/", Obedient.as_asgi()),
    path("ws/prices/", Obedient.as_asgi(require_token=True, audience="prices")),
    path("ws/chat/", Obedient.as_asgi(subprotocols=["chat.v2", "chat.v1"])),
    path("ws/unguarded/", AsyncEcho.as_asgi()),
]
urlpatterns = [
    path("page/", page),
    path("log-in/", log_in),
    path("log-out/", log_out),
    path("wsorigin/", include("wsorigin.urls")),
    *handshake_urls(websocket_urlpatterns),
]
application = ProtocolTypeRouter(
    {
        "http": ASGIStaticFilesHandler(pages),
        "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns)),
    }
)
