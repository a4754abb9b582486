"""
One suite over real servers: the guard answers alike on each of them.

Where a server answers by itself before it calls any application, a table says so. The
rule behind all tables: never an open socket for a stranger, never a 500 of our making.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

import wsorigin
from wsorigin.consumers import OriginGuardMixin
from wsorigin.handshake import CREDENTIAL_PREFIX, Handshake
from wsorigin.policy import Policy, Reason
from wsorigin.refresh import get_policy

from .servers import settings as served_settings
from .servers.client import TIMEOUT, Closed
from .servers.processes import KINDS, Account, Kind, Server, running
from .servers.sites import ROOT, SETTINGS, environment, make_database, sqlite

pytestmark = pytest.mark.server

APP: Final = "https://app.example"
EVIL: Final = "https://evil.example"
CORS: Final = "https://cors.example"
ROW: Final = "https://row.example"
SITE: Final = "https://site.example"

MARKER: Final = "wsorigin.v1"
CREDENTIAL: Final = served_settings.TOKEN.subprotocol
OTHER_COOKIE: Final = "other=for-nobody-to-read"

# What same_origin and the lists may answer with where they allow.
ALLOWING: Final = {Reason.SAME_ORIGIN, Reason.LISTED}

# The settings that each server is started with, a process for each.
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "closing": {
        "WSORIGIN_DENY_WITH": "close",
        "WSORIGIN_MISSING_ORIGIN": "allow",
        "WSORIGIN_ALLOWED_ORIGINS": [APP, "null"],
        "SESSION_COOKIE_SECURE": True,
    },
    "proxied": {
        "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
        "USE_X_FORWARDED_HOST": True,
        "USE_X_FORWARDED_PORT": True,
    },
}

ENDPOINTS: Final = [
    "/async/",
    "/sync/",
    "/async-default-connect/",
    "/sync-default-connect/",
    "/async-json/",
    "/sync-json/",
    "/async-own-handler/",
    "/sync-own-handler/",
    "/wrapped-async/",
    "/wrapped-sync/",
    "/wrapped-router/echo/",
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, with one row; each process gets a copy."""
    path = tmp_path_factory.mktemp("database") / "site.sqlite3"
    make_database(path)
    return path


# With pytest-xdist and --dist=loadgroup, each kind of server is started only once.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, id=kind.name, marks=pytest.mark.xdist_group(kind.name))
        for kind in KINDS
    ],
)
def servers(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    database: Path,
) -> Iterator[dict[str, Server]]:
    """Run one kind of server, once for each variant of the settings."""
    kind: Kind = request.param
    folder = tmp_path_factory.mktemp(kind.name)
    starts = []
    for name, replaced in VARIANTS.items():
        own = shutil.copy(database, folder / f"{name}.sqlite3")
        env = environment(SETTINGS, sqlite(own), **replaced)
        starts.append((kind, folder / f"{name}.log", env))
    with running(*starts) as started:
        yield dict(zip(VARIANTS, started, strict=True))


@pytest.fixture
def server(servers: dict[str, Server]) -> Iterator[Server]:
    """The site as most are: nothing but lists of origins."""
    yield from fresh(servers["plain"])


@pytest.fixture
def closing(servers: dict[str, Server]) -> Iterator[Server]:
    """A site that opens sockets to close them, and that is https only."""
    yield from fresh(servers["closing"])


@pytest.fixture
def proxied(servers: dict[str, Server]) -> Iterator[Server]:
    """A site behind a proxy that ends TLS and says so."""
    yield from fresh(servers["proxied"])


def fresh(server: Server) -> Iterator[Server]:
    server.account()
    yield server
    server.hang_up()


# Who may, and who may not


@pytest.mark.parametrize("path", ENDPOINTS)
def test_opens_every_kind_of_consumer_for_a_trusted_origin(
    server: Server, path: str
) -> None:
    """Sync or async, mixin or wrapper, with or without super(): messages flow."""
    client = server.connect(path, origin=APP)
    client.send('"ping"')

    assert client.opened
    assert client.receive() == '"ping"'
    assert server.account().reasons == [Reason.LISTED]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_denies_before_any_code_of_the_consumer_runs(server: Server, path: str) -> None:
    """No override of connect() or websocket_connect() is a way around the guard."""
    client = server.connect(path, origin=EVIL)

    assert client.status == 403
    assert server.account() == Account(1, 0, [Reason.UNLISTED])


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        pytest.param(APP, Reason.LISTED, id="listed"),
        pytest.param("HTTPS://App.Example", Reason.LISTED, id="letter case"),
        pytest.param(f"{APP}:443", Reason.LISTED, id="default port"),
        pytest.param("https://a.b.apps.example", Reason.WILDCARD, id="wildcard"),
        pytest.param(CORS, Reason.LISTED, id="inherited from CORS"),
        pytest.param(ROW, Reason.LISTED, id="row of the database"),
        pytest.param(SITE, Reason.SAME_ORIGIN, id="same origin"),
    ],
)
def test_opens_for_trusted_origins(server: Server, origin: str, reason: Reason) -> None:
    """Letter case and an explicit default port are forgiven."""
    assert server.connect("/async/", origin=origin).opened
    assert server.account() == Account(1, 1, [reason])


