"""The doctor at a URL: it names each cause, once and in time, and trips over none."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from threading import Event
from typing import Any, Final

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.doctor import stand_ins
from tests.doctor.stand_ins import (
    Handler,
    Request,
    certificate,
    closing,
    frame,
    page,
    preflight,
    saying,
    stand_in,
    switched,
    text,
)
from tests.servers import processes
from tests.servers.processes import Kind, running
from tests.servers.sites import environment
from wsorigin.doctor import Finding, ForeignHost, Severity, WrongQuestion, examine
from wsorigin.doctor.arrivals import STRANGER
from wsorigin.doctor.finding import IDS
from wsorigin.doctor.lookalikes import lookalikes
from wsorigin.doctor.remedies import DOCUMENTED, remedies_for
from wsorigin.doctor.target import Target
from wsorigin.origins import Origin
from wsorigin.tokens import MAX_OUTSTANDING, mint_ticket

APPLICATION: Final = "tests.doctor.site:application"
DAPHNE: Final = processes.DAPHNE.serving(APPLICATION)
UVICORN: Final = processes.UVICORN.serving(APPLICATION)


@pytest.fixture(autouse=True)
def _localhost_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each test the thread that waits for name servers; see `stand_ins`."""
    resolve = socket.getaddrinfo

    def without_asking(host: Any, *where: Any, **how: Any) -> Any:
        return resolve("127.0.0.1" if host == "localhost" else host, *where, **how)

    monkeypatch.setattr(socket, "getaddrinfo", without_asking)


def knock(port: int, path: str = "/ws/", scheme: str = "ws", **how: Any) -> Any:
    """Examine a place on this machine, without much patience."""
    how = {"timeout": 5.0, **how}
    return examine(f"{scheme}://localhost:{port}{path}", **how)


def ids(findings: list[Finding]) -> list[str]:
    """Return what was found."""
    return [finding.id for finding in findings]


def of_guard(
    request: Request, *, seen: bool = True, allowed: bool = True, **told: Any
) -> bytes:
    """Answer as a sound guard does, but for what is told."""
    origin = next(iter(request.origins), None)
    host = request.text.partition("Host: ")[2].partition("\r")[0]
    own = request.origins == [f"http://{host}"]
    arrived = {
        "origin": origin,
        "host": host,
        "host_header": host,
        "path": request.path,
        "is_https": False,
        "allowed": own and allowed,
        "reason": "same-origin" if own and allowed else "unlisted",
    }
    answer = arrived | told
    if not own and not any("doctor" in one for one in request.offered):
        return page("403 Forbidden")
    if "wsorigin.preflight" not in request.offered:
        return switched(request, "wsorigin.v1") + closing(1000)
    return preflight(request, {**answer, "seen": answer} if seen else answer)


def guard(**told: Any) -> Handler:
    """Make a sound guard, but for what it tells."""
    return lambda connection, request: connection.sendall(of_guard(request, **told))


# What the answers mean


NGINX_PAGE: Final = "<hr><center>nginx/1.22.1</center>"
APACHE_PAGE: Final = "<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>"
HAPROXY_PAGE: Final = (
    "<html><body><h1>503 Service Unavailable</h1>\n"
    "No server is available to handle this request.\n</body></html>\n"
)


def meaning(answer: bytes, number: str, words: str, front: str, *, case: str) -> Any:
    """Make a row: what a server says, and what that means."""
    return pytest.param(answer, number, words, front, id=case)


