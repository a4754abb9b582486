"""
Guarded consumers: nothing of theirs runs for an origin that is not allowed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from channels.consumer import AsyncConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import URLRouter
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.urls import path

from wsorigin.consumers import (
    GuardedAsyncJsonWebsocketConsumer,
    GuardedAsyncWebsocketConsumer,
    GuardedJsonWebsocketConsumer,
    GuardedWebsocketConsumer,
    OriginGuardMixin,
)
from wsorigin.handshake import Scope
from wsorigin.policy import SITE, Reason
from wsorigin.testing import Answer, OriginCommunicator, override_policy

ClientOf = Callable[..., OriginCommunicator]

# Plain consumers run in a thread, where Channels looks after the database's
# connections, even where there are none.
pytestmark = pytest.mark.django_db

APP = "https://app.example"
PARTNER = "https://partner.example"
EVIL = "https://evil.example"

SYNC = [GuardedWebsocketConsumer, GuardedJsonWebsocketConsumer]
ASYNC = [GuardedAsyncWebsocketConsumer, GuardedAsyncJsonWebsocketConsumer]


@pytest.fixture(autouse=True)
def listed() -> Iterator[None]:
    """Trust one origin, and the site's own pages."""
    with override_policy(APP):
        yield


async def answers(app: Any, origin_client: ClientOf, **options: Any) -> list[str]:
    """Return which of some origins an application lets through."""
    return [
        origin
        for origin in ("http://testserver", APP, PARTNER, EVIL)
        if await origin_client(app, "/ws/", origin=origin, **options).handshake()
    ]


@pytest.mark.parametrize("base", SYNC + ASYNC)
async def test_each_consumer_is_guarded(base: Any, origin_client: ClientOf) -> None:
    """Four classes, named after Channels'; the site's policy is the default."""
    assert await answers(base.as_asgi(), origin_client) == ["http://testserver", APP]


@pytest.mark.parametrize(
    ("guarded", "plain"),
    [
        (GuardedWebsocketConsumer, WebsocketConsumer),
        (GuardedJsonWebsocketConsumer, JsonWebsocketConsumer),
        (GuardedAsyncWebsocketConsumer, AsyncWebsocketConsumer),
        (GuardedAsyncJsonWebsocketConsumer, AsyncJsonWebsocketConsumer),
    ],
)
def test_each_consumer_is_channels_own(guarded: type, plain: type) -> None:
    """The name says which class of Channels one would have used."""
    assert guarded.__name__ == f"Guarded{plain.__name__}"
    assert issubclass(guarded, plain)


class SyncPrices(GuardedJsonWebsocketConsumer):
    """A plain consumer with everything of its own, and no super()."""

    seen: ClassVar[list[str]] = []

    def connect(self) -> None:
        self.seen.append("connect")
        self.accept()

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json({"echo": content})

    def disconnect(self, code: int) -> None:
        self.seen.append(f"disconnect {code}")


class AsyncPrices(GuardedAsyncJsonWebsocketConsumer):
    """The same with coroutines."""

    seen: ClassVar[list[str]] = []

    async def connect(self) -> None:
        self.seen.append("connect")
        await self.accept()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"echo": content})

    async def disconnect(self, code: int) -> None:
        self.seen.append(f"disconnect {code}")


class SyncRaw(GuardedWebsocketConsumer):
    """A plain consumer that overrides the handler below connect()."""

    seen: ClassVar[list[str]] = []

    def websocket_connect(self, message: Any) -> None:
        self.seen.append("connect")
        self.accept()


class AsyncRaw(GuardedAsyncWebsocketConsumer):
    """The same with coroutines."""

    seen: ClassVar[list[str]] = []

    async def websocket_connect(self, message: Any) -> None:
        self.seen.append("connect")
        await self.accept()