def denied(*origins: str | bytes, reason: Reason, case: str, **own: int | None) -> Any:
    """
    Make a row: the headers, our reason, and which servers answer by themselves.

    None stands for a server that hangs up or stays silent.
    """
    answers = {name.replace("_", "-"): status for name, status in own.items()}
    return pytest.param(origins, reason, answers, id=case)


@pytest.mark.parametrize(
    ("origins", "reason", "own_answers"),
    [
        denied(EVIL, reason=Reason.UNLISTED, case="stranger"),
        denied(f"{APP}.evil.example", reason=Reason.UNLISTED, case="suffix"),
        denied("https://evilapp.example", reason=Reason.UNLISTED, case="prefix"),
        denied("https://apps.example", reason=Reason.UNLISTED, case="apex"),
        denied("https://evilapps.example", reason=Reason.UNLISTED, case="no dot"),
        denied(f"{APP}:8443", reason=Reason.UNLISTED, case="other port"),
        denied("http://app.example", reason=Reason.UNLISTED, case="other scheme"),
        denied(f"{APP}.", reason=Reason.UNLISTED, case="trailing dot"),
        denied(
            f"chrome-extension://{'a' * 32}", reason=Reason.UNLISTED, case="extension"
        ),
        denied("capacitor://localhost", reason=Reason.UNLISTED, case="native shell"),
        denied("null", reason=Reason.OPAQUE, case="null"),
        denied(reason=Reason.MISSING, case="missing"),
        denied(APP, APP, reason=Reason.MULTIPLE, case="repeated", uvicorn_sansio=400),
        denied(
            APP, EVIL, reason=Reason.MULTIPLE, case="good, evil", uvicorn_sansio=400
        ),
        denied(
            EVIL, APP, reason=Reason.MULTIPLE, case="evil, good", uvicorn_sansio=400
        ),
        denied(f"{APP},{EVIL}", reason=Reason.MULTIPLE, case="joined by comma"),
        denied(f"{APP} {EVIL}", reason=Reason.MALFORMED, case="joined by space"),
        denied("", reason=Reason.MALFORMED, case="empty", daphne=400),
        denied("app.example", reason=Reason.MALFORMED, case="no scheme", daphne=400),
        denied("//app.example", reason=Reason.MALFORMED, case="network path"),
        denied("*", reason=Reason.MALFORMED, case="star", daphne=400),
        denied("file://", reason=Reason.MALFORMED, case="file"),
        denied("about:blank", reason=Reason.MALFORMED, case="about", daphne=400),
        denied(f'"{APP}"', reason=Reason.MALFORMED, case="quoted", daphne=400),
        denied(f"{APP}/", reason=Reason.MALFORMED, case="slash"),
        denied(f"{APP}?", reason=Reason.MALFORMED, case="query"),
        denied(f"{APP}#", reason=Reason.MALFORMED, case="fragment"),
        denied("https://u@app.example", reason=Reason.MALFORMED, case="user"),
        denied(f"{APP}@evil.example", reason=Reason.MALFORMED, case="as user"),
        denied(f"{EVIL}\\@app.example", reason=Reason.MALFORMED, case="backslash"),
        denied("https://app%2eexample", reason=Reason.MALFORMED, case="percent"),
        denied("https://app .example", reason=Reason.MALFORMED, case="space"),
        denied("https://app\t.example", reason=Reason.MALFORMED, case="tab"),
        denied(f"{APP}:", reason=Reason.MALFORMED, case="empty port"),
        denied(f"{APP}:0443", reason=Reason.MALFORMED, case="zero in front"),
        denied(f"{APP}:x", reason=Reason.MALFORMED, case="no number", daphne=400),
        denied(f"{APP}:65979", reason=Reason.MALFORMED, case="big port", daphne=400),
        denied("https://[::1", reason=Reason.MALFORMED, case="bracket", daphne=400),
        denied("https://[0::1]", reason=Reason.MALFORMED, case="long IPv6"),
        denied("https://0x7f.1", reason=Reason.MALFORMED, case="odd IPv4"),
        denied(f"https://{'a' * 5000}", reason=Reason.MALFORMED, case="long"),
        denied(
            "https://app.example\N{KELVIN SIGN}",
            reason=Reason.MALFORMED,
            case="UTF-8",
            uvicorn_websockets=500,
        ),
        denied(
            b"https://\xe4pp.example",
            reason=Reason.MALFORMED,
            case="Latin-1",
            uvicorn_websockets=500,
        ),
        denied(
            b"https://app.example\x7f",
            reason=Reason.MALFORMED,
            case="DEL",
            uvicorn_websockets=400,
            uvicorn_sansio=None,
            granian=400,
        ),
        denied(
            b"https://app.example\x01",
            reason=Reason.MALFORMED,
            case="control",
            uvicorn_websockets=400,
            uvicorn_sansio=None,
            granian=400,
        ),
        denied(
            b"https://app.example\x00",
            reason=Reason.MALFORMED,
            case="NUL",
            daphne=400,
            uvicorn_websockets=400,
            uvicorn_sansio=400,
            uvicorn_wsproto=400,
            hypercorn_h1=400,
            hypercorn_h2=None,
            granian=400,
        ),
        denied(
            b"https://evil.example\x0borigin: https://app.example",
            reason=Reason.MALFORMED,
            case="smuggled (CVE-2026-44546)",
            daphne=400,
            uvicorn_websockets=400,
            uvicorn_sansio=400,
            uvicorn_wsproto=400,
            hypercorn_h1=400,
            granian=400,
        ),
    ],
)
def test_denies_all_others(
    server: Server,
    origins: Sequence[str | bytes],
    reason: Reason,
    own_answers: Mapping[str, int | None],
) -> None:
    """
    Strangers, no origin, several or broken ones: 403 with the reason, on each server.

    Where the server answers by itself, no application was called: the 500 of uvicorn
    with websockets is its own.
    """
    ours = server.kind.name not in own_answers
    status = own_answers.get(server.kind.name, 403)
    client = server.connect(
        "/async/",
        headers=[("Origin", origin) for origin in origins],
        timeout=TIMEOUT if status else 0.3,
    )

    assert client.status == status
    assert server.account() == (Account(1, 0, [reason]) if ours else Account(0, 0, []))