@pytest.mark.parametrize(
    ("answer", "number", "words", "front"),
    [
        meaning(
            page("404 Not Found", "<h1>Not Found</h1>", Server="nginx/1.22.1"),
            "upgrade-dropped",
            "a plain request",
            "nginx",
            case="Upgrade stripped, 404 of Django",
        ),
        meaning(
            page("405 Method Not Allowed", Server="daphne"),
            "upgrade-dropped",
            "405",
            "",
            case="a view that takes no GET",
        ),
        meaning(
            page("404 Not Found", APACHE_PAGE),
            "wrong-route",
            "404",
            "apache",
            case="404 of the proxy itself",
        ),
        meaning(
            page("404 Not Found", Server="WSGIServer/0.2 CPython/3.11"),
            "not-websocket-server",
            "WSGIServer",
            "",
            case="runserver without Daphne",
        ),
        meaning(
            page("404 Not Found", Server="uvicorn"),
            "not-websocket-server",
            "uvicorn",
            "",
            case="uvicorn without a library",
        ),
        meaning(
            page("404 Not Found", Server="uvicorn", CF_RAY="1"),
            "upgrade-dropped",
            "404",
            "cloudflare",
            case="uvicorn behind Cloudflare",
        ),
        meaning(
            page("200 OK", "<!doctype html>", Content_Type="text/html; charset=utf-8"),
            "wrong-route",
            "(text/html)",
            "",
            case="SPA fallback",
        ),
        meaning(page("204 No Content"), "wrong-route", "(a page)", "", case="204"),
        meaning(
            page(
                "400 Bad Request",
                NGINX_PAGE.replace(
                    "<hr>", "The plain HTTP request was sent to HTTPS port"
                ),
            ),
            "wrong-scheme",
            "speaks TLS",
            "nginx",
            case="plain HTTP to nginx's TLS port",
        ),
        meaning(
            page('400 HTTP Connection headers do not include "upgrade" value'),
            "connection-dropped",
            "no 'Connection: Upgrade'",
            "",
            case="Connection stripped, phrase of Daphne",
        ),
        meaning(
            page("400 Bad Request", Server="Caddy"),
            "connection-dropped",
            "no 'Connection: Upgrade'",
            "caddy",
            case="Connection stripped, phrase of Caddy",
        ),
        meaning(
            page("400 HTTP Origin header invalid"),
            "origin-rewritten",
            "no origin",
            "",
            case="a broken Origin",
        ),
        meaning(
            page("400 Bad Request", "<h1>Bad Request (400)</h1>"),
            "upgrade-dropped",
            "ALLOWED_HOSTS",
            "",
            case="Upgrade stripped, 400 of Django",
        ),
        meaning(
            page("400 Bad Request", "what?"),
            "not-websocket-server",
            "400",
            "",
            case="another 400",
        ),
        meaning(
            page(
                "426 Upgrade Required",
                'This WebSocket handshake arrived as plain HTTP, without "Upgrade: '
                'websocket" and "Connection: upgrade".',
            ),
            "upgrade-dropped",
            "without its Upgrade header",
            "",
            case="426 of the middleware: both",
        ),
        meaning(
            page("426 Upgrade Required", 'plain HTTP, without "Connection: upgrade".'),
            "connection-dropped",
            "without its Connection header",
            "",
            case="426 of the middleware: Connection",
        ),
        meaning(
            page("426 Upgrade Required", "the server speaks no WebSocket."),
            "not-websocket-server",
            "complete",
            "",
            case="426 of the middleware: none",
        ),
        meaning(
            page("426 Upgrade Required", '{"allowed": true}'),
            "upgrade-dropped",
            "plain HTTP",
            "",
            case="426 of the preflight",
        ),
        meaning(
            page("301 Moved Permanently", Location="https://localhost/ws/"),
            "redirected",
            "https://localhost/ws/",
            "",
            case="to https",
        ),
        meaning(
            page("302 Found", Location="/ws"), "redirected", "/ws", "", case="slash"
        ),
        meaning(
            page("302 Found", Location="/login/?next=/ws/"),
            "redirected",
            "/login/",
            "",
            case="login",
        ),
        meaning(page("308 Gone"), "redirected", "nowhere", "", case="nowhere"),
        meaning(
            page("401 Unauthorized", Server="nginx", WWW_Authenticate="Basic"),
            "proxy-refuses",
            "(Server: nginx)",
            "nginx",
            case="basic authentication",
        ),
        meaning(
            page("407 Proxy Authentication Required"),
            "proxy-refuses",
            "407",
            "",
            case="a forward proxy",
        ),
        meaning(
            page("403 Forbidden", NGINX_PAGE),
            "proxy-refuses",
            "in front",
            "nginx",
            case="403 of the proxy itself",
        ),
        meaning(
            page("403 Forbidden", cf_mitigated="challenge", CF_RAY="1"),
            "proxy-refuses",
            "403",
            "cloudflare",
            case="a challenge",
        ),
        meaning(page("429 Slow Down"), "proxy-refuses", "429", "", case="rate limit"),
        meaning(
            page("502 Bad Gateway", NGINX_PAGE),
            "upstream-down",
            "502",
            "nginx",
            case="nothing behind nginx",
        ),
        meaning(
            page("503 Service Unavailable", HAPROXY_PAGE),
            "upstream-down",
            "503",
            "haproxy",
            case="nothing behind HAProxy",
        ),
        meaning(
            page("464 HTTP2", Server="awselb/2.0"),
            "upstream-down",
            "464",
            "alb",
            case="a target group of HTTP/2",
        ),
        meaning(
            page("500 Internal Server Error"),
            "application-error",
            "exception",
            "",
            case="exception",
        ),
        meaning(page("418 Teapot"), "unexpected-answer", "418", "", case="teapot"),
        meaning(b"SSH-2.0-OpenSSH\r\n", "not-http", "SSH-2.0", "", case="not HTTP"),
        meaning(
            b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
            "not-http",
            "headers",
            "",
            case="too many headers",
        ),
        meaning(
            b"HTTP/1.1 101 Fine\r\nUpgrade: h2c\r\n\r\n",
            "not-http",
            "isn't 'websocket'",
            "",
            case="101 with another Upgrade",
        ),
        meaning(
            b"HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\n\r\n",
            "not-http",
            "no 'Upgrade'",
            "",
            case="101 without Connection",
        ),
        meaning(
            b"HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: x\r\n\r\n",
            "not-http",
            "doesn't fit",
            "",
            case="101 with another key's answer",
        ),
        meaning(b"", "no-answer", "closed without", "", case="closed at once"),
        meaning(
            b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
            "upgrade-dropped",
            "404",
            "",
            case="a broken body",
        ),
    ],
)
def test_names_the_cause(answer: bytes, number: str, words: str, front: str) -> None:
    """Each answer that keeps a handshake from the application has one meaning."""
    with stand_in(saying(answer)) as port:
        (finding,) = knock(port)

    assert finding.id == number
    assert words in finding.found
    assert finding.front == front
    assert finding.subject == f"ws://localhost:{port}/ws/"
    assert finding.severity is IDS[number][0]


@pytest.mark.parametrize("name", ["nginx", "apache", "haproxy", "caddy", "alb"])
def test_believes_who_says_what_is_in_front(name: str) -> None:
    """Where nothing shows it, and where something shows another."""
    with stand_in(saying(page("404 Not Found", Server="cloudflare"))) as port:
        (finding,) = knock(port, proxy=name)

    assert finding.front == name
    assert list(finding.applicable) == [name, "django"]


def test_finds_out_what_is_in_front_by_nonsense() -> None:
    """A proxy that signs nothing refuses a broken request in its own words."""

    def handler(connection: socket.socket, request: Request) -> None:
        broken = "no header" in request.text
        connection.sendall(
            page("400 Bad request", HAPROXY_PAGE) if broken else page("404 Not Found")
        )

    with stand_in(handler) as port:
        (finding,) = knock(port)

    assert (finding.id, finding.front) == ("upgrade-dropped", "haproxy")


def test_shows_all_remedies_where_nobody_knows_what_is_in_front() -> None:
    """The reader knows."""
    with stand_in(saying(page("404 Not Found"))) as port:
        (finding,) = knock(port)

    assert finding.applicable == finding.remedies
    assert "proxy_set_header Upgrade $http_upgrade;" in finding.remedies["nginx"]
    assert {name for name, it in finding.remedies.items() if DOCUMENTED in it} == {
        "alb",
        "cloudflare",
    }