@pytest.mark.parametrize("consumer", [SyncPrices, AsyncPrices, SyncRaw, AsyncRaw])
async def test_denies_before_connect_runs(
    consumer: Any, origin_client: ClientOf
) -> None:
    """The guard answers first, even when connect() forgets super()."""
    consumer.seen.clear()
    denied = await origin_client(consumer.as_asgi(), "/ws/", origin=EVIL).handshake()

    assert denied == Answer(403, Reason.UNLISTED)
    assert consumer.seen == []

    assert await origin_client(consumer.as_asgi(), "/ws/", origin=APP).handshake()
    assert consumer.seen == ["connect"]


@pytest.mark.parametrize("consumer", [SyncPrices, AsyncPrices])
async def test_leaves_an_open_socket_to_the_consumer(
    consumer: Any, origin_client: ClientOf
) -> None:
    """Messages and the disconnect are the consumer's own."""
    consumer.seen.clear()
    client = origin_client(consumer.as_asgi(), "/ws/", origin=APP)
    await client.handshake()
    await client.send_json_to({"symbol": "AAA"})

    assert await client.receive_json_from() == {"echo": {"symbol": "AAA"}}

    await client.disconnect(code=1001)
    assert consumer.seen == ["connect", "disconnect 1001"]


async def test_the_consumer_sees_its_admission(origin_client: ClientOf) -> None:
    """``scope["wsorigin"]`` says what was decided, and why."""
    seen: list[Any] = []

    class Prices(GuardedAsyncWebsocketConsumer):
        allowed_origins = [PARTNER]

        async def connect(self) -> None:
            seen.append(self.scope["wsorigin"])
            await self.accept()

    await origin_client(Prices.as_asgi(), "/ws/", origin=PARTNER).handshake()

    assert str(seen[0].decision.rule) == f"{PARTNER} (Prices.allowed_origins[0])"
    assert seen[0].handshake.origin == PARTNER


# The order of the bases.


class Groundwork:
    """A mixin of somebody's own."""


class GuardedGroundwork(OriginGuardMixin):
    """A mixin upon ours, without a consumer yet."""


class PlainBase(AsyncWebsocketConsumer):
    """A consumer of somebody's own, unguarded."""


@pytest.mark.parametrize(
    "bases",
    [
        pytest.param((AsyncWebsocketConsumer, OriginGuardMixin), id="async"),
        pytest.param((WebsocketConsumer, OriginGuardMixin), id="sync"),
        pytest.param((JsonWebsocketConsumer, OriginGuardMixin), id="JSON"),
        pytest.param((AsyncConsumer, OriginGuardMixin), id="the lowest"),
        pytest.param((Groundwork, PlainBase, OriginGuardMixin), id="in between"),
        pytest.param((PlainBase, GuardedGroundwork), id="by way of a mixin"),
    ],
)
def test_refuses_an_order_that_would_skip_the_guard(bases: tuple[type, ...]) -> None:
    """A wrong order is refused at class creation, with the right one."""
    with pytest.raises(
        TypeError, match=r"class Prices\(OriginGuardMixin, \.\.\.\)"
    ) as caught:
        type("Prices", bases, {})

    assert "Prices would never be guarded" in str(caught.value)


@pytest.mark.parametrize(
    "bases",
    [
        pytest.param((OriginGuardMixin, AsyncWebsocketConsumer), id="async"),
        pytest.param((OriginGuardMixin, WebsocketConsumer), id="sync"),
        pytest.param((Groundwork, OriginGuardMixin, PlainBase), id="mixin before"),
        pytest.param((OriginGuardMixin, Groundwork, PlainBase), id="in between"),
        pytest.param((GuardedGroundwork, PlainBase), id="by way of a mixin"),
        pytest.param((GuardedAsyncWebsocketConsumer,), id="ours"),
        pytest.param((GuardedAsyncWebsocketConsumer, PlainBase), id="ours and another"),
    ],
)
async def test_accepts_an_order_that_guards(
    bases: tuple[type, ...], origin_client: ClientOf
) -> None:
    """Any other consumer is guarded by the mixin in front of it."""
    prices: Any = type("Prices", bases, {})

    assert await answers(prices.as_asgi(), origin_client) == ["http://testserver", APP]