# How a denial looks


def test_a_denial_says_why_where_the_server_can_deliver_it(server: Server) -> None:
    """A body by RFC 9457 with the reason, and nothing about the configuration."""
    client = server.connect("/async/", origin=EVIL)

    assert client.status == 403
    if server.kind.denial_body:
        assert client.headers["content-type"] == "application/problem+json"
        assert client.headers["cache-control"] == "no-store"
        assert json.loads(client.body) == {
            "title": "WebSocket handshake denied",
            "status": 403,
            "reason": "unlisted",
            "detail": Reason.UNLISTED.sentence,
        }
    else:
        assert (client.headers, client.body) == ({}, b"")


@pytest.mark.parametrize("path", ["/async/", "/sync/"])
def test_a_denial_keeps_nobody_waiting(server: Server, path: str) -> None:
    """On Daphne a denial response would hang for five seconds; so it gets none."""
    began = time.monotonic()
    server.connect(path, origin=EVIL)

    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("path", "origin", "offered", "selected", "code", "reason"),
    [
        pytest.param("/async/", EVIL, [], None, 4403, "unlisted", id="nothing offered"),
        pytest.param("/sync/", EVIL, ["a", "b"], "a", 4403, "unlisted", id="the first"),
        pytest.param(
            "/prices/",
            EVIL,
            ["prices.v1", "prices.v2"],
            "prices.v2",
            4403,
            "unlisted",
            id="the endpoint's own",
        ),
        pytest.param(
            "/async/",
            EVIL,
            [CREDENTIAL, MARKER],
            MARKER,
            4403,
            "unlisted",
            id="the marker, not the credential",
        ),
        pytest.param("/async/", f"{APP}/", [], None, 4403, "malformed", id="malformed"),
        pytest.param(
            "/prices/", APP, ["x"], "x", 4403, "no-common-subprotocol", id="none common"
        ),
        pytest.param("/token/", APP, [], None, 4401, "token-required", id="no token"),
    ],
)
def test_can_close_with_a_code_that_pages_can_read(
    closing: Server,
    path: str,
    origin: str,
    offered: list[str],
    selected: str | None,
    code: int,
    reason: str,
) -> None:
    """
    A page sees no HTTP status, but it does see a close code.

    The socket opens, selects a subprotocol where any was offered (or Chromium would
    see 1006), sends nothing and closes. Daphne drops the reason.
    """
    client = closing.connect(path, origin=origin, subprotocols=offered)

    assert client.opened
    assert client.subprotocol == selected
    assert client.receive() == Closed(code, reason if closing.kind.close_reason else "")
    assert closing.account() == Account(1, 0, [reason])


