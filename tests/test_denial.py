"""
Saying no: what the client is sent, and what the operator reads.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsorigin import denial
from wsorigin.denial import (
    DENIAL_EXTENSION,
    RateLimit,
    close_code,
    log_denial,
    may_log,
    problem,
    remedy,
    send_denial,
    shown,
)
from wsorigin.handshake import Handshake, Message
from wsorigin.patterns import OriginPattern
from wsorigin.policy import Decision, Explanation, Policy, Reason, Rule
from wsorigin.site import Site

DENIED = Decision(False, Reason.UNLISTED)


OFFERED = {"extensions": {DENIAL_EXTENSION: {}}}


async def answer(
    decision: Decision = DENIED,
    scope: dict[str, Any] = OFFERED,
    *,
    first: str = "websocket.connect",
    **options: Any,
) -> list[Message]:
    """Deny, and return the messages that were sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": first}

    async def send(message: Message) -> None:
        sent.append(message)

    await send_denial(
        decision, scope, receive, send, **{"deny_with": "http", **options}
    )
    return sent


async def test_answers_403_with_the_reason() -> None:
    """Where the server offers denial responses, the body names the reason."""
    start, body = await answer()

    assert start == {
        "type": "websocket.http.response.start",
        "status": 403,
        "headers": [
            (b"content-type", b"application/problem+json"),
            (b"cache-control", b"no-store"),
        ],
    }
    assert body["type"] == "websocket.http.response.body"
    assert json.loads(body["body"]) == {
        "title": "WebSocket handshake denied",
        "status": 403,
        "reason": "unlisted",
        "detail": "No rule covers the origin.",
    }


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        pytest.param(Reason.UNLISTED, 4403, id="origin"),
        pytest.param(Reason.MISSING, 4403, id="no origin"),
        pytest.param(Reason.TOKEN_REQUIRED, 4401, id="token"),
        pytest.param(Reason.TOKEN_UNKNOWN, 4401, id="wrong token"),
        pytest.param(Reason.TOKEN_WRONG_ORIGIN, 4403, id="token of another origin"),
        pytest.param(Reason.TOKEN_REVOKED, 4410, id="revoked"),
        pytest.param(Reason.TOKEN_EXPIRED, 4419, id="expired"),
        pytest.param(Reason.TOKEN_USED, 4419, id="a used ticket: another one would do"),
    ],
)
async def test_closes_with_a_code_for_what_the_client_should_do(
    reason: Reason, code: int
) -> None:
    """4401 asks for a credential, 4403 and 4410 say to stop, 4419 to fetch a ticket."""
    assert close_code(reason) == code
    assert await answer(Decision(False, reason), scope={}) == [
        {"type": "websocket.close", "code": code}
    ]


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({}, id="no extensions, as on Daphne"),
        pytest.param({"extensions": None}, id="None"),
        pytest.param({"extensions": {"tls": {}}}, id="another extension"),
    ],
)
async def test_sends_a_denial_response_only_where_offered(
    scope: dict[str, Any],
) -> None:
    """On Daphne it would hang for five seconds; a close becomes 403 everywhere."""
    assert await answer(scope=scope) == [{"type": "websocket.close", "code": 4403}]


@pytest.mark.parametrize("scope", [OFFERED, {}], ids=["offered", "not offered"])
async def test_opens_and_closes_where_the_page_is_to_learn_the_reason(
    scope: dict[str, Any],
) -> None:
    """``WSORIGIN_DENY_WITH = "close"``: accept, send nothing, close with a code."""
    assert await answer(scope=scope, deny_with="close", subprotocol="chat") == [
        {"type": "websocket.accept", "subprotocol": "chat"},
        {"type": "websocket.close", "code": 4403, "reason": "unlisted"},
    ]


UNAVAILABLE = Decision(False, Reason.TOKEN_UNAVAILABLE)


async def test_asks_to_come_back_where_the_database_is_away() -> None:
    """503 with Retry-After: 403 would say that it is no use."""
    start, _ = await answer(UNAVAILABLE)

    assert start["status"] == 503
    assert (b"retry-after", b"5") in start["headers"]


async def test_asks_to_come_back_also_where_no_status_can_be_sent() -> None:
    """On Daphne a close before accepting is a 403, so it opens first."""
    assert await answer(UNAVAILABLE, scope={}, subprotocol="chat") == [
        {"type": "websocket.accept", "subprotocol": "chat"},
        {"type": "websocket.close", "code": 4503, "reason": "token-unavailable"},
    ]


