"""
Asking beforehand: over HTTP at the socket's own address, and with a no-op handshake.

The property behind both: what they say is what the socket does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from asgiref.sync import async_to_sync
from channels.routing import ProtocolTypeRouter, URLRouter
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import Resolver404, path, resolve

from wsorigin.guard import OriginGuard
from wsorigin.handshake import PREFLIGHT, Handshake, Message
from wsorigin.patterns import OriginPattern
from wsorigin.policy import Decision, Reason, Rule
from wsorigin.preflight import answer_preflight, describe, handshake_scope
from wsorigin.testing import OriginCommunicator
from wsorigin.views import HandshakeView, handshake_urls

from .preflight.application import application, websocket_urlpatterns
from .preflight.servers import DAPHNE, UVICORN, environment, serving
from .servers.client import Closed
from .servers.consumers import GuardedAsyncEcho
from .servers.processes import Kind, Server
from .servers.sites import ROOT

APP: Final = "https://app.example"
CORS: Final = "https://cors.example"
EVIL: Final = "https://evil.example"
OWN: Final = "http://testserver"
UNDER_PREFIX: Final = path("app/", URLRouter(websocket_urlpatterns))

PAGE: Final = (ROOT / "docs/reference/preflight.md").read_text()
EXAMPLE: Final = PAGE.partition("```json\n")[2].partition("```")[0]

Ask = Callable[..., Any]

# The whole router behind one more guard, which the list of routes does not show.
around = ProtocolTypeRouter(
    {"websocket": OriginGuard(URLRouter(websocket_urlpatterns), allowed_origins=[CORS])}
)
elsewhere = URLRouter([path("ws/elsewhere/", GuardedAsyncEcho.as_asgi())])


def ask_wsgi(at: str, method: str = "GET", **headers: str) -> Any:
    """Ask in a thread, as WSGI servers do."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client().generic(method, at, headers={"host": "testserver", **named})


def ask_asgi(at: str, method: str = "GET", **headers: str) -> Any:
    """Ask on an event loop."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def ask() -> Any:
        return await AsyncClient().generic(method, at, headers=named)

    return async_to_sync(ask)()


@pytest.fixture(params=[ask_wsgi, ask_asgi])
def ask_site(request: pytest.FixtureRequest) -> Ask:
    """Ask this site, as a page of some origin."""
    return request.param


@pytest.fixture(autouse=True)
def site() -> Iterator[None]:
    """A site that trusts one origin for both protocols, and one for sockets alone."""
    with override_settings(
        ROOT_URLCONF="tests.preflight.application",
        ASGI_APPLICATION="tests.preflight.application.application",
        MIDDLEWARE=[
            "corsheaders.middleware.CorsMiddleware",
            "django.middleware.common.CommonMiddleware",
        ],
        WSORIGIN_ALLOWED_ORIGINS=[APP],
        CORS_ALLOWED_ORIGINS=[CORS],
    ):
        yield


def access(response: Any) -> dict[str, str]:
    """Return the CORS headers of a response."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return {
        name.removeprefix("access-control-"): value
        for name, value in headers.items()
        if name.startswith("access-control-")
    }


# What is told


def test_a_stranger_learns_the_reason_and_no_rule() -> None:
    """Rule, source and settings stay inside, whatever the decision."""
    rule = Rule(OriginPattern.parse(APP), "CORS_ALLOWED_ORIGINS[0]", audience="vip")

    assert describe(
        Decision(True, Reason.LISTED, rule, True), Handshake("/ws/", APP)
    ) == {
        "allowed": True,
        "reason": "listed",
        "detail": "The origin is listed.",
        "origin": APP,
        "endpoint": "/ws/",
        "credentials": True,
    }
    assert describe(
        Decision(False, Reason.MISSING), Handshake("/ws/\x1b<script>", None)
    ) == {
        "allowed": False,
        "reason": "missing",
        "detail": Reason.MISSING.sentence,
        "origin": None,
        "endpoint": "/ws/\x1b<script>",
        "credentials": False,
    }


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_told_with_its_sentence(reason: Reason) -> None:
    """In words of JSON, which has no enums."""
    said = json.loads(
        json.dumps(describe(Decision(False, reason), Handshake("/", APP)))
    )

    assert said["reason"] == reason.value
    assert said["detail"] == reason.sentence


