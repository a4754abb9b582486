"""
The guard as a whole, one or two of them around a small application.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from django.contrib.auth.models import User

from tests.fuzz import situations
from tests.fuzz.choices import Choices
from tests.fuzz.disagreement import agree
from tests.fuzz.model import tokens
from tests.fuzz.model.decision import Entry, Headers, Place, Seen
from tests.fuzz.model.guards import (
    Outcome,
    Terms,
    close_code,
    is_applications,
    through,
)
from tests.fuzz.stage import ROWS, Stage, stages, standing_on
from tests.fuzz.targets import credentials
from wsorigin.denial import DENIAL_EXTENSION
from wsorigin.guard import OriginGuard
from wsorigin.handshake import Message, Receive, Scope, Send
from wsorigin.policy import SITE

LISTS = ("https://b.test", "https://.a.test:*", "null", "capacitor://localhost")
SUBPROTOCOLS = ((), (), ("chat.v1",), ("chat.v2", "chat.v1"))
PAGES = ["https://app.example", "https://*.b.test", "https://.a.test:*", "null"]
PAGES += ["https://app*.a.test", "moz-extension://3c078156-979c-498b-8990-85f7987dd929"]
TEXTS = tuple(ROWS)
COOKIES = (b"a=b", b"a=b; c=d", b"", b"\xff", b"sessionid=made-up")


@cache
def loop() -> asyncio.AbstractEventLoop:
    """Return one event loop for all inputs; who is done with it closes it."""
    return asyncio.new_event_loop()


class Application:
    """An application that answers at once, and remembers what it was called with."""

    def __init__(self, answer: Message) -> None:
        self.answer = answer
        self.scope: Scope | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        message = await receive()
        if message["type"] == "websocket.connect":
            await send(dict(self.answer))
            await receive()


class Client:
    """The server's side of a handshake: says connect and disconnect, and hears."""

    def __init__(self, *, is_gone: bool, hangs_up: bool) -> None:
        self.inbox = ["websocket.disconnect"]
        if not is_gone:
            self.inbox.insert(0, "websocket.connect")
        self.sent: list[Message] = []
        self.hangs_up = hangs_up

    async def receive(self) -> Message:
        return {"type": self.inbox.pop(0), "code": 1006}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if self.hangs_up and len(self.sent) > 1:
            raise RuntimeError("the client has left")


def origins_of(choices: Choices, here: Stage) -> tuple[Any, tuple[Entry, ...], Place]:
    """Choose whom a guard allows: as its argument, and for the model."""
    if choices.flag():
        return None, here.entries, here.place
    own = [text for text in LISTS if choices.flag()]
    found = [situations.patterns_of(text) for text in own]
    entries, place = tuple(both[1] for both in found if both), here.place
    if choices.flag():
        own.append(SITE)
        entries += here.entries
    else:
        place = replace(place, same_origin=False)
    if choices.number(8) < 7:
        return own, entries, place
    match choices.number(4):
        case 0:  # what cannot be read trusts nobody; the others still count
            return hook([*own, "nonsense"], choices), entries, place
        case 1:
            return hook(None, choices), here.entries, here.place
    value = choices.pick(("https://b.test", [1], 5, RuntimeError("no answer")))
    return hook(value, choices), (), replace(here.place, same_origin=False)


def hook(value: object, choices: Choices) -> Callable[[Scope], Any]:
    """Return a function of the scope that gives a value, or raises one."""

    def plain(_: Scope) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    async def coroutine(scope: Scope) -> object:
        return plain(scope)

    return plain if choices.rarely() else coroutine


def audience_of(choices: Choices) -> tuple[Any, str]:
    """Choose what a guard is for: as its argument, and for the model."""
    audience = choices.pick(situations.AUDIENCES)
    match choices.number(32):
        case 0:
            return hook(audience or None, choices), audience
        case 1:
            return hook(RuntimeError("no answer"), choices), ""
    return audience, audience


def terms_of(choices: Choices, here: Stage) -> tuple[dict[str, Any], Terms]:
    """Choose what a guard asks: as its arguments, and for the model."""
    report_only = choices.pick((None, None, None, False, True))
    origins, entries, place = origins_of(choices, here)
    given, audience = audience_of(choices)
    arguments: dict[str, Any] = {
        "allowed_origins": origins,
        "audience": given,
        "require_token": choices.rarely(),
        "report_only": report_only,
        "subprotocols": choices.pick(SUBPROTOCOLS),
    }
    return arguments, Terms(
        entries,
        place,
        audience,
        arguments["require_token"],
        not (here.report_only if report_only is None else report_only),
        arguments["subprotocols"],
    )


def scope_of(choices: Choices) -> dict[str, Any]:
    """Choose a handshake, with what may come along."""
    kind = choices.octet()
    brought = credentials.scope_of(choices) if kind & 3 == 3 else {}
    seen = situations.handshake(choices, PAGES)
    headers = [*seen.headers, *brought.pop("headers", ())]
    scope = {"type": "websocket", "path": "/ws/", "query_string": b"", **brought}
    scope["scheme"] = seen.scheme
    if kind & 3 == 2:
        headers.append((b"authorization", b"Bearer " + choices.pick(TEXTS).encode()))
    if kind & 4:
        headers.append(
            (b"cookie", choices.pick(COOKIES[: 5 if kind & 0x60 == 0x60 else 4]))
        )
    if kind & 8:
        scope["extensions"] = {DENIAL_EXTENSION: {}}
    if kind & 0x18 == 0x18:
        scope["cookies"], scope["session"] = {"a": "b"}, {"secret": 1}
        scope["user"] = User(pk=2, username="visitor")
    if kind & 0x80:
        scope["subprotocols"] = [
            *scope.get("subprotocols", ()),
            *choices.some(lambda choices: choices.pick(credentials.NAMES), 2),
        ]
    scope["headers"] = headers
    return scope