@pytest.mark.parametrize("status", ["502 Bad Gateway", "504 Gateway Timeout"])
def test_a_gateway_that_waited_blames_the_application(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Daphne hangs up after five seconds; a proxy makes that its own error."""
    monkeypatch.setattr("wsorigin.doctor.obstacles.PATIENCE_OF_DAPHNE", 0.0)
    with stand_in(saying(page(status))) as port:
        (finding,) = knock(port)

    assert finding.id == "no-answer"
    assert "in time" in finding.found


# Where the path leads


@pytest.mark.parametrize(
    ("path", "working", "words"),
    [
        pytest.param("/ws/a", "/ws/a/", "slash at the end is missing", id="no slash"),
        pytest.param("/ws/a/", "/ws/a", "a slash too many", id="slash"),
        pytest.param("/ws/a/", "/ws/ws/a/", "/ws is stripped", id="prefix"),
        pytest.param(
            "/app/ws/a/", "/app/ws/app/ws/a/", "/app/ws is stripped", id="long prefix"
        ),
        pytest.param("/a%20b", "/a%20b/", "missing", id="an escaped path"),
    ],
)
def test_finds_the_path_that_would_work(path: str, working: str, words: str) -> None:
    """A path without a route is a 500; what a proxy did to it, a second look tells."""

    def handler(connection: socket.socket, request: Request) -> None:
        ok = request.path == working
        connection.sendall(page("403 Access denied" if ok else "500 Internal"))

    with stand_in(handler) as port:
        (finding,) = knock(port, path)

    assert finding.id == "wrong-route"
    assert words in finding.found


def test_finds_a_prefix_that_became_a_slash() -> None:
    """Daphne takes what follows two slashes for a host."""

    def handler(connection: socket.socket, request: Request) -> None:
        ok = request.path.count("/ws/a/") and request.path.count("/") == 5
        connection.sendall(switched(request) if ok else page("500 Internal"))

    with stand_in(handler) as port:
        (finding,) = knock(port, "/ws/a/")

    assert finding.id == "wrong-route"
    assert "becomes a second slash" in finding.found


@override_settings(ASGI_APPLICATION="tests.doctor.site.application")
@pytest.mark.parametrize(
    ("path", "status", "number", "words"),
    [
        pytest.param("/nowhere/", 500, "wrong-route", "no route of", id="no route"),
        pytest.param("/nowhere/", 403, "wrong-route", "no route of", id="granian"),
        pytest.param("/ws/open/", 500, "application-error", "exception", id="direct"),
        pytest.param("/witness/", 403, "trusted-origin-refused", "403", id="refused"),
    ],
)
def test_knows_the_routes_of_the_project(
    path: str, status: int, number: str, words: str
) -> None:
    """A path that the project does not route is wrong, whatever the status."""
    with stand_in(saying(page(f"{status} So"))) as port:
        findings = knock(port, path)

    assert findings[0].id == number
    assert words in findings[0].found


@override_settings(ASGI_APPLICATION="tests.doctor.site.application")
@pytest.mark.parametrize(
    ("working", "number"),
    [
        pytest.param("", "wrong-route", id="none works"),
        pytest.param("/ws/token/", "application-error", id="another works"),
    ],
)
def test_behind_a_proxy_a_path_may_have_become_another(
    working: str, number: str
) -> None:
    """If the project's other paths work through it, the proxy is not to blame."""

    def handler(connection: socket.socket, request: Request) -> None:
        status = "403 Access denied" if request.path == working else "500 Internal"
        connection.sendall(page(status, Server="nginx"))

    with stand_in(handler) as port:
        (finding,) = knock(port, "/ws/guarded/")

    assert finding.id == number


@pytest.mark.parametrize(
    ("application", "remedy"),
    [
        pytest.param("tests.applications.only_http", "ProtocolTypeRouter", id="HTTP"),
        pytest.param("tests.nowhere.application", "log", id="cannot be imported"),
    ],
)
def test_knows_an_application_that_is_for_http_alone(
    application: str, remedy: str
) -> None:
    """It answers each handshake with 500."""
    with (
        override_settings(ASGI_APPLICATION=application),
        stand_in(saying(page("500 Internal"))) as port,
    ):
        (finding,) = knock(port)

    assert finding.id == "application-error"
    assert remedy in finding.remedies["django"]


# Nobody there, or somebody odd


def test_says_that_nothing_listens() -> None:
    """Port 1 of this machine."""
    (finding,) = knock(1)

    assert finding.id == "unreachable"
    assert "Connection refused" in finding.found


def test_says_that_a_name_does_not_exist() -> None:
    """A name below .invalid never does (RFC 6761, section 6.4)."""
    (finding,) = examine("wss://nowhere.invalid/", own_host=True, timeout=5)

    assert finding.id == "unreachable"
    assert "no address" in finding.found


def test_waits_no_longer_for_a_name_than_for_anything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system's resolver may take half a minute."""
    over = Event()

    def unanswered(*_: Any, flags: int = 0, **__: Any) -> Any:
        if not flags & socket.AI_NUMERICHOST:
            over.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unanswered)
    (finding,) = examine("ws://localhost/", timeout=0.1)
    over.set()

    assert finding.id == "unreachable"
    assert "name servers" in finding.found


