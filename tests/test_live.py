"""
What opened a socket also ends it: with its code, and no other socket with it.

Guarded consumers in memory, over a real database, as `wsorigin.live` looks after them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from django.contrib.auth import get_user_model, update_session_auth_hash
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection as database
from django.test import Client, RequestFactory, override_settings
from django.utils import timezone

from wsorigin import tokens
from wsorigin.consumers import OriginGuardMixin
from wsorigin.credentials import TokenKind
from wsorigin.guard import Application, OriginGuard
from wsorigin.handshake import Handshake
from wsorigin.live import (
    Connection,
    Hint,
    events,
    looks,
    open_connections,
    shared_terms,
    watcher,
)
from wsorigin.live.hints import session_name
from wsorigin.models import ConnectionToken, Disconnection, TrustedOrigin
from wsorigin.policy import SITE
from wsorigin.refresh import aget_policy
from wsorigin.signals import standing_changed
from wsorigin.testing import OriginCommunicator, override_policy
from wsorigin.threads import Threads

from .waiting import aeventually

pytestmark = pytest.mark.django_db(transaction=True)

OWN = "http://testserver"
APP = "https://app.example"
OTHER = "https://other.example"
DAY = timedelta(days=1)


class AsyncEcho(AsyncWebsocketConsumer):
    """Send everything back, and remember how connections ended."""

    codes: ClassVar[list[int]] = []

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.send(text_data=text_data)

    async def disconnect(self, code: int) -> None:
        self.codes.append(code)


class SyncEcho(WebsocketConsumer):
    """The same in a thread."""

    codes: ClassVar[list[int]] = AsyncEcho.codes

    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        self.send(text_data=text_data)

    def disconnect(self, code: int) -> None:
        self.codes.append(code)


class GuardedAsyncEcho(OriginGuardMixin, AsyncEcho):
    """Guarded inside whatever stands outside."""


class GuardedSyncEcho(OriginGuardMixin, SyncEcho):
    """The same in a thread."""


APPLICATIONS = {
    "async, inside": AuthMiddlewareStack(GuardedAsyncEcho.as_asgi()),
    "sync, inside": AuthMiddlewareStack(GuardedSyncEcho.as_asgi()),
    "async, outside": OriginGuard(AuthMiddlewareStack(AsyncEcho.as_asgi())),
    "sync, outside": OriginGuard(AuthMiddlewareStack(SyncEcho.as_asgi())),
    "twice": OriginGuard(AuthMiddlewareStack(GuardedAsyncEcho.as_asgi())),
}
SIMPLE = APPLICATIONS["async, inside"]


@pytest.fixture(params=APPLICATIONS)
def application(request: pytest.FixtureRequest) -> Application:
    """Guard sync and async consumers in every place."""
    return APPLICATIONS[request.param]


@pytest.fixture(autouse=True)
def hints_only() -> Iterator[None]:
    """No poll comes to help, unless a test asks for one."""
    AsyncEcho.codes.clear()
    with override_settings(WSORIGIN_REFRESH_INTERVAL=300):
        yield


def polling() -> override_settings:
    """Look often, for what nobody tells."""
    return override_settings(WSORIGIN_REFRESH_INTERVAL=0.1)


class Socket:
    """A client and its socket."""

    def __init__(self, communicator: OriginCommunicator) -> None:
        self.communicator = communicator

    async def ended(self, within: float = 3) -> int:
        """Wait until it is closed, and return the code; its application has ended."""
        message = await self.communicator.receive_output(within)
        assert message["type"] == "websocket.close"
        await self.communicator.wait(3)
        return int(message["code"])

    async def is_open(self) -> bool:
        """Whether messages still come back."""
        await self.communicator.send_to("are you there?")
        return bool(await self.communicator.receive_from(3) == "are you there?")

    async def leave(self) -> None:
        """Hang up, as a client does."""
        await self.communicator.disconnect()


Opener = Callable[..., Any]


@pytest.fixture
async def opened() -> AsyncIterator[Opener]:
    """Open sockets that are left after the test; return how."""
    sockets: list[Socket] = []

    async def open_socket(
        application: Application = SIMPLE,
        *,
        token: str = "",
        cookies: Any = None,
        **options: Any,
    ) -> Socket:
        headers = []
        if token:
            headers.append((b"authorization", f"Bearer {token}".encode()))
            options.setdefault("origin", None)
        if cookies:
            headers.append((b"cookie", cookies.output(header="", sep=";").encode()))
        socket = Socket(
            OriginCommunicator(application, "/ws/", headers=headers, **options)
        )
        answer = await socket.communicator.handshake()
        assert answer, answer
        sockets.append(socket)
        return socket

    yield open_socket
    for socket in sockets:
        await socket.leave()


@sync_to_async
def make_user(name: str = "ada") -> Any:
    return get_user_model().objects.create_user(name, password="before")


@sync_to_async
def log_in(user: Any) -> Client:
    """Log a user in, once more; return the browser."""
    client = Client()
    client.force_login(user)
    return client


async def mint(kind: TokenKind = TokenKind.SECRET, **options: Any) -> Any:
    options.setdefault("expires_in", DAY)
    return await sync_to_async(tokens.mint)(kind, name="test", **options)


async def ticket(user: Any, client: Client | None = None) -> Any:
    key = client.session.session_key if client else ""
    return await sync_to_async(tokens.mint_ticket)(
        user, origin=OWN, session_key=key or ""
    )


# Tokens


@sync_to_async
def revoke(token: ConnectionToken) -> None:
    tokens.revoke(token, "test")


@sync_to_async
def delete(token: ConnectionToken) -> None:
    token.delete()


@sync_to_async
def revoke_untold(token: ConnectionToken) -> None:
    ConnectionToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())


@sync_to_async
def expire_untold(token: ConnectionToken) -> None:
    ConnectionToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(revoke, 4410, id="revoked"),
        pytest.param(delete, 4410, id="deleted"),
    ],
)
async def test_a_revoked_token_ends_its_sockets(
    end: Any, code: int, application: Application, opened: Opener
) -> None:
    """At once, with its code; another token's go on, and disconnect() ran."""
    token, text = await mint(user=await make_user())
    _, other = await mint()
    socket = await opened(application, token=text)
    rest = await opened(application, token=other)
    await end(token)

    assert await socket.ended() == code
    assert AsyncEcho.codes == [code]
    assert await rest.is_open()


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(revoke_untold, 4410, id="revoked"),
        pytest.param(expire_untold, 4419, id="its expiry moved up"),
    ],
)
async def test_what_nobody_tells_is_found(end: Any, code: int, opened: Opener) -> None:
    """The hint is for speed, the look is the truth."""
    with polling():
        token, text = await mint()
        socket = await opened(token=text)
        await end(token)

        assert await socket.ended() == code


