"""
Real proxies before a real Daphne: the documented files work, and each mistake shows.

What is pinned here is what the doctor and the guides rely on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from django.test import override_settings
from django.utils.module_loading import import_string
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Ping

from wsorigin.doctor import Finding, examine

from .pages import texts_in
from .proxies import settings
from .proxies.client import send_handshake
from .proxies.faults import FAULTS, IDLE, UPGRADE_DROPPED, Fault
from .proxies.processes import DAPHNE, KINDS, PINGING, Proxy, make_proxy
from .servers.client import TIMEOUT, Client, Closed
from .servers.processes import Kind, Server, running
from .servers.sites import ROOT, environment

pytestmark = pytest.mark.server

PARTNER: Final = "https://partner.example"
EVIL: Final = "https://evil.example"

TELLING: Final = "wsorigin.middleware.StrippedUpgradeMiddleware"

GUIDES: Final = ROOT / "docs" / "howto"
DEPLOYING: Final = (GUIDES / "deploy.md").read_text()
MISTAKES: Final = (GUIDES / "behind-a-proxy.md").read_text()

PROXIES: Final = {kind.name: kind for kind in KINDS}

each_proxy: Final = pytest.mark.parametrize("name", PROXIES)


def each_fault(faults: Sequence[Fault]) -> pytest.MarkDecorator:
    """Run a test with each of these mistakes."""
    rows = [pytest.param(f, id=f"{f.proxy}: {f.name}") for f in faults]
    return pytest.mark.parametrize("fault", rows)


@contextmanager
def serving(kind: Kind, log: Path, **replaced: Any) -> Iterator[Server]:
    """Run the site on a server, with some of its settings replaced."""
    env = environment("tests.proxies.settings", **replaced)
    with running((kind, log, env)) as (server,):
        yield server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the site on Daphne, without anything that knows broken handshakes."""
    with serving(DAPHNE, tmp_path_factory.mktemp("site") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def telling_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run it with the middleware that knows them."""
    log = tmp_path_factory.mktemp("telling-site") / "log"
    with serving(DAPHNE, log, MIDDLEWARE=[TELLING, *settings.MIDDLEWARE]) as server:
        yield server


@pytest.fixture
def proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    site: Server,
) -> Proxy:
    """The proxy that a test names, itself or by its fault; it does not run yet."""
    params = request.node.callspec.params
    name = params["fault"].proxy if "fault" in params else params["name"]
    # Not tmp_path, which is named after the test, with characters that need quotes.
    folder = tmp_path_factory.mktemp(name)
    return make_proxy(PROXIES[name], folder, site.address[1])


@contextmanager
def handshake(
    proxy: Proxy,
    path: str,
    scheme: str = "wss",
    timeout: float = TIMEOUT,
    **headers: str,
) -> Iterator[Client]:
    """Send a handshake and wait for its answer; in the end, hang up."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    url = proxy.url(path, scheme)
    with closing(send_handshake(url, proxy.certificate, fields, timeout)) as stream:
        yield Client(stream)


# The files of docs/proxies


@each_proxy
@pytest.mark.parametrize(
    ("scheme", "forwarded"), [("ws", "http"), ("wss", "https")], ids=["ws", "wss"]
)
def test_the_site_sees_what_the_browser_sent(
    proxy: Proxy, name: str, scheme: str, forwarded: str
) -> None:
    """Host with its port, Origin, path; and the true scheme, whatever a client claims."""
    with (
        proxy.running(proxy.kind.text),
        handshake(
            proxy, "/ws/witness/", scheme, origin=EVIL, x_forwarded_proto="spoofed"
        ) as client,
    ):
        seen = client.receive_json()

    assert seen["host"] == proxy.url("", scheme).partition("//")[2]
    assert seen["origin"] == EVIL
    assert seen["path"] == "/ws/witness/"
    assert seen["x-forwarded-proto"] == forwarded


@each_proxy
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        pytest.param("https://localhost:{https}", 101, id="same origin"),
        pytest.param(PARTNER, 101, id="listed"),
        pytest.param(EVIL, 403, id="stranger"),
        pytest.param("http://localhost:{https}", 403, id="own host without TLS"),
    ],
)
def test_the_guard_decides_as_it_does_without_a_proxy(
    proxy: Proxy, name: str, origin: str, status: int
) -> None:
    """The same-origin rule holds over TLS that ends before Daphne; denials come back."""
    with (
        proxy.running(proxy.kind.text),
        handshake(proxy, "/ws/guarded/", origin=proxy.filled(origin)) as client,
    ):
        assert client.status == status


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("nginx", "spoofed"),
        ("apache", "spoofed, localhost:{https}"),
        ("haproxy", "spoofed"),
        ("caddy", "localhost:{https}"),
    ],
)
def test_only_caddy_replaces_a_forwarded_host(
    proxy: Proxy, name: str, host: str
) -> None:
    """What a client claims in X-Forwarded-Host gets through, so nobody may trust it."""
    with (
        proxy.running(proxy.kind.text),
        handshake(proxy, "/ws/witness/", x_forwarded_host="spoofed") as client,
    ):
        assert client.receive_json()["x-forwarded-host"] == proxy.filled(host)


