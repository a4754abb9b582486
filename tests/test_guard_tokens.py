"""The guard and tokens: who a connection is, and what of the token anybody sees."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.middleware import BaseMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.db import connections
from django.test import Client, override_settings
from django.utils import timezone

from wsorigin.consumers import GuardedAsyncWebsocketConsumer
from wsorigin.credentials import Secret, TokenKind
from wsorigin.guard import OriginGuard
from wsorigin.handshake import MARKER, Message, Receive, Scope, Send
from wsorigin.models import ConnectionToken
from wsorigin.policy import Reason
from wsorigin.signals import handshake_checked
from wsorigin.testing import Answer, OriginCommunicator, override_policy
from wsorigin.tokens import mint, mint_ticket

ClientOf = Callable[..., OriginCommunicator]

APP = "https://app.example"
PARTNER = "https://partner.example"
EVIL = "https://evil.example"
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db(transaction=True)


class Recorder:
    """An application that accepts, stays until the end and remembers its scopes."""

    def __init__(self, **accept: Any) -> None:
        self.scopes: list[Scope] = []
        self.accept = {"type": "websocket.accept", **accept}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await receive()
        await send(self.accept)
        await receive()


@pytest.fixture
def app() -> Recorder:
    """The application behind the guard."""
    return Recorder()


@pytest.fixture(autouse=True)
def listed() -> Any:
    """Trust two origins."""
    with override_policy(APP, PARTNER):
        yield


@pytest.fixture
def ada(transactional_db: None) -> User:
    """Whose tokens they are."""
    return User.objects.create_user("ada")


@pytest.fixture
def bob(transactional_db: None) -> tuple[bytes, bytes]:
    """Be somebody else, logged in in the same browser; return his cookie."""
    client = Client()
    client.force_login(User.objects.create_user("bob"))
    return b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode()


@pytest.fixture
def texts(ada: User) -> SimpleNamespace:
    """One token of each kind, as their holders have them."""
    return SimpleNamespace(
        secret=mint(TokenKind.SECRET, name="n", user=ada, expires_in=HOUR)[1],
        publishable=mint(
            TokenKind.PUBLISHABLE, name="n", origins=[APP, EVIL], expires_in=HOUR
        )[1],
        ticket=mint_ticket(ada, origin=APP)[1],
        machine_ticket=mint_ticket(ada, origin=None)[1],
        unknown=Secret.new(TokenKind.SECRET).text,
    )


def in_header(text: str) -> dict[str, Any]:
    """Carry a token as a program does."""
    return {"headers": [(b"authorization", f"Bearer {text}".encode())]}


def in_subprotocols(text: str) -> dict[str, Any]:
    """Carry a token as a page does."""
    encoded = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return {"subprotocols": [MARKER, f"base64url.bearer.wsorigin.{encoded}"]}


CARRIERS = [
    pytest.param(in_header, id="header"),
    pytest.param(in_subprotocols, id="subprotocol"),
]


async def awrite(text: str, **values: Any) -> None:
    """Write a token's row, as time or another process would."""
    row = ConnectionToken.objects.filter(public_id=text[5:13])
    assert await row.aupdate(**values) == 1


async def is_used(text: str) -> bool:
    row = await ConnectionToken.objects.aget(public_id=text[5:13])
    return row.used_at is not None


# Whose connection it is.