def test_a_closing_denial_opens_nothing_for_a_repeated_origin(closing: Server) -> None:
    """What uvicorn's websockets refuse themselves at that moment is refused as well."""
    client = closing.connect("/async/", headers=[("Origin", APP), ("Origin", EVIL)])

    if client.opened:
        assert isinstance(closed := client.receive(), Closed)
        assert closed.code == 4403
    else:
        assert (closing.kind.name, client.status) in {
            ("uvicorn-websockets", 400),
            ("uvicorn-sansio", 400),
        }
    assert closing.account().connected == 0


# Same origin


@pytest.mark.parametrize(
    ("host", "origin", "headers", "reason"),
    [
        pytest.param(
            "site.example", "http://site.example", {}, "same-origin", id="http"
        ),
        pytest.param("site.example", SITE, {}, "same-origin", id="TLS ended before"),
        pytest.param("SITE.example", SITE, {}, "same-origin", id="letter case"),
        pytest.param("site.example:443", SITE, {}, "same-origin", id="explicit 443"),
        pytest.param(
            "site.example:8443", f"{SITE}:8443", {}, "same-origin", id="own port"
        ),
        pytest.param("site.example", f"{SITE}:8443", {}, "unlisted", id="other port"),
        pytest.param("site.example:8443", SITE, {}, "unlisted", id="port in host only"),
        pytest.param(
            "[::1]:8000", "http://[::1]:8000", {}, "same-origin", id="IPv6 with port"
        ),
        pytest.param("[::1]", "https://[::1]", {}, "same-origin", id="IPv6"),
        pytest.param(
            "[::1]:8000", "http://[::2]:8000", {}, "unlisted", id="other IPv6"
        ),
        pytest.param(
            "127.0.0.1:8000", "http://127.0.0.1:8000", {}, "same-origin", id="IPv4"
        ),
        pytest.param(
            "127.0.0.1:8000",
            "http://localhost:8000",
            {},
            "unlisted",
            id="loopback name",
        ),
        pytest.param(
            "site.example", "https://www.site.example", {}, "unlisted", id="sub"
        ),
        pytest.param(
            "rebind.evil.example",
            "https://rebind.evil.example",
            {},
            "host-not-allowed",
            id="DNS rebinding",
        ),
        pytest.param(
            "rebind.evil.example:8000",
            "http://rebind.evil.example:8000",
            {},
            "host-not-allowed",
            id="DNS rebinding with port",
        ),
        pytest.param(
            "site.example",
            SITE,
            {"Sec-Fetch-Site": "cross-site"},
            "origin-rewritten",
            id="rewritten Origin",
        ),
        pytest.param(
            "site.example",
            SITE,
            {"Sec-Fetch-Site": "same-origin"},
            "same-origin",
            id="Sec-Fetch-Site agrees",
        ),
        pytest.param(
            "site.example",
            APP,
            {"Sec-Fetch-Site": "cross-site"},
            "listed",
            id="cross-site and trusted",
        ),
        pytest.param(
            "site.example",
            EVIL,
            {"X-Forwarded-Host": "evil.example"},
            "unlisted",
            id="forwarded host nobody trusts",
        ),
    ],
)
def test_same_origin_is_host_and_port_of_an_allowed_host(
    server: Server, host: str, origin: str, headers: dict[str, str], reason: str
) -> None:
    """Origin against Host, and Host against ALLOWED_HOSTS; TLS may end at a proxy."""
    client = server.connect(
        "/async/", origin=origin, host=host, headers=list(headers.items())
    )

    assert server.account().reasons == [reason]
    assert client.opened == (reason in ALLOWING)


def test_repeated_hosts_make_nobody_same_origin(server: Server) -> None:
    """The last, the first, or both joined: none of them is this site."""
    client = server.connect(
        "/async/", origin="https://127.0.0.1", headers=[("Host", "127.0.0.1")]
    )

    assert not client.opened
    if client.status == 403:
        assert server.account().reasons == [Reason.UNLISTED]
    else:
        assert server.account().handshakes == 0


