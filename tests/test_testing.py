"""
The help for users' own tests, tested as they would use it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from wsorigin.consumers import GuardedAsyncJsonWebsocketConsumer
from wsorigin.guard import OriginGuard
from wsorigin.handshake import Handshake, Receive, Scope, Send
from wsorigin.policy import Reason
from wsorigin.refresh import get_policy
from wsorigin.testing import Answer, OriginCommunicator, override_policy

ClientOf = Callable[..., OriginCommunicator]

# Channels looks after the database's connections when a consumer ends, even where
# there are none.
pytestmark = pytest.mark.django_db

APP = "https://app.example"


class Echo(GuardedAsyncJsonWebsocketConsumer):
    """Greet whoever connects, then say everything again."""

    async def connect(self) -> None:
        await self.accept()
        await self.send_json("hello")

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)


def sending(*messages: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    """Make an application that sends these, whoever asks, and ends when told."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            await send(message)
        await receive()

    return app


@pytest.mark.parametrize(
    ("answer", "opened"),
    [
        pytest.param(Answer(101), True, id="opened"),
        pytest.param(Answer(101, subprotocol="v1"), True, id="with a subprotocol"),
        pytest.param(Answer(101, close_code=4403), False, id="opened and closed"),
        pytest.param(Answer(403), False, id="refused"),
        pytest.param(Answer(403, Reason.UNLISTED), False, id="denied"),
    ],
)
def test_an_answer_is_true_where_the_socket_opened(
    answer: Answer, opened: bool
) -> None:
    """``assert await client.handshake()`` says what it looks like."""
    assert bool(answer) is opened


async def test_says_why_a_handshake_was_denied(origin_client: ClientOf) -> None:
    """Unlike ``connect()``, ``handshake()`` tells a denial's reason."""
    answer = await origin_client(Echo.as_asgi(), "/", origin=APP).handshake()

    assert answer == Answer(403, Reason.UNLISTED)
    assert answer.reason == "unlisted"


async def test_goes_on_after_the_handshake(origin_client: ClientOf) -> None:
    """Messages sent right after accepting are not lost, and keep their order."""
    app = sending(
        {"type": "websocket.accept", "subprotocol": "v1"},
        {"type": "websocket.send", "text": "first"},
        {"type": "websocket.send", "text": "second"},
    )
    client = origin_client(app, "/")

    assert await client.handshake() == Answer(101, subprotocol="v1")
    assert await client.receive_from() == "first"
    assert await client.receive_from() == "second"


async def test_talks_to_a_guarded_consumer(origin_client: ClientOf) -> None:
    """It is Channels' communicator in all else."""
    with override_policy(APP):
        client = origin_client(Echo.as_asgi(), "/", origin=APP)
        assert await client.handshake()

    assert await client.receive_json_from() == "hello"
    await client.send_json_to({"a": 1})
    assert await client.receive_json_from() == {"a": 1}


@pytest.mark.parametrize(
    ("messages", "answer"),
    [
        pytest.param(
            [{"type": "websocket.close", "code": 4401}], Answer(403), id="a close"
        ),
        pytest.param(
            [
                {"type": "websocket.accept"},
                {"type": "websocket.close", "code": 4403},
            ],
            Answer(101, close_code=4403),
            id="a close behind an accept",
        ),
        pytest.param(
            [
                {"type": "websocket.http.response.start", "status": 401},
                {"type": "websocket.http.response.body", "body": b"Who are you?"},
            ],
            Answer(401),
            id="a response of the application's own",
        ),
        pytest.param(
            [
                {"type": "websocket.http.response.start", "status": 404},
                {"type": "websocket.http.response.body", "body": b'{"reason": "gone"}'},
            ],
            Answer(404),
            id="with a reason that is none of ours",
        ),
        pytest.param(
            [
                {"type": "websocket.http.response.start", "status": 404},
                {"type": "websocket.http.response.body"},
            ],
            Answer(404),
            id="without a body",
        ),
    ],
)
async def test_understands_every_answer(
    messages: list[dict[str, Any]], answer: Answer, origin_client: ClientOf
) -> None:
    """The reason is None where the application itself refused."""
    assert await origin_client(sending(*messages), "/").handshake() == answer