def answer_of(choices: Choices, scope: Scope) -> Message:
    """Choose what the application says: it accepts, as a rule."""
    if choices.rarely():
        return {"type": "websocket.close"}
    names = [None, "chat.v1", *(scope.get("subprotocols") or ())]
    return {"type": "websocket.accept", "subprotocol": choices.pick(names)}


def target(data: bytes) -> None:
    """Let a handshake through exactly where it may, with exactly what it may have."""
    choices = Choices(data)
    here = choices.pick(stages())
    asked = [terms_of(choices, here) for _ in range(1 + choices.number(4) // 3)]
    scope = scope_of(choices)
    app = Application(answer_of(choices, scope))
    client = Client(is_gone=choices.rarely(), hangs_up=choices.rarely())
    guarded: Any = app
    for arguments, _ in reversed(asked):
        guarded = OriginGuard(guarded, **arguments)
    about = ([arguments for arguments, _ in asked], {**scope}, app.answer, here.place)
    outcome = through([terms for _, terms in asked], about[1], ROWS)
    is_gone = client.inbox[0] == "websocket.disconnect"
    client.hangs_up = client.hangs_up and outcome.to != "application"
    with standing_on(here):
        loop().run_until_complete(guarded(scope, client.receive, client.send))
        if choices.rarely():
            loop().run_until_complete(guarded.explain(about[1]))
    agree(about, app.scope is not None, outcome.to == "application")
    if is_gone:
        agree(about, client.sent, [])
    elif outcome.to == "application":
        check_accepted(about, outcome, app.answer, client.sent)
    elif outcome.to == "preflight":
        check_preflight(about, outcome, client.sent)
    else:
        check_denied(about, outcome, here, client.sent)
    if app.scope is not None:
        check_scope(about, outcome, app.scope, about[1])


def check_accepted(
    about: object, outcome: Outcome, answer: Message, sent: list[Message]
) -> None:
    """See that the application's answer arrives, with a subprotocol that fits."""
    expected = dict(answer)
    if answer["type"] == "websocket.accept":
        expected["subprotocol"] = outcome.subprotocol(answer["subprotocol"])
    agree(about, sent, [expected])


def check_preflight(about: object, outcome: Outcome, sent: list[Message]) -> None:
    """See that who asks gets one answer, the decision, and the socket closed."""
    types = ["websocket.accept", "websocket.send", "websocket.close"]
    agree(about, [message["type"] for message in sent], types[: max(2, len(sent))])
    told, answer = json.loads(sent[1]["text"]), outcome.answer
    agree(about, (told["allowed"], told["credentials"]), answer[:2])
    agree(about, told["reason"] in answer.reasons or told["reason"], True)


def check_denied(
    about: Any, outcome: Outcome, here: Stage, sent: list[Message]
) -> None:
    """See that a denial is one answer, says why, and selects what it may."""
    (reason,) = outcome.answer.reasons
    first = sent[0]
    scope = about[1]
    offered = scope.get("subprotocols") or ()
    if here.deny_with == "close":
        last = {"type": "websocket.close", "code": close_code(reason), "reason": reason}
        ours = [name for name in offered if is_applications(name)]
        _, own = outcome.selects[-1]
        chosen = outcome.subprotocol(own or next(iter(ours), None))
        agree(about, first, {"type": "websocket.accept", "subprotocol": chosen})
        agree(about, sent[1:], [last])
    elif "extensions" in scope:
        agree(about, first["type"], "websocket.http.response.start")
        agree(about, first["status"], 403)
        agree(about, len(sent), 2)
        agree(about, f'"reason": "{reason}"'.encode() in sent[1]["body"], True)
    else:
        agree(about, sent, [{"type": "websocket.close", "code": close_code(reason)}])


def check_scope(about: object, outcome: Outcome, scope: Scope, before: Scope) -> None:
    """See that the application gets what it may have, and nothing of ours."""
    admission = scope["wsorigin"]
    decision, answer = admission.decision, outcome.answer
    agree(about, (decision.allowed, decision.credentials), answer[:2])
    agree(about, decision.reason in answer.reasons or decision.reason, True)
    agree(about, admission.enforced, outcome.enforced)
    names = [name for name in before.get("subprotocols") or () if is_applications(name)]
    agree(about, list(scope.get("subprotocols") or ()), names)
    url = scope["path"] + tokens.percent_decoded(scope["query_string"])
    agree(about, tokens.shows_token(url), False)
    withheld = outcome.withheld
    check_headers(about, scope["headers"], before["headers"], withheld=withheld)
    if "session" in before and withheld:
        agree(about, (scope["cookies"], dict(scope["session"].items())), ({}, {}))
    user = scope.get("user")
    if outcome.token and ROWS[outcome.token].kind == "secret":
        agree(about, user and user.username, "owner")
    elif outcome.token or withheld:
        agree(about, user is None or user.is_anonymous, True)
    else:
        agree(about, user, before.get("user"))


def check_headers(
    about: object, left: Headers, before: Headers, *, withheld: bool
) -> None:
    """See that of the headers nothing is gone but what has to be."""
    sent = Seen(list(before)).joined(b"authorization") or ""
    gone = {b"cookie"} if withheld else set()
    gone |= {b"authorization"} if tokens.bearers(sent) else set()
    offers = [value for name, value in left if name == b"sec-websocket-protocol"]
    for value in offers:
        agree(about, tokens.offered_tokens(value.decode("latin-1").split(",")), [])
    gone.add(b"sec-websocket-protocol")
    agree(
        about,
        [pair for pair in left if pair[0] != b"sec-websocket-protocol"],
        [pair for pair in before if pair[0] not in gone],
    )
