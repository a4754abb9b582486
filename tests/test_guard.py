"""
The guard: who gets through, with what, and who learns of it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import pytest
from channels.auth import AuthMiddlewareStack
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from wsorigin import announcing, hooks
from wsorigin.admission import Admission
from wsorigin.consumers import GuardedWebsocketConsumer
from wsorigin.diagnosis import sign
from wsorigin.guard import OriginGuard
from wsorigin.handshake import (
    CREDENTIAL_PREFIX,
    MARKER,
    PREFLIGHT,
    Handshake,
    Message,
    Receive,
    Scope,
    Send,
)
from wsorigin.models import TrustedOrigin
from wsorigin.policy import SITE, Decision, Reason
from wsorigin.refresh import get_policy
from wsorigin.signals import handshake_checked
from wsorigin.testing import Answer, OriginCommunicator, override_policy

ClientOf = Callable[..., OriginCommunicator]

APP = "https://app.example"
PARTNER = "https://partner.example"
EVIL = "https://evil.example"
OWN = "http://testserver"
CREDENTIAL = f"{CREDENTIAL_PREFIX}c2VjcmV0"


# Plain hooks and consumers run in a thread, where Channels looks after the database's
# connections, even where there are none.
pytestmark = pytest.mark.django_db


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


async def run(app: Any, **scope: Any) -> list[Message]:
    """Run an application from connect to disconnect; return what it sent."""
    inbox: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return inbox.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": "/ws/", **scope}, receive, send)
    return sent


@pytest.fixture
def app() -> Recorder:
    """The application behind the guard."""
    return Recorder()


@pytest.fixture
def listed() -> Iterator[None]:
    """Trust one origin, and the site's own pages."""
    with override_policy(APP):
        yield


# Through, or not.


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("origin", [APP, OWN])
async def test_lets_an_allowed_origin_through(
    origin: str, app: Recorder, origin_client: ClientOf
) -> None:
    """The application runs, with what the guard found in its scope."""
    client = origin_client(OriginGuard(app), "/ws/?a=b", origin=origin)
    answer = await client.handshake()

    assert answer == Answer(101)
    assert app.scopes[0] == {
        **client.scope,
        "wsorigin": app.scopes[0]["wsorigin"],
    }
    admission = app.scopes[0]["wsorigin"]
    handshake = Handshake.from_scope(client.scope)
    decisive = {name: handshake.headers[name] for name in (b"host", b"origin")}
    assert admission == Admission(
        handshake._replace(headers=decisive),
        get_policy().decide(handshake),
        enforced=True,
        token=None,
        connection=admission.connection,
    )
    assert admission.connection.handshake is admission.handshake
    assert "wsorigin" not in client.scope


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        pytest.param(EVIL, Reason.UNLISTED, id="lessons 22 to 29: a foreign page"),
        pytest.param("https://www.app.example", Reason.UNLISTED, id="a sibling"),
        pytest.param(None, Reason.MISSING, id="none"),
        pytest.param("null", Reason.OPAQUE, id="null"),
        pytest.param(f"{APP},{EVIL}", Reason.MULTIPLE, id="two"),
        pytest.param("", Reason.MALFORMED, id="lessons 20: empty"),
        pytest.param(f"{APP}:99999", Reason.MALFORMED, id="lessons 20: port"),
        pytest.param("http://]", Reason.MALFORMED, id="lessons 20: bracket"),
        pytest.param(b"https://\xff", Reason.MALFORMED, id="lessons 21: bytes"),
    ],
)
async def test_denies_before_the_application_runs(
    origin: str | bytes | None, reason: Reason, app: Recorder, origin_client: ClientOf
) -> None:
    """Lessons 41: a denial stops the application, it does more than add a header."""
    answer = await origin_client(OriginGuard(app), "/ws/", origin=origin).handshake()

    assert answer == Answer(403, reason)
    assert app.scopes == []


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("first", [APP, EVIL])
async def test_denies_repeated_origin_headers(
    first: str, app: Recorder, origin_client: ClientOf
) -> None:
    """Lessons 37: neither the first nor the last of two wins."""
    second = {APP: EVIL, EVIL: APP}[first]
    client = origin_client(
        OriginGuard(app), "/ws/", origin=first, headers=[(b"origin", second.encode())]
    )

    assert (await client.handshake()).reason is Reason.MULTIPLE


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("kind", ["http", "lifespan"])
async def test_passes_other_scopes_on_unchanged(kind: str) -> None:
    """HTTP has its own rules; the guard is not in their way."""
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    passed: Any = ({"type": kind, "headers": [(b"origin", b"x")]}, object(), object())
    await OriginGuard(app)(*passed)

    assert all(one is other for one, other in zip(seen[0], passed, strict=True))


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("origin", "count"), [(b"https://app.example", 1), (b"https://evil.example", 0)]
)
async def test_guards_websockets_over_http_2(
    origin: bytes, count: int, app: Recorder
) -> None:
    """Extended CONNECT has neither Upgrade nor Sec-WebSocket-Key (RFC 8441)."""
    await run(
        OriginGuard(app),
        http_version="2",
        scheme="wss",
        headers=[(b"host", b"testserver"), (b"origin", origin)],
    )

    assert len(app.scopes) == count


@pytest.mark.parametrize("headers", [{}, {"headers": None}, {"headers": []}])
@pytest.mark.parametrize("missing", ["allow", "deny"])
async def test_answers_a_scope_without_headers(
    missing: str, headers: dict[str, Any], app: Recorder
) -> None:
    """No scope makes the guard raise; without headers there is no Origin."""
    with override_policy(WSORIGIN_MISSING_ORIGIN=missing):
        sent = await run(OriginGuard(app), **headers)

    assert [message["type"] for message in sent] == [
        "websocket.accept" if missing == "allow" else "websocket.close"
    ]


header_names = st.sampled_from(
    [b"origin", b"host", b"cookie", b"sec-fetch-site", b"sec-websocket-protocol"]
)
header_values = st.binary(max_size=12) | st.sampled_from(
    [
        b"https://app.example",
        b"null",
        b"testserver",
        b"http://testserver",
        b"cross-site",
    ]
)
allowing = [(b"host", b"testserver"), (b"origin", b"https://app.example")]