async def test_a_token_s_time_is_kept(opened: Opener) -> None:
    """No look is needed: a timer runs for the first that expires, then for the next."""
    _, text = await mint(expires_in=timedelta(seconds=0.5))
    _, later = await mint(expires_in=timedelta(seconds=0.9))
    sockets = [await opened(token=one) for one in (later, text)]
    started = time.monotonic()

    assert [await one.ended() for one in reversed(sockets)] == [4419, 4419]
    assert time.monotonic() - started < 2


async def test_a_rotation_ends_nothing(opened: Opener) -> None:
    """Whoever has the connection need not have the new secret yet."""
    token, text = await mint()
    socket = await opened(token=text)
    await sync_to_async(tokens.rotate)(token)
    await told(Hint("token", str(token.pk)))

    assert await socket.is_open()


async def told(hint: Hint) -> None:
    """Wait until the watcher has looked into a hint, and once more, and has acted."""
    one = watcher()
    one.hear(hint)
    await aeventually(
        lambda: not (one._again or one._hints or one._looking or one._ending)
    )


# Users and sessions


async def test_a_log_out_ends_that_session_alone(
    application: Application, opened: Opener
) -> None:
    """The user's other browsers stay connected (4401 asks for a login)."""
    user = await make_user()
    here, there = await log_in(user), await log_in(user)
    socket = await opened(application, cookies=here.cookies)
    rest = await opened(application, cookies=there.cookies)
    await sync_to_async(here.logout)()

    assert await socket.ended() == 4401
    assert AsyncEcho.codes == [4401]
    assert await rest.is_open()


