"""
What opened a socket also ends it, on every server, with the consumer's disconnect().

The rights end in another process, and there is no channel layer: each server finds out
by itself. No client here answers a close: nobody's manners are relied upon.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

import pytest

from tests.fleet.servers import Operator
from wsorigin.credentials import Secret
from wsorigin.handshake import MARKER

from .secret_site.processes import Site, get, site
from .servers.client import Client, Closed
from .servers.processes import KINDS, Kind, Server

pytestmark = pytest.mark.server

SITE: Final = "https://site.example"

# What a busy machine may add to the interval of the site, in seconds.
SLACK: Final = 5.0
# As many as show it, if a server waited for one peer's answer after the other.
MANY: Final = 10

PLACES: Final = ["inside/async", "inside/sync", "outside/async", "outside/sync"]
# For what stays open.
ENOUGH: Final = ["inside/async", "outside/sync"]

# What a user's sockets rest upon.
CREDENTIALS: Final = ["token", "session", "ticket", "other-session"]

# What ends, and the close codes of the sockets that do not stay: of a user each time,
# who has some for each credential.
ENDINGS: Final[dict[str, dict[str, int]]] = {
    "token-rotated": {},
    "ticket-refreshed": {},
    "token-revoked": {"token": 4410},
    "token-expired": {"token": 4419},
    "logged-out": {"session": 4401, "ticket": 4401},
    "session-deleted": {"session": 4401, "ticket": 4401},
    "session-expired": {"session": 4401, "ticket": 4401},
    "user-deactivated": dict.fromkeys(CREDENTIALS, 4401),
    # A secret token is a credential of its own: no password is behind it.
    "password-changed": {"session": 4401, "ticket": 4401, "other-session": 4401},
}


@dataclass
class Crowd:
    """The sockets of one server, by what ends and what they rest upon."""

    server: Server
    operator: Operator
    sockets: dict[tuple[str, str], list[Client]] = field(default_factory=dict)

    def open(
        self, ending: str, credential: str, place: str, **handshake: Any
    ) -> Client:
        """Open one more socket."""
        path = f"/{place}/{ending}-{credential}/"
        client = self.server.connect(path, **handshake)
        assert client.opened, (path, client.status, client.body)
        self.sockets.setdefault((ending, credential), []).append(client)
        return client

    def open_by_token(self, ending: str, place: str, text: str) -> Client:
        """Open a socket as a program with a secret token does."""
        headers = [("Authorization", f"Bearer {text}")]
        return self.open(ending, "token", place, headers=headers)

    def bring(self, ending: str) -> None:
        """Have a user connect with all credentials, and end something of his."""
        user = f"{ending} on {self.server.kind.name}"
        self.operator("add_user", name=user)
        sessions = {
            name: self.operator("log_in", name=user)
            for name in ("session", "other-session")
        }
        ticket = {"user": user, "origin": SITE, "session": sessions["session"]}
        pk, text = self.operator("mint", user=user)
        for place, credential in product(PLACES, CREDENTIALS):
            if credential not in ENDINGS[ending] and place not in ENOUGH:
                continue
            if credential == "token":
                self.open_by_token(ending, place, text)
            elif credential == "ticket":
                _, once = self.operator("mint_ticket", **ticket)
                offered = [MARKER, Secret.parse(once).subprotocol]
                self.open(ending, "ticket", place, origin=SITE, subprotocols=offered)
            else:
                cookie = [("Cookie", f"sessionid={sessions[credential]}")]
                self.open(ending, credential, place, origin=SITE, headers=cookie)
        match ending:
            case "token-rotated":
                self.operator("rotate", pk=pk)
            case "ticket-refreshed":
                self.operator("mint_ticket", **ticket)
            case "token-revoked":
                self.operator("revoke", pk=pk)
            case "token-expired":
                self.operator("expire_token", pk=pk)
            case "logged-out":
                get(self.server, "/log-out/", sessions["session"])
            case "session-deleted":
                self.operator("delete_session", key=sessions["session"])
            case "session-expired":
                self.operator("expire_session", key=sessions["session"])
            case "user-deactivated":
                self.operator("deactivate", name=user)
            case _:
                self.operator("set_password", name=user)

    def codes(self, ending: str, credential: str) -> list[int]:
        """Wait until sockets are closed, and return with which codes."""
        ends = [client.receive() for client in self.sockets[ending, credential]]
        return [end.code for end in ends if isinstance(end, Closed)]

    def are_open(self, ending: str, credential: str) -> bool:
        """Whether messages come back through all of these."""
        clients = self.sockets[ending, credential]
        for client in clients:
            client.send("are you there?")
        return all(client.receive() == "are you there?" for client in clients)

    def disconnected(self, ending: str, credential: str) -> list[int]:
        """Wait until ``disconnect()`` has run for each of these; return its codes."""
        name, deadline = f"{ending}-{credential}", time.monotonic() + SLACK
        count, codes = len(self.sockets[ending, credential]), list[int]()
        while len(codes) < count and time.monotonic() < deadline:
            ends = self.server.connect("/witness/").receive_json()
            codes = [code for whose, code in ends if whose == name]
        return codes


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Make a site whose database all servers use, one after the other."""
    with site(tmp_path_factory.mktemp("site")) as made:
        yield made


