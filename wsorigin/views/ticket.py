"""
The ticket endpoint: a login exchanged for one WebSocket.

What a ticket is, and how many there may be, is said by `wsorigin.tokens`.
"""

from __future__ import annotations

import json
import logging
from math import ceil
from typing import Any, Final

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables

from wsorigin.conf import conf
from wsorigin.credentials import Secret
from wsorigin.handshake import MARKER
from wsorigin.origins import InvalidOrigin
from wsorigin.reasons import Reason
from wsorigin.tokens import MAX_OUTSTANDING, TooManyTickets, mint_ticket

logger = logging.getLogger(__name__)


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