@sync_to_async
def deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


@sync_to_async
def set_password(user: Any) -> None:
    user.set_password("after")
    user.save(update_fields=["password"])


@sync_to_async
def delete_user(user: Any) -> None:
    user.delete()


@pytest.mark.parametrize("end", [deactivate, set_password, delete_user])
async def test_what_ends_a_user_ends_his_sessions_sockets(
    end: Any, application: Application, opened: Opener
) -> None:
    """In all his sessions, and in nobody else's."""
    user, other = await make_user(), await make_user("bob")
    sockets = [
        await opened(application, cookies=(await log_in(user)).cookies)
        for _ in range(2)
    ]
    rest = await opened(application, cookies=(await log_in(other)).cookies)
    await end(user)

    assert [await one.ended() for one in sockets] == [4401, 4401]
    assert await rest.is_open()


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(deactivate, 4401, id="deactivated"),
        pytest.param(set_password, 0, id="another password"),
        pytest.param(delete_user, 4410, id="deleted, and the token with him"),
    ],
)
async def test_what_ends_a_user_ends_his_tokens_sockets(
    end: Any, code: int, opened: Opener
) -> None:
    """A secret token is a credential of its own: a password has no part in it."""
    user = await make_user()
    _, text = await mint(user=user)
    socket = await opened(token=text)
    await end(user)

    if code:
        assert await socket.ended() in {code, 4401}
    else:
        await told(Hint("user", str(user.pk)))
        assert await socket.is_open()


@sync_to_async
def delete_session(client: Client) -> None:
    Session.objects.filter(pk=client.session.session_key)._raw_delete("default")


@sync_to_async
def expire_session(client: Client) -> None:
    rows = Session.objects.filter(pk=client.session.session_key)
    rows.update(expire_date=timezone.now())


@pytest.mark.parametrize("end", [delete_session, expire_session])
async def test_a_session_that_ends_untold_is_found(
    end: Any, application: Application, opened: Opener
) -> None:
    """Deleted by another program, or past its time."""
    with polling():
        client = await log_in(await make_user())
        socket = await opened(application, cookies=client.cookies)
        await end(client)

        assert await socket.ended() == 4401


def test_expired_sessions_are_swept_in_silence() -> None:
    """``clearsessions`` deletes them by the thousand, and none of them ends anything."""
    now = timezone.now()
    Session.objects.create(session_key="past", expire_date=now - DAY)
    Session.objects.create(session_key="future", expire_date=now + DAY)
    told: list[str] = []

    def hear(key: str, **_: Any) -> None:
        told.append(key)

    standing_changed.connect(hear)
    try:
        SessionStore.clear_expired()
        assert told == []
        Session.objects.all().delete()
        assert told == [session_name("future")]
    finally:
        standing_changed.disconnect(hear)


async def test_a_look_behind_too_many_others_is_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those hang with the database, and so would this one."""
    monkeypatch.setattr(looks, "_threads", Threads("t", 1, most=0, patience=None))

    assert await looks.look([], 1.0) is None


async def test_changing_one_s_own_password_ends_the_other_sessions(
    opened: Opener,
) -> None:
    """The session that did it has a new key; the sockets of the old one end too."""
    user = await make_user()
    client = await log_in(user)
    socket = await opened(cookies=client.cookies)

    @sync_to_async
    def change() -> None:
        request = RequestFactory().post("/")
        request.session, request.user = client.session, user
        user.set_password("after")
        user.save()
        update_session_auth_hash(request, user)

    await change()

    assert await socket.ended() == 4401


@pytest.mark.parametrize(
    "cookie", ["", "sessionid=none-of-ours", "other=1", "not-the-sessionid=1"]
)
async def test_who_has_no_session_has_none_to_lose(
    cookie: str, application: Application, opened: Opener
) -> None:
    """Nobody's connection, a stale cookie's too, rests upon its origin alone."""
    from http.cookies import SimpleCookie

    socket = await opened(application, cookies=SimpleCookie(cookie))
    await told(Hint("user", "1"))

    assert await socket.is_open()


class Broken:
    """A user that cannot be read, as where middleware is lazy and the database away."""

    @property
    def is_authenticated(self) -> bool:
        raise RuntimeError


async def test_a_session_that_does_not_count_is_none_to_lose(opened: Opener) -> None:
    """The cookies that came along are gone before anybody could rest upon them."""
    user = await make_user()
    client = await log_in(user)
    with override_policy(inherit=["cors"], CORS_ALLOWED_ORIGINS=[APP]):
        socket = await opened(origin=APP, cookies=client.cookies)
        await sync_to_async(client.logout)()
        await told(Hint("user", str(user.pk)))

        assert await socket.is_open()


async def test_a_user_without_a_cookie_is_one_to_lose(opened: Opener) -> None:
    """Whom middleware of the site's own has found, by whatever means."""
    user = await make_user()

    async def with_user(scope: Any, receive: Any, send: Any) -> None:
        await GuardedAsyncEcho.as_asgi()({**scope, "user": user}, receive, send)

    socket = await opened(with_user)
    await deactivate(user)

    assert await socket.ended() == 4401