async def test_passes_other_protocols_on_to_their_consumers() -> None:
    """A consumer that is no WebSocket consumer gets its own scopes unguarded."""
    served: list[str] = []

    class Page(OriginGuardMixin, AsyncHttpConsumer):
        async def disconnect(self) -> None:
            served.append("disconnect")

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    await Page()({"type": "http", "headers": []}, receive, receive)

    assert served == ["disconnect"]


# Attributes.


@pytest.mark.parametrize(
    ("attributes", "allowed"),
    [
        pytest.param({}, ["http://testserver", APP], id="default"),
        pytest.param(
            {"allowed_origins": [SITE, PARTNER]},
            ["http://testserver", APP, PARTNER],
            id="the site's and more",
        ),
        pytest.param({"allowed_origins": (PARTNER,)}, [PARTNER], id="others"),
        pytest.param({"allowed_origins": []}, [], id="nobody"),
        pytest.param({"require_token": True}, [], id="token"),
        pytest.param(
            {"report_only": True},
            ["http://testserver", APP, PARTNER, EVIL],
            id="report-only",
        ),
        pytest.param({"subprotocols": ["v1"]}, [], id="subprotocols"),
        pytest.param({"audience": "prices"}, ["http://testserver", APP], id="audience"),
    ],
)
@pytest.mark.parametrize("how", ["class", "mount"])
@pytest.mark.parametrize("base", [SYNC[0], ASYNC[0]])
async def test_attributes_say_who_may_connect(
    base: Any,
    how: str,
    attributes: dict[str, Any],
    allowed: list[str],
    origin_client: ClientOf,
) -> None:
    """On the class, or for one mount as keyword arguments of as_asgi()."""
    if how == "class":
        app = type("Prices", (base,), attributes).as_asgi()
    else:
        app = base.as_asgi(**attributes)

    assert await answers(app, origin_client) == allowed


async def test_a_mount_may_go_back_to_the_default(origin_client: ClientOf) -> None:
    """None stands for the site's policy, whatever the class says."""

    class Prices(GuardedAsyncWebsocketConsumer):
        allowed_origins = [PARTNER]

    assert await answers(Prices.as_asgi(), origin_client) == [PARTNER]
    assert await answers(Prices.as_asgi(allowed_origins=None), origin_client) == [
        "http://testserver",
        APP,
    ]


async def test_a_subclass_inherits_and_overrides(origin_client: ClientOf) -> None:
    """Attributes are attributes."""

    class Prices(GuardedAsyncWebsocketConsumer):
        allowed_origins = [PARTNER]

    class MorePrices(Prices):
        pass

    class OtherPrices(Prices):
        allowed_origins = [EVIL]

    assert await answers(MorePrices.as_asgi(), origin_client) == [PARTNER]
    assert await answers(OtherPrices.as_asgi(), origin_client) == [EVIL]


async def test_a_consumer_selects_its_best_subprotocol(origin_client: ClientOf) -> None:
    """The server's order, without a line in connect()."""

    class Prices(GuardedAsyncWebsocketConsumer):
        subprotocols = ["prices.v2", "prices.v1"]

    client = origin_client(
        Prices.as_asgi(), "/ws/", origin=APP, subprotocols=["prices.v1", "prices.v2"]
    )

    assert (await client.handshake()).subprotocol == "prices.v2"