def test_waits_no_longer_for_a_connection_than_for_anything_else() -> None:
    """A full queue of connections looks like a firewall that drops everything."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        ExitStack() as stack,
    ):
        for _ in range(3):
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(listener.getsockname())
        began = time.monotonic()
        (finding,) = examine(
            f"ws://127.0.0.1:{listener.getsockname()[1]}/", timeout=0.2
        )

    assert finding.id == "unreachable"
    assert "within 0.2 s" in finding.found
    assert time.monotonic() - began < 2


def test_without_time_nothing_is_reached() -> None:
    """No step takes more than there is."""
    assert ids(examine("ws://localhost/", timeout=0)) == ["unreachable"]


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        pytest.param(stand_ins.silent, "nothing came back", id="silent"),
        pytest.param(stand_ins.resetting, "closed without an answer", id="reset"),
    ],
)
def test_says_that_there_is_no_answer(handler: Handler, words: str) -> None:
    """Within the time-out, and some more to see whether it is TLS that is missing."""
    began = time.monotonic()
    with stand_in(handler, greets=True) as port:
        (finding,) = knock(port, timeout=0.3)

    assert finding.id == "no-answer"
    assert words in finding.found
    assert time.monotonic() - began < 3


def test_an_answer_that_drips_ends_with_the_timeout() -> None:
    """Each byte in time, and all of them never."""

    def handler(connection: socket.socket, request: Request) -> None:
        connection.settimeout(0.02)
        octets = cycle(b"HTTP/1.1 404 Not Found\r\n")
        while True:
            connection.sendall(bytes([next(octets)]))
            with suppress(TimeoutError):
                connection.recv(1)

    began = time.monotonic()
    with stand_in(handler) as port:
        (finding,) = knock(port, timeout=0.3)

    assert finding.id == "no-answer"
    assert time.monotonic() - began < 3


def test_an_answer_without_an_end_is_read_for_a_second_at_most() -> None:
    """What is known by then is enough."""

    def handler(connection: socket.socket, request: Request) -> None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n" + b"x" * 100)
        stand_ins.silent(connection, request)

    began = time.monotonic()
    with stand_in(handler) as port:
        (finding,) = knock(port, timeout=0.3)

    assert finding.id == "upgrade-dropped"
    assert time.monotonic() - began < 3


@given(
    st.binary(max_size=80)
    | st.builds(
        lambda status, rest: b"HTTP/1.1 %d \r\n%b" % (status, rest),
        st.integers(100, 999),
        st.binary(max_size=80),
    )
    | st.builds(lambda rest: page("403 No", rest, Content_Type="x"), st.text())
)
@hypothesis_settings(max_examples=25)
def test_trips_over_no_answer(answer: bytes) -> None:
    """Whatever comes back, it is a finding and no traceback."""
    with stand_in(saying(answer)) as port:
        assert knock(port)


# TLS


def tls(
    folder: Path, handler: Handler, *names: str, days: tuple[int, int] = (-1, 1)
) -> tuple[str, AbstractContextManager[int]]:
    """Make a stand-in with TLS; return its certificate, to trust, and itself."""
    trusted, context = certificate(folder, *(names or ("localhost",)), days=days)
    return str(trusted), stand_in(handler, context)


@pytest.mark.parametrize(
    ("name", "days", "trusted", "words"),
    [
        pytest.param("localhost", (-1, 1), False, "self-signed", id="unknown"),
        pytest.param("localhost", (-2, -1), True, "expired", id="expired"),
        pytest.param("other.example", (-1, 1), True, "Hostname", id="another name"),
    ],
)
def test_says_what_is_wrong_with_a_certificate(
    tmp_path: Path, name: str, days: tuple[int, int], trusted: bool, words: str
) -> None:
    """As a browser would, though that says less."""
    file, server = tls(tmp_path, guard(), name, days=days)
    with server as port:
        (finding,) = knock(port, scheme="wss", cafile=file if trusted else None)

    assert finding.id == "tls-failure"
    assert words.lower() in finding.found.lower()


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(saying(page("404 Not Found")), id="an answer"),
        pytest.param(saying(page("400 Bad Request")), id="a refusal"),
    ],
)
def test_says_that_the_port_is_plain(handler: Handler) -> None:
    """The first bytes of TLS are no HTTP."""
    with stand_in(handler) as port:
        (finding,) = knock(port, scheme="wss")

    assert finding.id == "wrong-scheme"
    assert "plain HTTP" in finding.found


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(stand_ins.silent, id="silent"),
        pytest.param(stand_ins.resetting, id="reset"),
        pytest.param(saying(b"SSH-2.0-OpenSSH\r\n"), id="another protocol"),
    ],
)
def test_says_that_tls_does_not_come_about(handler: Handler) -> None:
    """With somebody who speaks neither."""
    with stand_in(handler, greets=True) as port:
        (finding,) = knock(port, scheme="wss", timeout=0.3)

    assert finding.id == "tls-failure"


def test_says_that_the_port_wants_tls(tmp_path: Path) -> None:
    """A server with TLS hangs up on anything else."""
    _, server = tls(tmp_path, guard())
    with server as port:
        (finding,) = knock(port, scheme="ws")

    assert finding.id == "wrong-scheme"
    assert "speaks TLS" in finding.found


def test_takes_an_alert_for_a_port_that_wants_tls(tmp_path: Path) -> None:
    """Some servers answer in the language of TLS."""
    _, context = certificate(tmp_path, "localhost")

    def handler(connection: socket.socket, request: Request) -> None:
        if connection.recv(1, socket.MSG_PEEK) == b"\x16":
            context.wrap_socket(connection, server_side=True).close()
        else:
            connection.recv(65536)
            connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")

    with stand_in(handler, greets=True) as port:
        (finding,) = knock(port)

    assert finding.id == "wrong-scheme"


def test_offers_no_http2(tmp_path: Path) -> None:
    """In HTTP/2 an Upgrade header is illegal, and ends in false alarms."""
    chosen: list[str | None] = []

    def handler(connection: socket.socket, request: Request) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        chosen.append(connection.selected_alpn_protocol())
        connection.sendall(page("404 Not Found"))

    trusted, context = certificate(tmp_path, "localhost")
    context.set_alpn_protocols(["h2", "http/1.1"])
    with stand_in(handler, context) as port:
        knock(port, scheme="wss", cafile=str(trusted))

    assert set(chosen) == {"http/1.1"}


def test_a_connection_that_ends_within_tls_is_no_answer(tmp_path: Path) -> None:
    """Without a closing word of TLS either."""
    trusted, server = tls(tmp_path, saying(b""))
    with server as port:
        (finding,) = knock(port, scheme="wss", cafile=trusted)

    assert finding.id == "no-answer"


# What arrives


@pytest.mark.parametrize(
    ("told", "number", "severity", "words"),
    [
        pytest.param(
            {"host": "app", "host_header": "app", "allowed": False},
            "host-rewritten",
            Severity.ERROR,
            "Host: 'app' arrives.",
            id="Host rewritten",
        ),
        pytest.param(
            {"host": "", "host_header": None},
            "host-rewritten",
            Severity.WARNING,
            "Host: - arrives.",
            id="no Host, and an origin that is listed",
        ),
        pytest.param(
            {
                "host": "127.0.0.1:8000",
                "host_header": "127.0.0.1:8000",
                "forwarded": {"x-forwarded-host": "localhost"},
                "allowed": False,
            },
            "host-rewritten",
            Severity.ERROR,
            "with X-Forwarded-Host: 'localhost'",
            id="Host rewritten, and said so",
        ),
        pytest.param(
            {"origin": None, "allowed": False, "reason": "missing"},
            "origin-stripped",
            Severity.ERROR,
            "No Origin",
            id="Origin stripped",
        ),
        pytest.param(
            {"origin": "https://site.example", "allowed": True},
            "origin-rewritten",
            Severity.ERROR,
            "'https://site.example' arrives",
            id="Origin rewritten",
        ),
        pytest.param(
            {"path": "/other/"},
            "wrong-route",
            Severity.ERROR,
            "'/other/' arrives for '/ws/'",
            id="path rewritten",
        ),
        pytest.param(
            {"path": "/"}, "wrong-route", Severity.INFO, "'/'", id="prefix stripped"
        ),
    ],
)
def test_compares_what_arrives_with_what_was_sent(
    told: dict[str, Any], number: str, severity: Severity, words: str
) -> None:
    """One change, one finding: not what it makes of everything else."""
    with stand_in(guard(**told)) as port:
        (finding,) = knock(port)

    assert finding.id == number
    assert finding.severity is severity
    assert words in finding.found


@override_settings(ASGI_APPLICATION="tests.doctor.site.application")
def test_a_prefix_that_the_project_knows_may_not_be_stripped() -> None:
    """Another route of the project answers then."""
    with stand_in(guard(path="/witness/")) as port:
        (finding,) = knock(port, "/ws/guarded/")

    assert (finding.id, finding.severity) == ("wrong-route", Severity.ERROR)


def test_sees_a_rewritten_origin_without_a_diagnosis() -> None:
    """A guard of another site tells its origin to those that it lets in."""

    def handler(connection: socket.socket, request: Request) -> None:
        answer = {"allowed": True, "origin": "https://site.example"}
        connection.sendall(preflight(request, answer))

    with stand_in(handler) as port:
        findings = knock(port)

    assert ids(findings)[:2] == ["origin-rewritten", "no-diagnosis"]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        pytest.param({}, "no X-Forwarded-Proto says so", id="no header"),
        pytest.param(
            {"proxy_ssl_header": "x-scheme", "https_only": True},
            "no X-Scheme says so",
            id="not the header that the site wants",
        ),
        pytest.param(
            {
                "proxy_ssl_header": "x-forwarded-proto",
                "forwarded": {"x-forwarded-proto": "http"},
            },
            "X-Forwarded-Proto says 'http'.",
            id="http",
        ),
        pytest.param(
            {"forwarded": {"x-forwarded-proto": "https"}},
            "SECURE_PROXY_SSL_HEADER is not set",
            id="a header that nobody trusts",
        ),
    ],
)
def test_says_that_nothing_tells_of_https(
    tmp_path: Path, seen: dict[str, Any], words: str
) -> None:
    """A page over plain http gets in then; that is the same finding, and no other."""
    trusted, server = tls(tmp_path, https_guard(**seen))
    with server as port:
        (finding,) = knock(port, scheme="wss", cafile=trusted)

    assert finding.id == "scheme-unknown"
    assert words in finding.found


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param({"is_https": True}, id="the request says so"),
        pytest.param({"https_only": True}, id="a setting says so"),
    ],
)
def test_finds_nothing_where_https_is_known(
    tmp_path: Path, seen: dict[str, Any]
) -> None:
    """No header is needed where a setting speaks for all requests."""
    trusted, server = tls(tmp_path, https_guard(strict=True, **seen))
    with server as port:
        assert knock(port, scheme="wss", cafile=trusted) == []


def https_guard(*, strict: bool = False, **told: Any) -> Handler:
    """Make a guard of an https site; only a strict one tells http from https."""

    def handler(connection: socket.socket, request: Request) -> None:
        origin = next(iter(request.origins), "")
        host = request.text.partition("Host: ")[2].partition("\r")[0]
        if origin == f"https://{host}" and len(request.origins) == 1:
            # As if it were http, which is what the sound guard takes for its own.
            text = request.text.replace(f"Origin: {origin}", f"Origin: http://{host}")
            answer = of_guard(Request(text), origin=origin, **told)
        elif origin == f"http://{host}" and strict:
            answer = page("403 Forbidden")
        else:
            answer = of_guard(request, **told)
        connection.sendall(answer)

    return handler


# Who gets in


def test_finds_nothing_where_all_is_well() -> None:
    """The site's own pages get in, and nobody else."""
    with stand_in(guard()) as port:
        assert knock(port) == []


