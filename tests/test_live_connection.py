"""
One connection: how it is ended from outside, and what its application sees of that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from wsorigin.handshake import Handshake, Message
from wsorigin.live import Claim, Connection, Terms, shared_terms
from wsorigin.policy import MissingOrigin, Policy, Reason

APP = "https://app.example"


class Server:
    """The server's side of a connection: what it is sent, and what it has to say."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.messages: asyncio.Queue[Message] = asyncio.Queue()

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def connection(self, **options: Any) -> Connection:
        """Return a connection over this server."""
        terms = options.pop("terms", shared_terms(None, "test", ""))
        handshake = options.pop("handshake", Handshake("/ws/", APP))
        return Connection(handshake, terms, self.messages.get, self.send, **options)


@pytest.fixture
async def server() -> Server:
    return Server()


async def test_messages_pass_both_ways(server: Server) -> None:
    """As long as it stands, nothing is changed."""
    connection = server.connection()
    received: Message = {"type": "websocket.receive", "text": "a"}
    server.messages.put_nowait(received)

    assert await connection.receive() is received
    sent: Message = {"type": "websocket.send", "text": "b"}
    await connection.send(sent)
    assert server.sent == [sent]


async def test_an_application_that_waits_learns_at_once(server: Server) -> None:
    """Its receive() returns the end, with the code."""
    connection = server.connection()
    waiting = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    connection.end(4410)

    assert await waiting == {
        "type": "websocket.disconnect",
        "code": 4410,
        "reason": "",
    }
    assert server.sent == [{"type": "websocket.close", "code": 4410}]
    assert not waiting.cancelled()


async def test_an_application_that_works_learns_when_it_asks(server: Server) -> None:
    """A long handler is not torn off; what it sends afterwards is dropped."""
    connection = server.connection()
    connection.end(4403)
    await connection.send({"type": "websocket.send", "text": "late"})
    await asyncio.sleep(0)

    assert server.sent == [{"type": "websocket.close", "code": 4403}]
    for _ in range(2):
        assert (await connection.receive())["code"] == 4403


async def test_an_application_that_waits_in_its_own_task_goes_on(
    server: Server,
) -> None:
    """An application that is no consumer awaits receive() itself; it is not cancelled."""
    connection = server.connection()
    log: list[Any] = []

    async def application() -> None:
        log.extend([await connection.receive(), "cleaned up"])

    task = asyncio.create_task(application())
    await asyncio.sleep(0)
    connection.end(4401)
    await task

    assert [log[0]["code"], log[1]] == [4401, "cleaned up"]


async def test_a_real_cancellation_stays_one(server: Server) -> None:
    """A server that shuts down cancels the application, ended or not."""
    connection = server.connection()
    waiting = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    waiting = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    connection.end(4401)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("code", [1006, 4410])
async def test_the_peer_s_answer_does_not_change_the_code(
    code: int, server: Server
) -> None:
    """Clients are closed first; an application is told when it is released."""
    connection = server.connection()
    waiting = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    connection.close(4403)
    server.messages.put_nowait({"type": "websocket.disconnect", "code": code})
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    connection.release()

    assert (await waiting)["code"] == 4403


async def test_what_nobody_ended_is_settled(server: Server) -> None:
    """There is no close to wait for."""
    await server.connection().settle()

    assert server.sent == []


@pytest.mark.parametrize("by", ["application", "client", "nobody"])
async def test_what_is_closed_already_is_not_closed_again(
    by: str, server: Server
) -> None:
    """Nobody closes twice."""
    connection = server.connection()
    expected = [{"type": "websocket.close", "code": 4401}]
    if by == "application":
        expected = [{"type": "websocket.close", "code": 1000}]
        await connection.send({"type": "websocket.close", "code": 1000})
    elif by == "client":
        expected = []
        server.messages.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await connection.receive()
    connection.end(4401)
    connection.end(4403)
    await asyncio.sleep(0)

    assert server.sent == expected


async def test_a_client_that_left_meanwhile_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Some servers raise when they close what is gone; that fills no log."""
    caplog.set_level(logging.DEBUG)

    async def send(message: Message) -> None:
        raise RuntimeError("gone")

    server = Server()
    connection = Connection(
        Handshake("/ws/", APP),
        shared_terms(None, "test", ""),
        server.messages.get,
        send,
    )
    connection.end(4401)
    await asyncio.sleep(0)

    assert [record.levelname for record in caplog.records] == ["DEBUG"]


@pytest.mark.parametrize(
    ("terms", "patterns", "reason"),
    [
        pytest.param([None], [APP], Reason.LISTED, id="the site's"),
        pytest.param([None], [], Reason.UNLISTED, id="the site's, no more"),
        pytest.param([(APP,)], [], Reason.LISTED, id="the endpoint's own"),
        pytest.param([(APP,), None], [], Reason.UNLISTED, id="both have to agree"),
        pytest.param([(APP,), None], [APP], Reason.LISTED, id="both do"),
    ],
)
async def test_decides_again_on_the_same_terms(
    terms: list[tuple[str, ...] | None],
    patterns: list[str],
    reason: Reason,
    policy_of: Callable[..., Policy],
    server: Server,
) -> None:
    """Each guard on the way asks what it asked at the handshake."""
    connection = server.connection(terms=shared_terms(terms[0], "outer", ""))
    for origins in terms[1:]:
        connection.terms += (Terms(origins, "inner", ""),)
    decision = connection.decide(policy_of(*patterns))

    assert decision.reason is reason
    assert bool(decision) is (reason is Reason.LISTED)


@pytest.mark.parametrize(
    ("claim", "missing", "allowed"),
    [
        pytest.param(Claim(), MissingOrigin.REQUIRE_TOKEN, False, id="nothing"),
        pytest.param(Claim(token=1), MissingOrigin.REQUIRE_TOKEN, True, id="a token"),
        pytest.param(Claim(), MissingOrigin.ALLOW, True, id="allowed"),
    ],
)
async def test_a_token_goes_on_vouching_for_a_missing_origin(
    claim: Claim,
    missing: MissingOrigin,
    allowed: bool,
    policy_of: Callable[..., Policy],
    server: Server,
) -> None:
    """A program's connection has no origin to decide by."""
    connection = server.connection(handshake=Handshake("/ws/", None), claim=claim)

    assert bool(connection.decide(policy_of(missing=missing))) is allowed


async def test_connections_on_the_same_terms_share_them(server: Server) -> None:
    """Thousands of pages of one site differ in nothing that is decided about."""
    one, other = server.connection(), server.connection()

    assert one.terms is other.terms


async def test_nothing_of_a_claim_is_shown() -> None:
    """A session's key is as good as its password."""
    assert "secret" not in repr(Claim(token=1, user=2, session_key="secret"))