@pytest.mark.parametrize(
    ("origin", "proto", "reason", "by_server"),
    [
        pytest.param(SITE, "https", "same-origin", "same-origin", id="https"),
        pytest.param(
            "http://site.example", "http", "same-origin", "same-origin", id="http"
        ),
        # uvicorn trusts the header from this machine, and tells it as the scheme.
        pytest.param(
            "http://site.example",
            "https",
            "same-origin",
            "unlisted",
            id="http on https",
        ),
    ],
)
def test_a_forwarded_scheme_counts_only_where_somebody_vouches_for_it(
    server: Server, origin: str, proto: str, reason: str, by_server: str
) -> None:
    """Without SECURE_PROXY_SSL_HEADER the header is anybody's; an https origin is fine."""
    server.connect("/async/", origin=origin, headers=[("X-Forwarded-Proto", proto)])

    expected = by_server if server.kind.forwarded_proto else reason
    assert server.account().reasons == [expected]


@pytest.mark.parametrize(
    ("origin", "headers", "reason"),
    [
        pytest.param(SITE, {"Proto": "https"}, "same-origin", id="https"),
        pytest.param(SITE, {}, "same-origin", id="https, proxy says nothing"),
        pytest.param("http://site.example", {}, "same-origin", id="http, says nothing"),
        pytest.param(
            "http://site.example", {"Proto": "http"}, "same-origin", id="http on http"
        ),
        pytest.param(
            "http://site.example", {"Proto": "https"}, "unlisted", id="http on https"
        ),
        pytest.param(
            "http://site.example", {"Proto": "wss"}, "unlisted", id="http on wss"
        ),
        pytest.param(
            "http://site.example",
            {"Proto": "https, http"},
            "unlisted",
            id="first of several",
        ),
        pytest.param(
            "https://127.0.0.1", {"Host": "127.0.0.1"}, "same-origin", id="host"
        ),
        pytest.param(
            SITE, {"Host": "127.0.0.1"}, "unlisted", id="not the inner host any more"
        ),
        pytest.param(
            EVIL, {"Host": "evil.example"}, "host-not-allowed", id="host not allowed"
        ),
        pytest.param(
            SITE, {"Host": "site.example, evil.example"}, "unlisted", id="two hosts"
        ),
        pytest.param(f"{SITE}:8443", {"Port": "8443"}, "same-origin", id="port"),
        pytest.param(SITE, {"Port": "443"}, "same-origin", id="default port"),
        pytest.param(SITE, {"Port": "8443"}, "unlisted", id="other port"),
        pytest.param(SITE, {"Port": "443x"}, "unlisted", id="broken port"),
    ],
)
def test_believes_the_proxy_that_the_settings_name(
    proxied: Server, origin: str, headers: dict[str, str], reason: str
) -> None:
    """SECURE_PROXY_SSL_HEADER and USE_X_FORWARDED_HOST, _PORT count as in Django."""
    client = proxied.connect(
        "/async/",
        origin=origin,
        headers=[(f"X-Forwarded-{name}", value) for name, value in headers.items()],
    )

    assert proxied.account().reasons == [reason]
    assert client.opened == (reason in ALLOWING)


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        pytest.param("http://site.example", "unlisted", id="http"),
        pytest.param("https://site.example", "same-origin", id="https"),
    ],
)
def test_an_https_only_site_has_no_http_pages(
    closing: Server, origin: str, reason: str
) -> None:
    """SESSION_COOKIE_SECURE says that the site is never served over http."""
    closing.connect("/async/", origin=origin)

    assert closing.account().reasons == [reason]


# Subprotocols and credentials


@pytest.mark.parametrize(
    ("path", "offered", "selected"),
    [
        pytest.param("/prices/", ["prices.v1", "prices.v2"], "prices.v2", id="best"),
        pytest.param("/prices/", ["x", "prices.v1"], "prices.v1", id="common"),
        pytest.param(
            "/prices/",
            [MARKER, CREDENTIAL, "prices.v1"],
            "prices.v1",
            id="with a token",
        ),
        pytest.param("/report/", [MARKER, CREDENTIAL], MARKER, id="marker"),
        pytest.param("/report/", [CREDENTIAL], None, id="credential alone"),
        pytest.param("/report/", ["x"], None, id="the consumer names none"),
        pytest.param("/report/", [], None, id="nothing offered"),
    ],
)
def test_selects_a_subprotocol_where_the_consumer_names_none(
    server: Server, path: str, offered: list[str], selected: str | None
) -> None:
    """The server's order decides, then the marker; a credential is never echoed."""
    client = server.connect(path, origin=APP, subprotocols=offered)

    assert client.opened
    assert client.subprotocol == selected