@pytest.mark.parametrize(
    ("kind", "admits"),
    [
        pytest.param("suffix", lambda o: "localhost.wsorigin" in o[0], id="suffix"),
        pytest.param("prefix", lambda o: "evillocalhost" in o[0], id="prefix"),
        pytest.param("port", lambda o: ":8443" in o[0], id="port"),
        pytest.param("null", lambda o: o == ["null"], id="null"),
        pytest.param("missing", lambda o: o == [], id="missing"),
        pytest.param("two headers", lambda o: len(o) == 2, id="two headers"),
        pytest.param("a stranger", lambda o: o == [STRANGER], id="stranger"),
    ],
)
def test_names_the_lookalike_that_gets_in(kind: str, admits: Any) -> None:
    """Each is what an attacker can have."""

    def handler(connection: socket.socket, request: Request) -> None:
        signed = any("doctor" in one for one in request.offered)
        origins = request.origins or [""]
        if not signed and admits(request.origins if kind == "missing" else origins):
            connection.sendall(switched(request) + frame(0x9, b"ping"))
        else:
            connection.sendall(of_guard(request))

    with stand_in(handler) as port:
        (finding,) = knock(port)

    assert finding.id == "lookalike-admitted"
    assert finding.found.startswith(f"These get in: {kind} (")


def test_names_the_scheme_where_nobody_tells_what_arrived(tmp_path: Path) -> None:
    """Without a diagnosis the look-alike itself is the finding."""
    trusted, server = tls(tmp_path, https_guard(seen=False))
    with server as port:
        findings = knock(port, scheme="wss", cafile=trusted)

    assert ids(findings) == ["no-diagnosis", "lookalike-admitted"]
    assert "scheme (http://localhost:" in findings[1].found


@override_settings(WSORIGIN_ALLOW_ALL_ORIGINS=True, WSORIGIN_MISSING_ORIGIN="allow")
def test_blames_nobody_for_what_the_policy_allows() -> None:
    """System checks judge settings."""

    def handler(connection: socket.socket, request: Request) -> None:
        connection.sendall(switched(request))

    with stand_in(handler) as port:
        (finding,) = knock(port)

    assert finding.found.count("two headers") == 2
    assert "null (null)" in finding.found
    assert "stranger" not in finding.found


def test_trusts_no_policy_about_a_host_that_is_not_its_own() -> None:
    """What this project allows says nothing about others."""

    def handler(connection: socket.socket, request: Request) -> None:
        connection.sendall(switched(request))

    with (
        override_settings(WSORIGIN_ALLOW_ALL_ORIGINS=True, ALLOWED_HOSTS=["a.example"]),
        stand_in(handler) as port,
    ):
        (finding,) = knock(port, own_host=True)

    assert finding.found.startswith("These get in: a stranger")


@pytest.mark.parametrize(
    ("host", "kinds"),
    [
        pytest.param("127.0.0.1", {"suffix"}, id="IPv4"),
        pytest.param("[::1]", set(), id="IPv6"),
        pytest.param("localhost", {"suffix", "prefix"}, id="name"),
    ],
)
def test_addresses_have_fewer_lookalikes(host: str, kinds: set[str]) -> None:
    """Nobody can have a name that ends in one."""
    found = list(lookalikes(Origin.parse(f"https://{host}:8443")))

    assert {one.kind for one in found} & {"suffix", "prefix"} == kinds
    assert ("port", (f"https://{host}:8444",)) in found