async def test_a_session_that_cannot_be_read_has_to_stand_at_the_least(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """The handshake goes on; what its cookie names is looked after all the same."""

    async def with_broken_user(scope: Any, receive: Any, send: Any) -> None:
        await GuardedAsyncEcho.as_asgi()({**scope, "user": Broken()}, receive, send)

    client = await log_in(await make_user())
    socket = await opened(with_broken_user, cookies=client.cookies)
    assert "reading the session of a handshake failed" in caplog.text
    assert await socket.is_open()
    await sync_to_async(client.logout)()

    assert await socket.ended() == 4401


async def test_a_log_out_without_a_session_ends_nothing(opened: Opener) -> None:
    """Whoever authenticates by a header has none."""
    socket = await opened(cookies=(await log_in(await make_user())).cookies)
    events.logged_out(RequestFactory().get("/"))

    assert not watcher()._hints
    assert await socket.is_open()


async def test_a_log_in_ends_nothing(opened: Opener) -> None:
    """It writes the user too: only the fields that matter are told."""
    user = await make_user()
    socket = await opened(cookies=(await log_in(user)).cookies)
    await log_in(user)

    assert not watcher()._hints
    assert await socket.is_open()


@pytest.mark.parametrize("engine", ["cache", "cached_db", "file"])
async def test_every_session_engine_is_understood(
    engine: str, opened: Opener, tmp_path: Any
) -> None:
    """A log-out is told by Django, whatever keeps the session."""
    with override_settings(
        SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}",
        SESSION_FILE_PATH=str(tmp_path),
    ):
        client = await log_in(await make_user())
        socket = await opened(cookies=client.cookies)
        rest = await opened(cookies=(await log_in(await make_user("bob"))).cookies)
        await sync_to_async(client.logout)()

        assert await socket.ended() == 4401
        assert await rest.is_open()


async def test_a_session_in_a_cookie_cannot_be_ended(opened: Opener) -> None:
    """Django says so itself; its user still can."""
    with override_settings(
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"
    ):
        user = await make_user()
        client = await log_in(user)
        socket = await opened(cookies=client.cookies)
        await sync_to_async(client.logout)()
        await told(Hint("user", str(user.pk)))
        assert await socket.is_open()
        await deactivate(user)

        assert await socket.ended() == 4401


# Tickets


async def test_a_socket_outlives_its_ticket(
    application: Application, opened: Opener
) -> None:
    """Used, expired and pruned: the ticket has done what it was for."""
    user = await make_user()
    row, text = await ticket(user, await log_in(user))
    socket = await opened(application, token=text, origin=OWN)
    old = timezone.now() - DAY
    await ConnectionToken.objects.filter(pk=row.pk).aupdate(expires_at=old)
    assert await sync_to_async(tokens.prune)() == 1
    await told(Hint("token", str(row.pk)))
    await told(Hint("user", str(user.pk)))

    assert await socket.is_open()


