"""
The threat model: each claim of the page has a test, and those that had none are here.

Also what it says of browsers, in a real one, and what it says that no check can do.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.test import override_settings
from playwright.sync_api import BrowserContext, Page

from wsorigin import tokens, verification
from wsorigin.credentials import Secret, TokenKind
from wsorigin.handshake import Handshake
from wsorigin.models import ConnectionToken, DeniedHandshake
from wsorigin.policy import Policy, Reason
from wsorigin.site import Site
from wsorigin.testing import OriginCommunicator

from .browser import open_browser

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = (ROOT / "docs/explanation/threat-model.md").read_text()

ATTACKERS: Final = [
    "A hostile page",
    "A sibling subdomain",
    "Another port",
    "A page over http",
    "A rebound DNS name",
    "A rewritten header",
    "A stolen token",
    "A curious insider",
    "A flood",
]
# What a claim may rest on.
GROUNDS: Final = {
    *("browser", "server", "proxy", "Django", "database", "operator", "wsorigin"),
}


# The pages


@cache
def functions(module: str) -> frozenset[str]:
    """Return the tests that a module defines; none where it does not exist."""
    file = ROOT / "tests" / module
    tree = ast.parse(file.read_text() if file.exists() else "")
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds))


def named_in(text: str) -> set[str]:
    """Return the tests that a text names."""
    return set(re.findall(r"`(?:tests/)?(test_\w+\.py::test_\w+)`", text))


NAMED: Final = {
    page.relative_to(ROOT).as_posix(): named
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    if (named := named_in(page.read_text()))
}


@pytest.mark.parametrize("page", NAMED)
def test_each_test_that_a_page_names_exists(page: str) -> None:
    """A test that is renamed is renamed in the pages too."""
    missing = [
        name
        for name in NAMED[page]
        for module, _, function in [name.partition("::")]
        if function not in functions(module)
    ]

    assert missing == []


def section(heading: str) -> str:
    """Return what stands below a heading of the page."""
    parts = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def claims(heading: str) -> list[list[str]]:
    """Return the rows of a section: claim, what it rests on, tests."""
    lines = re.findall(r"^\| (.*) \|$", section(heading), re.MULTILINE)
    return [line.split(" | ") for line in lines[2:]]


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_each_attacker_has_a_section(attacker: str) -> None:
    """What he can do, what is claimed against it, and what remains."""
    text = section(attacker).lstrip()

    assert text.startswith("**Can:** ")
    assert "\n**What remains:** " in text
    assert claims(attacker)


@pytest.mark.parametrize(
    ("claim", "grounds", "tests"),
    [row for attacker in ATTACKERS for row in claims(attacker)],
    ids=[
        f"{attacker} {number}"
        for attacker in ATTACKERS
        for number, _ in enumerate(claims(attacker), 1)
    ],
)
def test_each_claim_is_proven(claim: str, grounds: str, tests: str) -> None:
    """A sentence, what it rests on, and at least one test, with nothing else beside."""
    assert claim.endswith(".")
    assert set(grounds.split(", ")) <= GROUNDS
    assert tests.split(", ") == [f"`{name}`" for name in re.findall(r"`(.*?)`", tests)]
    assert named_in(tests)


# Claims that no other module proves


async def test_nothing_of_django_s_runs_for_a_handshake() -> None:
    """Neither CORS nor ALLOWED_HOSTS refuses one: there is no request."""
    application = ProtocolTypeRouter(
        {
            "http": get_asgi_application(),
            "websocket": AsyncWebsocketConsumer.as_asgi(),
        }
    )
    with override_settings(
        ALLOWED_HOSTS=["app.example"],
        CORS_ALLOWED_ORIGINS=["https://app.example"],
        MIDDLEWARE=["corsheaders.middleware.CorsMiddleware"],
        SECURE_SSL_REDIRECT=True,
    ):
        client = OriginCommunicator(
            application, "/ws/", origin="https://evil.example", host="evil.example"
        )
        assert await client.handshake()
        await client.disconnect()


@pytest.mark.django_db
def test_nothing_in_a_row_opens_anything() -> None:
    """Whoever reads the table has each token's name and digest, and no token."""
    ada = User.objects.create_user("ada")
    tokens.mint(TokenKind.SECRET, name="feed", user=ada, expires_in=timedelta(days=1))
    tokens.mint_ticket(ada, origin=None)
    for row in ConnectionToken.objects.all():
        kind = TokenKind(row.kind)
        value = row.digest.partition(":")[2]
        made_up = f"{kind.prefix}{row.public_id}{value[:32]}"
        for text in (row.digest, value, made_up, ""):
            guess = Secret(kind, row.public_id, text)
            assert verification.verify(guess, None) is Reason.TOKEN_UNKNOWN
    assert ConnectionToken.objects.filter(used_at=None, last_used_at=None).count() == 2