@pytest.mark.parametrize("name", ["nginx"])
def test_an_inner_proxy_can_pass_the_scheme_on(proxy: Proxy, name: str) -> None:
    """Behind another proxy, nginx says what that one said."""
    text = proxy.kind.text.replace("$scheme", "$http_x_forwarded_proto")
    with (
        proxy.running(text),
        handshake(proxy, "/ws/witness/", "ws", x_forwarded_proto="https") as client,
    ):
        assert client.receive_json()["x-forwarded-proto"] == "https"


@pytest.mark.parametrize("name", ["nginx"])
def test_one_process_takes_over_from_another(proxy: Proxy, name: str) -> None:
    """With the guide's upstream of two, all sockets open while one is down."""
    upstream = re.compile(r"^upstream daphne \{.*?^\}", re.DOTALL | re.MULTILINE)
    of_one, of_two = upstream.findall(DEPLOYING)
    of_two = of_two.replace("127.0.0.1:8001", "127.0.0.1:1")
    with proxy.running(proxy.kind.text.replace(of_one, of_two)):
        for _ in range(2):
            with handshake(proxy, "/ws/guarded/", origin=PARTNER) as client:
                assert client.opened


# What each mistake does


@each_fault(FAULTS)
def test_a_mistake_shows(proxy: Proxy, fault: Fault) -> None:
    """A raw client gets this status, or the site sees this of what was sent."""
    with (
        proxy.running(fault.spoil(proxy.kind.text)),
        handshake(proxy, "/ws/witness/", fault.scheme, origin=PARTNER) as client,
    ):
        assert client.status == fault.status
        seen = client.receive_json() if client.opened else {}

    assert {name: seen.get(name) for name in fault.seen} == {
        name: value and proxy.filled(value) for name, value in fault.seen.items()
    }


@each_fault(IDLE)
def test_a_silent_socket_is_cut(proxy: Proxy, fault: Fault) -> None:
    """It opens, and ends without a close frame after a second of silence."""
    with (
        proxy.running(fault.spoil(proxy.kind.text)),
        handshake(proxy, "/ws/witness/") as client,
    ):
        assert client.receive_json()
        assert client.receive() == Closed(1006, "")


@pytest.mark.parametrize("name", ["apache"])
def test_a_line_of_apache_wins_over_the_whole_server(proxy: Proxy, name: str) -> None:
    """With timeout= on its line, a socket stays open, whatever Timeout says."""
    line = " timeout=3600"
    with (
        proxy.running(proxy.kind.text.replace(line, f"{line}\n    Timeout 1")),
        handshake(proxy, "/ws/witness/", timeout=2) as client,
    ):
        assert client.receive_json()
        with pytest.raises(TimeoutError):
            client.receive()


def test_pings_of_the_server_are_no_silence(tmp_path: Path) -> None:
    """A time-out longer than the interval of pings cuts nothing."""
    text = PROXIES["nginx"].text.replace("3600s", "1s")
    with serving(PINGING, tmp_path / "server.log") as server:
        proxy = make_proxy(PROXIES["nginx"], tmp_path, server.address[1])
        url = proxy.url("/ws/witness/")
        with (
            proxy.running(text),
            closing(send_handshake(url, proxy.certificate, {})) as stream,
        ):
            assert Client(stream).receive_json()
            frames, began = Connection(ConnectionType.CLIENT), time.monotonic()
            while time.monotonic() - began < 1.5:
                frames.receive_data(stream.read() or None)
                for event in frames.events():
                    assert isinstance(event, Ping)
                    stream.write(frames.send(event.response()))


@pytest.mark.parametrize("name", ["nginx"])
def test_an_upstream_over_http_1_0_works(proxy: Proxy, name: str) -> None:
    """Daphne does not mind the version that nginx speaks by default."""
    with (
        proxy.running(proxy.kind.text.replace("proxy_http_version 1.1;", "")),
        handshake(proxy, "/ws/guarded/", origin=PARTNER) as client,
    ):
        assert client.opened


@each_fault(UPGRADE_DROPPED)
def test_a_dropped_upgrade_looks_like_a_cors_error(proxy: Proxy, fault: Fault) -> None:
    """The handshake becomes a page's request, answered with headers of CORS."""
    with (
        proxy.running(fault.spoil(proxy.kind.text)),
        handshake(proxy, "/ws/guarded/", origin=PARTNER) as client,
    ):
        assert client.status == 404
        assert client.headers["access-control-allow-origin"] == PARTNER
        assert client.headers["vary"] == "origin"


@each_fault(UPGRADE_DROPPED)
def test_a_dropped_upgrade_is_told_by_the_middleware(
    proxy: Proxy, fault: Fault, telling_site: Server
) -> None:
    """Its answer gets through each proxy, and names what to change there."""
    proxy = proxy.before(telling_site.address[1])
    with (
        proxy.running(fault.spoil(proxy.kind.text)),
        handshake(proxy, "/ws/guarded/", origin=PARTNER) as client,
    ):
        assert client.status == 426
        body = client.body.decode()

    assert '"Upgrade: websocket"' in body
    assert fault.to_name in body