def test_the_scope_of_a_request_has_no_query() -> None:
    """It may hold a secret, and no decision looks at it."""
    request = RequestFactory(headers={"origin": APP, "x-name": "a,b"}).get(
        "/ws/echo/?ticket=secret", secure=True
    )

    scope = handshake_scope(request)

    assert "secret" not in str(scope)
    assert (scope["path"], scope["scheme"]) == ("/ws/echo/", "wss")
    assert (b"origin", APP.encode()) in scope["headers"]
    assert (b"x-name", b"a,b") in scope["headers"]


# Over HTTP


def test_a_trusted_page_can_read_what_its_socket_will_be_answered(
    ask_site: Ask,
) -> None:
    """Also where django-cors-headers does not list it; the manual shows the answer."""
    response = ask_site("/ws/echo/", origin=APP)

    assert response.status_code == 426
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    assert response["Vary"] == "origin"
    assert response.json() == json.loads(EXAMPLE)
    assert access(response) == {"allow-origin": APP, "allow-credentials": "true"}


def test_a_page_without_credentials_gets_none_here_either(ask_site: Ask) -> None:
    """An origin that CORS lists, without CORS_ALLOW_CREDENTIALS."""
    response = ask_site("/ws/echo/", origin=CORS)

    assert response.json()["allowed"] is True
    assert response.json()["credentials"] is False
    assert access(response) == {"allow-origin": CORS}


def test_a_trusted_page_may_know_that_a_token_is_missing(ask_site: Ask) -> None:
    """Nothing is wrong with its origin, and the remedy is its own."""
    response = ask_site("/ws/token/", origin=APP)

    assert response.json()["reason"] == "token-required"
    assert access(response) == {"allow-origin": APP}


@override_settings(CORS_ALLOW_CREDENTIALS=True)
def test_credentials_are_those_of_cors(ask_site: Ask) -> None:
    """The same over both protocols."""
    response = ask_site("/ws/echo/", origin=CORS)

    assert response.json()["credentials"] is True
    assert access(response) == {"allow-origin": CORS, "allow-credentials": "true"}


@override_settings(MIDDLEWARE=[])
def test_works_without_django_cors_headers(ask_site: Ask) -> None:
    """The view needs nothing of it."""
    response = ask_site("/ws/echo/", origin=CORS)

    assert access(response) == {"allow-origin": CORS}
    assert response["Vary"] == "origin"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("endpoint", ["echo", "report-only", "open", "token"])
@pytest.mark.parametrize("origin", [EVIL, "null", f"{APP}.evil.example", "x"])
def test_a_page_of_an_untrusted_origin_can_read_nothing(
    ask_site: Ask, method: str, endpoint: str, origin: str
) -> None:
    """No CORS header, whatever it asks: also where the socket itself would open."""
    response = ask_site(
        f"/ws/{endpoint}/",
        method,
        origin=origin,
        access_control_request_method="GET",
    )

    assert access(response) == {}


@pytest.mark.parametrize(
    ("origin", "granted"), [(CORS, CORS), (APP, None), (EVIL, None)]
)
def test_options_is_answered_by_django_cors_headers(
    ask_site: Ask, origin: str, granted: str | None
) -> None:
    """A CORS preflight is its business, with its own lists."""
    response = ask_site(
        "/ws/echo/", "OPTIONS", origin=origin, access_control_request_method="GET"
    )

    assert response.status_code == 200
    assert access(response).get("allow-origin") == granted
    assert response.content == b""


def test_other_methods(ask_site: Ask) -> None:
    """HEAD is answered as GET is; what remains says which methods there are."""
    options, post = ask_site("/ws/echo/", "OPTIONS"), ask_site("/ws/echo/", "POST")
    head = ask_site("/ws/echo/", "HEAD", origin=APP)

    assert (options.status_code, post.status_code) == (200, 405)
    assert options["Allow"] == post["Allow"] == "GET, HEAD, OPTIONS"
    assert head.status_code == 426
    assert access(head)["allow-origin"] == APP


