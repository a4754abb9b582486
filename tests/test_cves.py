"""
The CVE drill: the mistakes of others, tried on us.

Each attack runs against the real component, which withstands it, and against the
mistake, written out as small as it will go, which does not: otherwise the test would
prove nothing. What happened where: docs/explanation/cve-drill.md.
"""

from __future__ import annotations

import inspect
import ipaddress
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import URLRouter
from django.conf import settings
from django.http import HttpResponse
from django.test import AsyncClient, override_settings
from django.urls import path

from wsorigin import checks, consumers, tokens, verification
from wsorigin.credentials import Secret, TokenKind
from wsorigin.guard import Application, OriginGuard
from wsorigin.handshake import Handshake, Message, Receive, Scope, Send
from wsorigin.models import ConnectionToken
from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import OriginPattern
from wsorigin.policy import Reason
from wsorigin.testing import OriginCommunicator, override_policy

APP: Final = "https://app.example"
EVIL: Final = "https://evil.example"
DAY: Final = timedelta(days=1)

ClientOf = Callable[..., OriginCommunicator]
Opens = Callable[..., Awaitable[bool]]


class Recorder:
    """An application that lets everybody in, and remembers whom."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await receive()
        await send({"type": "websocket.accept"})
        await receive()


class Careless:
    """A guard with somebody's mistake in it, which is whom it lets in."""

    def __init__(self, app: Application, lets_in: Callable[[Handshake], bool]) -> None:
        self.app = app
        self.lets_in = lets_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.lets_in(Handshake.from_scope(scope)):
            await self.app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})


def with_mistake(matches: Callable[[str], object]) -> Careless:
    """Make a guard that lets in the origins that a function matches."""
    return Careless(
        Recorder(), lambda handshake: bool(matches(handshake.origin or "none"))
    )


@pytest.fixture
def opens(origin_client: ClientOf) -> Opens:
    """Send a handshake to an application; say whether it opened."""

    async def send(
        app: Application, origin: str | None, at: str = "/ws/", **options: Any
    ) -> bool:
        client = origin_client(app, at, origin=origin, **options)
        return bool(await client.handshake())

    return send


def host(origin: str) -> str:
    """Return what stands behind the scheme."""
    return origin.partition("://")[2]


def is_address(text: str) -> bool:
    """Whether a host is an IP address."""
    with suppress(ValueError):
        return bool(ipaddress.ip_address(text.strip("[]")))
    return False


# A check that was there, and wrong


@pytest.mark.parametrize(
    ("policy", "page", "strangers", "mistake"),
    [
        pytest.param(
            override_policy(WSORIGIN_ALLOWED_ORIGIN_REGEXES=[r"https://app\.example"]),
            APP,
            [f"{APP}.evil.com", f"{APP}:8443", f"{APP}-evil.com"],
            lambda origin: re.match(r"https://app\.example", origin),
            id="CVE-2026-40110",
        ),
        pytest.param(
            override_policy("https://example.com"),
            "https://example.com",
            ["https://example.com.bad.com", "https://example"],
            lambda origin: all(
                one == other
                for one, other in zip(
                    ["example", "com"], host(origin).split("."), strict=False
                )
            ),
            id="CVE-2026-21883",
        ),
        pytest.param(
            override_policy("https://*.ex.com"),
            "https://app.ex.com",
            ["https://prefix-ex.com", "https://evilex.com", "https://ex.com"],
            lambda origin: host(origin).endswith("ex.com"),
            id="CVE-2022-42975",
        ),
        pytest.param(
            override_policy("https://example.com"),
            "https://example.com",
            ["https://example.com.example.net", "https://example.com-example.net"],
            lambda origin: re.match("^https://example\\.com", origin),
            id="CVE-2017-11173",
        ),
        pytest.param(
            override_policy("https://example.com:*"),
            "https://example.com:8443",
            ["https://example.community", "https://example.com.evil.com:8443"],
            lambda origin: origin.startswith("https://example.com"),
            id="CVE-2019-25211",
        ),
        pytest.param(
            override_policy("https://example.com"),
            "https://example.com",
            ["https://example.com.evil.com", "https://www-example.com"],
            lambda origin: re.search("example.com", origin),
            id="CVE-2022-1996",
        ),
        pytest.param(
            override_policy("https://example.com"),
            "https://example.com",
            ["https://example-com.evil.com"],
            lambda origin: re.search("example.com", origin),
            id="CVE-2022-1996: a dot is any letter",
        ),
        pytest.param(
            override_policy("https://foo.com", "https://bar.com"),
            "https://foo.com",
            ["https://barfoo.com", "https://foobar.com"],
            lambda origin: host(origin).endswith(("foo.com", "bar.com")),
            id="GHSA-vhxv-fg4m-p2w8",
        ),
        pytest.param(
            override_policy(APP),
            APP,
            ["http://192.0.2.7", "https://[2001:db8::7]"],
            lambda origin: origin == APP or is_address(host(origin)),
            id="CVE-2025-30360",
        ),
        pytest.param(
            override_policy(inherit=["debug"], DEBUG=True),
            "http://localhost:3000",
            ["null"],
            lambda origin: origin == "null" or host(origin).startswith("localhost"),
            id="CVE-2024-47165",
        ),
    ],
)
async def test_an_origin_matches_as_a_whole(
    policy: override_policy,
    page: str,
    strangers: list[str],
    mistake: Callable[[str], object],
    opens: Opens,
) -> None:
    """Neither a beginning nor an end of it counts, no label and no look-alike."""
    careless = with_mistake(mistake)
    with policy:
        guarded = OriginGuard(Recorder())
        assert await opens(guarded, page)
        assert [one for one in strangers if await opens(guarded, one)] == []

    # It is a check, only a wrong one.
    assert await opens(careless, page)
    assert not await opens(careless, "https://unrelated.test")
    assert [one for one in strangers if await opens(careless, one)] == strangers


