"""
No secret is where it should not be, on any server, whatever a client does with it.

Each server logs all that it can while clients bring tokens, tickets and sessions in
every right and wrong way. Then everything that was written or answered is searched.
"""

from __future__ import annotations

import json
import re
import sqlite3
import traceback
from asyncio import sleep
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from itertools import product
from typing import Any, Final
from urllib.parse import unquote

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from wsorigin import guard, tokens
from wsorigin.admission import Admission
from wsorigin.credentials import Credential, InvalidToken, Secret, TokenKind
from wsorigin.guard import OriginGuard
from wsorigin.handshake import MARKER, Handshake
from wsorigin.live import Claim, Connection, shared_terms
from wsorigin.models import ConnectionToken
from wsorigin.policy import Decision, Reason
from wsorigin.testing import OriginCommunicator
from wsorigin.verification import Verified, verify

from .secret_site.processes import TIMEOUT, Site, site
from .servers.client import Client, Stream
from .servers.processes import KINDS, Kind, Server
from .servers.sites import ROOT
from .waiting import eventually

APP: Final = "https://app.example"
SITE: Final = "https://site.example"
EVIL: Final = "https://evil.example"

# Reasons to let a handshake through.
ALLOWING: Final = {"listed", "same-origin", "token"}

# Of what a client holds, so many characters in a row are no coincidence.
PIECE: Final = 20
# Where the random part of a token begins: prefix and public id are for everybody.
PUBLIC: Final = 13


# Searching


def traces(secret: str, text: str) -> list[str]:
    """Return the pieces of a secret that are in a text, in whatever coding."""
    pieces = [secret[at : at + PIECE] for at in range(len(secret) - PIECE + 1)]
    plain = decoded(text)
    return [piece for piece in pieces if piece in plain]


def found(secrets: Mapping[Any, str], text: str) -> set[Any]:
    """Return the names of the secrets of which there are traces in a text."""
    return {name for name, secret in secrets.items() if traces(secret, text)}


@lru_cache(maxsize=8)
def decoded(text: str) -> str:
    """Return a text, and what is in it percent-encoded or in Base64."""
    plain = unquote(text)
    found = [text, plain]
    for run in re.findall("[0-9A-Za-z+/_-]{24,}", plain):
        standard = run.replace("-", "+").replace("_", "/")
        for start in range(4):
            whole = len(standard[start:]) // 4 * 4
            octets = b64decode(standard[start : start + whole])
            found.append(octets.decode("latin-1"))
    return "\n".join(found)


def percent_encoded(text: str) -> str:
    """Encode every character, as no browser would."""
    return "".join(f"%{octet:02x}" for octet in text.encode())