@pytest.mark.parametrize("offered", [["x"], [MARKER, CREDENTIAL], []], ids=str)
def test_denies_a_client_that_speaks_none_of_the_subprotocols(
    server: Server, offered: list[str]
) -> None:
    """An endpoint that lists subprotocols speaks no other."""
    client = server.connect("/prices/", origin=APP, subprotocols=offered)

    assert client.status == 403
    assert server.account() == Account(1, 0, [Reason.NO_COMMON_SUBPROTOCOL])


@pytest.mark.parametrize(
    ("values", "left"),
    [
        pytest.param([f"{MARKER}, {CREDENTIAL}"], [], id="alone"),
        pytest.param([f"{MARKER},{CREDENTIAL},x"], ["x"], id="with another"),
        pytest.param([f"x,\t{CREDENTIAL} ,y"], ["x", "y"], id="between others"),
        pytest.param(
            ["x", f"{MARKER}, {CREDENTIAL}"], ["x"], id="in the second header"
        ),
        pytest.param([f"{MARKER}, {CREDENTIAL}", "x"], ["x"], id="in the first header"),
    ],
)
def test_the_credential_never_reaches_the_application(
    server: Server, values: list[str], left: list[str]
) -> None:
    """Neither in the subprotocols nor in any header, however a server reads these."""
    client = server.connect(
        "/report/",
        origin=APP,
        headers=[("Sec-WebSocket-Protocol", value) for value in values],
    )
    report = client.receive_json()

    assert CREDENTIAL_PREFIX not in report["text"]
    assert MARKER not in report["text"]
    assert set(report["subprotocols"]) <= set(left)


def test_a_credential_beside_a_broken_subprotocol_does_not_reach_the_application(
    server: Server,
) -> None:
    """A name outside ASCII makes servers refuse, or (granian) read no subprotocol."""
    client = server.connect(
        "/report/",
        origin=APP,
        headers=[("Sec-WebSocket-Protocol", b"\xe4, " + CREDENTIAL.encode())],
    )

    if client.opened:
        assert CREDENTIAL_PREFIX not in client.receive_json()["text"]
    else:
        assert server.account().handshakes == 0


@pytest.fixture
def cookie() -> str:
    """A session of the served site, as a Cookie header."""
    with override_settings(SECRET_KEY=served_settings.SECRET_KEY):
        store = SessionStore()
        store["name"] = "alice"
        store.save()
    return f"{served_settings.SESSION_COOKIE_NAME}={store.session_key}; {OTHER_COOKIE}"


SESSIONS = pytest.mark.parametrize("path", ["/session-inside/", "/session-outside/"])


@SESSIONS
@pytest.mark.parametrize("origin", [APP, SITE], ids=["listed", "same origin"])
def test_a_trusted_origin_brings_its_session(
    server: Server, cookie: str, path: str, origin: str
) -> None:
    """What the site would get over HTTP, the application gets over the socket."""
    client = server.connect(path, origin=origin, headers=[("Cookie", cookie)])
    report = client.receive_json()

    assert report["session"] == {"name": "alice"}
    assert ["cookie", cookie] in report["headers"]


@SESSIONS
@pytest.mark.parametrize(
    ("variant", "origin"),
    [
        pytest.param("plain", CORS, id="CORS without credentials"),
        pytest.param("plain", ROW, id="row without credentials"),
        pytest.param("closing", "null", id="null"),
        pytest.param("closing", None, id="missing"),
    ],
)
def test_others_open_a_socket_without_the_session(
    servers: dict[str, Server], cookie: str, path: str, variant: str, origin: str | None
) -> None:
    """Credentials as over CORS: the cookies are gone, also where they had been read."""
    server = servers[variant]
    headers = [("Cookie", cookie), ("Cookie", OTHER_COOKIE)]
    report = server.connect(path, origin=origin, headers=headers).receive_json()
    server.hang_up()

    assert (report["session"], report["cookies"]) == ({}, {})
    assert "cookie" not in dict(report["headers"])


# Endpoints with lists of their own


@pytest.mark.parametrize(
    ("path", "origins"),
    [
        pytest.param("/one-mount/", {"one"}, id="a list alone"),
        pytest.param("/other-mount/", {"app", "other"}, id="the site's and more"),
        pytest.param("/two-guards/", {"one"}, id="two guards, both agree"),
        pytest.param("/tenants/one/", {"one"}, id="an async function"),
        pytest.param("/sync-tenants/other/", {"other"}, id="a sync function"),
        pytest.param("/token/", set(), id="a token required"),
        pytest.param("/async/", {"app"}, id="the site's"),
        pytest.param("/unguarded/", {"app", "one", "other"}, id="no guard"),
    ],
)
def test_each_mount_has_its_own_list(
    server: Server, path: str, origins: set[str]
) -> None:
    """Two mounts of one consumer do not share; two guards compose by AND."""
    opened = {
        name
        for name in ("app", "one", "other")
        if server.connect(path, origin=f"https://{name}.example").opened
    }

    assert opened == origins