def test_a_trailing_wildcard_is_no_pattern() -> None:
    """CVE-2019-25211: what would be read as a prefix is refused when it is written."""
    for text in ("https://example.com/*", "https://example.com*"):
        with pytest.raises(InvalidOrigin):
            OriginPattern.parse(text)


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(
            override_policy(WSORIGIN_ALLOW_ALL_ORIGINS=True), id="CVE-2018-20744"
        ),
        pytest.param(
            override_policy(
                inherit=["cors"],
                CORS_ALLOW_ALL_ORIGINS=True,
                CORS_ALLOW_CREDENTIALS=True,
            ),
            id="CVE-2017-20146",
        ),
    ],
)
async def test_all_origins_never_come_with_cookies(
    policy: override_policy, opens: Opens
) -> None:
    """A switch for everybody opens anonymous sockets, or none at all."""
    cookie = {"headers": [(b"cookie", b"sessionid=secret")]}
    reached, reflected = Recorder(), Recorder()
    with policy:
        await opens(OriginGuard(reached), EVIL, **cookie)
    await opens(Careless(reflected, lambda handshake: True), EVIL, **cookie)

    assert not any(b"cookie" in dict(scope["headers"]) for scope in reached.scopes)
    assert any(b"cookie" in dict(scope["headers"]) for scope in reflected.scopes)


# No check at all


# Plain consumers run in a thread, where Channels looks after the database's connections.
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("bare", "guarded"),
    [
        pytest.param(
            AsyncWebsocketConsumer,
            consumers.GuardedAsyncWebsocketConsumer,
            id="CVE-2014-3429",
        ),
        pytest.param(
            WebsocketConsumer, consumers.GuardedWebsocketConsumer, id="CVE-2015-0259"
        ),
        pytest.param(
            AsyncJsonWebsocketConsumer,
            consumers.GuardedAsyncJsonWebsocketConsumer,
            id="CVE-2019-13209",
        ),
        pytest.param(
            JsonWebsocketConsumer,
            consumers.GuardedJsonWebsocketConsumer,
            id="CVE-2023-26114",
        ),
        pytest.param(
            AsyncWebsocketConsumer,
            type("Own", (consumers.OriginGuardMixin, AsyncWebsocketConsumer), {}),
            id="CVE-2024-26135",
        ),
    ],
)
async def test_nobody_has_to_switch_the_check_on(
    bare: Any, guarded: Any, opens: Opens
) -> None:
    """A consumer without a word about origins is open to the site's own pages alone."""
    assert await opens(guarded.as_asgi(), "http://testserver")
    assert not await opens(guarded.as_asgi(), EVIL)
    assert not await opens(guarded.as_asgi(), None)

    assert await opens(bare.as_asgi(), EVIL)


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(EVIL, id="CVE-2018-14732"),
        pytest.param("http://evil.example:3000", id="CVE-2025-48068"),
        pytest.param("http://localhost.evil.example:6006", id="CVE-2026-27148"),
        pytest.param("http://127.0.0.1.evil.example:9000", id="GHSA-p773-8mf4-rjm5"),
    ],
)
async def test_a_development_server_is_no_open_house(
    stranger: str, opens: Opens
) -> None:
    """DEBUG trusts pages of this machine; a developer visits other sites, too."""
    with override_policy(inherit=["same-origin", "debug"], DEBUG=True):
        guarded = OriginGuard(Recorder())
        assert await opens(guarded, "http://localhost:3000", host="localhost:8000")
        assert not await opens(guarded, stranger, host="localhost:8000")

        careless = with_mistake(lambda origin: settings.DEBUG)
        assert await opens(careless, stranger, host="localhost:8000")