@given(
    st.lists(
        st.tuples(header_names | st.binary(max_size=6), header_values), max_size=6
    ),
    st.none() | st.lists(st.sampled_from([MARKER, CREDENTIAL, "chat"]), max_size=3),
    st.booleans(),
)
@example(allowing, None, False)
@example(allowing, [MARKER, CREDENTIAL], True)
async def test_answers_any_headers(
    headers: list[tuple[bytes, bytes]], subprotocols: list[str] | None, close: bool
) -> None:
    """The guard never raises, and the application runs for nobody that is denied."""
    app = Recorder()
    with override_policy(APP, "null", WSORIGIN_DENY_WITH="close" if close else "http"):
        allowed = get_policy().decide(Handshake.from_scope({"headers": headers}))
        allowed = allowed and CREDENTIAL not in (subprotocols or ())  # malformed
        sent = await run(OriginGuard(app), headers=headers, subprotocols=subprotocols)

    assert len(app.scopes) == bool(allowed)
    assert len(sent) == 2 if (close and not allowed) else len(sent) == 1
    assert all(message.get("subprotocol") != CREDENTIAL for message in sent)


@pytest.mark.usefixtures("listed")
async def test_changed_settings_count_for_the_next_handshake(app: Recorder) -> None:
    """``override_settings`` takes effect at once, also for an endpoint's own list."""
    headers = [(b"host", b"testserver"), (b"origin", b"https://partner.example")]
    guarded = OriginGuard(app, allowed_origins=[SITE, "https://other.example"])

    await run(guarded, headers=headers)
    assert len(app.scopes) == 0
    with override_settings(WSORIGIN_ALLOWED_ORIGINS=[PARTNER]):
        await run(guarded, headers=headers)
    assert len(app.scopes) == 1
    await run(guarded, headers=headers)
    assert len(app.scopes) == 1


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"WSORIGIN_ALLOWED_ORIGINS": EVIL}, id="lessons 44: a string"),
        pytest.param({"WSORIGIN_ALLOW_ALL_ORIGINS": "False"}, id="all origins"),
        pytest.param({"WSORIGIN_REPORT_ONLY": "False"}, id="report-only"),
        pytest.param({"WSORIGIN_DENY_WITH": ["close"]}, id="deny with"),
        pytest.param({"WSORIGIN_INHERIT": [["debug"]]}, id="inherit"),
        pytest.param({"WSORIGIN_MISSING_ORIGIN": {}}, id="missing origin"),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": ["a{99999999999}"]}, id="regex"
        ),
        pytest.param({"SECURE_PROXY_SSL_HEADER": ("x",)}, id="proxy header"),
    ],
)
async def test_denies_whatever_a_setting_holds(
    settings: dict[str, Any], app: Recorder, origin_client: ClientOf
) -> None:
    """Lessons 44: a wrong type fails closed, with 403 and not with 500."""
    with override_policy(**settings):
        answer = await origin_client(OriginGuard(app), "/", origin=EVIL).handshake()

    assert answer == Answer(403, Reason.UNLISTED)
    assert app.scopes == []


# An endpoint's own list.


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("allowed_origins", "allowed"),
    [
        pytest.param(None, [APP, OWN], id="default"),
        pytest.param([SITE], [APP, OWN], id="the site's"),
        pytest.param([SITE, PARTNER], [APP, OWN, PARTNER], id="the site's and more"),
        pytest.param((PARTNER,), [PARTNER], id="others"),
        pytest.param([], [], id="lessons 18: nobody"),
        pytest.param(["https://*.example"], [APP, PARTNER, EVIL], id="a wildcard"),
    ],
)
async def test_an_endpoint_may_have_its_own_list(
    allowed_origins: Sequence[str] | None, allowed: list[str], app: Recorder
) -> None:
    """`SITE` stands for all that the site's settings allow; without it they don't."""
    guarded = OriginGuard(app, allowed_origins=allowed_origins)
    for origin in (APP, OWN, PARTNER, EVIL):
        await run(
            guarded, headers=[(b"host", b"testserver"), (b"origin", origin.encode())]
        )

    assert [scope["wsorigin"].handshake.origin for scope in app.scopes] == allowed


@pytest.mark.usefixtures("listed")
async def test_a_rule_of_an_endpoint_names_it(app: Recorder) -> None:
    """A decision's rule says which list of which endpoint it stands in."""
    guarded = OriginGuard(app, allowed_origins=[SITE, PARTNER], name="Prices")
    await run(guarded, headers=[(b"origin", PARTNER.encode())])

    decision = app.scopes[0]["wsorigin"].decision
    assert str(decision.rule) == f"{PARTNER} (Prices.allowed_origins[1])"
    assert decision.credentials is True


@pytest.mark.parametrize(
    ("allowed_origins", "message"),
    [
        pytest.param(APP, "Prices.allowed_origins is 'https://app.exa", id="a string"),
        pytest.param({APP: 1}, "not a list of origins", id="a dictionary"),
        pytest.param(7, "Prices.allowed_origins is 7, not a list", id="a number"),
        pytest.param(
            [SITE, "app.example"],
            r"Prices.allowed_origins\[1\] is 'app.example': it has no scheme. "
            "Write 'https://app.example'.",
            id="an entry that is none",
        ),
        pytest.param(["*"], "Set WSORIGIN_ALLOW_ALL_ORIGINS", id="a star"),
        pytest.param([None], "it isn't a string", id="None"),
        pytest.param([[APP]], "it isn't a string", id="a nested list"),
    ],
)
def test_refuses_a_list_that_is_none(
    allowed_origins: Any, message: str, app: Recorder
) -> None:
    """A mistake in code is found when the code is loaded, and named."""
    with pytest.raises(ImproperlyConfigured, match=message):
        OriginGuard(app, allowed_origins=allowed_origins, name="Prices")


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_two_mounts_of_one_application_stay_apart(
    order: tuple[int, int], app: Recorder
) -> None:
    """Lessons 4: the first endpoint to be reached does not decide for the other."""
    mounts = [
        OriginGuard(app, allowed_origins=[PARTNER]),
        OriginGuard(app, allowed_origins=[EVIL]),
    ]
    allowed = []
    for index in order:
        for origin in (PARTNER, EVIL):
            before = len(app.scopes)
            await run(mounts[index], headers=[(b"origin", origin.encode())])
            allowed += [(index, origin)] * (len(app.scopes) - before)

    assert sorted(allowed) == [(0, PARTNER), (1, EVIL)]


@pytest.mark.usefixtures("listed")
async def test_equal_lists_share_one_policy(app: Recorder) -> None:
    """Compiled once for each content, whoever asks."""
    one = OriginGuard(app, allowed_origins=[SITE, PARTNER])
    other = OriginGuard(app, allowed_origins=(SITE, PARTNER))

    assert await one.policy_for({}) is await other.policy_for({})


@pytest.mark.usefixtures("listed")
async def test_lists_without_end_are_not_kept_without_end(app: Recorder) -> None:
    """A hook that never gives the same list twice costs bounded memory."""

    async def tenants(scope: Scope) -> list[str]:
        return [f"https://{scope['tenant']}.example"]

    guarded = OriginGuard(app, allowed_origins=tenants)
    for tenant in range(1500):
        policy = await guarded.policy_for({"tenant": tenant})
        assert policy.decide(Handshake("/", f"https://{tenant}.example"))

    assert len(get_policy().endpoints) <= 1024


