"""
The public API as users write it: type-checked, never run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_type

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from wsorigin.admission import Admission
from wsorigin.consumers import (
    GuardedAsyncJsonWebsocketConsumer,
    GuardedAsyncWebsocketConsumer,
    GuardedJsonWebsocketConsumer,
    GuardedWebsocketConsumer,
    OriginGuardMixin,
)
from wsorigin.guard import OriginGuard
from wsorigin.handshake import Handshake, Scope
from wsorigin.origins import InvalidOrigin, Origin
from wsorigin.patterns import OriginPattern
from wsorigin.policy import (
    SITE,
    Decision,
    Explanation,
    MissingOrigin,
    Policy,
    Reason,
    Rule,
)
from wsorigin.refresh import get_policy
from wsorigin.signals import handshake_checked, policy_changed
from wsorigin.site import Site
from wsorigin.testing import Answer, OriginCommunicator, override_policy


class Prices(GuardedAsyncJsonWebsocketConsumer):
    """Each attribute, and a look at the admission."""

    allowed_origins = [SITE, "https://partner.example"]
    audience = "prices"
    require_token = False
    report_only = None
    subprotocols = ["prices.v2", "prices.v1"]

    async def connect(self) -> None:
        admission: Admission = self.scope["wsorigin"]
        assert_type(admission.decision, Decision)
        assert_type(admission.handshake.origin, str | None)
        assert_type(admission.enforced, bool)
        await self.accept()


class Chat(GuardedWebsocketConsumer):
    """Plain hooks."""

    allowed_origins = ("https://chat.example",)
    report_only = True

    def get_allowed_origins(self, scope: Scope) -> list[str]:
        return [f"https://{scope['url_route']['kwargs']['tenant']}.example"]

    def get_audience(self, scope: Scope) -> str:
        return str(scope["path"])


class News(GuardedJsonWebsocketConsumer):
    """Class methods."""

    @classmethod
    def get_allowed_origins(cls, scope: Scope) -> Sequence[str]:
        return ["https://news.example"]

    @classmethod
    def get_audience(cls, scope: Scope) -> str:
        return "news"


class Feed(GuardedAsyncWebsocketConsumer):
    """Coroutine hooks."""

    async def get_allowed_origins(self, scope: Scope) -> Sequence[str]:
        return ["https://feed.example"]

    async def get_audience(self, scope: Scope) -> str:
        return "feed"


class Other(OriginGuardMixin, AsyncWebsocketConsumer):
    """Any other consumer."""

    subprotocols = ("other",)


def plain_hook(scope: Scope) -> list[str]:
    """Give the origins of one handshake."""
    return [SITE]


async def coroutine_hook(scope: Scope) -> tuple[str, ...]:
    """Give them from the event loop."""
    return (SITE,)


async def audience_hook(scope: Scope) -> str:
    """Give the audience."""
    return "prices"


routes = URLRouter(
    [
        path("prices/", Prices.as_asgi()),
        path("chat/", Chat.as_asgi(allowed_origins=["https://chat.example"])),
        path("other/", Other.as_asgi(audience="other", require_token=True)),
    ]
)
application = ProtocolTypeRouter(
    {"websocket": OriginGuard(AuthMiddlewareStack(routes))}
)
guards = [
    OriginGuard(routes, allowed_origins=[SITE, "https://partner.example"]),
    OriginGuard(routes, allowed_origins=("https://partner.example",)),
    OriginGuard(routes, allowed_origins=plain_hook, audience=lambda scope: "prices"),
    OriginGuard(routes, allowed_origins=coroutine_hook, audience=audience_hook),
    OriginGuard(routes, audience="prices", require_token=True, report_only=None),
    OriginGuard(routes, report_only=True, subprotocols=["v1"], name="routes"),
]


async def explain(guard: OriginGuard, scope: Scope) -> str:
    """Ask a guard."""
    explanation = await guard.explain(scope)
    assert_type(explanation, Explanation)
    return str(explanation.nearest or explanation.problem)


def decide() -> Reason | None:
    """Ask a policy."""
    policy = Policy(
        [
            Rule(OriginPattern.parse("https://*.example.com"), "by hand"),
            Rule(OriginPattern.for_regex(r"https://\w+\.example"), "by hand", False),
            Rule(OriginPattern.parse("null"), "by hand", audience="prices"),
        ],
        site=Site(allowed_hosts=("example.com",), https_only=True),
        same_origin=True,
        missing=MissingOrigin.ALLOW,
    )
    decision = policy.decide(Handshake("/ws/", "https://a.example.com"), "prices")
    assert_type(decision, Decision)
    assert_type(get_policy().decide(Handshake("/ws/", None)), Decision)
    assert_type(policy.fingerprint, str)
    if decision:
        assert_type(decision.rule, Rule | None)
        assert_type(decision.credentials, bool)
    return decision.reason


def read(text: str) -> Origin | None:
    """Read an origin."""
    try:
        return OriginPattern.parse(text).example() or Origin.parse(text)
    except InvalidOrigin as exc:
        assert_type(exc.problem, str)
        assert_type(exc.remedy, str)
        return None


def count(decision: Decision, *, enforced: bool, **_: object) -> None:
    """Count handshakes."""


handshake_checked.connect(count)
policy_changed.connect(count)


@override_policy("https://app.example", inherit=["same-origin"], DEBUG=True)
async def test_denies_strangers() -> None:
    """Test a consumer of one's own."""
    client = OriginCommunicator(
        Prices.as_asgi(),
        "/ws/",
        origin="https://evil.example",
        host="app.example",
        headers=[(b"cookie", b"a=b")],
        subprotocols=["prices.v1"],
        scheme="wss",
    )
    answer = await client.handshake()
    assert_type(answer, Answer)
    assert_type(answer.reason, Reason | None)
    with override_policy("https://app.example"):
        await client.disconnect()


async def test_with_the_fixture(
    origin_client: Callable[..., OriginCommunicator],
) -> None:
    """Use the fixture."""
    answer = await origin_client(application, "/ws/").handshake()
    assert_type(answer, Answer)