def test_what_is_kept_of_a_denial_is_about_nobody() -> None:
    """No address, no cookie, no user: what an operator needs to decide, and no more."""
    assert {one.name for one in DeniedHandshake._meta.get_fields()} == {
        *("id", "day", "origin", "endpoint", "reason", "report_only"),
        *("count", "nearest", "first_seen_at", "last_seen_at"),
    }


# What no check of an origin can do


def test_a_program_can_say_any_origin(
    policy_of: Callable[..., Policy], handshake: Callable[..., Handshake]
) -> None:
    """It passes for a trusted page; what it lacks is the visitor's session."""
    shown = handshake("https://app.example", user_agent="curl/8")

    assert policy_of("https://app.example").decide(shown).allowed


def test_a_rewritten_header_looks_like_the_site_itself(
    handshake: Callable[..., Handshake],
) -> None:
    """Unless the browser says Sec-Fetch-Site, which Chromium does not on handshakes."""
    policy = Policy(site=Site(("app.example",)), same_origin=True)
    rewritten = {"origin": "https://app.example", "host": "app.example"}

    silent = policy.decide(handshake(**rewritten))
    telling = policy.decide(handshake(**rewritten, sec_fetch_site="cross-site"))

    assert silent.reason is Reason.SAME_ORIGIN
    assert telling.reason is Reason.ORIGIN_REWRITTEN


def test_a_wildcard_trusts_whoever_has_a_name_below_it(
    policy_of: Callable[..., Policy], handshake: Callable[..., Handshake]
) -> None:
    """A forgotten one too, that has come into other hands."""
    policy = policy_of("https://*.example.com")

    assert policy.decide(handshake("https://forgotten.old.example.com")).allowed


# What a browser does. At the end: no event loop can run beside one.


@dataclass(frozen=True)
class Request:
    """What a browser sent for a socket."""

    method: str
    origin: str | None
    cookie: str | None


@dataclass
class Target:
    """A server that lets any handshake in, and one path that lets in none."""

    port: int
    other_port: int
    requests: list[Request] = field(default_factory=list)

    @property
    def socket(self) -> str:
        return f"ws://app.site.example:{self.port}/socket"

    def page(self, host: str, *, port: int | None = None) -> str:
        return f"http://{host}:{port or self.port}"