def test_no_upgrade_is_offered(ask_site: Ask) -> None:
    """nginx hands that header on over HTTP/2, where clients fail at it."""
    headers = ask_site("/ws/echo/", origin=APP).headers

    assert "Upgrade" not in headers
    assert "Connection" not in headers


ROUTES: Final = [
    "/ws/echo/",
    "/ws/tenants/app/",
    "/ws/nested/app/",
    "/ws/two-guards/",
    "/ws/token/",
]
ORIGINS: Final = {
    "listed": APP,
    "letter case": "HTTPS://App.Example",
    "CORS": CORS,
    "same origin": OWN,
    "same host, https": "https://testserver",
    "other port": "http://testserver:8000",
    "stranger": EVIL,
    "http scheme": "http://app.example",
    "null": "null",
    "malformed": "https://app.example/",
    "empty": "",
    "two": f"{APP},{EVIL}",
    "not ASCII": "https://äpp.example",
    "missing": None,
}


@pytest.mark.parametrize("at", ROUTES)
@pytest.mark.parametrize("origin", ORIGINS.values(), ids=ORIGINS)
def test_says_what_the_socket_does(ask_site: Ask, at: str, origin: str | None) -> None:
    """By the same guards: nested routes, tenants, two guards, a token that is absent."""
    headers = {} if origin is None else {"origin": origin}
    said = ask_site(at, **headers).json()

    async def connect() -> Any:
        sent = None if origin is None else origin.encode("latin-1")
        client = OriginCommunicator(application, at, origin=sent)
        answer = await client.handshake()
        await client.disconnect()
        return answer

    answer = async_to_sync(connect)()
    assert said["allowed"] is bool(answer)
    assert answer or said["reason"] == answer.reason
    assert said["origin"] == origin


@pytest.mark.parametrize("credentials", ["outer", "inner"])
def test_two_guards_grant_the_session_only_together(
    ask_site: Ask, credentials: str
) -> None:
    """Cookies that one of them withholds stay away."""
    options = {
        "outer": {"WSORIGIN_ALLOWED_ORIGINS": ["null"]},
        "inner": {"WSORIGIN_ALLOWED_ORIGINS": [], "WSORIGIN_ALLOW_ALL_ORIGINS": True},
    }[credentials]
    with override_settings(**options):
        origin = {"outer": "null", "inner": APP}[credentials]
        said = ask_site("/ws/two-guards/", origin=origin).json()

    assert (said["allowed"], said["credentials"]) == (True, False)


def test_assumes_the_subprotocols_that_the_socket_will_offer(ask_site: Ask) -> None:
    """No fetch can offer any, and the question is about the origin."""
    assert ask_site("/ws/prices/", origin=APP).json()["reason"] == "listed"
    assert ask_site("/ws/prices/", origin=EVIL).json()["reason"] == "unlisted"


def test_report_only_says_what_would_be_decided(ask_site: Ask) -> None:
    """The socket opens still; no stranger may read the answer because of that."""
    said = ask_site("/ws/report-only/", origin=EVIL)

    assert said.json()["allowed"] is False
    assert said.json()["reason"] == "unlisted"


def test_an_endpoint_without_a_guard_says_so(ask_site: Ask) -> None:
    """It opens for all; yet nothing vouches for who asks, so no CORS header."""
    response = ask_site("/ws/open/", origin=APP)

    assert response.status_code == 426
    assert response.json()["allowed"] is True
    assert response.json()["reason"] == "unguarded"
    assert response.json()["credentials"] is True
    assert access(response) == {}


@override_settings(ASGI_APPLICATION=f"{__name__}.around")
def test_a_guard_around_the_whole_router_counts(ask_site: Ask) -> None:
    """The application knows it; the list of routes does not."""
    assert ask_site("/ws/open/", origin=EVIL).json()["reason"] == "unlisted"
    assert ask_site("/ws/open/", origin=CORS).json()["reason"] == "listed"
    assert ask_site("/ws/echo/", origin=APP).json()["allowed"] is False


