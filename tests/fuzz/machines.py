"""
Sequences: policies change, tokens come and go, and after each change the next handshake
is decided as the model decides it.

State machines for hypothesis, with a real database.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.test import override_settings
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from tests.fuzz.model.decision import Entry, Place, Seen, decide
from tests.fuzz.model.guards import Row
from tests.fuzz.model.patterns import Pattern, read_pattern
from wsorigin import tokens, verification
from wsorigin.credentials import Secret, TokenKind
from wsorigin.handshake import Handshake
from wsorigin.models import ConnectionToken, TrustedOrigin
from wsorigin.refresh import get_policy

PATTERNS = (
    "https://app.example",
    "https://*.app.example",
    "https://.app.example:8443",
    "https://a-*.app.example",
    "https://app.example:*",
    "http://app.example",
    "null",
    "moz-extension://*",
    "capacitor://localhost",
)
ORIGINS = (
    None,
    "null",
    "https://app.example",
    "https://app.example:8443",
    "https://b.app.example",
    "https://a-b.app.example",
    "http://app.example",
    "https://app.example,https://app.example",
    "https://app.example/",
    "capacitor://localhost",
    "moz-extension://3c078156-979c-498b-8990-85f7987dd929",
    "https://evil.example",
    "http://testserver",
)
AUDIENCES = ("", "a", "b")

patterns = st.sampled_from(PATTERNS)
origins = st.sampled_from(ORIGINS)
audiences = st.sampled_from(AUDIENCES)
flags = st.booleans()
PAST = timedelta(seconds=-1)


def modelled(text: str) -> Pattern:
    """Read one of the patterns above."""
    pattern = read_pattern(text)
    assert pattern is not None
    return pattern


class PolicyMachine(RuleBasedStateMachine):
    """Trusted origins and settings change; each handshake meets the policy of the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[tuple[str, str], Entry] = {}
        self.settings: list[str] = []
        self.sources = ["same-origin", "database"]
        self.missing = "require-token"
        self.hosts = ["testserver"]
        self.overriding: list[override_settings] = []
        self.apply()

    def apply(self) -> None:
        """Put the settings into force."""
        change = override_settings(
            WSORIGIN_ALLOWED_ORIGINS=[*self.settings],
            WSORIGIN_INHERIT=[*self.sources],
            WSORIGIN_MISSING_ORIGIN=self.missing,
            # Long, so that nothing but being told makes a look at the database due.
            WSORIGIN_REFRESH_INTERVAL=3600,
            ALLOWED_HOSTS=[*self.hosts],
        )
        change.enable()
        self.overriding.append(change)

    def teardown(self) -> None:
        """Leave neither rows nor settings behind."""
        while self.overriding:
            self.overriding.pop().disable()
        TrustedOrigin.objects.all().delete()

    @rule(pattern=patterns, audience=audiences, credentials=flags)
    def trust(self, pattern: str, audience: str, credentials: bool) -> None:
        """Somebody adds a row, or writes over one."""
        TrustedOrigin.objects.update_or_create(
            pattern=pattern,
            audience=audience,
            defaults={
                "allow_credentials": credentials,
                "is_active": True,
                "expires_at": timezone.now() + timedelta(hours=1),
            },
        )
        entry = Entry(modelled(pattern), credentials, audience)
        self.rows[pattern, audience] = entry

    @rule(pattern=patterns)
    def deactivate(self, pattern: str) -> None:
        """Somebody switches off what one pattern trusts, all rows of it at once."""
        TrustedOrigin.objects.filter(pattern=pattern).update(is_active=False)
        self.drop(pattern)

    @rule(pattern=patterns)
    def expire(self, pattern: str) -> None:
        """The time of a pattern's rows is over."""
        over = timezone.now() + PAST
        TrustedOrigin.objects.filter(pattern=pattern).update(expires_at=over)
        self.drop(pattern)

    @rule(pattern=patterns)
    def delete(self, pattern: str) -> None:
        """Somebody deletes a pattern's rows, one by one."""
        for row in TrustedOrigin.objects.filter(pattern=pattern):
            row.delete()
        self.drop(pattern)

    def drop(self, pattern: str) -> None:
        """Forget the rows of a pattern."""
        self.rows = {key: row for key, row in self.rows.items() if key[0] != pattern}

    @rule(pattern=patterns)
    def list_in_settings(self, pattern: str) -> None:
        """A deployment lists a pattern in the settings, or no more."""
        listed = pattern in self.settings
        self.settings = [one for one in self.settings if one != pattern]
        self.settings += [] if listed else [pattern]
        self.apply()

    @rule(source=st.sampled_from(["same-origin", "database"]))
    def switch_source(self, source: str) -> None:
        """A deployment switches a source on, or off."""
        self.sources = [one for one in self.sources if one != source] + (
            [] if source in self.sources else [source]
        )
        self.apply()

    @rule(missing=st.sampled_from(["require-token", "deny", "allow"]), own=flags)
    def change_site(self, missing: str, own: bool) -> None:
        """A deployment changes what becomes of clients without origin, and the hosts."""
        self.missing, self.hosts = missing, ["testserver"] if own else []
        self.apply()

    @rule(origin=origins, audience=audiences, cross_site=flags)
    def shake_hands(self, origin: str | None, audience: str, cross_site: bool) -> None:
        """A handshake comes, and is decided as the model does."""
        headers = [(b"host", b"testserver")]
        headers += [] if origin is None else [(b"origin", origin.encode())]
        headers += [(b"sec-fetch-site", b"cross-site")] if cross_site else []
        listed = [Entry(modelled(text)) for text in self.settings]
        stored = [*self.rows.values()] if "database" in self.sources else []
        place = Place(
            allowed_hosts=self.hosts,
            same_origin="same-origin" in self.sources,
            missing=self.missing,
        )
        answer = decide([*listed, *stored], place, Seen(headers), audience)
        handshake = Handshake.from_scope({"headers": headers})
        decision = get_policy().decide(handshake, audience)

        assert (decision.allowed, decision.credentials) == answer[:2]
        assert decision.reason in answer.reasons