# Refusals


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(
            lambda request: of_guard(request, allowed=False),
            "unlisted. No rule",
            id="the guard tells",
        ),
        pytest.param(
            lambda _: page(
                "403 Forbidden",
                json.dumps({"reason": "host-not-allowed"}),
                Content_Type="application/problem+json",
            ),
            "host-not-allowed. ",
            id="denial response",
        ),
        pytest.param(
            lambda _: page(
                "403 Forbidden", "[]", Content_Type="application/problem+json"
            ),
            "403 Forbidden, without a reason.",
            id="a denial response of somebody else",
        ),
        pytest.param(
            lambda _: page(
                "403 Forbidden", "{", Content_Type="application/problem+json"
            ),
            "403 Forbidden, without a reason.",
            id="no JSON",
        ),
        pytest.param(
            lambda request: switched(request) + closing(4403),
            "closed with 4403",
            id="close code",
        ),
    ],
)
def test_says_why_the_pages_own_origin_is_refused(answer: Any, words: str) -> None:
    """As far as anybody tells."""

    def handler(connection: socket.socket, request: Request) -> None:
        connection.sendall(answer(request))

    with stand_in(handler) as port:
        findings = knock(port)

    refused = next(one for one in findings if one.id == "trusted-origin-refused")
    assert f"http://localhost:{port} is refused: " in refused.found
    assert words in refused.found
    assert "--origin" in refused.remedies["django"]


@pytest.mark.parametrize("reason", ["token-required"])
def test_an_endpoint_that_wants_a_token_refuses_nobody_wrongly(reason: str) -> None:
    """Its pages bring one."""
    with stand_in(guard(allowed=False, reason=reason)) as port:
        assert knock(port) == []


@pytest.mark.parametrize(
    ("refusal", "number", "severity"),
    [
        pytest.param(
            page("500 Internal"), "refusal-quality", Severity.WARNING, id="exception"
        ),
        pytest.param(
            page("404 Not Found"), "refusal-quality", Severity.INFO, id="hidden"
        ),
        pytest.param(b"", "refusal-quality", Severity.INFO, id="hung up"),
    ],
)
def test_judges_how_a_stranger_is_refused(
    refusal: bytes, number: str, severity: Severity
) -> None:
    """A refusal is a 403, or a close code, and comes at once."""

    def handler(connection: socket.socket, request: Request) -> None:
        stranger = request.origins == [STRANGER]
        connection.sendall(refusal if stranger else of_guard(request))

    with stand_in(handler) as port:
        (finding,) = [one for one in knock(port) if one.id != "no-diagnosis"]

    assert (finding.id, finding.severity) == (number, severity)


