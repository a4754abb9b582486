"""
The preflight over HTTP: what a WebSocket handshake would be answered with.

The guards of the route say so, and they see the same scope as for a handshake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from channels.routing import URLRouter
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.urls import URLPattern, URLResolver
from django.utils.decorators import method_decorator
from django.views import View

from wsorigin.explanation import ask
from wsorigin.handshake import Handshake
from wsorigin.preflight import describe, handshake_scope, is_for_page
from wsorigin.routes import Route, route_for, websocket_routes


def handshake_urls(
    websocket_urlpatterns: Iterable[Any],
) -> list[URLPattern | URLResolver]:
    """
    Return a Django URL of the same path for each WebSocket route.

    There, `HandshakeView` says what a handshake would be answered with. Add them last,
    since a page at the same path goes first::

        urlpatterns += handshake_urls(websocket_urlpatterns)
    """
    return [
        url_for(route.patterns, HandshakeView.as_view(route=route))
        for route in websocket_routes(URLRouter(list(websocket_urlpatterns)))
    ]


def url_for(patterns: Sequence[Any], view: Any) -> URLPattern | URLResolver:
    """Return a URL that matches as nested routers do, pattern after pattern."""
    first, *rest = patterns
    if not rest:
        return URLPattern(first, view)
    return URLResolver(first, [url_for(rest, view)])


# The socket asks for no login, so that asking about it does not either.
@method_decorator(login_not_required, name="dispatch")
class HandshakeView(View):
    """
    Say what a WebSocket handshake of the page that asks would be answered with.

    ``GET`` answers 426 with `describe` as JSON. Of other origins, a page that is
    allowed to open the socket may read it; others get no CORS header from here.
    ``OPTIONS`` is left to django-cors-headers.
    """

    # Where the guards are, if the project's own application does not say.
    route = Route("", None)

    async def get(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> JsonResponse:
        """Return the decision about the caller's own origin."""
        host = request.get_host()  # first of all, since it checks ALLOWED_HOSTS
        # Guards around the whole router are seen from the application only.
        application = getattr(settings, "ASGI_APPLICATION", None)
        known = route_for(request.path_info, project_routes(application))
        route, kwargs = known or (self.route, kwargs)
        scope = handshake_scope(request)
        scope["url_route"] = {"args": args, "kwargs": kwargs}
        origin = request.headers.get("origin")
        if origin is None and (page := page_origin(request, host)):
            scope["headers"].append((b"origin", page.encode("latin-1")))
        explanation = await ask(route.guards, scope)
        decision = explanation and explanation.decision
        # No Upgrade header, though RFC 9110 (section 15.5.22) wants one: nginx would
        # hand it on over HTTP/2, where clients take it for a broken response.
        answer = JsonResponse(
            {
                "title": "This is a WebSocket endpoint",
                "status": 426,
                **describe(decision, Handshake.from_scope(scope)),
            },
            status=426,
            content_type="application/problem+json",
            headers={"Cache-Control": "no-store", "Vary": "origin"},
        )
        if origin is not None and decision is not None and is_for_page(decision):
            answer["Access-Control-Allow-Origin"] = origin
            if decision.credentials:
                answer["Access-Control-Allow-Credentials"] = "true"
        return answer


@cache
def project_routes(application: str | None) -> Sequence[Route]:
    """Return the routes of ``ASGI_APPLICATION``: a walk for each request costs much."""
    return websocket_routes()


def page_origin(request: HttpRequest, host: str) -> str | None:
    """
    Return the origin of the page of this site that sent a request without ``Origin``.

    Browsers send none with a GET to the page's own origin (Fetch, "append a request
    `Origin` header"), but two others that no page can make up. ``Sec-Fetch-Site`` goes
    to https and to loopback only. ``Referer``, unless the page forbids it, knows the
    scheme even where TLS ended at a proxy that says nothing.
    """
    fetched_from = request.headers.get("sec-fetch-site")
    referer = re.match("(https?://([^/?#]+))/", request.headers.get("referer", ""))
    if fetched_from is None and referer and referer[2] == host:
        return referer[1]
    if fetched_from != "same-origin":
        return None
    return referer[1] if referer else f"{request.scheme}://{host}"