async def test_sends_what_a_browser_would_send() -> None:
    """Host and Origin of the site itself, and nothing of its own."""
    client = OriginCommunicator(sending(), "/ws/?a=b")

    assert client.scope["path"] == "/ws/"
    assert client.scope["query_string"] == b"a=b"
    assert client.scope["headers"] == [
        (b"host", b"testserver"),
        (b"origin", b"http://testserver"),
    ]
    assert client.scope["subprotocols"] == []
    assert "scheme" not in client.scope
    assert get_policy().decide(Handshake.from_scope(client.scope))


async def test_sends_what_it_is_told() -> None:
    """Each part of a handshake can be set."""
    client = OriginCommunicator(
        sending(),
        "/",
        origin=b"https://\xff",
        host="app.example:8443",
        headers=[(b"cookie", b"a=b"), (b"origin", b"null")],
        subprotocols=("v2", "v1"),
        scheme="wss",
    )

    assert client.scope["headers"] == [
        (b"host", b"app.example:8443"),
        (b"origin", b"https://\xff"),
        (b"sec-websocket-protocol", b"v2, v1"),
        (b"cookie", b"a=b"),
        (b"origin", b"null"),
    ]
    assert client.scope["subprotocols"] == ["v2", "v1"]
    assert client.scope["scheme"] == "wss"


async def test_sends_no_origin_where_told() -> None:
    """None is a client that is no browser."""
    client = OriginCommunicator(sending(), "/", origin=None)

    assert client.scope["headers"] == [(b"host", b"testserver")]


async def test_denies_by_denial_response_or_close_as_the_server_would(
    origin_client: ClientOf,
) -> None:
    """A server without denial responses is one without the extension."""
    client = origin_client(Echo.as_asgi(), "/", origin=APP)
    client.scope["extensions"] = {}

    assert await client.handshake() == Answer(403)


def test_replaces_the_policy_for_a_while() -> None:
    """As a context manager, and then it is the old one again."""
    before = get_policy().fingerprint
    with override_policy(APP, "https://*.app.example", inherit=[]):
        policy = get_policy()

    assert [str(rule.pattern) for rule in policy.rules] == [
        APP,
        "https://*.app.example",
    ]
    assert policy.same_origin is False
    assert get_policy().fingerprint == before


@override_policy(APP)
def test_replaces_the_policy_of_a_test() -> None:
    """As a decorator."""
    assert [str(rule.pattern) for rule in get_policy().rules] == [APP]
    assert get_policy().same_origin is True


@override_policy(APP)
async def test_replaces_the_policy_of_a_coroutine(origin_client: ClientOf) -> None:
    """As a decorator of a coroutine function, beside fixtures."""
    assert await origin_client(Echo.as_asgi(), "/", origin=APP).handshake()


def test_replaces_other_settings_too() -> None:
    """Any setting may go along."""
    with override_policy(
        WSORIGIN_ALLOW_ALL_ORIGINS=True, inherit=["hosts"], ALLOWED_HOSTS=["a.example"]
    ):
        texts = [str(rule.pattern) for rule in get_policy().rules]

    assert texts == ["*", "https://a.example", "http://a.example"]


@pytest.fixture
def endings() -> Iterator[list[int]]:
    """Check, after the fixtures of a test have gone, how its sockets ended."""
    codes: list[int] = []
    yield codes
    assert codes == [1000, 1000]


async def test_the_fixture_disconnects_its_clients(
    endings: list[int], origin_client: ClientOf
) -> None:
    """After the test each application has seen the end, also of unused clients."""

    class Listener(GuardedAsyncJsonWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            endings.append(code)

    app = OriginGuard(Listener.as_asgi())
    assert await origin_client(app, "/").handshake()
    assert not await origin_client(app, "/", origin=APP).handshake()
    origin_client(app, "/")

    assert endings == []
