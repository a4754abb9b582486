"""
Handshakes that arrive as plain HTTP: what they are answered, and what is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, override_settings
from django.urls import path

from wsorigin import middleware
from wsorigin.audit import audit
from wsorigin.denial import RateLimit
from wsorigin.middleware import StrippedUpgradeMiddleware
from wsorigin.models import DeniedHandshake
from wsorigin.policy import Reason

from .preflight.servers import (
    DAPHNE,
    GRANIAN,
    HYPERCORN,
    UVICORN,
    UVICORN_WITHOUT,
    WSGI,
    environment,
    serving,
)
from .servers.processes import Kind, Server
from .servers.sites import ROOT

APP: Final = "https://app.example"
KEY: Final = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
COMPLETE: Final = {**KEY, "upgrade": "websocket", "connection": "keep-alive, Upgrade"}

PAGE: Final = (ROOT / "docs/explanation/dropped-upgrade.md").read_text()

Ask = Callable[..., Any]


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("page")


urlpatterns = [path("page/", page)]


def ask_wsgi(at: str, headers: dict[str, str], method: str = "GET") -> Any:
    """Ask in a thread, as WSGI servers do."""
    return Client().generic(method, at, headers=headers)


def ask_asgi(at: str, headers: dict[str, str], method: str = "GET") -> Any:
    """Ask on an event loop."""

    async def ask() -> Any:
        return await AsyncClient().generic(method, at, headers=headers)

    return async_to_sync(ask)()


@pytest.fixture(params=[ask_wsgi, ask_asgi])
def ask_site(request: pytest.FixtureRequest) -> Ask:
    """Ask this site for a page."""
    return request.param


@pytest.fixture(autouse=True)
def site() -> Iterator[None]:
    """A site as the documentation says: the middleware first."""
    with override_settings(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[
            "wsorigin.middleware.StrippedUpgradeMiddleware",
            "corsheaders.middleware.CorsMiddleware",
        ],
        CORS_ALLOWED_ORIGINS=[APP],
    ):
        yield


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what the middleware has logged so far."""
    return lambda: [
        record.getMessage()
        for record in caplog.records
        if record.name == "wsorigin.middleware"
    ]


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        pytest.param(
            {"connection": "close"},
            'without "Upgrade: websocket" and "Connection: upgrade". A proxy',
            id="nginx, as it is",
        ),
        pytest.param(
            {"connection": "Upgrade"},
            'without "Upgrade: websocket". A proxy',
            id="HAProxy or Caddy told to delete Upgrade",
        ),
        pytest.param(
            {"upgrade": "websocket"},
            'without "Connection: upgrade". A proxy',
            id="no Connection",
        ),
        pytest.param(
            {"upgrade": "WebSocket", "connection": "close"},
            'without "Connection: upgrade". A proxy',
            id="nginx with Upgrade alone",
        ),
        pytest.param(
            {"upgrade": "h2c", "connection": "Upgrade"},
            'without "Upgrade: websocket". A proxy',
            id="an upgrade to something else",
        ),
        pytest.param(
            {"upgrade": "websocket", "connection": "keep-alive, Upgrade"},
            "the server that runs this site speaks no WebSocket",
            id="complete",
        ),
    ],
)
def test_a_handshake_over_http_is_told_what_it_lacks(
    ask_site: Ask, headers: dict[str, str], cause: str
) -> None:
    """By its key it is one for certain; the body names what was lost on the way."""
    response = ask_site("/page/", {**KEY, **headers})

    assert response.status_code == 426
    assert cause in response.content.decode()
    assert response["Content-Type"] == "text/plain"
    assert response["Cache-Control"] == "no-store"


def test_the_body_has_the_lines_for_each_proxy(ask_site: Ask) -> None:
    """Someone who asks with curl sees what to change."""
    body = ask_site("/page/", KEY).content.decode()

    assert "proxy_set_header Upgrade $http_upgrade;" in body
    assert "upgrade=websocket" in body
    assert "HAProxy" in body
    assert "Caddy" in body