@pytest.mark.parametrize("application", [None, f"{__name__}.elsewhere"])
def test_without_the_application_the_routes_themselves_count(
    ask_site: Ask, application: str | None
) -> None:
    """ASGI_APPLICATION is for runserver; some projects have none."""
    with override_settings(ASGI_APPLICATION=application):
        assert ask_site("/ws/echo/", origin=APP).json()["allowed"] is True
        assert ask_site("/ws/echo/", origin=EVIL).json()["allowed"] is False
        assert ask_site("/ws/tenants/app/", origin=APP).json()["allowed"] is True
        assert ask_site("/ws/nested/evil/", origin=EVIL).json()["allowed"] is True


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param("/ws/echo", id="no slash"),
        pytest.param("/ws/nowhere/", id="no such route"),
        pytest.param("/ws/nested/a/b/", id="beyond a nested route"),
    ],
)
@override_settings(APPEND_SLASH=False)
def test_only_the_paths_of_routes_are_answered(ask_site: Ask, missing: str) -> None:
    """A wrong path is a 404, as for any page: that is an answer too."""
    assert ask_site(missing, origin=APP).status_code == 404


def test_a_login_is_no_more_asked_for_than_by_the_socket(ask_site: Ask) -> None:
    """LoginRequiredMiddleware would redirect, and the page read a form as an answer."""
    with override_settings(
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ]
    ):
        assert ask_site("/ws/echo/", origin=APP).status_code == 426


@pytest.mark.parametrize(
    "middleware", [[], ["django.middleware.common.CommonMiddleware"]]
)
def test_allowed_hosts_applies(middleware: list[str]) -> None:
    """A page that rebound its name to this server reads nothing of ours."""
    with override_settings(MIDDLEWARE=middleware):
        response = ask_wsgi("/ws/echo/", host="rebind.evil.example")

    assert response.status_code == 400
    assert b"unlisted" not in response.content


# The page's own origin, where it sends none


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        pytest.param({}, None, id="no browser"),
        pytest.param({"sec_fetch_site": "same-origin"}, OWN, id="page of this site"),
        pytest.param(
            {"sec_fetch_site": "same-origin", "referer": "https://testserver/a?b"},
            "https://testserver",
            id="TLS ended at a proxy that says nothing",
        ),
        pytest.param(
            {"sec_fetch_site": "same-origin", "referer": "https://testserver:8443/"},
            "https://testserver:8443",
            id="a proxy cut the port off Host",
        ),
        pytest.param(
            {"referer": "http://testserver/a"}, OWN, id="plain http on a network"
        ),
        pytest.param(
            {"referer": "http://testserver:8000/"}, None, id="http, another port"
        ),
        pytest.param({"referer": f"{EVIL}/"}, None, id="http, another site"),
        pytest.param(
            {"referer": "http://testserver.evil.example/"}, None, id="look-alike"
        ),
        pytest.param(
            {"sec_fetch_site": "cross-site", "referer": f"{APP}/"},
            None,
            id="another site, whose Origin a proxy took",
        ),
        pytest.param({"sec_fetch_site": "none"}, None, id="typed into the address bar"),
        pytest.param(
            {"sec_fetch_site": "same-origin", "referer": "junk"}, OWN, id="junk"
        ),
        pytest.param(
            {"sec_fetch_site": "same-origin", "origin": EVIL}, EVIL, id="sent after all"
        ),
    ],
)
def test_a_page_of_this_site_is_known_without_an_origin(
    ask_site: Ask, headers: dict[str, str], origin: str | None
) -> None:
    """Browsers send no Origin with a GET to the page's own origin."""
    assert ask_site("/ws/echo/", **headers).json()["origin"] == origin


def test_a_page_of_this_site_may_open_its_sockets(ask_site: Ask) -> None:
    """And needs no CORS header to read that."""
    response = ask_site("/ws/echo/", sec_fetch_site="same-origin")

    assert response.json()["reason"] == "same-origin"
    assert access(response) == {}


def test_an_origin_that_a_proxy_rewrote_is_noticed(ask_site: Ask) -> None:
    """A fetch carries Sec-Fetch-Site in Chromium, where a handshake does not."""
    said = ask_site("/ws/echo/", origin=OWN, sec_fetch_site="cross-site").json()

    assert said["reason"] == "origin-rewritten"


# The URLs


def test_there_is_a_url_for_each_route() -> None:
    """Converters and nested routers included, with the arguments that a socket gets."""
    match = resolve("/ws/nested/app/")

    assert len(handshake_urls(websocket_urlpatterns)) == len(websocket_urlpatterns)
    assert match.kwargs == {"tenant": "app"}
    assert match.func.view_class is HandshakeView  # type: ignore[attr-defined]  # as_view()'s


