"""
A Django middleware for WebSocket handshakes that arrive as ordinary HTTP requests.

It answers those, and says what is wrong on the way. It decides about no origin.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse

from .audit import audit
from .denial import RateLimit, shown
from .handshake import Handshake
from .policy import Decision, Policy, Reason
from .preflight import handshake_scope
from .refresh import aget_policy, get_policy

logger = logging.getLogger(__name__)

# What makes an upgrade complete (RFC 6455, section 4.2.1), by header.
_UPGRADE: Final = {"Upgrade": "websocket", "Connection": "upgrade"}

_STRIPPED: Final = Decision(False, Reason.UPGRADE_STRIPPED)

_PROXY_LINES: Final = """\
nginx, in http {}:
    map $http_upgrade $connection_upgrade { default upgrade; "" close; }
and in each location {} that passes WebSockets on:
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Host $http_host;

Apache 2.4.47 or later:
    ProxyPreserveHost On
    ProxyPass "/" "http://127.0.0.1:8000/" upgrade=websocket

HAProxy passes the upgrade on by itself, unless something like this removes it:
    http-request del-header Upgrade

Caddy passes it on by itself, unless something like this removes it:
    reverse_proxy 127.0.0.1:8000 { header_up -Upgrade }
"""

_SERVER_LINES: Final = """\
Daphne, hypercorn and granian speak WebSocket with the project's ASGI application.
uvicorn needs a library for it: pip install "uvicorn[standard]", and no --ws none.
runserver needs "daphne" first in INSTALLED_APPS.
WSGI servers, such as gunicorn with its own workers, cannot.
"""

# As for denials: strangers choose how many of these requests there are.
limit: Final = RateLimit(burst=50, per_second=2)


class StrippedUpgradeMiddleware:
    """
    Answer 426 to WebSocket handshakes that became plain HTTP on their way here.

    Name it first in ``MIDDLEWARE``: what stands before it may redirect or refuse such
    a request. All others pass unchanged. Each handshake that it answers is logged, and
    counted among the denied ones with the reason ``upgrade-stripped``.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Return the response, or under ASGI the coroutine that does."""
        if self.is_async:
            return self._acall(request)
        if is_handshake(request):
            return answer(request, get_policy())
        return self.get_response(request)

    async def _acall(self, request: HttpRequest) -> Any:
        if is_handshake(request):
            return answer(request, await aget_policy())
        return await self.get_response(request)


def is_handshake(request: HttpRequest) -> bool:
    """
    Whether a request was sent as a WebSocket handshake, whatever became of it.

    No page can add ``Sec-WebSocket-Key`` to a request of another kind (Fetch,
    "forbidden request-header"), and proxies that drop ``Upgrade`` let it pass.
    Handshakes over HTTP/2 have none, but they never become ordinary requests.
    """
    return "HTTP_SEC_WEBSOCKET_KEY" in request.META


def answer(request: HttpRequest, policy: Policy) -> HttpResponse:
    """Return 426 with the cause, after having written it to the log and the audit."""
    handshake = Handshake.from_scope(handshake_scope(request))
    missing = missing_headers(request)
    audit.record(policy, handshake, "", _STRIPPED, enforced=True)
    log(handshake, missing)
    response = HttpResponse(body(missing), status=426, content_type="text/plain")
    response["Cache-Control"] = "no-store"
    if isinstance(request, ASGIRequest) and request.scope["http_version"] < "2":
        # RFC 9110 asks for both (sections 15.5.22, 7.8). Yet WSGI leaves hop-by-hop
        # headers to the server: runserver answers 500 to them. HTTP/2 has none at all.
        response["Upgrade"] = "websocket"
        response["Connection"] = "Upgrade"
    return response


def missing_headers(request: HttpRequest) -> list[str]:
    """Name the headers of an upgrade that are absent, or say something else."""
    return [
        name
        for name, token in _UPGRADE.items()
        if token not in map(str.strip, request.headers.get(name, "").lower().split(","))
    ]


def body(missing: list[str]) -> str:
    """Return the cause, and the lines of configuration that cure it."""
    if not missing:
        return (
            "This WebSocket handshake is complete, yet it arrived as plain HTTP: "
            f"the server that runs this site speaks no WebSocket.\n\n{_SERVER_LINES}"
        )
    lost = " and ".join(f'"{name}: {_UPGRADE[name]}"' for name in missing)
    return (
        f"This WebSocket handshake arrived as plain HTTP, without {lost}. "
        f"A proxy in front of this site does not pass that on.\n\n{_PROXY_LINES}"
    )


def log(handshake: Handshake, missing: list[str]) -> None:
    """Write one line: what arrived, what it lacked, and where the remedy is."""
    if not limit.allows():
        return
    text = f"denied origin={shown(handshake.origin)} reason={_STRIPPED.reason}"
    text += f" endpoint={shown(handshake.path)} missing={','.join(missing) or '-'}"
    if limit.dropped:
        text += f" ({limit.dropped} of these before it not logged)"
        limit.dropped = 0
    remedy = (
        "Have the proxy pass both headers on: the answer's body says how."
        if missing
        else "Serve the site with a server that speaks WebSocket."
    )
    logger.warning("%s\n    %s", text, remedy)
