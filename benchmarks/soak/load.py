"""
Everyday load: who comes, talks, is refused, loses a right, and goes; all of it counted.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from itertools import chain, cycle, product
from typing import Any, Final

from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db.models import Sum
from django.http import HttpRequest
from django.utils import timezone

from benchmarks.clients import ABNORMAL, AT_ONCE, Client, Clients, request
from wsorigin import audit, tokens
from wsorigin.credentials import TokenKind
from wsorigin.denial import (
    CLOSE_CREDENTIAL,
    CLOSE_ORIGIN,
    CLOSE_REVOKED,
)
from wsorigin.models import (
    ConnectionToken,
    DeniedHandshake,
    Disconnection,
    TrustedOrigin,
)

from .servers import PATIENCE, Probe, Served

SITE: Final = "http://chat.example.com"
PATHS: Final = ("/async/", "/sync/")
# Sockets of each kind, on each path of each server.
_EACH: Final = 2
_RESIDENTS: Final = 5
_WORDS: Final = 3
_REFUSED: Final = (401, 403)
# A close with 1000, masked with zeros (RFC 6455, section 5.5.1).
_GOODBYE: Final = bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8])
_PRUNED_EVERY: Final = 3
# What the operator of a site prunes after hours and weeks is this old here.
_LONG_AGO: Final = timedelta(days=60)
_CSRF: Final = "c" * 32

Headers = dict[str, str]


@dataclass
class Load:
    """
    The load on some servers.

    ``problems`` has what was not as it should be; ``refused`` all refusals so far, also
    those of servers that have ended; ``closed`` how the sockets ended, by code.
    """

    clients: Clients
    served: list[Served]
    problems: list[str] = field(default_factory=list)
    refused: int = 0
    admitted: int = 0
    messages: int = 0
    closed: Counter[str] = field(default_factory=Counter)
    cycles: int = 0
    _old_token: str = "wsok_nonsense"  # noqa: S105  # no token of anybody's

    def admit(self, wanted: Sequence[tuple[Served, str, Headers]]) -> list[Client]:
        """Send handshakes that have to be admitted; return the sockets."""
        return list(self._expect(wanted, is_admitted=True))

    def refuse(self, wanted: Sequence[tuple[Served, str, Headers]]) -> None:
        """Send handshakes that have to be refused."""
        list(self._expect(wanted, is_admitted=False))

    def _expect(
        self, wanted: Sequence[tuple[Served, str, Headers]], *, is_admitted: bool
    ) -> Iterator[Client]:
        sent = [(one, request(path, **headers)) for one, path, headers in wanted]
        for (one, path, headers), client in zip(wanted, self._knock(sent), strict=True):
            if (client.status == 101) is not is_admitted:
                what = " ".join([path, *headers])
                self.problems.append(f"{one.name}: {client.status} for {what}")
            if client.status == 101:
                yield client

    def _knock(self, sent: Sequence[tuple[Served, bytes]]) -> list[Client]:
        found: list[Client] = []
        while len(found) < len(sent):
            batch = sent[len(found) : len(found) + AT_ONCE]
            asked = [self.clients.add(one.server.address, text) for one, text in batch]
            self.clients.wait_for_answers(asked, PATIENCE)
            for (one, _), client in zip(batch, asked, strict=True):
                self._note(one, client)
            found += asked
        return found

    def _note(self, one: Served, client: Client) -> None:
        if client.status == 101:
            one.admitted += 1
            self.admitted += 1
            return
        self.clients.forget(client)
        if client.status in _REFUSED:
            one.refused += 1
            self.refused += 1
        else:
            self.problems.append(f"{one.name}: a handshake without a proper answer")

    def settle_in(self, one: Served) -> None:
        """Open the sockets that stay on a server."""
        one.residents = self.admit(
            [(one, path, {"Origin": SITE}) for path in PATHS for _ in range(_RESIDENTS)]
        )

    def cycle(self) -> None:
        """Have everybody come, talk, and go again; only the residents stay."""
        self.cycles += 1
        member, guest = (
            User.objects.get_or_create(username=f"{name}-{self.cycles % 5}")[0]
            for name in ("member", "guest")
        )
        token, text = tokens.mint(
            TokenKind.SECRET, name="soaked", user=member, expires_in=timedelta(days=1)
        )
        row = TrustedOrigin.objects.create(pattern=f"https://{self.cycles}.example")
        session, other = log_in(member), log_in(guest)
        for one in self.served:
            self._follow(one, row.pattern)
        visitors = self._open({"Origin": SITE})
        doomed = {
            "token": self._open({"Authorization": f"Bearer {text}"}),
            "session": self._open({"Origin": SITE, "Cookie": cookie(session)}),
            "origin": self._open({"Origin": row.pattern}),
            "ticket": self._redeem(other),
        }
        self._turn_away()
        self._talk([*visitors, *self._residents(), *chain(*doomed.values())])

        self._see(doomed["token"], CLOSE_REVOKED, lambda: tokens.revoke(token))
        self._see(doomed["session"], CLOSE_CREDENTIAL, lambda: logout(session))
        self._see(doomed["origin"], CLOSE_ORIGIN, row.delete)
        self._see(
            doomed["ticket"], CLOSE_CREDENTIAL, lambda: tokens.disconnect(user=guest)
        )
        self._leave(visitors)
        logout(other)
        self._old_token = text
        if self.cycles % _PRUNED_EVERY == 0:
            prune()

    def _places(self) -> Iterator[tuple[Served, str]]:
        return product(self.served, PATHS)

    def _residents(self) -> Iterator[Client]:
        return chain(*(one.residents for one in self.served))

    def _open(self, headers: Headers) -> list[Client]:
        """Open some sockets by one right, everywhere."""
        return self.admit(
            [(*place, headers) for place in self._places() for _ in range(_EACH)]
        )

    def _redeem(self, session: HttpRequest) -> list[Client]:
        """Open sockets by a ticket each, as pages do; try one of them twice."""
        wanted = [
            (one, path, fetch_ticket(one, session))
            for one, path in zip(self.served, cycle(PATHS), strict=False)
        ]
        opened = self.admit(wanted)
        self.refuse(wanted[:1])
        return opened

    def _turn_away(self) -> None:
        """Let strangers knock, each in one of the ways in which one can be wrong."""
        headers = [
            {"Origin": f"https://{self.cycles}-{number}.stranger.example"}
            for number in range(4)
        ]
        headers += [
            {},
            {"Origin": "null"},
            {"Origin": "https://user@chat.example.com"},
            {"Authorization": f"Bearer {self._old_token}"},
            {"Authorization": "Bearer wsok_nonsense"},
        ]
        self.refuse([(*place, one) for place in self._places() for one in headers])
        self.refuse([(one, "/token/", {"Origin": SITE}) for one in self.served])

    def _follow(self, one: Served, origin: str) -> None:
        """Knock until a server knows an origin; each knock counts."""
        deadline = time.monotonic() + PATIENCE
        handshake = request(PATHS[0], Origin=origin)
        while (knocking := self._knock([(one, handshake)]))[0].status != 101:
            if time.monotonic() > deadline:
                self.problems.append(f"{one.name} does not learn of {origin}")
                return
        self._leave(knocking)

    def _talk(self, everybody: Sequence[Client]) -> None:
        """Exchange some messages with each."""
        count = _WORDS * len(everybody)
        try:
            self.clients.echo(everybody, count)
        except (RuntimeError, TimeoutError) as error:
            self.problems.append(f"messages were lost: {error}")
        self.messages += count

    def _see(self, doomed: list[Client], code: int, end: Callable[[], Any]) -> None:
        """End a right, and see the sockets closed that rest upon it."""
        early = sum(client.code != 0 for client in doomed)
        if early:
            self.problems.append(f"{early} sockets closed before their end by {code}")
        end()
        self.clients.wait(lambda: all(client.code for client in doomed), PATIENCE)
        codes = Counter(client.code for client in doomed)
        for other in set(codes) - {code, ABNORMAL}:
            self.problems.append(f"{codes[other]} sockets: {other} instead of {code}")
        self.closed.update({str(key): count for key, count in codes.items()})

    def _leave(self, visitors: Sequence[Client]) -> None:
        """Have every second say goodbye, and the others vanish."""
        polite = [one for one in visitors[::2] if not one.code]
        for client in polite:
            with suppress(ConnectionError):
                client.socket.sendall(_GOODBYE)
        if not self.clients.wait(lambda: all(one.code for one in polite), PATIENCE):
            self.problems.append("a goodbye was not answered")
        for client in visitors:
            self.clients.forget(client)
        self.closed["left"] += len(visitors)

    def account(self, one: Served) -> Probe:
        """See a server count what its clients count, and keep its residents alone."""
        expected = (one.admitted, one.refused, len(one.residents))
        deadline = time.monotonic() + PATIENCE / 3
        while (probe := one.probe(self.clients))[:3] != expected:
            if time.monotonic() > deadline:
                self.problems.append(
                    f"{one.name} has {probe.admitted} admitted, {probe.refused} refused, "
                    f"{probe.connections} open; its clients {expected}"
                )
                break
            time.sleep(0.1)
        gone = sum(bool(client.code) for client in one.residents)
        if gone:
            self.problems.append(f"{one.name} has lost {gone} of its residents")
        return probe

    def account_for_denials(self) -> int:
        """See all refusals in the audit; return how many it has."""
        deadline = time.monotonic() + PATIENCE / 3
        while (found := denied()) != self.refused and time.monotonic() < deadline:
            time.sleep(0.1)
        if found != self.refused:
            self.problems.append(
                f"the audit has {found} denials, and clients counted {self.refused}"
            )
        return found

    def part_with(self, one: Served) -> None:
        """Forget the sockets that a server has taken with it."""
        residents = one.residents
        if not self.clients.wait(lambda: all(c.code for c in residents), PATIENCE):
            self.problems.append(f"{one.name} has ended, and its sockets have not")
        self.closed["with their server"] += len(residents)
        for client in residents:
            self.clients.forget(client)
        self.served.remove(one)


# What the operator does, and what pages do


def log_in(user: User) -> HttpRequest:
    """Log a user in; return a request of the new session."""
    session = HttpRequest()
    session.session = SessionStore()
    login(session, user, backend="django.contrib.auth.backends.ModelBackend")
    session.session.save()
    return session


def cookie(session: HttpRequest) -> str:
    """Return the cookies of a browser with this session."""
    return f"sessionid={session.session.session_key}; csrftoken={_CSRF}"


def fetch_ticket(one: Served, session: HttpRequest) -> Headers:
    """Fetch a ticket from the ticket endpoint; return the headers that redeem it."""
    connection = HTTPConnection(*one.server.address, timeout=PATIENCE)
    try:
        headers = {
            "Host": "chat.example.com",
            "Origin": SITE,
            "Cookie": cookie(session),
            "X-CSRFToken": _CSRF,
        }
        connection.request("POST", "/wsorigin/ticket/", headers=headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    return {"Origin": SITE, "Sec-WebSocket-Protocol": ", ".join(answer["protocols"])}


def prune() -> None:
    """Let months pass for what has ended, and prune."""
    long_ago = timezone.now() - _LONG_AGO
    ended = ConnectionToken.objects.exclude(used_at=None, revoked_at=None)
    ended.filter(kind=TokenKind.TICKET).update(expires_at=long_ago)
    ended.exclude(revoked_at=None).update(revoked_at=long_ago)
    Disconnection.objects.update(requested_at=long_ago)
    tokens.prune()
    audit.prune()


def denied() -> int:
    """Return how many denials the audit has."""
    return DeniedHandshake.objects.aggregate(sum=Sum("count"))["sum"] or 0


def rows() -> dict[str, float]:
    """Return how many rows there are of what comes and goes."""
    models = {
        "denials": DeniedHandshake,
        "tokens": ConnectionToken,
        "sessions": Session,
        "orders": Disconnection,
        "origins": TrustedOrigin,
    }
    return {name: model.objects.count() for name, model in models.items()}