class Handler(BaseHTTPRequestHandler):
    """Pages for every host, and sockets for everybody."""

    target: Target

    def do_OPTIONS(self) -> None:
        self.note()
        self.answer(204)

    def do_GET(self) -> None:
        if not self.path.startswith(("/socket", "/refused")):
            self.answer(200, ("Set-Cookie", "session=1; SameSite=Lax"))
            return
        self.note()
        if "Upgrade" not in self.headers or self.path == "/refused":
            self.answer(403)
            return
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        # The accept key of RFC 6455, section 4.2.2, which protects nothing.
        digest = hashlib.sha1(key.encode(), usedforsecurity=False).digest()
        self.send_response_only(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        self.wfile.write(b"\x88\x02\x03\xe8")  # a close frame, 1000
        self.close_connection = True

    def note(self) -> None:
        self.target.requests.append(
            Request(self.command, self.headers["Origin"], self.headers["Cookie"])
        )

    def answer(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response_only(status)
        for name, value in (*headers, ("Content-Type", "text/html")):
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """Serve on two ports of this machine, for as long as the module runs."""

    class Bound(Handler):
        protocol_version = "HTTP/1.1"

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Bound) for _ in range(2)]
    Bound.target = Target(*(server.server_port for server in servers))
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    yield Bound.target
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def browser(
    target: Target, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """A browser to which all names of .example are this machine."""
    names = "--host-resolver-rules=MAP *.example 127.0.0.1"
    with open_browser(tmp_path_factory.mktemp("profile"), [names]) as browser:
        yield browser


@pytest.fixture
def page(browser: BrowserContext, target: Target) -> Iterator[Page]:
    """A page of a visitor who has been to the site, and has its cookie."""
    with browser.new_page() as page:
        page.goto(target.page("app.site.example"))
        target.requests.clear()
        yield page


OPEN: Final = """
url => new Promise(done => {
  const seen = [], socket = new WebSocket(url);
  socket.onopen = () => seen.push("open");
  socket.onerror = () => seen.push("error");
  socket.onclose = event => done([...seen, event.code, event.reason]);
})
"""

FRAMED: Final = """
([attributes, url]) => new Promise(done => {
  onmessage = event => done(event.data);
  const frame = document.createElement("iframe");
  for (const [name, value] of Object.entries(attributes))
    frame.setAttribute(name, value);
  const script = `new WebSocket("${url}").onclose = () => parent.postMessage("", "*")`;
  const text = `<script>${script}</scr` + "ipt>";
  if (attributes.src === "data:") frame.src = "data:text/html," + encodeURIComponent(text);
  else frame.srcdoc = text;
  document.body.append(frame);
})
"""


@pytest.mark.browser
def test_a_browser_opens_a_socket_without_asking(page: Page, target: Target) -> None:
    """No preflight: what CORS would not let a script send, let alone read, is sent."""
    evil = target.page("evil.example")
    page.goto(evil)
    opened = page.evaluate(OPEN, target.socket)
    fetched = page.evaluate(
        "url => fetch(url, {headers: {'x-probe': '1'}}).then(() => 'read', () => 'refused')",
        target.socket.replace("ws", "http", 1),
    )

    assert opened == ["open", 1000, ""]
    assert fetched == "refused"
    assert [(one.method, one.origin) for one in target.requests] == [
        ("GET", evil),
        ("OPTIONS", evil),
    ]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("attributes", "is_opaque"),
    [
        pytest.param({}, False, id="a frame"),
        pytest.param({"referrerpolicy": "no-referrer"}, False, id="without a referrer"),
        pytest.param({"sandbox": "allow-scripts"}, True, id="a sandbox"),
        pytest.param({"src": "data:"}, True, id="data:"),
    ],
)
def test_the_browser_says_whose_page_it_is(
    attributes: dict[str, str], is_opaque: bool, page: Page, target: Target
) -> None:
    """However the page goes about it: its origin, or `null`; never another's."""
    evil = target.page("evil.example")
    page.goto(evil)
    page.evaluate(FRAMED, [attributes, target.socket])

    assert [one.origin for one in target.requests] == ["null" if is_opaque else evil]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("host", "port", "has_cookie"),
    [
        pytest.param("app.site.example", "port", True, id="the site itself"),
        pytest.param("evil.site.example", "port", True, id="a sibling subdomain"),
        pytest.param("app.site.example", "other_port", True, id="another port"),
        pytest.param("evil.example", "port", False, id="another site"),
    ],
)
def test_samesite_is_about_sites(
    host: str, port: str, has_cookie: bool, page: Page, target: Target
) -> None:
    """A cookie with `SameSite=Lax` comes along from wherever the site is the same."""
    origin = target.page(host, port=getattr(target, port))
    page.goto(origin)
    page.evaluate(OPEN, target.socket)

    cookie = "session=1" if has_cookie else None
    assert target.requests == [Request("GET", origin, cookie)]


@pytest.mark.browser
def test_a_page_learns_nothing_of_a_refusal(page: Page, target: Target) -> None:
    """Neither status nor body: an error without words, and 1006."""
    page.goto(target.page("evil.example"))
    refused = page.evaluate(OPEN, target.socket.replace("/socket", "/refused"))

    assert refused == ["error", 1006, ""]


@pytest.mark.browser
@pytest.mark.parametrize("name", ["Origin", "Host", "Cookie", "Sec-Fetch-Site"])
def test_a_script_sets_no_such_header(name: str, page: Page) -> None:
    """What the decision looks at is not the page's to write, in any request."""
    written: Any = page.evaluate(
        "name => new Request('/', {headers: {[name]: 'x'}}).headers.get(name)", name
    )

    assert written is None