@pytest.mark.parametrize(
    "answer", [True, "*", ["*"], [".*"], EVIL, {EVIL: True}, [None]]
)
async def test_no_hook_can_say_yes_to_everybody(answer: Any, opens: Opens) -> None:
    """CVE-2026-34403: `CheckOrigin` returned true; here that is a list of nothing."""

    async def hook(scope: Scope) -> Any:
        return answer

    with override_policy():
        assert not await opens(OriginGuard(Recorder(), allowed_origins=hook), EVIL)

    assert await opens(with_mistake(lambda origin: True), EVIL)


def test_a_switch_that_lets_everybody_in_is_seen() -> None:
    """GHSA-mj22-23ff-2hrr: what is off on purpose is named each time the site starts."""
    with override_policy(WSORIGIN_ALLOW_ALL_ORIGINS=True):
        assert "wsorigin.W003" in [found.id for found in checks.check_lists()]
    with override_policy():
        assert "wsorigin.W003" not in [found.id for found in checks.check_lists()]


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param("CORS headers and no check", id="CVE-2019-13611"),
        pytest.param("everybody by default", id="CVE-2020-28481"),
    ],
)
async def test_sockets_and_cors_answer_alike(mistake: str, opens: Opens) -> None:
    """Whom the CORS middleware lets read, the guard lets in, and nobody else."""
    pages = [APP, EVIL, f"{APP}.evil.example", "https://xapp.example", "null"]
    cors = {"CORS_ALLOWED_ORIGINS": [APP], "CORS_ALLOW_CREDENTIALS": True}
    middleware = ["corsheaders.middleware.CorsMiddleware"]
    with override_policy(inherit=["cors"], MIDDLEWARE=middleware, **cors):
        readable = []
        for page in pages:
            answer: HttpResponse = await AsyncClient().get(
                "/", headers={"origin": page}
            )
            if answer.headers.get("access-control-allow-origin") == page:
                readable.append(page)
        guarded = OriginGuard(Recorder())
        assert [page for page in pages if await opens(guarded, page)] == readable
        assert readable == [APP]

        assert [page for page in pages if await opens(Recorder(), page)] == pages


async def test_the_same_site_is_not_the_same_origin(opens: Opens) -> None:
    """CVE-2023-0957: a sibling has the visitor's cookies, and is a stranger."""
    sibling = {
        "host": "app.example",
        "headers": [(b"sec-fetch-site", b"same-site"), (b"cookie", b"sessionid=1")],
    }
    with override_policy(ALLOWED_HOSTS=["app.example"]):
        guarded = OriginGuard(Recorder())
        assert await opens(guarded, APP, host="app.example")
        assert not await opens(guarded, "https://workspace.app.example", **sibling)

    careless = Careless(
        Recorder(),
        lambda shake: shake.headers.get(b"sec-fetch-site") == b"same-site",
    )
    assert await opens(careless, "https://workspace.app.example", **sibling)


FORGETFUL: Final = URLRouter(
    [
        path("old/", consumers.GuardedAsyncWebsocketConsumer.as_asgi()),
        path("new/", AsyncWebsocketConsumer.as_asgi()),
    ]
)


@pytest.mark.django_db(transaction=True)
async def test_no_endpoint_is_forgotten(opens: Opens) -> None:
    """CVE-2024-23898: a new one without a guard is named; a guard around all has it."""
    assert not await opens(FORGETFUL, EVIL, at="/old/")
    assert await opens(FORGETFUL, EVIL, at="/new/")

    with override_settings(ASGI_APPLICATION="tests.test_cves.FORGETFUL"):
        (found,) = [one for one in checks.check_routes() if one.id == "wsorigin.W011"]
    assert "new/" in found.msg
    assert not await opens(OriginGuard(FORGETFUL), EVIL, at="/new/")
    with override_settings(ASGI_APPLICATION="tests.test_cves.FENCED"):
        assert list(checks.check_routes()) == []


FENCED: Final = OriginGuard(FORGETFUL)