def test_the_body_of_a_complete_one_is_about_the_server(ask_site: Ask) -> None:
    """No proxy is to blame where nothing is missing."""
    body = ask_site("/page/", COMPLETE).content.decode()

    assert "daphne" in body
    assert "proxy" not in body


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="a page"),
        pytest.param({"upgrade": "websocket", "connection": "upgrade"}, id="no key"),
        pytest.param({"upgrade": "h2c", "connection": "Upgrade"}, id="to HTTP/2"),
        pytest.param({"sec-websocket-version": "13"}, id="a version alone"),
        pytest.param({"origin": APP}, id="CORS"),
    ],
)
def test_ordinary_requests_pass(
    ask_site: Ask, headers: dict[str, str], lines: Callable[[], list[str]]
) -> None:
    """Only the key, which no page can send, makes it a handshake."""
    response = ask_site("/page/", headers)

    assert response.status_code == 200
    assert response.content == b"page"
    assert lines() == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("at", ["/page/", "/nowhere/"])
def test_whatever_the_method_and_the_path(ask_site: Ask, method: str, at: str) -> None:
    """Most WebSocket paths are no pages, and a 404 says nothing."""
    assert ask_site(at, KEY, method).status_code == 426


def test_no_cors_header_is_added(ask_site: Ask) -> None:
    """A handshake is no business of CORS, and no page reads the answer to one."""
    allowed = ask_site("/page/", {"origin": APP})
    answered = ask_site("/page/", {**KEY, "origin": APP})

    assert allowed["Access-Control-Allow-Origin"] == APP
    assert not [name for name in answered.headers if "access-" in name.lower()]


def test_upgrade_is_named_where_the_server_takes_it() -> None:
    """WSGI applications must not send such headers (PEP 3333); ASGI ones may."""
    over_asgi, over_wsgi = ask_asgi("/page/", KEY), ask_wsgi("/page/", KEY)

    assert over_asgi["Upgrade"] == "websocket"
    assert over_asgi["Connection"] == "Upgrade"
    assert "Upgrade" not in over_wsgi.headers
    assert "Connection" not in over_wsgi.headers


@pytest.mark.parametrize("version", ["2", "3"])
async def test_upgrade_is_not_named_over_http_2(version: str) -> None:
    """There it would make the response malformed (RFC 9113, section 8.2.2)."""
    scope = AsyncRequestFactory()._base_scope(path="/page/", http_version=version)
    scope["headers"].append((b"sec-websocket-key", b"x"))
    passed = StrippedUpgradeMiddleware(AsyncClient().handler.get_response_async)

    response = await passed(ASGIRequest(scope, None))

    assert response.status_code == 426
    assert "Upgrade" not in response.headers


def test_is_a_coroutine_function_exactly_where_the_next_one_is() -> None:
    """So Django adapts nothing: no thread for a request on an event loop."""

    async def async_page(request: HttpRequest) -> HttpResponse:
        """Never called."""

    assert iscoroutinefunction(StrippedUpgradeMiddleware(async_page))
    assert not iscoroutinefunction(StrippedUpgradeMiddleware(page))


@pytest.mark.parametrize(
    ("headers", "line"),
    [
        pytest.param(
            {**KEY, "origin": APP, "cookie": "sessionid=secret"},
            f"denied origin='{APP}' reason=upgrade-stripped endpoint='/ws/prices/' "
            "missing=Upgrade,Connection\n"
            "    Have the proxy pass both headers on: the answer's body says how.",
            id="stripped",
        ),
        pytest.param(
            COMPLETE,
            "denied origin=- reason=upgrade-stripped endpoint='/ws/prices/' missing=-\n"
            "    Serve the site with a server that speaks WebSocket.",
            id="complete",
        ),
        pytest.param(
            {**COMPLETE, "origin": "x\x1b[31m"},
            r"denied origin='x\x1b[31m' reason=upgrade-stripped endpoint='/ws/prices/' "
            "missing=-\n    Serve the site with a server that speaks WebSocket.",
            id="hostile",
        ),
    ],
)
def test_each_writes_one_line(
    ask_site: Ask,
    headers: dict[str, str],
    line: str,
    lines: Callable[[], list[str]],
) -> None:
    """What arrived, what it lacked, and what to do; no query string, no cookie."""
    ask_site("/ws/prices/?ticket=secret", headers)

    assert lines() == [line]