async def test_other_arguments_reach_the_consumer(origin_client: ClientOf) -> None:
    """as_asgi() passes on what is not the guard's."""
    rooms: list[str] = []

    class Chat(GuardedAsyncWebsocketConsumer):
        def __init__(self, room: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            rooms.append(room)

    app = Chat.as_asgi(room="lobby", allowed_origins=[PARTNER])

    assert await origin_client(app, "/ws/", origin=PARTNER).handshake()
    assert rooms == ["lobby"]
    assert app.consumer_class is Chat


@pytest.mark.parametrize("order", ["AB", "BA"])
@pytest.mark.parametrize("base", [SYNC[0], ASYNC[0]])
async def test_two_mounts_of_one_consumer_stay_apart(
    base: Any, order: str, origin_client: ClientOf
) -> None:
    """Lessons 4: the first mount to be reached decides for itself alone."""
    router = URLRouter(
        [
            path("A/", base.as_asgi(allowed_origins=[PARTNER])),
            path("B/", base.as_asgi(allowed_origins=[EVIL])),
        ]
    )
    allowed = set()
    for mount in order:
        for origin in (PARTNER, EVIL):
            client = origin_client(router, f"/{mount}/", origin=origin)
            if await client.handshake():
                allowed.add((mount, origin))

    assert allowed == {("A", PARTNER), ("B", EVIL)}


BROKEN = [
    pytest.param(APP, "is 'https://app.example', not a list", id="a string"),
    pytest.param([SITE, "app.example"], r"\[1\] is 'app.example'", id="an entry"),
    pytest.param([None], "it isn't a string", id="None"),
    pytest.param([[APP]], "it isn't a string", id="a nested list"),
    pytest.param(lambda self: [APP], "not a list of origins", id="a method"),
]


@pytest.mark.parametrize(("allowed_origins", "message"), BROKEN)
def test_refuses_a_broken_list_at_class_creation(
    allowed_origins: Any, message: str
) -> None:
    """A mistake in code is found when the code is loaded."""
    with pytest.raises(
        ImproperlyConfigured, match=f"Prices.allowed_origins.*{message}"
    ):
        type(
            "Prices",
            (GuardedWebsocketConsumer,),
            {"allowed_origins": allowed_origins},
        )


@pytest.mark.parametrize(("allowed_origins", "message"), BROKEN)
def test_refuses_a_broken_list_at_the_mount(allowed_origins: Any, message: str) -> None:
    """Neither is it left for the first handshake."""
    with pytest.raises(
        ImproperlyConfigured,
        match=f"GuardedWebsocketConsumer.allowed_origins.*{message}",
    ):
        GuardedWebsocketConsumer.as_asgi(allowed_origins=allowed_origins)


# Hooks.


class PlainHook(GuardedAsyncWebsocketConsumer):
    """A method."""

    def get_allowed_origins(self, scope: Scope) -> list[str]:
        return [f"https://{scope['url_route']['kwargs']['tenant']}.example"]


class CoroutineHook(GuardedWebsocketConsumer):
    """A coroutine method."""

    async def get_allowed_origins(self, scope: Scope) -> list[str]:
        return [f"https://{scope['url_route']['kwargs']['tenant']}.example"]


class ClassHook(GuardedAsyncWebsocketConsumer):
    """A class method."""

    @classmethod
    def get_allowed_origins(cls, scope: Scope) -> list[str]:
        return [f"https://{scope['url_route']['kwargs']['tenant']}.example"]


class StaticHook(GuardedAsyncWebsocketConsumer):
    """A static coroutine."""

    @staticmethod
    async def get_allowed_origins(scope: Scope) -> list[str]:
        return [f"https://{scope['url_route']['kwargs']['tenant']}.example"]


@pytest.mark.parametrize("consumer", [PlainHook, CoroutineHook, ClassHook, StaticHook])
async def test_a_hook_gives_the_origins_of_one_handshake(
    consumer: Any, origin_client: ClientOf
) -> None:
    """``get_allowed_origins``, of any kind, knows the route."""
    router = URLRouter([path("<tenant>/", consumer.as_asgi())])
    allowed = {
        (tenant, origin)
        for tenant in ("app", "partner")
        for origin in (APP, PARTNER)
        if await origin_client(router, f"/{tenant}/", origin=origin).handshake()
    }

    assert allowed == {("app", APP), ("partner", PARTNER)}


@pytest.mark.django_db(transaction=True)
async def test_a_hook_may_use_the_orm(origin_client: ClientOf) -> None:
    """Tenants' domains live in another table."""

    class Prices(GuardedWebsocketConsumer):
        def get_allowed_origins(self, scope: Scope) -> list[str]:
            return [user.username for user in User.objects.all()]

    await User.objects.acreate(username=PARTNER)

    assert await answers(Prices.as_asgi(), origin_client) == [PARTNER]


async def test_a_hook_may_add_to_the_attribute(origin_client: ClientOf) -> None:
    """The inherited method returns the attribute."""

    class Prices(GuardedAsyncWebsocketConsumer):
        allowed_origins = [PARTNER]

        async def get_allowed_origins(self, scope: Scope) -> Any:
            inherited: Any = super().get_allowed_origins(scope)
            return [*inherited, EVIL]

    assert await answers(Prices.as_asgi(), origin_client) == [PARTNER, EVIL]
    assert await answers(Prices.as_asgi(allowed_origins=[APP]), origin_client) == [
        APP,
        EVIL,
    ]


async def test_a_hook_may_return_the_inherited_default(origin_client: ClientOf) -> None:
    """The attribute's default is None, which means the site's policy."""

    class Prices(GuardedAsyncWebsocketConsumer):
        def get_allowed_origins(self, scope: Scope) -> Any:
            return super().get_allowed_origins(scope)

    assert await answers(Prices.as_asgi(), origin_client) == ["http://testserver", APP]


@pytest.mark.parametrize(
    "returned", [APP, {APP: 1}, 7, [[APP]], ["app.example"], RuntimeError("no table")]
)
async def test_a_broken_hook_denies_everybody(
    returned: Any, origin_client: ClientOf
) -> None:
    """Stricter, never an exception."""

    class Prices(GuardedWebsocketConsumer):
        def get_allowed_origins(self, scope: Scope) -> Any:
            if isinstance(returned, Exception):
                raise returned
            return returned

    assert await answers(Prices.as_asgi(), origin_client) == []


async def test_a_hook_gives_the_audience_of_one_handshake() -> None:
    """``get_audience`` replaces the attribute; a broken one leaves none."""

    class Prices(GuardedAsyncWebsocketConsumer):
        audience = "prices"

    class TenantPrices(Prices):
        @classmethod
        async def get_audience(cls, scope: Scope) -> str:
            return f"{cls.audience}-{scope['tenant']}"

    class InheritedPrices(Prices):
        def get_audience(self, scope: Scope) -> Any:
            return super().get_audience(scope)

    scope = {"tenant": "a"}

    assert await Prices().guard().audience_for(scope) == "prices"
    assert await TenantPrices().guard().audience_for(scope) == "prices-a"
    assert await TenantPrices().guard().audience_for({}) == ""
    assert await InheritedPrices(audience="chat").guard().audience_for(scope) == "chat"


async def test_a_partial_may_be_a_hook(origin_client: ClientOf) -> None:
    """What gives the list need not be a function of its own."""

    async def tenant(name: str, scope: Scope) -> list[str]:
        return [f"https://{name}.example"]

    class Prices(GuardedAsyncWebsocketConsumer):
        get_allowed_origins = staticmethod(functools.partial(tenant, "partner"))

    assert await answers(Prices.as_asgi(), origin_client) == [PARTNER]


async def test_a_base_with_its_own_way_of_serving_keeps_it(
    origin_client: Callable[..., OriginCommunicator],
) -> None:
    """``as_asgi()`` of a project's own base is called, whatever it wraps around."""
    served = []

    class Counting(AsyncWebsocketConsumer):
        @classmethod
        def as_asgi(cls, **initkwargs: Any) -> Any:
            app = super().as_asgi(**initkwargs)

            async def counted(scope: Any, receive: Any, send: Any) -> None:
                served.append(scope["path"])
                await app(scope, receive, send)

            return counted

    class Guarded(OriginGuardMixin, Counting):
        pass

    with override_policy(inherit=["same-origin"]):
        assert await origin_client(Guarded.as_asgi(), "/ws/").handshake()
    assert served == ["/ws/"]