# Hooks.


def plain(scope: Scope) -> list[str]:
    """A hook in a thread."""
    return [f"https://{scope['path'].strip('/')}.example"]


async def coroutine(scope: Scope) -> list[str]:
    """A hook in the event loop."""
    return plain(scope)


class Callables:
    """A hook that is neither."""

    async def __call__(self, scope: Scope) -> list[str]:
        return plain(scope)


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    "hook", [plain, coroutine, Callables(), lambda scope: coroutine(scope)]
)
@pytest.mark.parametrize(
    ("path", "origin", "allowed"),
    [
        ("/partner/", PARTNER, True),
        ("/other/", PARTNER, False),
        ("/partner/", APP, False),
    ],
)
async def test_a_hook_gives_the_list_for_one_handshake(
    hook: Any,
    path: str,
    origin: str,
    allowed: bool,
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """Sync or async; a tenant's origins are no other tenant's."""
    guarded = OriginGuard(app, allowed_origins=hook)
    answer = await origin_client(guarded, path, origin=origin).handshake()

    assert bool(answer) is allowed


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lazy", [False, True])
async def test_a_plain_hook_may_use_the_orm(
    lazy: bool, app: Recorder, origin_client: ClientOf
) -> None:
    """It runs in a thread; a lazy query set is a list of patterns like another."""
    await User.objects.acreate(username=PARTNER)

    def tenants(scope: Scope) -> Any:
        found = User.objects.values_list("username", flat=True)
        return found if lazy else list(found)

    guarded = OriginGuard(app, allowed_origins=tenants)

    assert await origin_client(guarded, "/ws/", origin=PARTNER).handshake()
    assert not await origin_client(guarded, "/ws/", origin=EVIL).handshake()


async def test_a_plain_hook_sees_what_the_handshake_set(app: Recorder) -> None:
    """Its thread has the context of the handshake: a tenant, a language, a trace."""
    tenant: ContextVar[str] = ContextVar("tenant")
    tenant.set("partner")
    guarded = OriginGuard(
        app, allowed_origins=lambda scope: [f"https://{tenant.get()}.example"]
    )

    assert (await guarded.policy_for({})).decide(Handshake("/", PARTNER))


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_a_hook_that_hangs_trusts_nobody(
    kind: str, app: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server waits for a handshake so long and no longer."""
    monkeypatch.setattr(hooks, "_PATIENCE", 0.05)
    release = threading.Event()

    def hangs(scope: Scope) -> list[str]:
        release.wait()
        return [EVIL]

    async def hangs_too(scope: Scope) -> list[str]:
        return await asyncio.get_running_loop().create_future()

    hook = hangs if kind == "plain" else hangs_too
    guarded = OriginGuard(app, allowed_origins=hook)
    try:
        policy = await asyncio.wait_for(guarded.policy_for({}), 5)
    finally:
        release.set()

    assert policy.rules == ()


def raising(scope: Scope) -> list[str]:
    """A hook with a bug."""
    raise RuntimeError("the tenants' table is gone")


async def raising_coroutine(scope: Scope) -> list[str]:
    """A coroutine with a bug."""
    return raising(scope)


@pytest.mark.parametrize(
    "hook",
    [
        pytest.param(raising, id="raises"),
        pytest.param(raising_coroutine, id="raises, a coroutine"),
        pytest.param(lambda scope: APP, id="a string"),
        pytest.param(lambda scope: APP.encode(), id="bytes"),
        pytest.param(lambda scope: 7, id="a number"),
        pytest.param(lambda scope: True, id="true"),
        pytest.param(lambda scope: {APP: False}, id="a dictionary"),
        pytest.param(lambda scope: [None, 3, "", "*", "app.example"], id="entries"),
        pytest.param(lambda scope: [[APP]], id="a nested list"),
        pytest.param(lambda: [APP], id="wrong arguments"),
    ],
)
async def test_a_broken_hook_trusts_nobody(
    hook: Any,
    app: Recorder,
    origin_client: ClientOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Stricter, never looser, and no 500 for a stranger to provoke; the log says it."""
    with override_policy(APP):
        guarded = OriginGuard(app, allowed_origins=hook, name="Prices")
        answers = [
            await origin_client(guarded, "/ws/", origin=origin).handshake()
            for origin in (APP, OWN, EVIL)
        ]

    assert answers == [Answer(403, Reason.UNLISTED)] * 3
    assert app.scopes == []
    assert any(
        record.levelno == logging.ERROR and "Prices" in record.getMessage()
        for record in caplog.records
    )


@pytest.mark.usefixtures("listed")
async def test_the_other_entries_of_a_hook_still_count(
    app: Recorder, origin_client: ClientOf
) -> None:
    """One tenant's typing mistake shuts nobody else out."""
    guarded = OriginGuard(app, allowed_origins=lambda scope: ["partner", PARTNER])

    assert await origin_client(guarded, "/ws/", origin=PARTNER).handshake()


@pytest.mark.usefixtures("listed")
async def test_a_hook_may_return_none_for_the_default(
    app: Recorder, origin_client: ClientOf
) -> None:
    """None is the attribute's default too, and means the site's policy."""
    guarded = OriginGuard(app, allowed_origins=lambda scope: None)

    assert await origin_client(guarded, "/ws/", origin=APP).handshake()
    assert not await origin_client(guarded, "/ws/", origin=EVIL).handshake()


@pytest.mark.usefixtures("listed")
async def test_a_hook_that_can_be_read_once_spoils_no_other(app: Recorder) -> None:
    """What is remembered for a list is what the list says."""
    once = OriginGuard(app, allowed_origins=lambda scope: (one for one in [PARTNER]))
    await once.policy_for({})
    policy = await OriginGuard(app, allowed_origins=[PARTNER]).policy_for({})

    assert policy.decide(Handshake("/", PARTNER))


async def prices(scope: Scope) -> str:
    """An audience in the event loop."""
    return "prices"


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        pytest.param("prices", "prices", id="fixed"),
        pytest.param(lambda scope: "prices", "prices", id="plain hook"),
        pytest.param(prices, "prices", id="coroutine"),
        pytest.param(lambda scope: None, "", id="no answer"),
        pytest.param(raising, "", id="raises"),
        pytest.param(raising_coroutine, "", id="raises, a coroutine"),
    ],
)
async def test_an_endpoint_has_an_audience(
    audience: Any, expected: str, app: Recorder
) -> None:
    """Fixed, or found for one handshake; none where that fails."""
    assert await OriginGuard(app, audience=audience).audience_for({}) == expected