class SetsUser(BaseMiddleware):
    """A project's own middleware, which knows its users from the cookies."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = dict(scope)
        if "user" not in scope:
            cookies = [value for name, value in scope["headers"] if name == b"cookie"]
            scope["user"] = User(username="bob") if cookies else AnonymousUser()
        await super().__call__(scope, receive, send)


STACKS = [
    pytest.param(lambda app: OriginGuard(app), id="nothing else"),
    pytest.param(lambda app: OriginGuard(AuthMiddlewareStack(app)), id="guard outside"),
    pytest.param(lambda app: AuthMiddlewareStack(OriginGuard(app)), id="guard inside"),
    pytest.param(
        lambda app: OriginGuard(AuthMiddlewareStack(OriginGuard(app))), id="two guards"
    ),
    pytest.param(
        lambda app: AuthMiddlewareStack(OriginGuard(OriginGuard(app))),
        id="two guards inside",
    ),
    pytest.param(lambda app: OriginGuard(SetsUser(app)), id="own middleware inside"),
    pytest.param(lambda app: SetsUser(OriginGuard(app)), id="own middleware outside"),
]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(
    ("kind", "carry", "origin", "user"),
    [
        pytest.param("secret", in_header, APP, "ada", id="secret"),
        pytest.param("secret", in_subprotocols, None, "ada", id="secret, no origin"),
        pytest.param("ticket", in_subprotocols, APP, "ada", id="ticket"),
        pytest.param("machine_ticket", in_header, None, "ada", id="ticket, no origin"),
        pytest.param("publishable", in_subprotocols, APP, "", id="publishable"),
    ],
)
async def test_the_user_is_the_tokens(
    kind: str,
    carry: Any,
    origin: str | None,
    user: str,
    stack: Any,
    texts: SimpleNamespace,
    bob: tuple[bytes, bytes],
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """Beside a token cookies do not count, whoever else reads them and where."""
    carried = carry(getattr(texts, kind))
    carried["headers"] = [*carried.get("headers", ()), bob]
    client = origin_client(stack(app), "/ws/", origin=origin, **carried)

    assert await client.handshake()
    [scope] = app.scopes
    assert scope["user"].username == user
    assert scope["user"].is_authenticated is bool(user)
    assert scope["user"].is_active is bool(user)
    assert not [name for name, _ in scope["headers"] if name == b"cookie"]
    assert not scope.get("cookies")
    assert scope.get("session") is None or scope["session"].is_empty()
    admission = scope["wsorigin"]
    assert admission.token.public_id == getattr(texts, kind)[5:13]
    assert admission.decision.credentials is False
    assert admission.decision.reason == (Reason.LISTED if origin else Reason.TOKEN)


async def test_without_a_token_the_session_counts(
    bob: tuple[bytes, bytes], app: Recorder, origin_client: ClientOf
) -> None:
    """The other side of the same rule."""
    guarded = OriginGuard(AuthMiddlewareStack(app))
    client = origin_client(guarded, "/ws/", origin=APP, headers=[bob])

    assert await client.handshake()
    assert app.scopes[0]["user"].username == "bob"
    assert app.scopes[0]["wsorigin"].token is None


@pytest.mark.parametrize("carry", CARRIERS)
async def test_a_consumer_sees_the_tokens_user(
    carry: Any, texts: SimpleNamespace, origin_client: ClientOf
) -> None:
    """As a project would write it, with nothing around."""

    class Hello(GuardedAsyncWebsocketConsumer):
        require_token = True

        async def connect(self) -> None:
            await self.accept()
            await self.send(f"hello {self.scope['user']}")

    client = origin_client(Hello.as_asgi(), "/", origin=None, **carry(texts.secret))

    assert await client.handshake()
    assert await client.receive_from() == "hello ada"


# What of the token anybody sees.


@pytest.mark.parametrize(
    ("accept", "offered", "spoken", "selected"),
    [
        pytest.param({}, [], [], MARKER, id="nothing else"),
        pytest.param({}, ["chat"], [], MARKER, id="not spoken"),
        pytest.param({}, ["v1", "v2"], ["v2"], "v2", id="the endpoint's"),
        pytest.param({"subprotocol": "chat"}, ["chat"], [], "chat", id="the choice"),
    ],
)
@pytest.mark.parametrize("credential_first", [False, True])
async def test_the_application_negotiates_beside_the_token(
    accept: dict[str, Any],
    offered: list[str],
    spoken: list[str],
    selected: str,
    credential_first: bool,
    texts: SimpleNamespace,
    origin_client: ClientOf,
) -> None:
    """It sees its own subprotocols only; the answer repeats no credential."""
    app = Recorder(**accept)
    names = in_subprotocols(texts.secret)["subprotocols"]
    ordered = [*names[::-1], *offered] if credential_first else [*offered, *names]
    guarded = OriginGuard(app, subprotocols=spoken)
    client = origin_client(guarded, "/ws/", origin=APP, subprotocols=ordered)

    assert await client.handshake() == Answer(101, subprotocol=selected)
    [scope] = app.scopes
    assert scope["subprotocols"] == offered
    header = [value for name, value in scope["headers"] if b"protocol" in name]
    assert header == ([", ".join(offered).encode()] if offered else [])


@pytest.mark.parametrize("carry", CARRIERS)
@pytest.mark.parametrize("kind", ["secret", "ticket", "unknown"])
@pytest.mark.parametrize(
    ("origin", "report_only"), [(APP, False), (EVIL, False), (EVIL, True)]
)
async def test_nobody_sees_the_token(
    kind: str,
    origin: str,
    report_only: bool,
    carry: Any,
    texts: SimpleNamespace,
    app: Recorder,
    origin_client: ClientOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither application nor log, signal, repr() or answer, at any level, in any form."""
    caplog.set_level(logging.DEBUG)
    events: asyncio.Queue[Any] = asyncio.Queue()

    async def receive(**said: Any) -> None:
        await events.put(said)

    handshake_checked.connect(receive)
    text = getattr(texts, kind)
    guarded = OriginGuard(app, report_only=report_only)
    sent: list[Message] = []

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        async def recording(message: Message) -> None:
            sent.append(message)
            await send(message)

        await guarded(scope, receive, recording)

    client = origin_client(recorded, "/ws/", origin=origin, **carry(text))
    try:
        with override_settings(DEBUG=True):
            await client.handshake()
        event = await asyncio.wait_for(events.get(), 5)
    finally:
        handshake_checked.disconnect(receive)
    shown = str([app.scopes, event, sent, [str(vars(one)) for one in caplog.records]])

    assert sent
    assert text[13:] not in shown
    assert base64.urlsafe_b64encode(text.encode()).decode()[20:] not in shown