async def test_a_rebound_name_is_not_this_site(opens: Opens) -> None:
    """CVE-2025-24010: Origin and Host agree, and neither is ours."""
    rebound = "rebound.evil.example:8000"
    with override_policy(inherit=["same-origin", "debug"], DEBUG=True):
        guarded = OriginGuard(Recorder())
        assert await opens(guarded, "http://localhost:8000", host="localhost:8000")
        assert not await opens(guarded, f"http://{rebound}", host=rebound)

    careless = Careless(
        Recorder(),
        lambda shake: host(shake.origin or "").encode() == shake.headers[b"host"],
    )
    assert await opens(careless, f"http://{rebound}", host=rebound)


@pytest.mark.parametrize("origin", [None, EVIL, "null"], ids=str)
async def test_loopback_is_no_credential(origin: str | None, opens: Opens) -> None:
    """CVE-2025-52882: every page and program of this machine gets as far as the port."""
    with override_policy(inherit=["same-origin", "debug"], DEBUG=True):
        assert not await opens(OriginGuard(Recorder()), origin, host="127.0.0.1:8000")

    careless = Careless(
        Recorder(), lambda shake: shake.headers[b"host"].startswith(b"127.0.0.1")
    )
    assert await opens(careless, origin, host="127.0.0.1:8000")