def test_report_only_lets_through_what_it_would_deny(
    server: Server, cookie: str
) -> None:
    """The handshake goes on with all that it brought, and the reason is recorded."""
    client = server.connect("/report-only/", origin=EVIL, headers=[("Cookie", cookie)])
    report = client.receive_json()

    assert ["cookie", cookie] in report["headers"]
    assert report["reason"] == Reason.UNLISTED
    assert server.account() == Account(1, 1, [Reason.UNLISTED])


def test_leaves_http_alone(server: Server) -> None:
    """Over HTTP it is CORS that counts, and not our business."""
    answer = server.ask("/page/", {"Origin": EVIL})

    assert answer.body == "page for https://evil.example"


@pytest.mark.parametrize("consumer", [AsyncWebsocketConsumer, WebsocketConsumer])
def test_refuses_a_mixin_that_would_come_too_late(consumer: type) -> None:
    """A wrong order of the bases skips the guard: there is no such class."""
    with pytest.raises(TypeError, match="name OriginGuardMixin before"):
        type("Unguarded", (consumer, OriginGuardMixin), {})


# What we rely on, and what changes should tell us


def test_scopes_are_as_measured(server: Server) -> None:
    """Daphne tells neither a scheme nor an HTTP version, and offers no extensions."""
    report = server.connect("/unguarded-report/", origin=APP).receive_json()
    names = [name for name, _ in report["headers"]]

    assert report["scheme"] == server.kind.scheme
    assert report["http_version"] == server.kind.http_version
    assert "websocket.http.response" in (report["extensions"] or {}) or (
        server.kind.name == "daphne" and report["extensions"] is None
    )
    assert names == [name.lower() for name in names]
    # RFC 8441, section 5: no key over HTTP/2, and it is a WebSocket all the same.
    assert ("sec-websocket-key" in names) == (server.kind.http_version != "2")


@pytest.mark.parametrize(
    ("origins", "seen", "elsewhere"),
    [
        pytest.param(
            [APP, EVIL],
            [APP, EVIL],
            {
                "daphne": [f"{APP},{EVIL}"],
                "uvicorn-websockets": 400,
                "uvicorn-sansio": 400,
            },
            id="repeated",
        ),
        pytest.param([f" {APP}\t"], [APP], {"hypercorn-h2": None}, id="white space"),
        pytest.param(
            [b"\xa0https://app.example"],
            [f"\xa0{APP}"],
            {"daphne": [APP], "uvicorn-websockets": 500},
            id="no-break space",
        ),
    ],
)
def test_origins_arrive_as_measured(
    server: Server,
    origins: list[str | bytes],
    seen: list[str],
    elsewhere: dict[str, list[str] | int | None],
) -> None:
    """Daphne joins repeated headers with a comma, so that counting is not enough."""
    client = server.connect(
        "/unguarded-report/", headers=[("Origin", origin) for origin in origins]
    )

    expected = elsewhere.get(server.kind.name, seen)
    if client.opened:
        headers = client.receive_json()["headers"]
        assert [value for name, value in headers if name == "origin"] == expected
    else:
        assert client.status == expected


# Whatever a client sends


PIECES: Final = [
    *(b"https", b"http", b"://", b":", b"/", b"\\", b"@", b"?", b"#", b"%2e", b"."),
    *(
        b"app.example",
        b"site.example",
        b"evil.example",
        b"x.apps.example",
        b"localhost",
    ),
    *(b"[", b"]", b"::1", b"127.0.0.1", b":443", b":80", b":8443", b":0", b"99999"),
    *(b"null", b"*", b",", b", ", b";", b" ", b"\t", b"'", b'"', b"=", b"_", b"-"),
    *(b"sessionid=", b"cross-site", b"wsorigin.v1", b"base64url.bearer.wsorigin."),
    *(b"\x00", b"\x01", b"\x0b", b"\x1f", b"\x7f", b"\x85", b"\xa0", b"\xe4", b"\xff"),
]

CONTROLS: Final = bytes(set(range(0x20)) - {0x09}) + b"\x7f"

TRUSTED: Final = [APP.encode(), SITE.encode(), CORS.encode(), b"https://x.apps.example"]