async def test_a_guard_of_which_nothing_is_said(app: Recorder) -> None:
    """The site's policy, for no audience, under the name of the class."""
    guarded = OriginGuard(app)

    assert await guarded.policy_for({}) is get_policy()
    assert await guarded.audience_for({}) == ""
    assert guarded.name == "OriginGuard"


async def test_a_hook_for_the_audience_may_return_anything(
    app: Recorder, origin_client: ClientOf
) -> None:
    """What is no audience of any rule matches the rules for all."""
    with override_policy(APP):
        guarded = OriginGuard(app, audience=lambda scope: [None])
        answer = await origin_client(guarded, "/ws/", origin=APP).handshake()

    assert answer


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("audience", "allowed"), [("prices", True), ("chat", False), ("", False)]
)
async def test_a_rule_for_another_audience_does_not_count(
    audience: str, allowed: bool, app: Recorder, origin_client: ClientOf
) -> None:
    """The endpoint's audience reaches the decision."""
    await TrustedOrigin.objects.acreate(pattern=APP, audience="prices")
    guarded = OriginGuard(app, audience=audience)
    with override_settings(WSORIGIN_INHERIT=["database"]):
        answer = await origin_client(guarded, "/ws/", origin=APP).handshake()

    assert bool(answer) is allowed


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("origin", [APP, OWN])
async def test_an_endpoint_may_require_a_token(
    origin: str, app: Recorder, origin_client: ClientOf
) -> None:
    """An allowed origin is not enough there."""
    guarded = OriginGuard(app, require_token=True)
    answer = await origin_client(guarded, "/ws/", origin=origin).handshake()

    assert answer == Answer(403, Reason.TOKEN_REQUIRED)
    assert app.scopes == []


@pytest.mark.usefixtures("listed")
async def test_a_foreign_origin_is_not_asked_for_a_token(
    app: Recorder, origin_client: ClientOf
) -> None:
    """The origin's own reason comes first."""
    guarded = OriginGuard(app, require_token=True, subprotocols=["chat"])
    answer = await origin_client(guarded, "/ws/", origin=EVIL).handshake()

    assert answer.reason is Reason.UNLISTED


# Report-only, and how to deny.


@pytest.mark.parametrize(
    ("setting", "keyword", "enforced"),
    [
        pytest.param(False, None, True, id="default"),
        pytest.param(True, None, False, id="setting"),
        pytest.param(False, True, False, id="endpoint"),
        pytest.param(True, False, True, id="endpoint against setting"),
        pytest.param("True", None, True, id="a setting of the wrong type"),
        pytest.param(False, "False", True, id="a keyword of the wrong type"),
    ],
)
async def test_report_only_lets_denials_through(
    setting: Any,
    keyword: Any,
    enforced: bool,
    app: Recorder,
    origin_client: ClientOf,
    denials: Callable[[], list[str]],
) -> None:
    """Lessons 46: a denial that is only recorded goes on with all that it brought."""
    with override_policy(APP, WSORIGIN_REPORT_ONLY=setting):
        client = origin_client(
            OriginGuard(app, report_only=keyword),
            "/ws/",
            origin=EVIL,
            headers=[(b"cookie", b"sessionid=x")],
        )
        answer = await client.handshake()

    assert bool(answer) is not enforced
    assert len(app.scopes) == (not enforced)
    for scope in app.scopes:
        assert scope["wsorigin"].decision == Decision(False, Reason.UNLISTED)
        assert scope["wsorigin"].enforced is False
        assert scope["wsorigin"].connection is None  # nobody would close it again
        assert (b"cookie", b"sessionid=x") in scope["headers"]
    assert denials()[0].startswith(
        "denied origin='https://evil.example'"
        if enforced
        else "would deny (report-only) origin='https://evil.example'"
    )


@pytest.mark.usefixtures("listed")
async def test_report_only_says_nothing_about_allowed_handshakes(
    app: Recorder, origin_client: ClientOf, denials: Callable[[], list[str]]
) -> None:
    """The log has what would be denied, and no more."""
    client = origin_client(OriginGuard(app, report_only=True), "/ws/", origin=APP)

    assert await client.handshake()
    assert app.scopes[0]["wsorigin"].decision.reason is Reason.LISTED
    assert denials() == []