class Held(NamedTuple):
    """A secret that somebody holds, and the row that it belongs to."""

    secret: Secret
    number: int


class Known(NamedTuple):
    """What the model knows of a row: which secrets count, and what it says of them."""

    row: Row
    current: str
    previous: str = ""
    overlaps: bool = False


class TokenMachine(RuleBasedStateMachine):
    """Tokens are minted, used, rotated, revoked and expire, in any order."""

    held: Bundle[Held] = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, Known] = {}
        self.user = User.objects.create(username="owner")

    def teardown(self) -> None:
        """Leave no rows behind."""
        ConnectionToken.objects.all().delete()
        self.user.delete()

    @rule(
        target=held,
        publishable=flags,
        audience=audiences,
        pattern=st.none() | st.sampled_from(PATTERNS),
    )
    def mint(self, publishable: bool, audience: str, pattern: str | None) -> Held:
        """Somebody mints a token; a publishable one needs an origin."""
        kind = TokenKind.PUBLISHABLE if publishable else TokenKind.SECRET
        texts = [pattern or PATTERNS[0]] if pattern or publishable else []
        token, text = tokens.mint(
            kind,
            name="test",
            user=None if publishable else self.user,
            origins=texts,
            audience=audience,
            expires_in=timedelta(hours=1),
        )
        row = Row(kind, origins=tuple(map(modelled, texts)), audience=audience)
        self.known[token.pk] = Known(row, text)
        return Held(Secret.parse(text), token.pk)

    @rule(
        target=held, origin=st.sampled_from([None, *ORIGINS[2:7]]), audience=audiences
    )
    def mint_ticket(self, origin: str | None, audience: str) -> Held:
        """A page fetches a ticket; there are never too many."""
        ConnectionToken.objects.filter(kind="ticket", used_at=None).update(
            expires_at=timezone.now() + PAST
        )
        for number, known in self.known.items():
            if known.row.kind == "ticket" and not known.row.problem:
                self.end(number, "token-expired")
        token, text = tokens.mint_ticket(self.user, origin=origin, audience=audience)
        texts = [] if origin is None else [modelled(origin)]
        self.known[token.pk] = Known(Row("ticket", "", tuple(texts), audience), text)
        return Held(Secret.parse(text), token.pk)

    @rule(token=held, overlap=flags, target=held)
    def rotate(self, token: Held, overlap: bool) -> Held:
        """Somebody gives a token another secret; one that has ended keeps what it has."""
        known = self.known[token.number]
        if known.row.problem or known.row.kind == "ticket" or not known.current:
            return token
        row = ConnectionToken.objects.get(pk=token.number)
        text = tokens.rotate(row, timedelta(hours=1) if overlap else timedelta(0))
        previous = known.current if overlap else ""
        self.known[token.number] = known._replace(
            current=text, previous=previous, overlaps=overlap
        )
        return Held(Secret.parse(text), token.number)

    @rule(token=held)
    def end_overlap(self, token: Held) -> None:
        """The time of a token's previous secret is over."""
        ConnectionToken.objects.filter(pk=token.number).update(
            previous_expires_at=timezone.now() + PAST
        )
        self.known[token.number] = self.known[token.number]._replace(overlaps=False)

    @rule(token=held)
    def revoke(self, token: Held) -> None:
        """Somebody revokes a token."""
        for row in ConnectionToken.objects.filter(pk=token.number):
            tokens.revoke(row, "test")
            self.end(token.number, "token-revoked")

    @rule(token=held)
    def expire(self, token: Held) -> None:
        """The time of a token is over."""
        ConnectionToken.objects.filter(pk=token.number).update(
            expires_at=timezone.now() + PAST
        )
        if self.known[token.number].row.problem not in ("token-revoked", "token-used"):
            self.end(token.number, "token-expired")

    @rule(token=consumes(held))
    def delete(self, token: Held) -> None:
        """Somebody deletes a token; whoever has it still tries."""
        ConnectionToken.objects.filter(pk=token.number).delete()
        known = self.known[token.number]
        self.known[token.number] = known._replace(current="", previous="")

        assert verification.verify(token.secret, None) == "token-unknown"

    def end(self, number: int, problem: str) -> None:
        """Note that a row has ended."""
        known = self.known[number]
        self.known[number] = known._replace(row=known.row._replace(problem=problem))

    @rule(token=held, origin=origins, audience=audiences)
    def use(self, token: Held, origin: str | None, audience: str) -> None:
        """Somebody connects with a token from anywhere."""
        self.verify(token, origin, audience)

    @rule(token=held)
    def use_where_it_belongs(self, token: Held) -> None:
        """Somebody connects with a token from a page that it was made for."""
        row = self.known[token.number].row
        origin = row.origins[0].text if row.origins else None
        self.verify(token, origin, row.audience)

    def verify(self, token: Held, origin: str | None, audience: str) -> None:
        """Have a token verified, which is answered as the model does."""
        expected = self.expected(token, origin, audience)
        answer: Any = verification.verify(token.secret, origin, audience)
        if expected:
            assert answer == expected
        else:
            assert answer.token.pk == token.number
            if token.secret.kind is TokenKind.TICKET:
                self.end(token.number, "token-used")

    def expected(self, token: Held, origin: str | None, audience: str) -> str:
        """Return why a token opens nothing, empty where it does."""
        known, text = self.known[token.number], token.secret.text
        if text not in (known.current, known.previous):
            return "token-unknown"
        if known.row.problem in ("token-revoked", "token-used"):
            return known.row.problem
        if known.row.problem or (text == known.previous and not known.overlaps):
            return "token-expired"
        headers = [] if origin is None else [(b"origin", origin.encode())]
        return known.row.misplaced(Seen(headers), audience)