# No denial without a remedy, but for those that a remedy would not help.
@pytest.mark.parametrize(
    "reason",
    [
        one
        for one in Reason
        if one.startswith("token-") or one is Reason.UPGRADE_STRIPPED
    ],
)
def test_each_reason_about_tokens_has_a_remedy(reason: Reason) -> None:
    """Whoever reads the line knows what to do."""
    explanation = Explanation(Decision(False, reason), None, (), None, "")

    assert remedy(reason, explanation)


@pytest.mark.parametrize("deny_with", ["http", "close"])
async def test_answers_nobody_who_has_gone(deny_with: str) -> None:
    """A client that left before it was answered gets no answer."""
    assert await answer(first="websocket.disconnect", deny_with=deny_with) == []


@pytest.mark.parametrize("reason", Reason)
def test_tells_a_stranger_the_reason_and_nothing_else(reason: Reason) -> None:
    """No rule, no list and no setting's value is in the body (RFC 9457)."""
    assert problem(reason) == {
        "title": "WebSocket handshake denied",
        "status": 503 if reason is Reason.TOKEN_UNAVAILABLE else 403,
        "reason": reason.value,
        "detail": reason.sentence,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, "-", id="nothing"),
        pytest.param("", "''", id="empty"),
        pytest.param("https://a.example", "'https://a.example'", id="plain"),
        pytest.param(
            "x\r\n[ERROR] fake", r"'x\r\n[ERROR] fake'", id="lessons 39: CR and LF"
        ),
        pytest.param("\x1b[31m\x00", r"'\x1b[31m\x00'", id="terminal escapes"),
        pytest.param("ü\u202e", r"'\xfc\u202e'", id="other scripts and directions"),
        pytest.param("it's", '"it\'s"', id="quotes"),
        pytest.param(
            f"/ws/wsok_Abcdefgh{'x' * 38}/", "'/ws/wsok_Abcdefgh.../'", id="a token"
        ),
    ],
)
def test_shows_client_sent_text_escaped(text: str | None, expected: str) -> None:
    """One line, ASCII, quoted."""
    assert shown(text) == expected


@pytest.mark.parametrize("character", ["a", "\n", "ü", "\U0001f600"])
def test_cuts_client_sent_text(character: str) -> None:
    """At most 200 characters in the log, however they are escaped."""
    text = shown(character * 5000)

    assert text.isascii()
    assert "..." in text
    assert len(text) <= 200 + len("'...'")


@given(st.text(max_size=300))
def test_shows_any_text_on_one_line(text: str) -> None:
    """No text breaks the line."""
    assert shown(text).isascii()
    assert shown(text).isprintable()


def test_allows_a_burst_and_then_a_rate() -> None:
    """A stranger chooses how many denials there are, not how many lines."""
    limit = RateLimit(burst=2, per_second=0)

    assert [limit.allows() for _ in range(5)] == [True, True, False, False, False]
    assert limit.dropped == 3


def test_fills_up_again() -> None:
    """Time puts something into the bucket, up to the burst."""
    limit = RateLimit(burst=1, per_second=1e12)

    assert [limit.allows() for _ in range(3)] == [True, True, True]
    assert limit.dropped == 0


@pytest.fixture
def log() -> Callable[..., None]:
    """Deny a handshake in the log, by a policy with one rule."""
    policy = Policy(
        [Rule(OriginPattern.parse("https://app.example"), "LIST[0]")],
        site=Site(("own.example",)),
        same_origin=True,
    )

    def deny(
        origin: str | None,
        *,
        host: str = "own.example",
        path: str = "/ws/",
        enforced: bool = True,
        reason: Reason | None = None,
        **headers: str,
    ) -> None:
        pairs = {b"host": host.encode()}
        pairs |= {
            name.replace("_", "-").encode(): value.encode()
            for name, value in headers.items()
        }
        handshake = Handshake(path, origin, pairs)
        decision = policy.decide(handshake)
        if may_log():
            log_denial(
                policy.explain(handshake),
                handshake,
                Decision(False, reason) if reason else decision,
                "3f9a1c",
                enforced=enforced,
            )

    return deny