def base64url(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


CODINGS: Final[dict[str, Callable[[str], str]]] = {
    "plain": str,
    "percent-encoded": percent_encoded,
    "base64url": base64url,
}


@pytest.mark.parametrize(
    "hide",
    [
        *CODINGS.values(),
        lambda secret: secret[5 : 5 + PIECE],
        lambda secret: b64encode(f"ada:{secret}".encode()).decode(),
        lambda secret: base64url(f"x{secret}"),
        lambda secret: percent_encoded(base64url(f"yz{secret}")),
    ],
)
def test_the_search_finds_what_is_there(hide: Callable[[str], str]) -> None:
    """Or all that follows would prove nothing."""
    secret = Secret.new(TokenKind.SECRET).text[PUBLIC:]

    assert traces(secret, f"GET /ws/?token={hide(secret)}&x=1 HTTP/1.1")
    assert not traces(secret, hide(Secret.new(TokenKind.SECRET).text))


# What clients do


@dataclass
class Bag:
    """The secrets that the clients of one server hold, by name."""

    texts: dict[str, str]
    session: str

    def __getitem__(self, name: str) -> str:
        return self.texts[name]


@dataclass(frozen=True)
class Attempt:
    """
    One handshake: where, from where, with what, and the reason that it has.

    ``bearer`` and ``offered`` name the secrets that it brings, in Authorization and
    among the subprotocols; ``spoil`` is done to the first. There may be one in
    ``origin``, too: there are clients that send their whole URL.
    """

    path: str
    reason: str
    bearer: str = ""
    offered: str = ""
    origin: str | None = APP
    spoil: Callable[[str], str] = str
    cookie: bool = False
    enforced: bool = True

    @property
    def opens(self) -> bool:
        """Whether the application is to see it."""
        return not self.enforced or self.reason in ALLOWING

    def headers(self, bag: Bag) -> Iterator[tuple[str, str]]:
        """Yield its headers."""
        if self.bearer:
            yield "Authorization", f"Bearer {self.spoil(bag[self.bearer])}"
        if self.cookie:
            yield "Cookie", f"theme=dark; sessionid={bag.session}"
        if self.offered:
            name = Secret.parse(bag[self.offered]).subprotocol
            offered = name if self.bearer else self.spoil(name)
            yield "Sec-WebSocket-Protocol", f"{MARKER}, {offered}"


def mistyped(text: str) -> str:
    return f"{text[:-1]}{'0' if text[-1] == '1' else '1'}"


def cut(text: str) -> str:
    return text[:-3]


def twice(text: str) -> str:
    return f"{text}, Bearer {text}"


def everywhere() -> Iterator[Attempt]:
    """Yield what is tried with the guard inside, then outside."""
    for place in ("inside", "outside"):
        report = f"/{place}/report/"
        yield Attempt(report, "token", "secret", origin=None)
        yield Attempt(report, "listed", "secret")
        yield Attempt(report, "listed", "secret", "secret")
        yield Attempt(report, "listed", "secret", spoil=twice)
        yield Attempt(report, "listed", "secret", cookie=True)
        yield Attempt(report, "listed", offered="secret")
        yield Attempt(report, "listed", offered="publishable", cookie=True)
        yield Attempt(report, "listed", offered=f"ticket {place}", cookie=True)
        yield Attempt(report, "token-used", offered=f"ticket {place}", cookie=True)
        yield Attempt(report, "token-used", f"ticket {place}")
        yield Attempt(report, "token-conflict", "secret", "publishable")
        for spoil in (mistyped, cut):
            yield Attempt(report, "token-malformed", "secret", spoil=spoil)
            yield Attempt(report, "token-malformed", offered="secret", spoil=spoil)
        for ended in ("unknown", "expired", "revoked"):
            yield Attempt(report, f"token-{ended}", ended)
            yield Attempt(report, f"token-{ended}", offered=ended, cookie=True)
        yield Attempt(report, "token-user-inactive", "inactive")
        yield Attempt(report, "token-wrong-origin", "publishable", origin=SITE)
        yield Attempt(report, "token-wrong-origin", offered="ticket", origin=SITE)
        yield Attempt(report, "token-wrong-origin", "ticket", origin=None)
        yield Attempt(report, "unlisted", "secret", origin=EVIL, cookie=True)
        yield Attempt(report, "unlisted", offered="ticket", origin=EVIL)
        for origin in (
            "https://app.example/?token={secret}",
            "https://{secret}.example",
        ):
            yield Attempt(report, "malformed", origin=origin)
        yield Attempt(report, "same-origin", origin=SITE, cookie=True)


def failing() -> Iterator[Attempt]:
    """Yield what lets the application raise an exception."""
    for place, name in product(("inside", "outside"), ("failing", "failing-later")):
        path = f"/{place}/{name}/"
        yield Attempt(path, "listed", "secret")
        yield Attempt(path, "listed", offered=f"ticket {path}")
        yield Attempt(path, "same-origin", origin=SITE, cookie=True)


def only_reported() -> Iterator[Attempt]:
    """Yield what would be denied, were it enforced."""
    path = "/report-only/report/"
    for bearer, offered in (("secret", ""), ("", "ticket"), ("", "")):
        yield Attempt(
            path, "unlisted", bearer, offered, EVIL, cookie=True, enforced=False
        )
    yield Attempt(path, "token-revoked", "revoked", cookie=True, enforced=False)
    yield Attempt(path, "token-malformed", "secret", spoil=cut, enforced=False)


ATTEMPTS: Final = [
    *everywhere(),
    *only_reported(),
    Attempt("/prices/report/", "no-common-subprotocol", offered="secret"),
]
FAILING: Final = [*failing()]

# In the URL, a token for each way: so that one sees which of them was logged.
WAYS: Final = [
    *product(
        ("inside", "outside", "report-only", "nowhere"), ("query", "path"), CODINGS
    )
]


# Where nothing is routed, no guard is asked.
IN_URL: Final = [way for way in WAYS if way[0] != "nowhere"]
DENIED: Final = [
    *(attempt for attempt in ATTEMPTS if attempt.reason not in ALLOWING),
    *IN_URL,
]


def url(place: str, where: str, coding: str, token: str) -> str:
    """Return a path and query with a token in it; nothing is routed to nowhere."""
    encoded = CODINGS[coding](token)
    path = "/inside/nowhere/" if place == "nowhere" else f"/{place}/report/"
    return f"{path}?auth={encoded}" if where == "query" else f"{path}{encoded}/"


# What comes of it


@dataclass
class Heard:
    """What a server, and those who asked it, have heard of the secrets."""

    kind: Kind
    bag: Bag
    urls: dict[tuple[str, str, str], str]
    opened: list[bool] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    log: str = ""
    wire: str = ""

    @property
    def tokens(self) -> dict[str, str]:
        """The random part of each token that was never in a URL."""
        return {name: text[PUBLIC:] for name, text in self.bag.texts.items()}

    @property
    def secrets(self) -> dict[str, str]:
        """All that nobody should find: those, and the session."""
        return {**self.tokens, "session": self.bag.session}

    @property
    def in_urls(self) -> dict[Any, str]:
        """The random part of each token that was."""
        return {way: text[PUBLIC:] for way, text in self.urls.items()}

    def attempt(self, server: Server, attempts: Iterable[Attempt]) -> None:
        """Make attempts all at once: Daphne looks for exceptions once a second."""
        streams = [
            server.send_handshake(
                attempt.path,
                origin=attempt.origin and attempt.origin.format_map(self.bag.texts),
                headers=list(attempt.headers(self.bag)),
            )
            for attempt in attempts
        ]
        self.listen(server, streams)

    def bring_in_urls(self, server: Server) -> None:
        """Bring a token in the URL, in every way."""
        streams = [
            server.send_handshake(url(*way, token), origin=APP)
            for way, token in self.urls.items()
        ]
        self.listen(server, streams)

    def listen(self, server: Server, streams: list[Stream]) -> None:
        """Keep the answers, and what the application saw of its own scope."""
        server.streams += streams
        for client in map(Client, streams):
            message = client.receive() if client.opened else ""
            is_report = isinstance(message, str) and message.startswith("{")
            if is_report:
                report = json.loads(str(message))
                self.scopes.append(report.pop("scope"))
                message = repr(report)
            self.opened.append(is_report)
            self.answers.append(repr((client.headers, client.body, message)))
        server.hang_up()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Make a site whose database all servers use, one after the other."""
    with site(tmp_path_factory.mktemp("site")) as made:
        made.operator("add_user", name="ada")
        made.operator("add_user", name="bob")
        yield made


def fill(made: Site) -> Bag:
    """Mint what the clients of one server are going to bring."""
    operator = made.operator
    session = operator("log_in", name="ada")
    texts = {
        "publishable": made.publishable,
        "unknown": Secret.new(TokenKind.SECRET).text,
    }
    for name in ("secret", "expired", "revoked", "inactive"):
        owner = "bob" if name == "inactive" else "ada"
        pk, texts[name] = operator("mint", user=owner)
        if name == "expired":
            operator("expire_token", pk=pk)
        elif name == "revoked":
            operator("revoke", pk=pk)
    operator("deactivate", name="bob")
    for attempt in (*ATTEMPTS, *FAILING):
        name = attempt.offered
        if name.startswith("ticket") and name not in texts:
            _, texts[name] = operator(
                "mint_ticket", user="ada", origin=APP, session=session
            )
    return Bag(texts, session)


def wait_for_denials(made: Site, count: int) -> None:
    """Return when so many denials are in the audit."""
    eventually(lambda: sum(made.operator("denials").values()) == count, TIMEOUT)


# With pytest-xdist and --dist=loadgroup, each kind of server is started only once.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            (kind, deny_with),
            id=f"{kind.name}, {deny_with}",
            marks=[pytest.mark.server, pytest.mark.xdist_group(kind.name)],
        )
        for kind, deny_with in product(KINDS, ("http", "close"))
    ],
)
def heard(request: pytest.FixtureRequest, shared: Site) -> Heard:
    """Run a server, bring it everything in every way, and let it end."""
    kind, deny_with = request.param
    new = {way: Secret.new(TokenKind.SECRET).text for way in WAYS}
    heard = Heard(kind, fill(shared), new)
    before = sum(shared.operator("denials").values())
    with shared.served(kind, WSORIGIN_DENY_WITH=deny_with) as server:
        for attempt in ATTEMPTS:
            heard.attempt(server, [attempt])
        heard.attempt(server, FAILING)
        heard.bring_in_urls(server)
        # Not every server lets its processes finish what they have to write.
        wait_for_denials(shared, before + len(DENIED))
    heard.log = server.log.read_text(errors="replace")
    heard.wire = server.log.with_suffix(".wire.log").read_text(errors="replace")
    return heard


def test_the_attempts_were_made(heard: Heard) -> None:
    """Each came to its reason, and those that were to open did."""
    expected = Counter(attempt.reason for attempt in (*ATTEMPTS, *FAILING))
    expected["token-in-url"] = len(IN_URL)
    reasons = re.findall(r"checked reason=(\S+)", heard.log)

    assert Counter(reasons) == expected
    assert heard.opened == [
        *(attempt.opens for attempt in ATTEMPTS),
        *(False for _ in FAILING),
        *(place == "report-only" for place, *_ in WAYS),
    ]


def test_no_log_has_a_secret(heard: Heard) -> None:
    """Neither ours, nor the server's, nor what receivers and exceptions write."""
    assert "RuntimeError: cannot open for" in heard.log
    assert "RuntimeError: cannot go on for" in heard.log
    assert "consumers DEBUG admitted" in heard.log
    assert heard.bag["secret"][:PUBLIC] in heard.log
    assert found(heard.secrets, heard.log) == set()


def test_no_answer_has_a_secret(heard: Heard) -> None:
    """No header, accepted subprotocol, body or close; nor what an admission tells."""
    answers = "\n".join(heard.answers)

    assert f"'sec-websocket-protocol': '{MARKER}'" in answers
    assert found({**heard.secrets, **heard.in_urls}, answers) == set()


def test_no_application_sees_a_token(heard: Heard) -> None:
    """The session it may have, where its cookies count."""
    scopes = "\n".join(heard.scopes)

    assert "wso" in scopes  # a token in a URL, cut to what is public of it
    assert found({**heard.tokens, **heard.in_urls}, scopes) == set()


def test_no_row_has_a_secret(heard: Heard, shared: Site) -> None:
    """The audit has none, and of tokens not a byte of the database."""
    with closing(sqlite3.connect(shared.database)) as database:
        rows = [
            database.execute(f"SELECT * FROM wsorigin_{table}").fetchall()  # noqa: S608
            for table in ("deniedhandshake", "connectiontoken")
        ]
    octets = shared.database.read_bytes().decode("latin-1")

    assert "token-in-url" in repr(rows)
    assert found({**heard.secrets, **heard.in_urls}, repr(rows)) == set()
    assert found({**heard.tokens, **heard.in_urls}, octets) == set()


# What servers log by themselves

# Of a token in the URL: in which part of it, with the guard inside and outermost.
LOGGED: Final = {
    "daphne": ({"path"}, {"path"}),
    "uvicorn": ({"query", "path"}, set()),
    "hypercorn": ({"path"}, set()),
    "granian": ({"path"}, {"path"}),
}
# Whose libraries log whole handshakes at DEBUG: by which logger.
PRINTED: Final = {
    "uvicorn-websockets": "uvicorn.error",
    "uvicorn-sansio": "uvicorn.error",
    "hypercorn-h2": "hpack",
}


def test_what_a_server_logs_of_a_url_is_known(heard: Heard) -> None:
    """
    An outermost guard redacts the server's own scope, before its access log is written.

    Behind a router, it only has a copy. Daphne and granian log the path as it came in;
    and a path that leads nowhere is in the exception of Channels' router.
    """
    inside, outermost = LOGGED[heard.kind.name.partition("-")[0]]
    by_place = {
        "inside": inside,
        "outside": outermost,
        "report-only": outermost,
        "nowhere": {"path"},
    }

    assert found(heard.in_urls, heard.log) == {
        way for way in WAYS if way[1] in by_place[way[0]]
    }


def test_what_a_server_logs_of_headers_at_debug_is_known(heard: Heard) -> None:
    """Two libraries print all they read; at INFO, and so by default, they do not."""
    printed = heard.kind.name in PRINTED

    assert ("secret" in found(heard.secrets, heard.wire)) == printed
    assert ("session" in found(heard.secrets, heard.wire)) == printed


def test_what_servers_log_is_documented() -> None:
    """The page about secrets has the same tables."""
    page = (ROOT / "docs/explanation/secrets.md").read_text()

    for server, parts in LOGGED.items():
        inside, outermost = (
            ", ".join(sorted(part, reverse=True)) or "-" for part in parts
        )
        assert f"| {server} | {inside} | {outermost} |" in page
    for logger in PRINTED.values():
        assert f"`{logger}`" in page


# Everything that has a form


SECRET: Final = Secret.new(TokenKind.SECRET)
SESSION: Final = "0123456789abcdefghijklmnopqrstuv"


def objects() -> Iterator[Any]:
    """Yield whatever holds a secret, or has just seen one."""
    token = ConnectionToken(
        kind=SECRET.kind, public_id=SECRET.public_id, digest=SECRET.digest
    )
    handshake = Handshake.from_scope(
        {
            "type": "websocket",
            "path": f"/ws/{SECRET.text}/",
            "query_string": SECRET.text.encode(),
            "headers": [
                (b"authorization", f"Bearer {SECRET.text}".encode()),
                (b"cookie", f"sessionid={SESSION}".encode()),
                (b"sec-websocket-protocol", SECRET.subprotocol.encode()),
            ],
            "subprotocols": [SECRET.subprotocol],
        }
    )
    claim = Claim(token=1, user=1, auth_hash=SESSION, session_key=SESSION)
    live = Connection(
        handshake, shared_terms(None, "test", ""), sleep, sleep, claim=claim
    )
    decision = Decision(True, Reason.LISTED)
    yield from (SECRET, Credential(SECRET), token, Verified(token, SESSION), claim)
    yield from (handshake, live)
    yield Admission(handshake, decision, True, token, live)


@pytest.mark.parametrize(
    "form", [repr, str, "{}".format], ids=["repr", "str", "format"]
)
@pytest.mark.parametrize("thing", [*objects()], ids=lambda thing: type(thing).__name__)
def test_no_object_shows_a_secret(thing: object, form: Callable[[object], str]) -> None:
    """Logs, error trackers and debuggers show what repr() shows."""
    for shown in (form(thing), form([thing]), form({"thing": thing})):
        assert not traces(SECRET.text[PUBLIC:], shown)
        assert not traces(SESSION, shown)


@pytest.mark.parametrize("spoil", [mistyped, cut, lambda text: f"{text}0"])
def test_no_exception_repeats_a_token(spoil: Callable[[str], str]) -> None:
    """What is wrong with a text is said without the text."""
    with pytest.raises(InvalidToken) as raised:
        Secret.parse(spoil(SECRET.text))

    assert not traces(SECRET.text[PUBLIC:], repr(raised.value))


# Beside the servers


@pytest.mark.django_db
def test_the_database_is_told_no_token() -> None:
    """Public id and digest are all that its own log of statements can have."""
    user = get_user_model().objects.create_user("ada")
    with CaptureQueriesContext(connection) as queries:
        token, text = tokens.mint(
            TokenKind.SECRET, name="test", user=user, expires_in=timedelta(days=1)
        )
        assert verify(Secret.parse(text), APP) == Verified(token)
        texts = [text, tokens.rotate(token, timedelta(hours=1))]
        tokens.revoke(token, "leaked")
        _, ticket = tokens.mint_ticket(user, origin=APP)
        assert isinstance(verify(Secret.parse(ticket), APP), Verified)
    statements = "\n".join(query["sql"] for query in queries)

    assert token.public_id in statements
    assert not any(traces(one[PUBLIC:], statements) for one in (*texts, ticket))


@pytest.mark.django_db(transaction=True)
async def test_no_frame_of_ours_holds_a_token() -> None:
    """Of an exception in the application, error trackers record local variables."""

    async def failing(*_: Any) -> None:
        raise RuntimeError

    _, text = await sync_to_async(tokens.mint)(
        TokenKind.SECRET, name="test", expires_in=timedelta(days=1)
    )
    headers = [(b"authorization", f"Bearer {text}".encode())]
    client = OriginCommunicator(OriginGuard(failing), "/ws/", headers=headers)
    with pytest.raises(RuntimeError) as raised:
        await client.handshake()
    frames = [
        frame.f_locals
        for frame, _ in traceback.walk_tb(raised.value.__traceback__)
        if frame.f_code.co_filename == guard.__file__
    ]

    assert frames
    assert not traces(text[PUBLIC:], repr(frames))