@pytest.mark.parametrize(
    ("silent", "words"),
    [
        pytest.param(True, "a denial response on Daphne", id="nothing"),
        pytest.param(False, "403", id="late"),
    ],
)
def test_says_that_a_refusal_takes_long(
    silent: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not wait for each of the others, which would take as long."""
    monkeypatch.setattr("wsorigin.doctor.lookalikes._SLOW", 0.5)
    asked: list[Request] = []

    def handler(connection: socket.socket, request: Request) -> None:
        asked.append(request)
        unsigned = not any("doctor" in one for one in request.offered)
        if request.origins == [STRANGER] and unsigned:
            connection.settimeout(None if silent else 1.0)
            with suppress(TimeoutError):
                stand_ins.silent(connection, request)
        connection.sendall(of_guard(request))

    with stand_in(handler) as port:
        (finding,) = knock(port, timeout=2.0)

    assert finding.id == "refusal-slow"
    assert words in finding.found
    assert len(asked) < 8


def test_a_refusal_may_close_what_it_opened() -> None:
    """WSORIGIN_DENY_WITH = "close": the page can read the code."""

    def handler(connection: socket.socket, request: Request) -> None:
        answer = of_guard(request)
        denied = answer.startswith(b"HTTP/1.1 403")
        connection.sendall(switched(request) + closing(4403) if denied else answer)

    with stand_in(handler) as port:
        assert knock(port) == []


# Around it


@pytest.mark.parametrize(
    ("options", "settings_", "found"),
    [
        pytest.param({}, {"SECURE_HSTS_SECONDS": 60}, True, id="a setting"),
        pytest.param({}, {"SECURE_HSTS_SECONDS": 0}, False, id="none"),
        pytest.param(
            {"own_host": True},
            {"SECURE_HSTS_SECONDS": 60, "ALLOWED_HOSTS": ["a.example"]},
            False,
            id="another site's setting",
        ),
    ],
)
def test_says_that_hsts_makes_an_origin_null(
    options: dict[str, Any], settings_: dict[str, Any], found: bool
) -> None:
    """A page over http, a host that browsers know as https only."""
    with override_settings(**settings_), stand_in(guard()) as port:
        findings = knock(port, **options)

    assert ids(findings) == (["hsts-null"] if found else [])


@pytest.mark.parametrize(
    ("max_age", "found"),
    [pytest.param(60, True, id="on"), pytest.param(0, False, id="off")],
)
def test_sees_hsts_in_what_the_host_answers(
    tmp_path: Path, max_age: int, found: bool
) -> None:
    """In its pages, where the handshake's answer lacks the header."""

    def handler(connection: socket.socket, request: Request) -> None:
        if "Upgrade" in request.text:
            connection.sendall(page("403 Forbidden"))
        else:
            connection.sendall(
                page("200", Strict_Transport_Security=f"max-age={max_age}")
            )

    trusted, server = tls(tmp_path, handler)
    with server as port:
        findings = knock(port, scheme="wss", cafile=trusted, origin="http://a.example")

    assert ("hsts-null" in ids(findings)) == found


def test_hsts_knows_no_addresses() -> None:
    """RFC 6797, section 8.1.1."""
    with override_settings(SECURE_HSTS_SECONDS=60), stand_in(guard()) as port:
        assert examine(f"ws://127.0.0.1:{port}/ws/", timeout=2) == []


@pytest.mark.parametrize(
    ("date", "found"),
    [
        pytest.param("Thu, 01 Jan 2015 00:00:00 GMT", "behind", id="behind"),
        pytest.param("Fri, 01 Jan 2100 00:00:00 GMT", "ahead of", id="ahead"),
        pytest.param("yesterday", "", id="no date"),
    ],
)
def test_compares_the_clocks(date: str, found: str) -> None:
    """Tickets live for seconds, and signatures too."""
    with stand_in(saying(page("404 Not Found", Date=date))) as port:
        *skew, _ = knock(port)

    assert ids(skew) == (["clock-skew"] if found else [])
    assert all(found in one.found for one in skew)


def test_a_page_over_https_may_not_open_ws() -> None:
    """Mixed content: the browser does not even try; loopback is exempt."""
    url = "ws://nowhere.invalid/"
    mixed = examine(url, own_host=True, origin="https://app.example", timeout=5)
    with stand_in(guard()) as port:
        exempt = knock(port, origin="https://app.example")

    assert ids(mixed) == ["mixed-content", "unreachable"]
    assert "mixed-content" not in ids(exempt)


# Sockets that open


def is_of_page(request: Request) -> bool:
    """Whether it is the page's own handshake, and no no-op one."""
    return request.offered == ["wsorigin.v1"] and request.origins != [STRANGER]


@pytest.mark.parametrize(
    ("selected", "number"),
    [
        pytest.param("", "subprotocol-not-echoed", id="none"),
        pytest.param("chat", "subprotocol-not-echoed", id="another"),
        pytest.param(
            "base64url.bearer.wsorigin.c2VjcmV0", "token-echoed", id="credential"
        ),
    ],
)
def test_looks_at_the_subprotocol_that_is_selected(selected: str, number: str) -> None:
    """The marker, and nothing else: never the credential."""

    def handler(connection: socket.socket, request: Request) -> None:
        if is_of_page(request):
            connection.sendall(switched(request, selected) + closing(1000))
        else:
            connection.sendall(of_guard(request))

    with stand_in(handler) as port:
        (finding,) = knock(port)

    assert finding.id == number
    assert "c2VjcmV0" not in finding.found


def test_an_application_may_refuse_whom_the_guard_lets_in() -> None:
    """Perhaps it wants a login; nothing is wrong with that."""

    def handler(connection: socket.socket, request: Request) -> None:
        denied = is_of_page(request)
        connection.sendall(page("403 Denied") if denied else of_guard(request))

    with stand_in(handler) as port:
        assert knock(port) == []
        assert ids(knock(port, idle=0.1)) == ["not-examined"]


@pytest.mark.parametrize(
    ("handler", "found"),
    [
        pytest.param(lambda c, r: None, ["idle-timeout"], id="cut"),
        pytest.param(
            lambda c, r: c.sendall(frame(0x1, b"x" * 500)[:99]),
            ["idle-timeout"],
            id="cut in a frame",
        ),
        pytest.param(
            lambda c, r: c.sendall(b"\x82\x7f" + (1 << 40).to_bytes(8)),
            ["idle-timeout"],
            id="a frame without end",
        ),
        pytest.param(stand_ins.silent, [], id="stays open"),
        pytest.param(
            lambda c, r: c.sendall(closing(4000)), ["not-examined"], id="closed"
        ),
        pytest.param(
            lambda c, r: c.sendall(frame(0x8)), ["not-examined"], id="closed, no code"
        ),
    ],
)
def test_leaves_a_socket_silent(handler: Handler, found: list[str]) -> None:
    """Whoever cuts it does not say so, and the page sees 1006."""

    def serve(connection: socket.socket, request: Request) -> None:
        if is_of_page(request):
            connection.sendall(switched(request, "wsorigin.v1") + text(1))
            handler(connection, request)
        else:
            connection.sendall(of_guard(request))

    with stand_in(serve) as port:
        assert ids(knock(port, idle=0.5)) == found


def test_answers_pings_while_it_waits() -> None:
    """As a browser does: otherwise the server would close it."""
    ponged: list[int] = []

    def handler(connection: socket.socket, request: Request) -> None:
        if is_of_page(request):
            connection.sendall(
                switched(request, "wsorigin.v1")
                + frame(0x2, b"binary")
                + frame(0x9, b"p" * 300)
            )
            ponged.append(connection.recv(2)[0] & 0x0F)
            connection.sendall(text(1))
        else:
            connection.sendall(of_guard(request))

    with stand_in(handler) as port:
        knock(port)

    assert ponged == [0xA]


def test_offers_nothing_where_no_guard_answers() -> None:
    """A bare application would select none, which a page would not survive."""
    offered: list[list[str]] = []

    def handler(connection: socket.socket, request: Request) -> None:
        offered.append(request.offered)
        own = request.origins == [f"http://localhost:{port}"]
        connection.sendall(switched(request) if own else page("403 Denied"))
        stand_ins.silent(connection, request)

    with stand_in(handler) as port:
        assert knock(port, idle=0.2, timeout=1) == []

    assert offered[-1] == []


# Tickets


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("uses", "found"),
    [
        pytest.param(0, ["ticket-refused"], id="refused"),
        pytest.param(1, [], id="once"),
        pytest.param(9, ["ticket-reusable"], id="twice"),
    ],
)
def test_uses_a_ticket_twice(uses: int, found: list[str]) -> None:
    """The second time has to be refused."""
    get_user_model().objects.create(username="ann")
    used: list[str] = []

    def handler(connection: socket.socket, request: Request) -> None:
        if any("bearer" in one for one in request.offered):
            used.append(request.offered[1])
            ok = len(used) <= uses
            connection.sendall(
                switched(request, "wsorigin.v1") if ok else page("403 Denied")
            )
        else:
            connection.sendall(of_guard(request))

    with stand_in(handler) as port:
        assert ids(knock(port, user="ann")) == found

    assert len(set(used)) == 1


@pytest.mark.django_db
def test_says_with_which_code_a_ticket_is_refused() -> None:
    """Where the guard opens to close."""
    get_user_model().objects.create(username="ann")

    def handler(connection: socket.socket, request: Request) -> None:
        ticket = any("bearer" in one for one in request.offered)
        connection.sendall(
            switched(request) + closing(4401) if ticket else of_guard(request)
        )

    with stand_in(handler) as port:
        (finding,) = knock(port, user="ann")

    assert "close code 4401" in finding.found


@pytest.mark.django_db
def test_mints_no_more_tickets_than_a_user_may_have() -> None:
    """It says so, and the question was wrong at that moment."""
    ann = get_user_model().objects.create(username="ann")
    for _ in range(MAX_OUTSTANDING):
        mint_ticket(ann, origin=None)
    with stand_in(guard()) as port, pytest.raises(WrongQuestion, match="too many"):
        knock(port, user="ann")


@pytest.mark.django_db
def test_asks_for_a_user_that_there_is() -> None:
    """The name is the one to log in with."""
    with pytest.raises(WrongQuestion, match="no user 'bob'"):
        examine("ws://localhost/", user="bob")