@pytest.mark.parametrize(
    ("denied", "line", "remedy"),
    [
        pytest.param(
            {"origin": "https://evil.test"},
            "denied origin='https://evil.test' reason=unlisted endpoint='/ws/' "
            "policy=3f9a1c",
            "If you trust it: manage.py wsorigin trust https://evil.test",
            id="unlisted",
        ),
        pytest.param(
            {"origin": "https://app.example:8443"},
            "denied origin='https://app.example:8443' reason=unlisted "
            "endpoint='/ws/' policy=3f9a1c nearest='https://app.example (LIST[0]) "
            "differs only in the port (the default)'",
            "If you trust it: manage.py wsorigin trust https://app.example:8443",
            id="nearly listed",
        ),
        pytest.param(
            {"origin": "https://app.example/"},
            "denied origin='https://app.example/' reason=malformed endpoint='/ws/' "
            "policy=3f9a1c problem='it has a path'",
            "No browser sends that: look for a proxy or a client that makes it.",
            id="malformed",
        ),
        pytest.param(
            {"origin": "null"},
            "denied origin='null' reason=opaque endpoint='/ws/' policy=3f9a1c",
            "If you mean it, add 'null' to WSORIGIN_ALLOWED_ORIGINS: anybody can "
            "send it, so it never gets the session.",
            id="opaque",
        ),
        pytest.param(
            {"origin": None},
            "denied origin=- reason=missing endpoint='/ws/' policy=3f9a1c",
            "A browser always sends one: look for a proxy that removes it. "
            "For other clients see WSORIGIN_MISSING_ORIGIN.",
            id="missing",
        ),
        pytest.param(
            {"origin": "https://a,https://b"},
            "denied origin='https://a,https://b' reason=multiple endpoint='/ws/' "
            "policy=3f9a1c",
            "Have the proxy pass one Origin header on, the browser's own.",
            id="multiple",
        ),
        pytest.param(
            {"origin": "https://rebind.test", "host": "rebind.test"},
            "denied origin='https://rebind.test' reason=host-not-allowed "
            "endpoint='/ws/' policy=3f9a1c",
            "If 'rebind.test' is a name of this site, add it to ALLOWED_HOSTS.",
            id="host not allowed",
        ),
        pytest.param(
            {"origin": "https://own.example", "sec_fetch_site": "cross-site"},
            "denied origin='https://own.example' reason=origin-rewritten "
            "endpoint='/ws/' policy=3f9a1c",
            "Have the proxy pass the browser's Origin header on unchanged.",
            id="rewritten",
        ),
        pytest.param(
            {"origin": "https://app.example", "reason": Reason.NO_COMMON_SUBPROTOCOL},
            "denied origin='https://app.example' reason=no-common-subprotocol "
            "endpoint='/ws/' policy=3f9a1c",
            "Have the client offer one of the consumer's subprotocols.",
            id="subprotocol",
        ),
        pytest.param(
            {"origin": "https://app.example", "reason": Reason.TOKEN_REQUIRED},
            "denied origin='https://app.example' reason=token-required "
            "endpoint='/ws/' policy=3f9a1c",
            "Have the client bring a token: manage.py wsorigin token mint",
            id="token",
        ),
        pytest.param(
            {"origin": "null", "enforced": False},
            "would deny (report-only) origin='null' reason=opaque endpoint='/ws/' "
            "policy=3f9a1c",
            "If you mean it, add 'null' to WSORIGIN_ALLOWED_ORIGINS: anybody can "
            "send it, so it never gets the session.",
            id="report-only",
        ),
        pytest.param(
            {"origin": "null", "path": "/ws/\n[CRITICAL] fake"},
            r"denied origin='null' reason=opaque endpoint='/ws/\n[CRITICAL] fake' "
            "policy=3f9a1c",
            "If you mean it, add 'null' to WSORIGIN_ALLOWED_ORIGINS: anybody can "
            "send it, so it never gets the session.",
            id="lessons 39: a path with a line feed",
        ),
    ],
)
def test_writes_what_happened_and_what_to_do(
    denied: dict[str, Any],
    line: str,
    remedy: str,
    log: Callable[..., None],
    denials: Callable[[], list[str]],
) -> None:
    """One record for a denial, with stable fields and the remedy."""
    log(**denied)

    assert denials() == [f"{line}\n    {remedy}" if remedy else line]


def test_writes_no_more_than_the_rate_limit(
    log: Callable[..., None],
    denials: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flood costs neither lines nor explanations; the next line counts it."""
    monkeypatch.setattr(denial, "limit", RateLimit(burst=1, per_second=0))
    for _ in range(4):
        log("null")
    denial.limit.burst, denial.limit.per_second = 9, 1e12
    log("null")
    log("null")

    lines = [text.partition("\n")[0] for text in denials()]
    assert len(lines) == 3
    assert lines[1] == lines[0] + " (3 denials before it not logged)"
    assert lines[2] == lines[0]


def test_explains_nothing_that_nobody_reads(
    denials: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """Where warnings are off, a denial costs no explanation and no allowance."""
    caplog.set_level(logging.ERROR, "wsorigin.denial")

    assert not may_log()
    assert denials() == []
    assert denial.limit.allows()


def test_what_is_allowed_needs_no_remedy() -> None:
    """Only denials have something to be done about."""
    nothing = Explanation(Decision(True, Reason.LISTED), None, (), None, "")

    assert denial.remedy(Reason.LISTED, nothing) == ""