@pytest.mark.parametrize("end", ["log-out", "password", "revoked"])
async def test_what_ends_a_ticket_s_login_ends_its_socket(
    end: str, application: Application, opened: Opener
) -> None:
    """Although no cookie came along with it."""
    user = await make_user()
    client = await log_in(user)
    row, text = await ticket(user, client)
    socket = await opened(application, token=text, origin=OWN)
    if end == "log-out":
        await sync_to_async(client.logout)()
    elif end == "password":
        await set_password(user)
    else:
        await revoke(row)

    assert await socket.ended() == (4410 if end == "revoked" else 4401)


# Origins


@pytest.fixture
def database_only() -> Iterator[None]:
    """Trust comes from rows alone."""
    with override_policy(inherit=["database"]):
        yield


async def trust(origin: str, **options: Any) -> TrustedOrigin:
    """Trust an origin in the database, from now on."""
    return await TrustedOrigin.objects.acreate(pattern=origin, **options)


async def change(row: TrustedOrigin, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    await row.asave()


@pytest.mark.usefixtures("database_only")
async def test_an_origin_that_is_trusted_no_more_is_cut_off(
    application: Application, opened: Opener
) -> None:
    """4403 tells its page to stop; other pages go on."""
    row, _ = await trust(APP), await trust(OTHER)
    socket, rest = await opened(application, origin=APP), await opened(origin=OTHER)
    await change(row, is_active=False)

    assert await socket.ended() == 4403
    assert AsyncEcho.codes == [4403]
    assert await rest.is_open()


@pytest.mark.usefixtures("database_only")
async def test_many_connections_are_decided_about_a_few_at_a_time(
    opened: Opener,
) -> None:
    """Other work of the event loop has its turn in between; none is forgotten."""
    row, _ = await trust(APP), await trust(OTHER)
    guarded = OriginGuard(AsyncEcho.as_asgi())
    sockets = [await opened(guarded, origin=APP) for _ in range(120)]
    rest = await opened(guarded, origin=OTHER)
    await change(row, is_active=False)

    assert {await socket.ended() for socket in sockets} == {4403}
    assert await rest.is_open()


@pytest.mark.usefixtures("database_only")
async def test_a_row_that_expires_cuts_its_origin_off(opened: Opener) -> None:
    """Without anybody's hand, and without a poll."""
    await trust(APP, expires_at=timezone.now() + timedelta(seconds=0.8))
    socket = await opened(origin=APP)

    assert await socket.ended() == 4403


@pytest.mark.usefixtures("database_only")
async def test_who_may_have_the_session_no_more_loses_the_socket_that_has_it(
    opened: Opener,
) -> None:
    """An origin may do over a WebSocket what it may do over HTTP, and nothing more."""
    row = await trust(APP, allow_credentials=True)
    client = await log_in(await make_user())
    socket = await opened(origin=APP, cookies=client.cookies)
    without = await opened(origin=APP)
    await change(row, allow_credentials=False)

    assert await socket.ended() == 4403
    assert await without.is_open()


async def test_a_changed_setting_counts_at_the_next_look(opened: Opener) -> None:
    """In tests, where settings change."""
    with polling():
        with override_policy(APP):
            socket = await opened(origin=APP)

        assert await socket.ended() == 4403


@pytest.mark.usefixtures("database_only")
async def test_a_change_during_a_handshake_is_not_missed(opened: Opener) -> None:
    """Decided by the policy of before, looked after from the one of after on."""
    row, _ = await trust(APP), await trust(OTHER)
    witness, _ = await opened(origin=APP), await opened(origin=OTHER)
    one, before = watcher(), await aget_policy()
    await change(row, is_active=False)
    assert await witness.ended() == 4403

    async def nothing(*_: Any) -> None:
        """Be a server's side that takes everything."""

    late = Connection(
        Handshake("/ws/", APP), shared_terms(None, "t", ""), nothing, nothing
    )
    one.add(late, before)
    await aeventually(lambda: late.code == 4403)


# By an operator's hand


async def test_an_operator_disconnects_a_user(opened: Opener) -> None:
    """All his connections of now, in every session; he may come again."""
    user, other = await make_user(), await make_user("bob")
    client = await log_in(user)
    _, text = await mint(user=user)
    sockets = [await opened(cookies=client.cookies), await opened(token=text)]
    rest = await opened(cookies=(await log_in(other)).cookies)
    await sync_to_async(tokens.disconnect)(user=user)

    assert [await one.ended() for one in sockets] == [4401, 4401]
    assert await rest.is_open()
    again = await opened(cookies=client.cookies)
    await told(Hint("disconnection", "0"))
    assert await again.is_open()


async def test_an_operator_disconnects_a_token(opened: Opener) -> None:
    """That token's connections alone."""
    token, text = await mint()
    _, other = await mint()
    socket, rest = await opened(token=text), await opened(token=other)
    await sync_to_async(tokens.disconnect)(token=token)

    assert await socket.ended() == 4401
    assert await rest.is_open()


async def test_an_operator_disconnects_an_origin(opened: Opener) -> None:
    """By a pattern, whatever else they rest upon."""
    with override_policy("https://*.example"):
        socket, rest = await opened(origin=APP), await opened(origin=OTHER)
        await sync_to_async(tokens.disconnect)(origin="https://app.example/")

        assert await socket.ended() == 4403
        assert await rest.is_open()


async def test_an_order_that_nobody_tells_is_found(opened: Opener) -> None:
    """Another process gave it, and there is no channel layer."""
    with polling():
        user = await make_user()
        socket = await opened(cookies=(await log_in(user)).cookies)
        order = Disconnection(user=user)
        await order.asave()

        assert await socket.ended() == 4401


# Report-only, outages, and what is left behind


async def test_report_only_says_what_would_be_closed(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is cut off by what is only tried."""
    token, text = await mint()
    guarded = GuardedAsyncEcho.as_asgi(report_only=True)
    socket = await opened(guarded, token=text)
    await revoke(token)
    await told(Hint("token", str(token.pk)))

    assert "would close (report-only) connections=1 code=4410" in caplog.text
    assert await socket.is_open()


@pytest.mark.parametrize(
    ("outer", "inner", "ends"),
    [
        pytest.param(True, False, True, id="the inner one means it"),
        pytest.param(False, True, False, id="the inner one only tries"),
    ],
)
async def test_a_guard_that_only_tries_does_not_speak_for_another(
    outer: bool, inner: bool, ends: bool, opened: Opener
) -> None:
    """Each guard closes, or reports, on its own terms."""
    with override_policy(APP, inherit=["database"]):
        row = await trust(OTHER)
        guarded = OriginGuard(
            GuardedAsyncEcho.as_asgi(allowed_origins=[SITE], report_only=inner),
            allowed_origins=[OTHER],
            report_only=outer,
        )
        socket = await opened(guarded, origin=OTHER)
        await change(row, is_active=False)

        if ends:
            assert await socket.ended() == 4403
        else:
            await told(Hint("origins"))
            assert await socket.is_open()


@pytest.mark.parametrize("ends", ["outside", "inside"])
async def test_guards_on_the_way_share_one_connection(
    ends: str, opened: Opener
) -> None:
    """It stands for as long as each of them lets it in, on its own terms."""
    guarded = OriginGuard(
        GuardedAsyncEcho.as_asgi(audience="inside"), audience="outside"
    )
    with override_policy(inherit=["database"]):
        rows = {
            audience: await trust(APP, audience=audience)
            for audience in ("outside", "inside")
        }
        other = await trust(OTHER)
        socket = await opened(guarded, origin=APP)
        assert open_connections() == 1
        await change(other, is_active=False)
        await told(Hint("origins"))
        assert await socket.is_open()
        await change(rows[ends], is_active=False)

        assert await socket.ended() == 4403


async def test_one_line_for_all_that_is_closed(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """A revocation closes thousands, and writes one line."""
    token, text = await mint()
    sockets = [await opened(token=text) for _ in range(25)]
    await revoke(token)
    for socket in sockets:
        assert await socket.ended() == 4410

    lines = [one for one in caplog.records if one.name == "wsorigin.live.watcher"]
    assert [one.getMessage() for one in lines] == [
        "closed connections=25 code=4410 reason=credential ended"
    ]


async def test_an_outage_closes_nothing(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """Only an answer does; it is logged once, and over without a restart."""
    caplog.set_level(logging.INFO)
    table = ConnectionToken._meta.db_table

    @sync_to_async
    def rename(old: str, new: str) -> None:
        with database.cursor() as cursor:
            cursor.execute(f'ALTER TABLE "{old}" RENAME TO "{new}"')

    async def logged(text: str) -> None:
        await aeventually(lambda: text in caplog.text)

    with polling():
        token, text = await mint()
        socket = await opened(token=text)
        await rename(table, "away")
        try:
            await logged("connections cannot be looked after; they stay open")
            looked_at = watcher()._looked_at
            await aeventually(lambda: watcher()._looked_at > looked_at)
            assert await socket.is_open()
        finally:
            await rename("away", table)
        await logged("connections are looked after again")
        await revoke(token)

        assert await socket.ended() == 4410
    assert caplog.text.count("cannot be looked after") == 1


async def test_nothing_is_left_behind(opened: Opener) -> None:
    """With the last connection goes the look at them; what stays is a timer."""
    before = asyncio.all_tasks()
    sockets = [await opened() for _ in range(3)]
    assert open_connections() == 3
    for socket in sockets:
        await socket.leave()
    await aeventually(lambda: not asyncio.all_tasks() - before)

    assert open_connections() == 0
    assert watcher()._looking is None


@pytest.mark.parametrize("report_only", [False, True])
async def test_a_ticket_behind_another_guard_ends_with_its_session(
    report_only: bool, opened: Opener
) -> None:
    """Also where the guard that used the ticket up enforces nothing, and ends nothing."""
    user = await make_user()
    client = await log_in(user)
    _, text = await ticket(user, client)
    guarded = OriginGuard(SIMPLE, report_only=report_only)
    socket = await opened(guarded, token=text, origin=OWN)
    await sync_to_async(client.logout)()

    assert await socket.ended() == 4401


async def test_a_consumer_can_end_its_own_connection(opened: Opener) -> None:
    """By hand, with a code of its own; `disconnect` is called as for any other end."""

    class Quitting(OriginGuardMixin, AsyncEcho):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            self.scope["wsorigin"].connection.end(4000)

    _, text = await mint()
    socket = await opened(Quitting.as_asgi(), token=text)
    await socket.communicator.send_to("quit")
    message = await socket.communicator.receive_output(3)
    await socket.communicator.wait(3)

    assert message == {"type": "websocket.close", "code": 4000}
    assert AsyncEcho.codes == [4000]


async def test_the_guard_waits_until_the_server_has_taken_its_close() -> None:
    """Some servers close by themselves where an application is over, without a code."""
    calls: list[str] = []
    taken = asyncio.Event()

    async def quits(scope: Any, receive: Any, send: Any) -> None:
        scope["wsorigin"].connection.end(4000)

    async def send(message: Any) -> None:
        calls.append("close")
        await taken.wait()
        calls.append("taken")

    with override_policy(APP):
        scope = {
            "type": "websocket",
            "path": "/",
            "headers": [(b"origin", APP.encode())],
        }
        silent = asyncio.Queue[Any]().get
        running = asyncio.create_task(OriginGuard(quits)(scope, silent, send))
        await aeventually(lambda: calls == ["close"])
        assert not running.done()
        taken.set()
        await running

    assert calls == ["close", "taken"]


async def test_revoked_during_a_long_handler(opened: Opener) -> None:
    """The client is cut off at once; the handler ends in its own time, unheard."""
    working, go_on = asyncio.Event(), asyncio.Event()

    class Slow(OriginGuardMixin, AsyncEcho):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            working.set()
            await go_on.wait()
            await self.send(text_data="too late")

    token, text = await mint()
    socket = await opened(Slow.as_asgi(), token=text)
    await socket.communicator.send_to("work")
    await working.wait()
    await revoke(token)
    message = await socket.communicator.receive_output(3)
    go_on.set()
    await socket.communicator.wait(3)

    assert message == {"type": "websocket.close", "code": 4410}
    assert socket.communicator.output_queue.empty()
    assert AsyncEcho.codes == [4410]