def test_routers_below_routers() -> None:
    """The URL is the sum of what stands on the way."""
    (url, *_rest) = handshake_urls([UNDER_PREFIX])

    assert url.resolve("app/ws/echo/")
    with pytest.raises(Resolver404):
        url.resolve("app/ws/echo/more/")


# A no-op handshake

ALLOWED: Final = Decision(True, Reason.LISTED, None, True)


async def answered(*, first: str = "websocket.connect", leaves_after: int = 9) -> Any:
    """Answer a no-op handshake; return what was sent until the client left."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": first}

    async def send(message: Message) -> None:
        if len(sent) == leaves_after:
            raise RuntimeError("the client hung up")
        sent.append(message)

    await answer_preflight(ALLOWED, Handshake("/ws/", APP), receive, send)
    return sent


async def test_opens_says_it_once_and_closes() -> None:
    """One JSON message, then 1000; the subprotocol is selected, as Chromium demands."""
    accept, message, close = await answered()

    assert accept == {"type": "websocket.accept", "subprotocol": PREFLIGHT}
    assert message["type"] == "websocket.send"
    assert json.loads(message["text"]) == describe(ALLOWED, Handshake("/ws/", APP))
    assert close == {"type": "websocket.close", "code": 1000}


async def test_answers_nobody_who_has_gone() -> None:
    """A client that left before it was answered gets no answer."""
    assert await answered(first="websocket.disconnect") == []


@pytest.mark.parametrize("messages", [1, 2])
async def test_a_client_that_leaves_meanwhile_is_no_error(messages: int) -> None:
    """Some servers raise then, and a stranger must not fill the log with it."""
    assert len(await answered(leaves_after=messages)) == messages


# On real servers

SERVED: Final = {
    "listed": APP,
    "CORS": CORS,
    "same origin": "https://site.example",
    "stranger": EVIL,
    "http scheme": "http://app.example",
    "null": "null",
    "malformed": "https://app.example/",
    "missing": None,
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, id=kind.name) for kind in [DAPHNE, UVICORN]],
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
@pytest.mark.parametrize("origin", SERVED.values(), ids=SERVED)
def test_says_on_a_real_server_what_the_socket_does(
    server: Server, origin: str | None
) -> None:
    """And lets exactly those pages read it whose sockets open."""
    headers = {} if origin is None else {"Origin": origin}
    answer = server.ask("/ws/echo/", headers)
    opened = server.connect("/ws/echo/", origin=origin).opened
    server.hang_up()

    assert answer.status == 426
    assert answer.json()["allowed"] is opened
    assert answer.headers.get("access-control-allow-origin") == (
        origin if opened else None
    )


@pytest.mark.server
@pytest.mark.parametrize(("origin", "granted"), [(CORS, CORS), (EVIL, None)])
def test_a_cors_preflight_on_a_real_server(
    server: Server, origin: str, granted: str | None
) -> None:
    """django-cors-headers answers it, before our view."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    answer = server.ask("/ws/echo/", headers, method="OPTIONS")

    assert answer.status == 200
    assert answer.headers.get("access-control-allow-origin") == granted


@pytest.mark.server
@pytest.mark.parametrize("endpoint", ["echo", "token", "prices"])
def test_both_preflights_say_the_same(server: Server, endpoint: str) -> None:
    """The no-op handshake goes the socket's way; it ends with 1000 on each server."""
    at = f"/ws/{endpoint}/"
    client = server.connect(at, origin=APP, subprotocols=[PREFLIGHT])
    said, end = client.receive_json(), client.receive()
    server.hang_up()

    assert client.subprotocol == PREFLIGHT
    assert said.items() <= server.ask(at, {"Origin": APP}).json().items()
    assert isinstance(end, Closed)
    assert end.code == 1000


@pytest.mark.server
def test_a_no_op_handshake_of_a_stranger_is_denied(server: Server) -> None:
    """As any other of his."""
    client = server.connect("/ws/echo/", origin=EVIL, subprotocols=[PREFLIGHT])
    server.hang_up()

    assert client.status == 403