# Around the check


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85"])
async def test_no_header_hides_in_another(
    separator: str, opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2026-44546: nothing here splits a value, and the Daphne that does is named."""
    note = f"hello{separator}origin: {APP}".encode("latin-1")
    with override_policy(APP):
        guarded = OriginGuard(Recorder())
        assert await opens(guarded, APP)
        assert not await opens(guarded, None, headers=[(b"x-note", note)])
        assert not await opens(guarded, f"{EVIL}{separator}origin: {APP}")

    def reads_lines(shake: Handshake) -> bool:
        return (
            f"origin: {APP}" in shake.headers[b"x-note"].decode("latin-1").splitlines()
        )

    careless = Careless(Recorder(), reads_lines)
    assert await opens(careless, None, headers=[(b"x-note", note)])

    monkeypatch.setattr(checks.deployment, "version", lambda name: "4.2.1")
    assert "wsorigin.E007" in [found.id for found in checks.check_server()]


async def test_an_underscore_is_no_hyphen(opens: Opens) -> None:
    """CVE-2026-3902: a proxy takes X-Forwarded-Host away, and lets its twin through."""
    spoofed = {
        "host": "app.example",
        "headers": [(b"x_forwarded_host", b"evil.example")],
    }
    with override_policy(ALLOWED_HOSTS=["*"], USE_X_FORWARDED_HOST=True):
        guarded = OriginGuard(Recorder())
        assert await opens(guarded, APP, **spoofed)
        assert not await opens(guarded, EVIL, **spoofed)

    def normalises(shake: Handshake) -> bool:
        names = {name.replace(b"_", b"-"): text for name, text in shake.headers.items()}
        return names[b"x-forwarded-host"].decode() == host(shake.origin or "")

    assert await opens(Careless(Recorder(), normalises), EVIL, **spoofed)


@pytest.mark.parametrize("place", ["origin", "path"])
async def test_nothing_sent_writes_a_line_of_the_log(
    place: str, opens: Opens, denials: Callable[[], list[str]]
) -> None:
    """CVE-2024-1681: what a stranger sends is escaped before it is logged."""
    forged = "\r\nINFO wsorigin.guard allowed origin='https://evil.example'"
    sent = {"origin": EVIL, "at": "/ws/"}
    sent |= {"origin": EVIL + forged} if place == "origin" else {"at": quote(forged)}
    with override_policy():
        assert not await opens(OriginGuard(Recorder()), **sent)

    (line,) = denials()
    careless = f"denied origin={EVIL}{forged}"
    assert r"\r\nINFO wsorigin.guard allowed" in line
    assert not [one for one in line.splitlines() if one.startswith("INFO")]
    assert [one for one in careless.splitlines() if one.startswith("INFO")]


class TooLate:
    """A guard that says no, once the application has run."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        inbox: list[Message] = [await receive(), {"type": "websocket.disconnect"}]

        async def connect() -> Message:
            return inbox.pop(0)

        async def swallow(message: Message) -> None:
            pass

        await self.app(scope, connect, swallow)
        await send({"type": "websocket.close"})


async def test_a_denial_stops_the_application(opens: Opens) -> None:
    """CVE-2022-4147: it does not only take the answer away."""
    stopped, ran = Recorder(), Recorder()
    with override_policy():
        assert not await opens(OriginGuard(stopped), EVIL)
    assert not await opens(TooLate(ran), EVIL)

    assert stopped.scopes == []
    assert len(ran.scopes) == 1


class Echo(AsyncWebsocketConsumer):
    """Send everything back."""

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.send(text_data=text_data)


async def answer_to(client: OriginCommunicator, text: str) -> Message:
    """Say something on an open socket; return the next message."""
    await client.send_to(text)
    message: Message = await client.receive_output(5)
    return message


@pytest.mark.django_db(transaction=True)
async def test_what_is_revoked_is_cut_off(origin_client: ClientOf) -> None:
    """CVE-2024-41666: a right that was looked at once is looked after until the end."""
    token, text = await sync_to_async(tokens.mint)(
        TokenKind.SECRET, name="drill", expires_in=DAY
    )
    bearer = {
        "origin": None,
        "headers": [(b"authorization", f"Bearer {text}".encode())],
    }
    guarded = origin_client(OriginGuard(Echo.as_asgi()), "/ws/", **bearer)
    careless = origin_client(
        Careless(Echo.as_asgi(), lambda shake: True), "/ws/", **bearer
    )
    for client in (guarded, careless):
        assert await client.handshake()
        assert (await answer_to(client, "before"))["text"] == "before"

    await sync_to_async(tokens.revoke)(token, "drill")

    closed = await guarded.receive_output(5)
    assert (closed["type"], closed["code"]) == ("websocket.close", 4410)
    assert (await answer_to(careless, "after"))["text"] == "after"


@pytest.mark.django_db
def test_what_is_renewed_ends_the_old() -> None:
    """GHSA-5mrq-x3x5-8v8f: after a leak, a new secret leaves nothing of the old one."""
    token, leaked = tokens.mint(TokenKind.SECRET, name="drill", expires_in=DAY)
    secret = Secret.parse(leaked)
    assert isinstance(verification.verify(secret, None), verification.Verified)

    renewed = Secret.parse(tokens.rotate(token))

    assert verification.verify(secret, None) is Reason.TOKEN_UNKNOWN
    assert isinstance(verification.verify(renewed, None), verification.Verified)
    # By its name alone, as a session is known by its user, the old one still stands.
    named = ConnectionToken.objects.filter(public_id=secret.public_id, revoked_at=None)
    assert named.exists()


# The page about the drill

PAGE: Final = (
    Path(__file__).parent.parent / "docs/explanation/cve-drill.md"
).read_text()
ROWS: Final = re.findall(r"^\| ((?:CVE|GHSA)-[\w-]+) .*\| (.*) \|$", PAGE, re.MULTILINE)

ADVISORIES: Final = [
    "CVE-2014-3429",
    "CVE-2015-0259",
    "CVE-2017-11173",
    "CVE-2017-20146",
    "CVE-2018-14732",
    "CVE-2018-20744",
    "CVE-2019-13209",
    "CVE-2019-13611",
    "CVE-2019-25211",
    "CVE-2020-28481",
    "CVE-2022-1996",
    "CVE-2022-4147",
    "CVE-2022-42975",
    "CVE-2023-0957",
    "CVE-2023-26114",
    "CVE-2024-1681",
    "CVE-2024-23898",
    "CVE-2024-26135",
    "CVE-2024-41666",
    "CVE-2024-47165",
    "CVE-2025-24010",
    "CVE-2025-30360",
    "CVE-2025-48068",
    "CVE-2025-52882",
    "CVE-2026-21883",
    "CVE-2026-27148",
    "CVE-2026-34403",
    "CVE-2026-3902",
    "CVE-2026-40110",
    "CVE-2026-44546",
    "GHSA-5mrq-x3x5-8v8f",
    "GHSA-mj22-23ff-2hrr",
    "GHSA-p773-8mf4-rjm5",
    "GHSA-vhxv-fg4m-p2w8",
]


def test_the_page_has_each_advisory_once() -> None:
    """And no other, so that a new row is a new drill."""
    assert sorted(advisory for advisory, _ in ROWS) == ADVISORIES


@pytest.mark.parametrize(("advisory", "last_cell"), ROWS, ids=dict(ROWS))
def test_the_page_names_the_drill(advisory: str, last_cell: str) -> None:
    """The test that a row names is one that names the row's advisory."""
    names = re.findall(r"`tests/test_cves\.py::(test_\w+)`", last_cell)

    assert names
    for name in names:
        drill = getattr(sys.modules[__name__], name)
        assert re.search(rf"{advisory}\b", inspect.getsource(drill))