@pytest.mark.parametrize(
    ("value", "stays"),
    [
        pytest.param("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", True, id="own token"),
        pytest.param("Basic YTpi", True, id="basic"),
        pytest.param("Bearer {}", False, id="ours"),
        pytest.param("Basic YTpi,Bearer {}", False, id="ours beside"),
    ],
)
async def test_the_applications_own_authorization_stays(
    value: str,
    stays: bool,
    texts: SimpleNamespace,
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """A header is taken away only if there is a token of ours in it."""
    header = (b"authorization", value.format(texts.secret).encode())
    client = origin_client(OriginGuard(app), "/ws/", origin=APP, headers=[header])

    assert await client.handshake()
    assert (header in app.scopes[0]["headers"]) is stays
    assert (app.scopes[0]["wsorigin"].token is None) is stays


@pytest.mark.parametrize("path", ["/ws/?token={}", "/ws/{}/", "/ws/?a=b&t={}&c=d"])
@pytest.mark.parametrize("kind", ["secret", "publishable", "ticket"])
async def test_a_token_in_the_url_is_refused(
    kind: str,
    path: str,
    texts: SimpleNamespace,
    app: Recorder,
    origin_client: ClientOf,
    denials: Callable[[], list[str]],
) -> None:
    """However good it is; it is not used up, and the server's own scope forgets it."""
    text = getattr(texts, kind)
    client = origin_client(OriginGuard(app), path.format(text), origin=APP)

    assert await client.handshake() == Answer(403, Reason.TOKEN_IN_URL)
    assert text[13:] not in str(client.scope)
    assert text[:13] in str(client.scope)
    assert not await is_used(text)
    [line] = denials()
    assert text[13:] not in line
    assert "Authorization: Bearer" in line


async def test_in_report_only_mode_the_url_is_still_redacted(
    texts: SimpleNamespace, app: Recorder, origin_client: ClientOf
) -> None:
    """The application reads its own parameters, and no token."""
    path = f"/ws/?name=a%26b&token={texts.secret}"
    guarded = OriginGuard(app, report_only=True)

    assert await origin_client(guarded, path, origin=APP).handshake()
    query = f"name=a%26b&token={texts.secret[:13]}...".encode()
    assert app.scopes[0]["query_string"] == query
    assert app.scopes[0]["wsorigin"].decision.reason is Reason.TOKEN_IN_URL


# What a token can do, and what not.


@pytest.mark.parametrize("carry", CARRIERS)
@pytest.mark.parametrize("kind", ["secret", "publishable", "ticket"])
async def test_an_endpoint_that_requires_a_token(
    kind: str,
    carry: Any,
    texts: SimpleNamespace,
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """Any valid one will do; without one the answer says so."""
    guarded = OriginGuard(app, require_token=True)
    without = await origin_client(guarded, "/ws/", origin=APP).handshake()
    carried = carry(getattr(texts, kind))

    assert without == Answer(403, Reason.TOKEN_REQUIRED)
    assert await origin_client(guarded, "/ws/", origin=APP, **carried).handshake()


@pytest.mark.parametrize("kind", ["secret", "publishable", "ticket"])
@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        (EVIL, Reason.UNLISTED),
        ("null", Reason.OPAQUE),
        ("", Reason.MALFORMED),
        (f"{APP},{EVIL}", Reason.MULTIPLE),
    ],
)
async def test_a_wrong_origin_stays_wrong(
    kind: str,
    origin: str,
    reason: Reason,
    texts: SimpleNamespace,
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """Whatever token it brings; it is not asked for, and a ticket is not used up."""
    text = getattr(texts, kind)
    client = origin_client(OriginGuard(app), "/", origin=origin, **in_header(text))

    assert await client.handshake() == Answer(403, reason)
    assert not await is_used(text)
    assert app.scopes == []


async def test_a_publishable_token_trusts_no_origin(
    texts: SimpleNamespace, app: Recorder, origin_client: ClientOf
) -> None:
    """It is bound to two; of these the policy has to trust the one it comes from."""
    answers = {}
    for origin in (APP, EVIL, PARTNER):
        carried = in_subprotocols(texts.publishable)
        client = origin_client(OriginGuard(app), "/ws/", origin=origin, **carried)
        answers[origin] = (await client.handshake()).reason

    assert answers == {
        APP: None,
        EVIL: Reason.UNLISTED,
        PARTNER: Reason.TOKEN_WRONG_ORIGIN,
    }


@pytest.mark.parametrize(
    ("setting", "kind", "reason"),
    [
        ("require-token", None, Reason.MISSING),
        ("require-token", "secret", None),
        ("require-token", "machine_ticket", None),
        ("require-token", "ticket", Reason.TOKEN_WRONG_ORIGIN),
        ("require-token", "publishable", Reason.TOKEN_WRONG_ORIGIN),
        ("require-token", "unknown", Reason.TOKEN_UNKNOWN),
        ("deny", None, Reason.MISSING),
        ("deny", "secret", Reason.MISSING),
        ("deny", "machine_ticket", Reason.MISSING),
        ("allow", None, None),
        ("allow", "secret", None),
        ("allow", "unknown", Reason.TOKEN_UNKNOWN),
        ("allow", "publishable", Reason.TOKEN_WRONG_ORIGIN),
    ],
)
async def test_a_client_without_origin(
    setting: str,
    kind: str | None,
    reason: Reason | None,
    texts: SimpleNamespace,
    bob: tuple[bytes, bytes],
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """A token vouches for it where the setting lets one; it never has the cookies."""
    headers = [bob]
    if kind:
        headers += in_header(getattr(texts, kind))["headers"]
    with override_policy(WSORIGIN_MISSING_ORIGIN=setting):
        guarded = OriginGuard(AuthMiddlewareStack(app))
        client = origin_client(guarded, "/ws/", origin=None, headers=headers)
        answer = await client.handshake()

    assert answer == Answer(403, reason) if reason else answer
    for scope in app.scopes:
        assert scope["user"].username == ("ada" if kind else "")
        expected = Reason.TOKEN if setting == "require-token" else Reason.MISSING
        assert scope["wsorigin"].decision.reason is expected


async def test_an_endpoint_without_its_language_uses_no_ticket_up(
    texts: SimpleNamespace, app: Recorder, origin_client: ClientOf
) -> None:
    """All else is decided before the one thing that cannot be taken back."""
    guarded = OriginGuard(app, subprotocols=["v2"])
    carried = in_subprotocols(texts.ticket)
    answer = await origin_client(guarded, "/", origin=APP, **carried).handshake()

    assert answer.reason is Reason.NO_COMMON_SUBPROTOCOL
    assert not await is_used(texts.ticket)


@pytest.mark.parametrize("carry", CARRIERS)
async def test_a_ticket_opens_one_socket(
    carry: Any, texts: SimpleNamespace, app: Recorder, origin_client: ClientOf
) -> None:
    """The second handshake with it is told so."""
    answers = [
        await origin_client(
            OriginGuard(app), "/ws/", origin=APP, **carry(texts.ticket)
        ).handshake()
        for _ in range(2)
    ]

    assert answers[0]
    assert answers[1] == Answer(403, Reason.TOKEN_USED)


async def test_a_ticket_of_one_session_beside_the_cookie_of_another(
    bob: tuple[bytes, bytes], ada: User, app: Recorder, origin_client: ClientOf
) -> None:
    """Somebody has planted his own ticket in another's page: it opens nothing there."""
    [session] = [value.split(b"=")[1].decode() for _, value in [bob]]
    client = Client()
    await client.aforce_login(ada)
    own = client.cookies["sessionid"].value
    ticket = await mint_async(ada, origin=APP, session_key=own)
    carried = in_subprotocols(ticket)
    planted = origin_client(OriginGuard(app), "/", origin=APP, headers=[bob], **carried)

    assert session != own
    assert await planted.handshake() == Answer(403, Reason.TOKEN_WRONG_SESSION)
    cookie = (b"cookie", f"a=b; sessionid={own}".encode())
    right = origin_client(
        OriginGuard(app), "/", origin=APP, headers=[cookie], **carried
    )
    assert await right.handshake()


async def mint_async(user: User, **options: Any) -> str:
    """Mint a ticket from an event loop."""
    text: str = (await database_sync_to_async(mint_ticket)(user, **options))[1]
    return text


# Guards in guards.


@override_settings(DEBUG=True)
@pytest.mark.parametrize("kind", ["secret", "ticket"])
async def test_the_outer_guard_verifies_for_all(
    kind: str,
    texts: SimpleNamespace,
    app: Recorder,
    origin_client: ClientOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once: a ticket is used up by that, and the others believe it."""
    guarded = OriginGuard(OriginGuard(OriginGuard(app, require_token=True)))
    caplog.set_level(logging.DEBUG, "django.db.backends")
    caplog.clear()
    carried = in_subprotocols(getattr(texts, kind))
    answer = await origin_client(guarded, "/", origin=APP, **carried).handshake()

    assert answer == Answer(101, subprotocol=MARKER)
    assert app.scopes[0]["user"].username == "ada"
    selects = [text for text in caplog.messages if "SELECT" in text]
    assert sum('FROM "wsorigin_connectiontoken"' in text for text in selects) == 1


@pytest.mark.parametrize(
    ("outer", "inner", "reason"),
    [
        ("prices", "prices", None),
        ("prices", "chat", Reason.TOKEN_WRONG_AUDIENCE),
        ("chat", "prices", Reason.TOKEN_WRONG_AUDIENCE),
        ("prices", "", Reason.TOKEN_WRONG_AUDIENCE),
        ("", "prices", Reason.TOKEN_WRONG_AUDIENCE),
    ],
)
async def test_each_guard_asks_for_its_audience(
    outer: str,
    inner: str,
    reason: Reason | None,
    texts: SimpleNamespace,
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """What an outer guard has verified is not yet for the inner endpoint."""
    await awrite(texts.secret, audience="prices")
    guarded = OriginGuard(OriginGuard(app, audience=inner), audience=outer)
    carried = in_header(texts.secret)
    answer = await origin_client(guarded, "/", origin=APP, **carried).handshake()

    assert answer.reason is reason
    assert bool(answer) is (reason is None)


async def test_an_inner_guard_takes_a_token_for_any_audience(
    texts: SimpleNamespace, app: Recorder, origin_client: ClientOf
) -> None:
    """A token without audience is for all."""
    guarded = OriginGuard(OriginGuard(app, audience="prices"))
    carried = in_header(texts.secret)

    assert await origin_client(guarded, "/", origin=APP, **carried).handshake()


@pytest.mark.parametrize("inner_first", [False, True])
async def test_a_token_lets_nobody_past_the_other_guards_origins(
    inner_first: bool, texts: SimpleNamespace, app: Recorder, origin_client: ClientOf
) -> None:
    """Both have to trust the origin, whoever verified the token."""
    lists = [[APP], [PARTNER]][:: -1 if inner_first else 1]
    guarded = OriginGuard(
        OriginGuard(app, allowed_origins=lists[0]), allowed_origins=lists[1]
    )
    carried = in_header(texts.secret)
    answer = await origin_client(guarded, "/", origin=APP, **carried).handshake()

    assert answer.reason is Reason.UNLISTED


# Saying no.

REASONS: dict[Reason, tuple[int, Callable[[SimpleNamespace], Any]]] = {
    Reason.TOKEN_REQUIRED: (4401, lambda texts: {}),
    Reason.TOKEN_MALFORMED: (4401, lambda texts: in_header(texts.secret[:-1])),
    Reason.TOKEN_CONFLICT: (
        4401,
        lambda texts: in_header(texts.secret) | in_subprotocols(texts.ticket),
    ),
    Reason.TOKEN_IN_URL: (4401, lambda texts: {"path": f"/?t={texts.secret}"}),
    Reason.TOKEN_UNKNOWN: (4401, lambda texts: in_header(texts.unknown)),
    Reason.TOKEN_WRONG_AUDIENCE: (4401, lambda texts: in_header(texts.secret)),
    Reason.TOKEN_USER_INACTIVE: (4401, lambda texts: in_header(texts.secret)),
    Reason.TOKEN_WRONG_ORIGIN: (4403, lambda texts: in_header(texts.machine_ticket)),
    Reason.TOKEN_REVOKED: (4410, lambda texts: in_header(texts.secret)),
    Reason.TOKEN_EXPIRED: (4419, lambda texts: in_header(texts.secret)),
    Reason.TOKEN_USED: (4419, lambda texts: in_header(texts.ticket)),
}
ROWS: dict[Reason, dict[str, Any]] = {
    Reason.TOKEN_WRONG_AUDIENCE: {"audience": "chat"},
    Reason.TOKEN_REVOKED: {"revoked_at": timezone.now()},
    Reason.TOKEN_EXPIRED: {"expires_at": timezone.now()},
}


@pytest.mark.parametrize("reason", REASONS, ids=str)
@pytest.mark.parametrize("deny_with", ["http", "close"])
async def test_a_bad_credential_is_told_what_to_do(
    deny_with: str,
    reason: Reason,
    texts: SimpleNamespace,
    app: Recorder,
    origin_client: ClientOf,
    denials: Callable[[], list[str]],
) -> None:
    """One close code for each thing that a client should do; the reason in the log."""
    code, request = REASONS[reason]
    if reason in ROWS:
        await awrite(texts.secret, **ROWS[reason])
    await awrite(texts.ticket, used_at=timezone.now())
    if reason is Reason.TOKEN_USER_INACTIVE:
        await User.objects.aupdate(is_active=False)
    with override_policy(APP, WSORIGIN_DENY_WITH=deny_with):
        guarded = OriginGuard(app, require_token=True)
        options = {"path": "/ws/", **request(texts)}
        client = origin_client(guarded, origin=APP, **options)
        answer = await client.handshake()
    offered = options.get("subprotocols")

    assert answer == (
        Answer(101, subprotocol=MARKER if offered else None, close_code=code)
        if deny_with == "close"
        else Answer(403, reason)
    )
    assert app.scopes == []
    [line] = denials()
    assert f"reason={reason} " in line
    assert line.count("\n    ") == 1


@pytest.mark.parametrize("stack", STACKS[:3])
async def test_in_report_only_mode_a_bad_token_is_reported(
    stack: Any,
    texts: SimpleNamespace,
    bob: tuple[bytes, bytes],
    app: Recorder,
    origin_client: ClientOf,
    denials: Callable[[], list[str]],
) -> None:
    """The connection goes on as it would have without a guard, but for the token."""
    with override_policy(APP, WSORIGIN_REPORT_ONLY=True):
        carried = in_header(texts.unknown)
        carried["headers"].append(bob)
        client = origin_client(stack(app), "/ws/", origin=APP, **carried)
        answer = await client.handshake()

    assert answer
    [scope] = app.scopes
    assert scope["wsorigin"].decision.reason is Reason.TOKEN_UNKNOWN
    assert (scope["wsorigin"].enforced, scope["wsorigin"].token) == (False, None)
    assert bob in scope["headers"]
    assert "user" not in scope or scope["user"].username == "bob"
    assert b"authorization" not in dict(scope["headers"])
    assert denials()[0].startswith("would deny (report-only) origin=")


@pytest.fixture
def database_away(
    texts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> SimpleNamespace:
    """Take the database away: who connects finds nothing there."""
    settings_dict = connections["default"].settings_dict
    monkeypatch.setitem(settings_dict, "NAME", "/nowhere/site.sqlite3")
    return texts


@pytest.mark.parametrize("kind", ["secret", "publishable", "ticket"])
@pytest.mark.parametrize("deny_with", ["http", "close"])
async def test_without_a_database_no_token_holds(
    deny_with: str,
    kind: str,
    database_away: SimpleNamespace,
    app: Recorder,
    origin_client: ClientOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Refused, with the advice to come back; never let in (ASVS 16.5.3)."""
    text = getattr(database_away, kind)
    with override_policy(APP, WSORIGIN_DENY_WITH=deny_with):
        client = origin_client(OriginGuard(app), "/", origin=APP, **in_header(text))
        answer = await client.handshake()

    assert answer == (
        Answer(101, close_code=4503)
        if deny_with == "close"
        else Answer(503, Reason.TOKEN_UNAVAILABLE)
    )
    assert app.scopes == []
    assert "verifying a token failed" in caplog.text
    assert text[13:] not in caplog.text


async def test_without_a_database_the_rest_goes_on(
    database_away: SimpleNamespace, app: Recorder, origin_client: ClientOf
) -> None:
    """Who brings no token needs none of it, and a broken token is known to be broken."""
    text = database_away.secret[:-1]
    broken = origin_client(OriginGuard(app), "/", origin=APP, **in_header(text))

    assert await origin_client(OriginGuard(app), "/ws/", origin=APP).handshake()
    assert (await broken.handshake()).reason is Reason.TOKEN_MALFORMED