@pytest.mark.parametrize(
    ("deny_with", "offered", "expected"),
    [
        pytest.param("http", [], Answer(403, Reason.UNLISTED), id="http"),
        pytest.param("nonsense", [], Answer(403, Reason.UNLISTED), id="nonsense"),
        pytest.param("close", [], Answer(101, None, None, 4403), id="close"),
        pytest.param(
            "close",
            ["chat"],
            Answer(101, None, "chat", 4403),
            id="close, or Chromium fails the handshake: the client's first",
        ),
        pytest.param(
            "close",
            [CREDENTIAL, MARKER],
            Answer(101, None, MARKER, 4403),
            id="close: our marker, never the credential",
        ),
        pytest.param(
            "close",
            ["v1", "v2", MARKER],
            Answer(101, None, "v2", 4403),
            id="close: the endpoint's best",
        ),
        pytest.param(
            "close",
            [CREDENTIAL],
            Answer(101, None, None, 4403),
            id="close: nothing else",
        ),
    ],
)
async def test_denies_as_the_setting_says(
    deny_with: str,
    offered: list[str],
    expected: Answer,
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """403 before the socket opens, or open and close with a code a page can read."""
    with override_policy(WSORIGIN_DENY_WITH=deny_with):
        client = origin_client(
            OriginGuard(app, subprotocols=["v2"]),
            "/ws/",
            origin=EVIL,
            subprotocols=offered,
        )
        answer = await client.handshake()

    assert answer == expected
    assert not answer
    assert app.scopes == []


async def test_answers_with_a_response_only_where_the_server_can(app: Recorder) -> None:
    """Daphne's scope offers none, and would hang."""
    sent = await run(OriginGuard(app), headers=[(b"origin", EVIL.encode())])

    assert sent == [{"type": "websocket.close", "code": 4403}]


# Subprotocols.


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("spoken", "offered", "accept", "selected"),
    [
        pytest.param([], [], {}, None, id="none offered"),
        pytest.param([], ["chat"], {}, None, id="the application's business"),
        pytest.param([], ["chat"], {"subprotocol": "chat"}, "chat", id="its choice"),
        pytest.param([], [MARKER], {}, MARKER, id="marker"),
        pytest.param(
            [],
            [MARKER],
            {"subprotocol": CREDENTIAL},
            MARKER,
            id="a credential is never selected, not even by the application",
        ),
        pytest.param(
            [], ["chat", MARKER], {"subprotocol": None}, MARKER, id="no choice, marker"
        ),
        pytest.param(
            [], ["chat", MARKER], {"subprotocol": "chat"}, "chat", id="choice, marker"
        ),
        pytest.param(["v2", "v1"], ["v1", "v2"], {}, "v2", id="the server's order"),
        pytest.param(["v2", "v1"], ["x", "v1"], {}, "v1", id="the common one"),
        pytest.param(
            ["v2", "v1"],
            ["v1", "v2"],
            {"subprotocol": "v1"},
            "v1",
            id="the application's choice before ours",
        ),
        pytest.param(["v1"], [MARKER, "v1"], {}, "v1", id="rather than marker"),
    ],
)
async def test_selects_a_subprotocol(
    spoken: list[str],
    offered: list[str],
    accept: dict[str, Any],
    selected: str | None,
    origin_client: ClientOf,
) -> None:
    """Chromium fails a handshake that offered some and was given none."""
    client = origin_client(
        OriginGuard(Recorder(**accept), subprotocols=spoken),
        "/ws/",
        origin=APP,
        subprotocols=offered,
    )

    assert await client.handshake() == Answer(101, subprotocol=selected)


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("offered", [[], ["v3"], [MARKER, CREDENTIAL]])
async def test_denies_a_client_that_speaks_none_of_them(
    offered: list[str], app: Recorder, origin_client: ClientOf
) -> None:
    """None in common: the endpoint could not answer in a language of both."""
    guarded = OriginGuard(app, subprotocols=["v2", "v1"])
    client = origin_client(guarded, "/ws/", origin=APP, subprotocols=offered)

    assert await client.handshake() == Answer(403, Reason.NO_COMMON_SUBPROTOCOL)
    assert app.scopes == []


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("offered", "kept", "header"),
    [
        pytest.param([], [], [], id="none"),
        pytest.param(["v1", "v2"], ["v1", "v2"], [b"v1, v2"], id="the application's"),
        pytest.param([MARKER, CREDENTIAL], [], [], id="ours"),
        pytest.param(
            [MARKER, "v1", CREDENTIAL, "v2"], ["v1", "v2"], [b"v1, v2"], id="both"
        ),
    ],
)
async def test_the_credential_never_reaches_the_application(
    offered: list[str],
    kept: list[str],
    header: list[bytes],
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """Neither in the list nor in the header, also where a denial is only reported."""
    guarded = OriginGuard(app, report_only=True)
    client = origin_client(guarded, "/ws/", origin=APP, subprotocols=offered)
    await client.handshake()

    [scope] = app.scopes
    assert scope["subprotocols"] == kept
    assert [
        value for name, value in scope["headers"] if name == b"sec-websocket-protocol"
    ] == header
    assert CREDENTIAL not in str(scope)
    assert client.scope["subprotocols"] == offered


@pytest.mark.usefixtures("listed")
async def test_what_a_server_left_in_the_header_does_not_reach_it_either(
    app: Recorder, origin_client: ClientOf
) -> None:
    """Where one name is broken, granian lists none; the header is there all the same."""
    broken = (b"sec-websocket-protocol", f"{MARKER}, v1, v 2".encode())
    client = origin_client(OriginGuard(app), "/ws/", origin=APP, headers=[broken])
    await client.handshake()

    [scope] = app.scopes
    assert dict(scope["headers"])[b"sec-websocket-protocol"] == b"v1, v 2"


@pytest.mark.usefixtures("listed")
async def test_other_messages_pass_unchanged(origin_client: ClientOf) -> None:
    """Selecting a subprotocol touches the accept message alone."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "headers": [(b"x-a", b"b")]})
        await send({"type": "websocket.send", "text": "hello"})
        await receive()

    client = origin_client(OriginGuard(app), "/ws/", origin=APP, subprotocols=[MARKER])

    assert await client.connect() == (True, MARKER)
    assert client.response_headers == [(b"x-a", b"b")]
    assert await client.receive_from() == "hello"


# Guards in guards.


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("outer", "inner", "allowed"),
    [
        pytest.param([APP], [APP], True, id="both allow"),
        pytest.param([APP], [PARTNER], False, id="the inner one denies"),
        pytest.param([PARTNER], [APP], False, id="the outer one denies"),
        pytest.param([PARTNER], [PARTNER], False, id="both deny"),
    ],
)
async def test_two_guards_compose_by_and(
    outer: list[str],
    inner: list[str],
    allowed: bool,
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """The first denial is final."""
    guarded = OriginGuard(
        OriginGuard(app, allowed_origins=inner), allowed_origins=outer
    )
    answer = await origin_client(guarded, "/ws/", origin=APP).handshake()

    assert bool(answer) is allowed
    assert len(app.scopes) == allowed


@pytest.mark.parametrize("deny_with", ["http", "close"])
async def test_an_inner_denial_selects_the_outer_marker(
    deny_with: str, app: Recorder, origin_client: ClientOf
) -> None:
    """The inner guard sees no marker, yet the client is given what it offered."""
    with override_policy(APP, WSORIGIN_DENY_WITH=deny_with):
        client = origin_client(
            OriginGuard(OriginGuard(app, allowed_origins=[])),
            "/ws/",
            origin=APP,
            subprotocols=[MARKER],
        )
        answer = await client.handshake()

    assert answer == (
        Answer(101, None, MARKER, 4403)
        if deny_with == "close"
        else Answer(403, Reason.UNLISTED)
    )


@pytest.mark.usefixtures("listed")
async def test_a_report_only_guard_does_not_open_the_inner_one(
    app: Recorder, origin_client: ClientOf
) -> None:
    """Report-only is one guard's, not the next one's."""
    guarded = OriginGuard(OriginGuard(app), report_only=True)

    assert not await origin_client(guarded, "/ws/", origin=EVIL).handshake()


@pytest.mark.parametrize(
    ("report_only", "credentials"),
    [
        pytest.param(None, False, id="withheld outside, withheld inside"),
        pytest.param(True, True, id="nothing is withheld in report-only mode"),
    ],
)
async def test_an_inner_guard_cannot_bring_the_cookies_back(
    report_only: bool | None, credentials: bool, app: Recorder, origin_client: ClientOf
) -> None:
    """Credentials compose by AND too."""
    with override_policy(inherit=["cors"], CORS_ALLOWED_ORIGINS=[APP]):
        guarded = OriginGuard(
            OriginGuard(app, allowed_origins=[APP]), report_only=report_only
        )
        client = origin_client(
            guarded, "/ws/", origin=APP, headers=[(b"cookie", b"sessionid=x")]
        )
        await client.handshake()

    [scope] = app.scopes
    assert scope["wsorigin"].decision.credentials is credentials
    assert ((b"cookie", b"sessionid=x") in scope["headers"]) is credentials


async def test_cookies_that_count_pass_two_guards(
    app: Recorder, origin_client: ClientOf
) -> None:
    """Also where something else has to be taken out of the scope."""
    with override_policy(
        inherit=["cors"], CORS_ALLOWED_ORIGINS=[APP], CORS_ALLOW_CREDENTIALS=True
    ):
        client = origin_client(
            OriginGuard(OriginGuard(app, allowed_origins=[APP])),
            "/ws/",
            origin=APP,
            headers=[(b"cookie", b"sessionid=x")],
            subprotocols=["v1"],
        )
        await client.handshake()

    [scope] = app.scopes
    assert (b"cookie", b"sessionid=x") in scope["headers"]
    assert not scope["wsorigin"].withheld


async def test_a_report_only_guard_between_does_not_bring_them_back_either(
    app: Recorder, origin_client: ClientOf
) -> None:
    """What is gone is gone, whatever guard says so."""
    with override_policy(inherit=["cors"], CORS_ALLOWED_ORIGINS=[APP]):
        between = OriginGuard(OriginGuard(app, allowed_origins=[APP]), report_only=True)
        client = origin_client(
            OriginGuard(between),
            "/ws/",
            origin=APP,
            headers=[(b"cookie", b"sessionid=x")],
        )
        await client.handshake()

    [scope] = app.scopes
    assert (b"cookie", b"sessionid=x") not in scope["headers"]
    assert not scope["wsorigin"].decision.credentials
    assert scope["wsorigin"].withheld


# Credentials: the same over both protocols.


@pytest.fixture
def signed_in(transactional_db: None) -> tuple[bytes, bytes]:
    """Log a user in; return the header that a browser would send."""
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    return b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode()


STACKS = [
    pytest.param(lambda app: OriginGuard(AuthMiddlewareStack(app)), id="guard outside"),
    pytest.param(lambda app: AuthMiddlewareStack(OriginGuard(app)), id="guard inside"),
]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(
    ("settings", "origin", "user"),
    [
        pytest.param({}, OWN, "ada", id="same origin"),
        pytest.param({"WSORIGIN_ALLOWED_ORIGINS": [APP]}, APP, "ada", id="own list"),
        pytest.param(
            {"CORS_ALLOWED_ORIGINS": [APP], "CORS_ALLOW_CREDENTIALS": True},
            APP,
            "ada",
            id="CORS with credentials",
        ),
        pytest.param({"CORS_ALLOWED_ORIGINS": [APP]}, APP, "", id="CORS without"),
        pytest.param(
            {"CORS_ALLOWED_ORIGINS": [APP], "CORS_ALLOW_CREDENTIALS": "False"},
            APP,
            "",
            id="CORS with a true string",
        ),
        pytest.param(
            {"WSORIGIN_ALLOW_ALL_ORIGINS": True},
            EVIL,
            "",
            id="lessons 40: all origins",
        ),
        pytest.param(
            {"WSORIGIN_ALLOW_ALL_ORIGINS": True}, OWN, "ada", id="all origins and own"
        ),
        pytest.param({"WSORIGIN_ALLOWED_ORIGINS": ["null"]}, "null", "", id="null"),
        pytest.param({"WSORIGIN_MISSING_ORIGIN": "allow"}, None, "", id="missing"),
    ],
)
async def test_a_page_gets_the_session_that_http_would_give_it(
    stack: Any,
    settings: dict[str, Any],
    origin: str | None,
    user: str,
    signed_in: tuple[bytes, bytes],
    app: Recorder,
    origin_client: ClientOf,
) -> None:
    """Where cookies do not count they are gone, on whichever side the session is read."""
    with override_policy(**{"inherit": ["same-origin", "cors"], **settings}):
        client = origin_client(stack(app), "/ws/", origin=origin, headers=[signed_in])
        answer = await client.handshake()

    assert answer
    [scope] = app.scopes
    assert scope["user"].username == user
    assert scope["user"].is_authenticated is bool(user)
    assert bool(scope["cookies"]) is bool(user)
    assert scope["session"].is_empty() is not bool(user)
    assert (signed_in in scope["headers"]) is bool(user)
    assert scope["wsorigin"].decision.credentials is bool(user)


async def test_withholds_every_cookie_header(
    app: Recorder, origin_client: ClientOf
) -> None:
    """HTTP/2 splits the cookies over several headers."""
    with override_policy(WSORIGIN_ALLOW_ALL_ORIGINS=True):
        cookies = [(b"cookie", b"a=1"), (b"x-other", b"stays"), (b"cookie", b"b=2")]
        client = origin_client(OriginGuard(app), "/", origin=EVIL, headers=cookies)
        await client.handshake()

    [scope] = app.scopes
    assert [header for header in scope["headers"] if header in cookies] == [cookies[1]]
    assert client.scope["headers"][-3:] == cookies
    assert not {"cookies", "session", "user"} & set(scope)


@override_settings(DEBUG=True)
@pytest.mark.parametrize(
    ("origin", "queries"), [pytest.param(OWN, True), pytest.param(EVIL, False)]
)
async def test_a_denial_in_front_of_the_session_costs_no_query(
    origin: str,
    queries: bool,
    signed_in: tuple[bytes, bytes],
    app: Recorder,
    origin_client: ClientOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who is denied is denied before anybody looks up a session or a user."""
    caplog.set_level(logging.DEBUG, "django.db.backends")
    caplog.clear()
    with override_policy():
        client = origin_client(
            OriginGuard(AuthMiddlewareStack(app)),
            "/ws/",
            origin=origin,
            headers=[signed_in],
        )
        answer = await client.handshake()

    assert bool(answer) is queries
    assert any("django_session" in text for text in caplog.messages) is queries
    assert any("auth_user" in text for text in caplog.messages) is queries
    assert any(one.name == "django.db.backends" for one in caplog.records) is queries


# Who learns of it.


@pytest.fixture
def events() -> Iterator[asyncio.Queue[dict[str, Any]]]:
    """Collect what `handshake_checked` says."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def receive(**said: Any) -> None:
        await queue.put(said)

    handshake_checked.connect(receive)
    yield queue
    handshake_checked.disconnect(receive)


async def announced() -> None:
    """Wait until all receivers are done."""
    await asyncio.gather(
        *announcing._pending[asyncio.get_running_loop(), handshake_checked]
    )


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("origin", "report_only", "reason", "enforced"),
    [
        pytest.param(APP, None, Reason.LISTED, True, id="allowed"),
        pytest.param(EVIL, None, Reason.UNLISTED, True, id="denied"),
        pytest.param(EVIL, True, Reason.UNLISTED, False, id="report-only"),
    ],
)
async def test_tells_of_each_handshake(
    origin: str,
    report_only: bool | None,
    reason: Reason,
    enforced: bool,
    app: Recorder,
    origin_client: ClientOf,
    events: asyncio.Queue[dict[str, Any]],
) -> None:
    """One signal for each, with handshake, decision and whether it was enforced."""
    client = origin_client(
        OriginGuard(app, report_only=report_only), "/ws/", origin=origin
    )
    await client.handshake()
    said = await asyncio.wait_for(events.get(), 5)

    assert said["sender"] is OriginGuard
    assert said["handshake"] == Handshake.from_scope(client.scope)
    assert said["decision"].reason is reason
    assert said["enforced"] is enforced
    assert events.empty()


@pytest.mark.usefixtures("listed")
async def test_tells_plain_receivers_too(
    app: Recorder, origin_client: ClientOf
) -> None:
    """A receiver that is no coroutine runs in a thread."""
    loop, done, told = asyncio.get_running_loop(), asyncio.Event(), []

    def receive(**said: Any) -> None:
        told.append((said["decision"].reason, threading.current_thread()))
        loop.call_soon_threadsafe(done.set)

    handshake_checked.connect(receive)
    try:
        await origin_client(OriginGuard(app), "/ws/", origin=EVIL).handshake()
        await asyncio.wait_for(done.wait(), 5)
    finally:
        handshake_checked.disconnect(receive)

    [(reason, thread)] = told
    assert reason is Reason.UNLISTED
    assert thread is not threading.current_thread()


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(("origin", "allowed"), [(APP, True), (EVIL, False)])
async def test_a_receiver_cannot_change_the_answer(
    origin: str,
    allowed: bool,
    app: Recorder,
    origin_client: ClientOf,
    events: asyncio.Queue[dict[str, Any]],
) -> None:
    """A receiver that raises harms neither the handshake nor the others."""

    async def receive(**said: Any) -> None:
        raise RuntimeError("the metrics are away")

    handshake_checked.connect(receive)
    try:
        client = origin_client(OriginGuard(app), "/ws/", origin=origin)
        answer = await client.handshake()
        said = await asyncio.wait_for(events.get(), 5)
    finally:
        handshake_checked.disconnect(receive)

    assert bool(answer) is allowed
    assert said["decision"].allowed is allowed


class Greeter(GuardedWebsocketConsumer):
    """A consumer whose connect() runs in a thread."""


@pytest.mark.usefixtures("listed")
async def test_a_hanging_coroutine_holds_nobody_up(origin_client: ClientOf) -> None:
    """The answer does not wait for receivers."""
    release = asyncio.Event()

    async def receive(**said: Any) -> None:
        await release.wait()

    handshake_checked.connect(receive)
    try:
        client = origin_client(Greeter.as_asgi(), "/ws/", origin=APP)
        answer = await asyncio.wait_for(client.handshake(), 2)
    finally:
        handshake_checked.disconnect(receive)
        release.set()
        await announced()

    assert answer


@pytest.mark.usefixtures("listed")
async def test_a_hanging_plain_receiver_holds_nobody_up(
    origin_client: ClientOf,
) -> None:
    """Not even those whose own code runs in the same thread: consumers and hooks."""
    release = threading.Event()

    def receive(**said: Any) -> None:
        release.wait(10)

    handshake_checked.connect(receive)
    try:
        client = origin_client(Greeter.as_asgi(), "/ws/", origin=APP)
        answer = await asyncio.wait_for(client.handshake(), 2)
    finally:
        handshake_checked.disconnect(receive)
        release.set()

    assert answer


@pytest.mark.usefixtures("listed")
async def test_receivers_see_nothing_that_a_handshake_set(app: Recorder) -> None:
    """They get what the signal says; what they set reaches nobody either."""
    seen: list[str] = []
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody's")
    tenant.set("partner")

    async def receive(**said: Any) -> None:
        seen.append(tenant.get())

    handshake_checked.connect(receive)
    await run(OriginGuard(app), headers=[(b"origin", APP.encode())])
    await announced()

    assert seen == ["nobody's"]


@pytest.mark.usefixtures("listed")
async def test_receivers_that_cannot_keep_up_lose_events(app: Recorder) -> None:
    """What waits for slow receivers is bounded; the handshakes go on."""
    started, full, release = [], asyncio.Event(), asyncio.Event()

    async def receive(**said: Any) -> None:
        started.append(said["handshake"])
        if len(started) == announcing._MAX_PENDING:
            full.set()
        await release.wait()

    handshake_checked.connect(receive)
    try:
        headers = [(b"origin", APP.encode())]
        for _ in range(announcing._MAX_PENDING + 100):
            await run(OriginGuard(app), headers=headers)
        await asyncio.wait_for(full.wait(), 5)
    finally:
        handshake_checked.disconnect(receive)
        release.set()
        await announced()

    assert len(app.scopes) == announcing._MAX_PENDING + 100
    assert len(started) == announcing._MAX_PENDING


@pytest.mark.usefixtures("listed")
async def test_writes_one_line_for_a_denial(
    app: Recorder, origin_client: ClientOf, denials: Callable[[], list[str]]
) -> None:
    """With reason, origin, endpoint, nearest rule and remedy; none for the allowed."""
    guarded = OriginGuard(app)
    await origin_client(guarded, "/ws/", origin=APP).handshake()
    await origin_client(guarded, "/ws/prices/", origin=f"{APP}:8443").handshake()

    assert denials() == [
        "denied origin='https://app.example:8443' reason=unlisted "
        f"endpoint='/ws/prices/' policy={get_policy().fingerprint} "
        "nearest='https://app.example (WSORIGIN_ALLOWED_ORIGINS[0]) "
        "differs only in the port (the default)'\n"
        "    If you trust it: manage.py wsorigin trust https://app.example:8443"
    ]


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("origin", [APP, EVIL, "null", None])
async def test_never_logs_a_secret(
    origin: str | None,
    app: Recorder,
    origin_client: ClientOf,
    caplog: pytest.LogCaptureFixture,
    denials: Callable[[], list[str]],
) -> None:
    """Neither query string nor token nor cookie, at any level."""
    caplog.set_level(logging.DEBUG)
    client = origin_client(
        OriginGuard(app),
        "/ws/?token=secret",
        origin=origin,
        headers=[
            (b"cookie", b"sessionid=secret"),
            (b"authorization", b"Bearer secret"),
        ],
        subprotocols=[MARKER, CREDENTIAL],
    )
    await client.handshake()

    ours = [one.getMessage() for one in caplog.records if "wsorigin" in one.name]
    assert "secret" not in str(ours)
    assert "c2VjcmV0" not in str(ours)
    assert len(denials()) == 1  # the token is malformed


@pytest.mark.usefixtures("listed")
async def test_a_flood_of_denials_writes_a_bounded_log(
    app: Recorder, denials: Callable[[], list[str]]
) -> None:
    """A stranger chooses the denials, not the lines; each is answered all the same."""
    headers = [(b"origin", EVIL.encode())]
    answers = [await run(OriginGuard(app), headers=headers) for _ in range(200)]

    assert all(len(sent) == 1 for sent in answers)
    assert len(denials()) == 50


@pytest.mark.parametrize(
    ("origin", "decision", "matches"),
    [
        pytest.param(
            PARTNER, Decision(False, Reason.NO_COMMON_SUBPROTOCOL), 1, id="subprotocol"
        ),
        pytest.param(EVIL, Decision(False, Reason.UNLISTED), 0, id="unlisted"),
    ],
)
@pytest.mark.usefixtures("listed")
async def test_explains_what_it_would_decide(
    origin: str, decision: Decision, matches: int, app: Recorder
) -> None:
    """The endpoint's own demands are part of the explanation; nothing runs."""
    guarded = OriginGuard(
        app,
        allowed_origins=lambda scope: [PARTNER],
        subprotocols=["v1"],
    )
    scope = {"headers": [(b"origin", origin.encode())], "subprotocols": ["v2"]}
    explanation = await guarded.explain(scope)

    assert explanation.decision == decision
    assert len(explanation.matches) == matches
    assert app.scopes == []


async def test_explains_that_a_token_is_missing(app: Recorder) -> None:
    """None is looked for: a token that came along would be used up."""
    guarded = OriginGuard(app, allowed_origins=[PARTNER], require_token=True)
    scope = {"headers": [(b"origin", PARTNER.encode())]}
    explanation = await guarded.explain(scope)

    assert explanation.decision == Decision(False, Reason.TOKEN_REQUIRED)


@pytest.mark.django_db(transaction=True)
async def test_explains_with_the_audience_of_the_endpoint(
    app: Recorder, origin_client: ClientOf, denials: Callable[[], list[str]]
) -> None:
    """What nearly matched is not said to be for others; nor is what matched denied."""
    await TrustedOrigin.objects.acreate(pattern=APP, audience="prices")
    guarded = OriginGuard(app, audience="prices")
    with override_settings(WSORIGIN_INHERIT=["database"]):
        explanation = await guarded.explain({"headers": [(b"origin", APP.encode())]})
        await origin_client(guarded, "/ws/", origin=f"{APP}:8443").handshake()
    (line,) = denials()

    assert explanation.decision.allowed
    assert "differs only in the port (the default)" in line
    assert "audience" not in line


@pytest.mark.parametrize(
    ("cookie", "credentials", "lines"),
    [
        pytest.param(True, False, 1, id="withheld"),
        pytest.param(False, False, 0, id="nothing to withhold"),
        pytest.param(True, True, 0, id="the session counts"),
    ],
)
async def test_says_that_a_session_was_withheld(
    cookie: bool,
    credentials: bool,
    lines: int,
    app: Recorder,
    origin_client: ClientOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An operator sees why a trusted page is anonymous; the cookie is not in the line."""
    caplog.set_level(logging.INFO, "wsorigin.denial")
    settings = {"CORS_ALLOWED_ORIGINS": [APP], "CORS_ALLOW_CREDENTIALS": credentials}
    with override_policy(inherit=["cors"], **settings):
        headers = [(b"cookie", b"sessionid=s3cret")] if cookie else []
        client = origin_client(OriginGuard(app), "/ws/", origin=APP, headers=headers)
        assert await client.handshake()

    assert caplog.text.count("withheld the session") == lines
    assert caplog.text.count(f"{APP} (CORS_ALLOWED_ORIGINS[0])") == lines
    assert "s3cret" not in caplog.text


async def test_failing_hooks_do_not_fill_the_log(
    origin_client: ClientOf, app: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger provokes each failure, so only so many are written."""

    async def broken(scope: Scope) -> list[str]:
        raise RuntimeError

    guarded = OriginGuard(app, allowed_origins=broken)
    for _ in range(30):
        assert not await origin_client(guarded, "/ws/", origin=APP).handshake()

    failures = [one for one in caplog.records if one.name == "wsorigin.guard"]
    assert [one.getMessage() for one in failures] == [
        "get_allowed_origins() of OriginGuard failed"
    ] * 20


@pytest.mark.usefixtures("listed")
# What Python says of a coroutine whose loop was closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_an_ended_loop_left_unfinished_takes_no_place(
    app: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's loop ends with its process; those of ``async_to_sync`` do not."""
    monkeypatch.setattr(announcing, "_MAX_PENDING", 1)
    told: list[asyncio.Event] = []

    async def receive(**said: Any) -> None:
        told[-1].set()
        if len(told) == 1:
            await asyncio.Event().wait()

    async def handshake() -> None:
        told.append(asyncio.Event())
        await run(OriginGuard(app), headers=[(b"origin", APP.encode())])
        await asyncio.wait_for(told[-1].wait(), 5)
        if len(told) == 2:
            await announced()

    loops = [asyncio.new_event_loop() for _ in range(2)]
    handshake_checked.connect(receive)
    for loop in loops:
        loop.run_until_complete(handshake())
        loop.close()

    assert [(loop, handshake_checked) in announcing._pending for loop in loops] == [
        False,
        True,
    ]
    gc.collect()


# No-op handshakes.


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("origin", "options", "signed", "reason"),
    [
        pytest.param(APP, {}, False, "listed", id="a trusted page"),
        pytest.param(
            APP, {"require_token": True}, False, "token-required", id="without a token"
        ),
        pytest.param(
            APP, {"subprotocols": ["v1"]}, False, "listed", id="no subprotocol"
        ),
        pytest.param(EVIL, {}, False, None, id="a stranger"),
        pytest.param(
            EVIL, {"report_only": True}, False, None, id="a stranger, report-only"
        ),
        pytest.param(EVIL, {}, True, "unlisted", id="the doctor, as a stranger"),
    ],
)
async def test_a_no_op_handshake_never_reaches_the_application(
    origin: str,
    options: dict[str, Any],
    signed: bool,
    reason: str | None,
    app: Recorder,
) -> None:
    """Whoever may know the decision is told, in one message; all others are denied."""
    offered = [PREFLIGHT, *([sign()] if signed else [])]
    sent = await run(
        OriginGuard(app, **options),
        headers=[(b"origin", origin.encode()), (b"x-real-ip", b"10.0.0.1")],
        subprotocols=offered,
    )

    assert app.scopes == []
    if reason is None:
        assert [message["type"] for message in sent] == ["websocket.close"]
        return
    accept, message, close = sent
    told = json.loads(message["text"])
    assert accept["subprotocol"] == PREFLIGHT
    assert (told["reason"], told["origin"], told["endpoint"]) == (
        reason,
        origin,
        "/ws/",
    )
    assert close["code"] == 1000
    assert ("seen" in told) is signed
    if signed:
        assert told["seen"]["forwarded"] == {"x-real-ip": None}
        assert (told["seen"]["reason"], told["seen"]["allowed"]) == (reason, False)