# Questions that are none


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("localhost/ws/", id="no scheme"),
        pytest.param("ftp://localhost/", id="another scheme"),
        pytest.param("ws://", id="no host"),
        pytest.param("ws://u:p@localhost/", id="user info"),
        pytest.param("ws://localhost/#x", id="fragment"),
        pytest.param("ws://localhost:99999/", id="port"),
        pytest.param("ws://[::1/", id="bracket"),
        pytest.param("ws://localhost/a b", id="space"),
        pytest.param("ws://localhost/\r\nX: y", id="header"),
        pytest.param("ws://localhost/\N{SNOWMAN}", id="snowman"),
        pytest.param("ws://exa\N{SNOWMAN}mple/", id="international name"),
    ],
)
def test_refuses_what_is_no_url(url: str) -> None:
    """Before it knocks anywhere."""
    with pytest.raises(WrongQuestion):
        examine(url, own_host=True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("wss://A.example", "wss://a.example/", id="no path"),
        pytest.param(
            "https://a.example:443/x?y=1", "wss://a.example/x?y=1", id="https"
        ),
        pytest.param("ws://a.example:8000", "ws://a.example:8000/", id="port"),
        pytest.param(" http://[::1]:80/ ", "ws://[::1]/", id="http, IPv6"),
    ],
)
def test_reads_urls_as_browsers_do(url: str, shown: str) -> None:
    """https stands for wss; default ports go, queries stay."""
    assert str(Target.parse(url)) == shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"origin": "https://a.example/x"}, "it has a path", id="origin"),
        pytest.param({"proxy": "squid"}, "is none of nginx", id="proxy"),
        pytest.param({"cafile": "/nowhere"}, "has no certificates", id="no file"),
        pytest.param({"cafile": __file__}, "has no certificates", id="no certificate"),
    ],
)
def test_refuses_options_that_mean_nothing(options: Any, words: str) -> None:
    """Before it knocks anywhere."""
    with pytest.raises(WrongQuestion, match=words):
        examine("ws://localhost/", **options)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        pytest.param(["a.example"], "ws://localhost/", id="another"),
        pytest.param(["*"], "ws://localhost/", id="a star names nobody"),
        pytest.param([".example"], "ws://example.com/", id="another domain"),
        pytest.param(["127.0.0.1"], "ws://127.0.0.2/", id="another address"),
    ],
)
def test_knocks_at_no_foreign_door(allowed: list[str], url: str) -> None:
    """Unless somebody says that it is theirs."""
    with (
        override_settings(ALLOWED_HOSTS=allowed),
        pytest.raises(ForeignHost, match="--i-own-this-host"),
    ):
        examine(url)


@pytest.mark.parametrize(
    "allowed", [["localhost"], [".localhost"], ["*", "localhost"]], ids=str
)
def test_knocks_where_the_site_is(allowed: list[str]) -> None:
    """By the rules of ALLOWED_HOSTS."""
    with override_settings(ALLOWED_HOSTS=allowed):
        assert ids(knock(1)) == ["unreachable"]


# Against real servers


@contextmanager
def serving(kind: Kind, log: Path, **settings: Any) -> Iterator[int]:
    """Run the site on a server, with some settings of its own; yield the port."""
    env = environment("tests.doctor.settings", **settings)
    with running((kind, log, env)) as (server,):
        yield server.address[1]


@pytest.fixture(scope="module", params=[DAPHNE, UVICORN], ids=lambda kind: kind.name)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """Run the site on each kind of server; yield the kind's name and the port."""
    kind: Kind = request.param
    with serving(kind, tmp_path_factory.mktemp(kind.name) / "log") as port:
        yield kind.name, port


@pytest.mark.server
@override_settings(ASGI_APPLICATION="tests.doctor.site.application")
@pytest.mark.parametrize(
    ("path", "options", "found"),
    [
        pytest.param("/ws/guarded/", {"idle": 0.3}, [], id="guarded"),
        pytest.param("/ws/token/", {}, [], id="wants a token"),
        pytest.param("/ws/own/", {}, [], id="own subprotocol"),
        pytest.param(
            "/ws/partner/", {"origin": "https://partner.example"}, [], id="list"
        ),
        pytest.param("/ws/partner/", {}, ["trusted-origin-refused"], id="not listed"),
        pytest.param("/ws/refusing/", {}, [], id="wants a login"),
        pytest.param("/ws/leaving/", {"idle": 0.3}, ["not-examined"], id="leaves"),
        pytest.param("/ws/open/", {}, ["lookalike-admitted"], id="unguarded"),
        pytest.param("/ws/report-only/", {}, ["lookalike-admitted"], id="report-only"),
        pytest.param("/ws/guarded", {}, ["wrong-route"], id="no slash"),
        pytest.param("/nowhere/", {}, ["wrong-route"], id="no route"),
        pytest.param("/ws/raising/", {}, ["application-error"], id="exception"),
        pytest.param("/ws/deaf/", {"timeout": 0.5}, ["no-answer"], id="deaf"),
    ],
)
def test_examines_a_real_site(
    served: tuple[str, int], path: str, options: dict[str, Any], found: list[str]
) -> None:
    """Daphne and uvicorn alike: sound endpoints have no finding, others one."""
    assert ids(knock(served[1], path, **options)) == found


@pytest.mark.server
def test_the_hang_of_daphne_is_a_slow_refusal(served: tuple[str, int]) -> None:
    """A denial response, which uvicorn delivers and Daphne drops."""
    name, port = served
    findings = knock(port, "/ws/hanging/", timeout=8)

    assert ids(findings) == (["refusal-slow"] if name == "daphne" else [])


@pytest.mark.server
@pytest.mark.django_db(transaction=True)
@override_settings(ASGI_APPLICATION="tests.doctor.site.application")
def test_a_real_ticket_opens_once(tmp_path: Path) -> None:
    """For the endpoint's audience, and from the page's origin."""
    get_user_model().objects.create(username="ann")
    database = {
        **settings.DATABASES["default"],
        "NAME": connection.settings_dict["NAME"],
    }
    databases = {"default": {name: str(database[name]) for name in ("ENGINE", "NAME")}}
    with serving(DAPHNE, tmp_path / "log", DATABASES=databases) as port:
        for path in ("/ws/guarded/", "/ws/token/", "/ws/prices/"):
            assert knock(port, path, user="ann", idle=0.2) == []


# The vocabulary


def test_each_cause_has_a_remedy() -> None:
    """Whoever has a finding has something to do."""
    without = [number for number in IDS if not remedies_for(number)]

    # Their remedies depend on the cause, or stand in the code beside it.
    assert without == [
        *("unreachable", "not-http", "wrong-route", "unexpected-answer"),
        *("trusted-origin-refused", "not-examined"),
        *("asgi-application", "database", "channel-layer"),
    ]


def test_each_id_is_documented() -> None:
    """The page has a row for each, with the words of the code, and none besides."""
    reference = Path(__file__).parents[1] / "docs/reference/doctor.md"
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| (\w+) \| (.*?) \|", reference.read_text(), re.M
    )

    assert rows == [
        (number, str(severity), words) for number, (severity, words) in IDS.items()
    ]