# With pytest-xdist and --dist=loadgroup, each kind of server is started only once.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, id=kind.name, marks=pytest.mark.xdist_group(kind.name))
        for kind in KINDS
    ],
)
def crowd(request: pytest.FixtureRequest, shared: Site) -> Iterator[Crowd]:
    """Run one kind of server, which trusts an origin of its own."""
    kind: Kind = request.param
    shared.operator("trust", origins=[f"https://{kind.name}.example"])
    with shared.served(kind) as server:
        yield Crowd(server, shared.operator)


@pytest.fixture(scope="module")
def ended(crowd: Crowd) -> Crowd:
    """Have users connect, and end a right of each."""
    for ending in ENDINGS:
        crowd.bring(ending)
    return crowd


@pytest.mark.parametrize(
    ("ending", "credential"), [*product(ENDINGS, CREDENTIALS)], ids=str
)
def test_closes_what_rests_upon_it_and_nothing_else(
    ended: Crowd, ending: str, credential: str
) -> None:
    """Sync or async, with the guard inside or outside of AuthMiddlewareStack."""
    code = ENDINGS[ending].get(credential)
    if code:
        assert ended.codes(ending, credential) == [code] * len(PLACES)
        assert ended.disconnected(ending, credential) == [code] * len(PLACES)
    else:
        assert ended.are_open(ending, credential)


def test_an_origin_that_is_trusted_no_more_takes_its_sockets_with_it(
    crowd: Crowd,
) -> None:
    """Those of the site's own pages stay."""
    origin = f"https://{crowd.server.kind.name}.example"
    for place in PLACES:
        crowd.open("origin", "row", place, origin=origin)
        crowd.open("origin", "own", place, origin=SITE)
    crowd.operator("distrust", origin=origin)

    assert crowd.codes("origin", "row") == [4403] * len(PLACES)
    assert crowd.disconnected("origin", "row") == [4403] * len(PLACES)
    assert crowd.are_open("origin", "own")


def test_a_client_that_never_answers_a_close_holds_up_nobody(crowd: Crowd) -> None:
    """Some servers wait for the answer, uvicorn for ten seconds: not with our looks."""
    crowd.operator("add_user", name=f"silent on {crowd.server.kind.name}")
    owner = {"user": f"silent on {crowd.server.kind.name}"}
    began = time.monotonic()
    for ending in ("silent", "silent-too"):
        pk, text = crowd.operator("mint", **owner)
        for number in range(MANY):
            crowd.open_by_token(ending, PLACES[number % len(PLACES)], text)
        crowd.operator("revoke", pk=pk)

        assert crowd.codes(ending, "token") == [4410] * MANY
        assert crowd.disconnected(ending, "token") == [4410] * MANY
    assert time.monotonic() - began < 2 * SLACK


@pytest.mark.parametrize("place", PLACES)
def test_a_busy_handler_keeps_no_socket_open(crowd: Crowd, place: str) -> None:
    """The client is cut off at once; the handler ends in its own time, unheard."""
    ending = f"busy-{place.replace('/', '-')}"
    user = f"{ending} on {crowd.server.kind.name}"
    crowd.operator("add_user", name=user)
    pk, text = crowd.operator("mint", user=user)
    client = crowd.open_by_token(ending, place, text)
    client.send("work")
    assert client.receive() == "working"
    crowd.operator("revoke", pk=pk)

    assert crowd.codes(ending, "token") == [4410]
    get(crowd.server, "/go-on/")
    assert crowd.disconnected(ending, "token") == [4410]


def test_nothing_went_wrong_on_the_way(ended: Crowd) -> None:
    """No exception is in the log of the server."""
    assert "Traceback" not in ended.server.log.read_text()