# What the doctor says of it

# What its own process has to have as the site has it.
SHARED: Final = [
    "ALLOWED_HOSTS",
    "ASGI_APPLICATION",
    "CORS_ALLOWED_ORIGINS",
    "SECRET_KEY",
    "SECURE_PROXY_SSL_HEADER",
    "WSORIGIN_INHERIT",
]


@pytest.fixture
def _as_the_site() -> Iterator[None]:
    """Let this process have the site's settings."""
    with override_settings(**{name: getattr(settings, name) for name in SHARED}):
        yield


doctor: Final = pytest.mark.usefixtures("_as_the_site")


def ask(proxy: Proxy, scheme: str = "wss", **options: Any) -> list[Finding]:
    """Have the doctor examine the guarded endpoint."""
    url = proxy.url("/ws/guarded/", scheme)
    return examine(url, cafile=str(proxy.certificate), **options)


@doctor
@each_proxy
@pytest.mark.parametrize(
    ("scheme", "idle"), [("ws", None), ("wss", 1.2)], ids=["ws", "wss"]
)
def test_the_doctor_has_nothing_against_the_files(
    proxy: Proxy, name: str, scheme: str, idle: float | None
) -> None:
    """No false alarm."""
    with proxy.running(proxy.kind.text):
        assert ask(proxy, scheme, idle=idle) == []


@doctor
@each_fault(FAULTS)
def test_the_doctor_names_the_mistake(proxy: Proxy, fault: Fault) -> None:
    """It finds the one cause, knows the proxy and what to change there, which cures it."""
    with proxy.running(fault.spoil(proxy.kind.text)):
        findings = ask(proxy, fault.scheme)

    assert [finding.id for finding in findings] == [fault.finding]
    assert findings[0].front == fault.proxy
    assert fault.to_name in findings[0].remedies[fault.proxy]
    with proxy.running(proxy.kind.text):
        assert ask(proxy, fault.scheme) == []


@doctor
@each_fault(IDLE)
def test_the_doctor_names_a_time_out(proxy: Proxy, fault: Fault) -> None:
    """It shows only to who is silent for longer."""
    with proxy.running(fault.spoil(proxy.kind.text)):
        assert ask(proxy) == []
        findings = ask(proxy, idle=1.5)

    assert [finding.id for finding in findings] == ["idle-timeout"]
    assert fault.to_name in findings[0].remedies[fault.proxy]


@doctor
@each_fault(UPGRADE_DROPPED)
def test_the_doctor_reads_what_the_middleware_says(
    proxy: Proxy, fault: Fault, telling_site: Server
) -> None:
    """404 from pages or 426 from the middleware: the cause is the same."""
    proxy = proxy.before(telling_site.address[1])
    with proxy.running(fault.spoil(proxy.kind.text)):
        findings = ask(proxy)

    assert [finding.id for finding in findings] == ["upgrade-dropped"]


@doctor
@pytest.mark.parametrize("name", ["nginx"])
def test_the_doctor_does_not_mind_http_1_0(proxy: Proxy, name: str) -> None:
    """What works is no finding."""
    with proxy.running(proxy.kind.text.replace("proxy_http_version 1.1;", "")):
        assert ask(proxy) == []


# What the guides say of it


@each_proxy
def test_the_guide_has_the_very_file(name: str) -> None:
    """What a reader pastes is what runs here, but for values that stand in it."""
    kind = PROXIES[name]

    assert f"\n{kind.text}```\n" in DEPLOYING
    assert [value for value in kind.examples if value not in kind.text] == []


@each_fault([*FAULTS, *IDLE])
def test_the_guide_has_the_remedy(fault: Fault) -> None:
    """In the section of the finding, in the row of the proxy, as the doctor says it."""
    section = MISTAKES.partition(f"\n## `{fault.finding}`\n")[2].partition("\n## ")[0]
    row = re.search(rf"^\| (?i:{fault.proxy}) \| (.*) \|$", section, re.MULTILINE)

    assert row
    assert fault.to_name in row[1]


def test_the_settings_of_the_guide_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """They run, and say of proxies what the site says that is tested behind them."""
    monkeypatch.setenv("DATABASE_URL", "postgres://user:password@db.internal/site")
    monkeypatch.setenv("REDIS_URL", "redis://redis.internal:6379/0")
    found: dict[str, Any] = {}
    for block in texts_in(DEPLOYING, "python"):
        exec(block, found)  # noqa: S102  # our own guide

    assert found["SECURE_PROXY_SSL_HEADER"] == settings.SECURE_PROXY_SSL_HEADER
    assert found["MIDDLEWARE"][0] == TELLING
    assert found["DATABASES"]["default"]["ENGINE"] == "django.db.backends.postgresql"
    layer = found["CHANNEL_LAYERS"]["default"]
    assert layer["CONFIG"]["hosts"][0]["address"] == "redis://redis.internal:6379/0"
    named = set(re.findall(r"channels_redis[\w.]+Layer", DEPLOYING))
    assert layer["BACKEND"] in named
    assert all(map(import_string, named))