def test_a_flood_does_not_fill_the_log(
    ask_site: Ask,
    lines: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stranger chooses how many there are; the next line says what was left out."""
    limit = RateLimit(burst=2, per_second=0)
    monkeypatch.setattr(middleware, "limit", limit)
    for _ in range(5):
        ask_site("/ws/", KEY)
    assert len(lines()) == 2

    limit._left = 1
    ask_site("/ws/", KEY)

    assert "(3 of these before it not logged)" in lines()[2]
    assert limit.dropped == 0


@pytest.mark.django_db(transaction=True)
def test_each_is_counted_among_the_denied(ask_site: Ask) -> None:
    """The admin shows them with a reason of their own; ordinary requests are none."""
    with override_settings(WSORIGIN_AUDIT=True):
        ask_site("/ws/prices/", {**KEY, "origin": APP})
        ask_site("/ws/prices/", {**KEY, "origin": APP})
        ask_site("/page/", {"origin": APP})
        audit.stop()

    row = DeniedHandshake.objects.get()
    assert (row.origin, row.endpoint, row.reason) == (
        APP,
        "/ws/prices/",
        Reason.UPGRADE_STRIPPED,
    )
    assert (row.count, row.report_only) == (2, False)


def test_the_page_about_it_has_the_exact_texts(
    ask_site: Ask, lines: Callable[[], list[str]]
) -> None:
    """Whoever searches for what was read in an answer or a log finds the page."""
    stripped = ask_site("/ws/prices/", {**KEY, "origin": APP})
    complete = ask_site("/ws/prices/", COMPLETE)

    for response in (stripped, complete):
        assert response.content.decode().partition("\n")[0] in PAGE
    assert lines()[0] in PAGE


# On real servers

STRIPPED: Final = {**KEY, "Sec-WebSocket-Version": "13", "Origin": APP}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, id=kind.name)
        for kind in [DAPHNE, UVICORN, HYPERCORN, GRANIAN]
    ],
)
def server(
    request: pytest.FixtureRequest,
    tables: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """The site on a server that speaks WebSocket."""
    kind: Kind = request.param
    folder = tmp_path_factory.mktemp(kind.name)
    with serving(kind, tables(environment, folder), folder / "log") as started:
        yield started


@pytest.mark.server
def test_what_a_proxy_stripped_is_seen_behind_a_real_server(server: Server) -> None:
    """One answer that names the cause, one line, one row; the socket itself opens."""
    path = "/ws/echo/"
    answer = server.ask(path, {**STRIPPED, "Connection": "close"})
    kept = server.ask(path, {**STRIPPED, "Connection": "Upgrade"})

    assert server.connect(path, origin=APP).opened
    server.hang_up()
    assert (answer.status, kept.status) == (426, 426)
    assert answer.headers["upgrade"] == "websocket"
    assert "upgrade" in answer.headers["connection"].lower()
    assert 'without "Upgrade: websocket" and "Connection: upgrade"' in answer.body
    assert 'without "Upgrade: websocket".' in kept.body
    log = server.log.read_text()
    assert log.count(f"denied origin='{APP}' reason=upgrade-stripped") == 2
    assert "missing=Upgrade,Connection\n" in log
    assert server.ask("/denied/").json() == {
        "rows": [[APP, path, "upgrade-stripped", 2]]
    }


@pytest.mark.server
def test_ordinary_requests_pass_on_a_real_server(server: Server) -> None:
    """Also those that a page sends to the socket's own address."""
    assert server.ask("/denied/", {"Origin": APP}).status == 200
    assert server.ask("/ws/nowhere/", {"Origin": APP}).status == 404


@pytest.mark.server
@pytest.mark.parametrize(
    "kind", [UVICORN_WITHOUT, WSGI], ids=lambda kind: str(kind.name)
)
def test_a_server_without_websockets_is_named(
    kind: Kind, tables: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """A complete handshake that reaches Django: not the proxy, the server is wrong."""
    with serving(kind, tables(environment, tmp_path), tmp_path / "log") as server:
        answer = server.ask("/ws/echo/", {**STRIPPED, **COMPLETE})
        stripped = server.ask("/ws/echo/", STRIPPED)
        log = server.log.read_text()

    assert (answer.status, stripped.status) == (426, 426)
    assert "speaks no WebSocket" in answer.body
    assert "A proxy in front" in stripped.body
    assert "endpoint='/ws/echo/' missing=-\n" in log