def header_values(kind: Kind) -> st.SearchStrategy[bytes]:
    """Generate what can stand in a header line, from trusted origins to noise."""
    piece = st.sampled_from(PIECES)
    trusted = st.sampled_from(TRUSTED)
    position = st.integers(0, 30)
    spoilt = st.builds(lambda v, i, p: v[:i] + p + v[i:], trusted, position, piece)
    cut = st.builds(lambda v, i: v[:i] + v[i + 1 :], trusted, position)
    joined = st.lists(piece, max_size=8).map(b"".join)
    values = trusted | spoilt | cut | joined | st.binary(max_size=40)
    unsent = CONTROLS if kind.silent_on_controls else b"\r\n"
    return values.map(lambda value: value.translate(None, unsent))


def delivered(kind: Kind, value: bytes) -> bytes:
    """Return a header's value as the server passes it on."""
    if kind.http_version == "2":
        return value
    value = value.strip(b" \t")
    if kind.name == "daphne":  # as text, where more is white space
        value = value.decode("latin-1").strip().encode("latin-1")
    return value


def is_own_answer(kind: Kind, status: int | None, name: str, value: bytes) -> bool:
    """Whether a server may answer so by itself; None stands for hanging up."""
    if status == 500:
        return kind.fails_outside_ascii in ("*", name) and not value.isascii()
    return status is None or 400 <= status < 500


MANY: Final = settings(max_examples=300, derandomize=True, deadline=None, database=None)


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The policy of the served site, compiled on this side."""
    names = [name for name in dir(served_settings) if name.isupper()]
    site = {name: getattr(served_settings, name) for name in names}
    # Without its row, which no generated value names.
    site |= {"WSORIGIN_INHERIT": ["same-origin", "cors"], "WSORIGIN_AUDIT": False}
    site.pop("DATABASES")
    with override_settings(**site):
        return get_policy()


def test_every_server_decides_as_the_policy_does(
    server: Server, policy: Policy
) -> None:
    """No value of Origin opens a socket that the policy would not open, or is a 500."""
    decided: list[str] = []
    opened = 0

    @MANY
    @given(value=header_values(server.kind))
    def check(value: bytes) -> None:
        nonlocal opened
        client = server.connect("/async/", origin=value)
        server.hang_up()
        if client.opened or client.status == 403:
            seen = [
                (b"host", b"site.example"),
                (b"origin", delivered(server.kind, value)),
            ]
            decision = policy.decide(Handshake.from_scope({"headers": seen}))
            assert client.opened == decision.allowed
            decided.append(decision.reason)
            opened += client.opened
        else:
            assert is_own_answer(server.kind, client.status, "Origin", value)

    check()
    assert server.account() == Account(len(decided), opened, decided)


HEADERS: Final = [
    "Host",
    "Sec-Fetch-Site",
    "Sec-WebSocket-Protocol",
    "Cookie",
    "Authorization",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
]


def test_no_other_header_opens_or_breaks_anything(proxied: Server) -> None:
    """Whatever it says, a stranger stays out, and a trusted origin gets no 500."""
    reached = 0
    opened = 0

    @settings(MANY, max_examples=150)
    @given(
        name=st.sampled_from(HEADERS),
        value=header_values(proxied.kind),
        origin=st.sampled_from([APP, EVIL]),
    )
    def check(name: str, value: bytes, origin: str) -> None:
        nonlocal reached, opened
        if name == "Host":
            client = proxied.connect("/session-outside/", origin=origin, host=value)
        else:
            client = proxied.connect(
                "/session-outside/", origin=origin, headers=[(name, value)]
            )
        proxied.hang_up()
        if client.opened or client.status == 403:
            assert client.opened == (origin == APP)
            reached += 1
            opened += client.opened
        else:
            assert is_own_answer(proxied.kind, client.status, name, value)

    check()
    account = proxied.account()
    assert (account.handshakes, account.connected) == (reached, opened)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("path", ["/async/", "/sync/"])
@pytest.mark.parametrize("origin", [APP, EVIL])
def test_a_client_that_leaves_at_once_harms_nobody(
    servers: dict[str, Server], variant: str, path: str, origin: str
) -> None:
    """The answer finds nobody there; the next client is served as ever."""
    server = servers[variant]
    for _ in range(5):
        server.send_handshake(path, origin=origin).close()

    assert server.connect(path, origin=APP).opened
    server.hang_up()


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_log_holds_an_exception_or_a_secret(
    servers: dict[str, Server], variant: str
) -> None:
    """Of all that went before: no traceback through our code, no cookie, no token."""
    log = servers[variant].log.read_text(errors="replace")
    ours = (str(Path(wsorigin.__file__).parent), str(ROOT / "tests"))

    files = re.findall(r'File "([^"]+)"', log)
    assert [file for file in files if file.startswith(ours)] == []
    assert CREDENTIAL not in log
    assert OTHER_COOKIE not in log
