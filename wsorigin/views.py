"""
Views over HTTP: what a page may ask before it opens a socket, and its ticket.

They ask the guards of the WebSocket routes, and decide nothing themselves.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Sequence
from functools import cache
from math import ceil
from typing import Any, Final

from channels.routing import URLRouter
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, URLResolver
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables

from .conf import conf
from .credentials import Secret
from .explanation import ask
from .handshake import MARKER, Handshake
from .origins import InvalidOrigin
from .preflight import describe, handshake_scope, is_for_page
from .reasons import Reason
from .routes import Route, websocket_routes
from .tokens import MAX_OUTSTANDING, TooManyTickets, mint_ticket

logger = logging.getLogger(__name__)

# The preflight over HTTP


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
        known = route_at(request.path_info, project_routes(application))
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


def route_at(path: str, routes: Iterable[Route]) -> tuple[Route, dict[str, Any]] | None:
    """Return the route that a path leads to, with its keyword arguments."""
    for route in routes:
        kwargs = route.match(path)
        if kwargs is not None:
            return route, kwargs
    return None


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


# The ticket endpoint


@method_decorator(csrf_exempt, name="dispatch")  # see is_forgeable()
@method_decorator(login_not_required, name="dispatch")  # answers 401, not a login page
@method_decorator(never_cache, name="dispatch")
@method_decorator(sensitive_variables(), name="dispatch")
class TicketView(View):
    """
    Exchange a login for a ticket: one WebSocket, from this origin, within seconds.

    ``POST``, form-encoded or JSON, with an ``audience`` for endpoints that have one.
    Whoever is logged in by a cookie needs Django's CSRF token. Answers 401 to nobody,
    429 to who has 20 unused tickets, 503 without a database, as problem+json
    (RFC 9457).
    """

    def post(self, request: HttpRequest) -> HttpResponse:
        """Return the ticket, and the subprotocols that carry it."""
        try:
            if is_forgeable(request):
                return csrf_protect(answer_ticket)(request)
            return answer_ticket(request)
        except (InterfaceError, OperationalError):
            logger.exception("a ticket cannot be made: the database does not answer")
            return problem_response(
                503, Reason.TOKEN_UNAVAILABLE, Reason.TOKEN_UNAVAILABLE.sentence, 5
            )


def is_forgeable(request: HttpRequest) -> bool:
    """
    Whether a page of another site could have had a browser send this request.

    What browsers attach by themselves is a cookie, or an Authorization header of the
    schemes that they ask passwords for. Another one takes a script, which CORS stops.
    """
    session = getattr(request, "session", {})
    scheme = request.headers.get("authorization", "").partition(" ")[0].lower()
    if scheme and scheme not in _AMBIENT_SCHEMES:
        return SESSION_KEY in session
    return bool(scheme or request.COOKIES)


_AMBIENT_SCHEMES: Final = frozenset({"basic", "digest", "negotiate", "ntlm"})


def answer_ticket(request: HttpRequest) -> HttpResponse:
    """Mint a ticket for the user of a request that nobody forged."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return problem_response(401, "login-required", "Log in to get a ticket.")
    origin = request.headers.get("origin")
    session: Any = getattr(request, "session", {})
    session_key = session.session_key if SESSION_KEY in session else ""
    try:
        _, text = mint_ticket(
            user,
            origin=origin,
            audience=audience_in(request),
            session_key=session_key,
        )
    except InvalidOrigin as exc:
        # Opaque, mostly: everybody is "null", so that a ticket for it is everybody's.
        return problem_response(403, "origin", f"There are no tickets here: {exc}.")
    except ValidationError as exc:
        return problem_response(400, "audience", " ".join(exc.messages))
    except TooManyTickets:
        detail = f"{MAX_OUTSTANDING} tickets wait to be used. Use one, or wait."
        age = ceil(conf.WSORIGIN_TICKET_MAX_AGE)
        return problem_response(429, "too-many-tickets", detail, age)
    return JsonResponse(
        {
            "ticket": text,
            "max_age": conf.WSORIGIN_TICKET_MAX_AGE,
            "protocols": [MARKER, Secret.parse(text).subprotocol],
        }
    )


def audience_in(request: HttpRequest) -> str:
    """
    Return the audience that a request asks for, empty for none.

    Raises ValidationError where its body says none that could be one.
    """
    audience: Any = request.POST.get("audience", "")
    if request.content_type == "application/json" and request.body:
        try:
            audience = json.loads(request.body).get("audience", "")
        except (ValueError, AttributeError, RecursionError) as exc:
            raise ValidationError("The body has to be a JSON object.") from exc
    # Of NUL and lone surrogates, which JSON can say, databases make errors of their own.
    if not isinstance(audience, str) or not audience.isprintable():
        raise ValidationError("The audience has to be a printable text.")
    return audience


def problem_response(
    status: int, reason: str, detail: str, retry_after: int = 0
) -> JsonResponse:
    """Return a refusal as problem+json (RFC 9457)."""
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    return JsonResponse(
        {
            "title": "No ticket",
            "status": status,
            "reason": reason,
            "detail": detail,
        },
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )
