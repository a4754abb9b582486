"""Tokens in the database: mint, verify, rotate, revoke, prune; and tickets, used once."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import override_settings
from django.utils import timezone
from django.utils.connection import ConnectionDoesNotExist

from wsorigin import tokens, verification
from wsorigin.credentials import Secret, TokenKind
from wsorigin.models import ConnectionToken, Disconnection
from wsorigin.origins import InvalidOrigin
from wsorigin.policy import Reason
from wsorigin.signals import standing_changed
from wsorigin.tokens import (
    MAX_OUTSTANDING,
    Inspection,
    TooManyTickets,
    disconnect,
    inspect,
    mint,
    mint_ticket,
    prune,
    revoke,
    rotate,
)
from wsorigin.verification import Verified, averify, find, verify

APP = "https://app.example"
EVIL = "https://evil.example"
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    """A user."""
    return User.objects.create_user("ada")


@pytest.fixture
def secret_token(ada: User) -> tuple[ConnectionToken, str]:
    """A secret token of that user, for a day, from anywhere."""
    return mint(TokenKind.SECRET, name="sensor", user=ada, expires_in=DAY)


@pytest.fixture
def publishable(db: None) -> tuple[ConnectionToken, str]:
    """A publishable token, bound to one origin."""
    return mint(TokenKind.PUBLISHABLE, name="widget", origins=[APP], expires_in=DAY)


def make_session(**data: str) -> str:
    """Make a session on the server; return its key."""
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session.update({"some": "thing", **data})
    session.create()
    key: str = session.session_key
    return key


def change(token: ConnectionToken, **values: Any) -> None:
    """Write a row, as time or another process would."""
    ConnectionToken.objects.filter(pk=token.pk).update(**values)


def reason_of(text: str, origin: str | None = None, audience: str = "") -> Any:
    """Verify, and return the reason for a no, or the token."""
    verified = verify(Secret.parse(text), origin, audience)
    return verified if isinstance(verified, Reason) else verified.token


# Mint.


@pytest.mark.parametrize("kind", [TokenKind.SECRET, TokenKind.PUBLISHABLE])
def test_mints_a_token(kind: TokenKind, ada: User) -> None:
    """The row has a digest and no more; the text is returned, and nowhere else."""
    owner = ada if kind is TokenKind.SECRET else None
    before = timezone.now()
    token, text = mint(
        kind,
        name="the partner's backend",
        user=owner,
        origins=[APP],
        audience="prices",
        expires_in=DAY,
        created_by=ada,
    )
    row = ConnectionToken.objects.get(pk=token.pk)

    assert text.startswith(kind.prefix)
    assert (row.kind, row.public_id) == (kind, text[5:13])
    assert row.digest == Secret.parse(text).digest
    assert (row.name, row.origins, row.audience) == (token.name, APP, "prices")
    assert (row.user, row.created_by) == (owner, ada)
    assert row.created_at >= before
    assert row.expires_at == row.created_at + DAY
    assert row.state == "active"
    assert text[13:45] not in str(vars(row))
    assert str(row) == f"{text[:13]} the partner's backend"


def test_origins_are_kept_in_canonical_form(ada: User) -> None:
    """As those of the trusted origins are."""
    token, _ = mint(
        TokenKind.SECRET,
        name="n",
        user=ada,
        origins=["HTTPS://App.Example:443/", "https://b\u00fccher.example", "null"],
        expires_in=DAY,
    )

    assert token.origins == "https://app.example\nhttps://xn--bcher-kva.example\nnull"


@pytest.mark.parametrize(
    ("kind", "options", "fields"),
    [
        pytest.param(TokenKind.TICKET, {}, {"kind"}, id="a ticket"),
        pytest.param(TokenKind.SECRET, {"name": ""}, {"name"}, id="no name"),
        pytest.param(TokenKind.SECRET, {"name": " \t"}, {"name"}, id="blank name"),
        pytest.param(TokenKind.SECRET, {"name": "x" * 101}, {"name"}, id="long name"),
        pytest.param(
            TokenKind.SECRET, {"expires_in": None}, {"expires_at"}, id="no end"
        ),
        pytest.param(
            TokenKind.SECRET, {"expires_in": -SECOND}, {"expires_at"}, id="the past"
        ),
        pytest.param(
            TokenKind.SECRET, {"expires_in": timedelta(0)}, {"expires_at"}, id="now"
        ),
        pytest.param(
            TokenKind.SECRET, {"audience": "x" * 101}, {"audience"}, id="audience"
        ),
        pytest.param(
            TokenKind.SECRET, {"origins": ["app.example"]}, {"origins"}, id="no scheme"
        ),
        pytest.param(
            TokenKind.SECRET, {"origins": ["*"]}, {"origins"}, id="everything"
        ),
        pytest.param(
            TokenKind.SECRET,
            {"origins": ["https://*.co.uk"]},
            {"origins"},
            id="public suffix",
        ),
        pytest.param(
            TokenKind.SECRET,
            {"origins": [f"https://{n}.example" for n in range(101)]},
            {"origins"},
            id="too many origins",
        ),
        pytest.param(TokenKind.PUBLISHABLE, {}, {"origins"}, id="publishable, unbound"),
        pytest.param(
            TokenKind.PUBLISHABLE,
            {"origins": [" ", "\n"]},
            {"origins"},
            id="publishable, blank origins",
        ),
        pytest.param(
            TokenKind.PUBLISHABLE,
            {"origins": [APP], "user": True},
            {"user"},
            id="publishable, of a person",
        ),
        pytest.param(
            TokenKind.PUBLISHABLE,
            {"name": "", "user": True, "expires_in": None},
            {"name", "user", "origins", "expires_at"},
            id="all at once",
        ),
    ],
)
def test_refuses_what_does_not_fit_together(
    kind: TokenKind, options: dict[str, Any], fields: set[str], ada: User
) -> None:
    """By field, so that a form can show it; and no row is left."""
    given = {"name": "n", "expires_in": DAY, **options}
    given["user"] = ada if options.get("user") else None
    with pytest.raises(ValidationError) as refused:
        mint(kind, **given)

    assert set(refused.value.message_dict) == fields
    assert not ConnectionToken.objects.exists()


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        pytest.param(
            TokenKind.TICKET,
            {},
            {"kind": "Tickets are fetched from the ticket endpoint, not minted."},
            id="a ticket",
        ),
        pytest.param(
            TokenKind.SECRET,
            {"name": ""},
            {"name": "Say who holds it, and what for."},
            id="no name",
        ),
        pytest.param(
            TokenKind.SECRET,
            {"expires_in": None},
            {
                "expires_at": "A token has to expire, or WSORIGIN_TOKENS_MUST_EXPIRE "
                "has to be False."
            },
            id="no end",
        ),
        pytest.param(
            TokenKind.SECRET,
            {"expires_in": -SECOND},
            {"expires_at": "This is in the past. Choose a later time."},
            id="the past",
        ),
        pytest.param(
            TokenKind.PUBLISHABLE,
            {"user": True},
            {
                "user": "A publishable token stands in pages for all to read, so it "
                "names an integration and never a person. Leave the owner empty.",
                "origins": "A publishable token is bound to origins. Name the sites "
                "whose pages it stands in.",
            },
            id="publishable",
        ),
    ],
)
def test_says_what_does_not_fit(
    kind: TokenKind, options: dict[str, Any], said: dict[str, str], ada: User
) -> None:
    """Each field has a sentence that tells what to write there instead."""
    given = {"name": "n", "expires_in": DAY, **options}
    given["user"] = ada if options.get("user") else None
    with pytest.raises(ValidationError) as refused:
        mint(kind, **given)

    assert refused.value.message_dict == {field: [said[field]] for field in said}


def test_a_token_that_nobody_named_is_refused(ada: User) -> None:
    """There is no name but that which somebody gives."""
    with pytest.raises(ValidationError) as refused:
        mint(TokenKind.SECRET, user=ada, expires_in=DAY)

    assert set(refused.value.message_dict) == {"name"}


def test_a_token_may_last_for_ever_only_where_the_setting_says_so(ada: User) -> None:
    """Secrets expire (ASVS 13.3.4), unless an operator takes that upon himself."""
    with override_settings(WSORIGIN_TOKENS_MUST_EXPIRE=False):
        token, text = mint(TokenKind.SECRET, name="n", user=ada)

    assert token.expires_at is None
    assert reason_of(text) == token


def test_a_secret_token_needs_no_owner(db: None) -> None:
    """A machine may be nobody."""
    token, text = mint(TokenKind.SECRET, name="n", expires_in=DAY)

    assert reason_of(text) == token
    assert token.user is None


# What the database itself refuses.


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"kind": "publishable", "origins": ""}, id="publishable, unbound"),
        pytest.param(
            {"kind": "publishable", "origins": APP, "user": True},
            id="publishable, of a person",
        ),
        pytest.param({"kind": "ticket", "user": True}, id="ticket without an end"),
        pytest.param(
            {"kind": "ticket", "expires_at": datetime(2030, 1, 1, tzinfo=UTC)},
            id="ticket of nobody",
        ),
        pytest.param({"kind": "secret", "public_id": "taken"}, id="public id taken"),
    ],
)
def test_the_database_refuses_rows_that_make_no_sense(
    values: dict[str, Any], ada: User
) -> None:
    """Whoever writes them, and past every form."""
    ConnectionToken.objects.create(kind="secret", public_id="taken")
    values = {"public_id": "free", **values, "user": ada if "user" in values else None}

    with pytest.raises(IntegrityError), transaction.atomic():
        ConnectionToken.objects.create(**values)


def test_the_database_refuses_an_order_to_disconnect_nothing() -> None:
    """An order names a user, a token or an origin."""
    with pytest.raises(IntegrityError), transaction.atomic():
        Disconnection.objects.create()


# Verify.


def test_a_secret_token_opens(
    secret_token: tuple[ConnectionToken, str], ada: User
) -> None:
    """From anywhere, for its user."""
    token, text = secret_token
    for origin in (None, APP, EVIL, "null"):
        for audience in ("", "prices"):
            verified = verify(Secret.parse(text), origin, audience)
            assert verified == Verified(token)
            assert isinstance(verified, Verified)
            assert verified.token.user == ada


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"revoked_at": -DAY}, Reason.TOKEN_REVOKED, id="revoked"),
        pytest.param({"expires_at": timedelta(0)}, Reason.TOKEN_EXPIRED, id="expired"),
        pytest.param({"expires_at": SECOND}, None, id="about to expire"),
        pytest.param({"used_at": -DAY}, Reason.TOKEN_USED, id="used"),
        pytest.param({"digest": "sha256:"}, Reason.TOKEN_UNKNOWN, id="other digest"),
        pytest.param({"digest": "md5:"}, Reason.TOKEN_UNKNOWN, id="other algorithm"),
        pytest.param({"public_id": "x"}, Reason.TOKEN_UNKNOWN, id="other public id"),
        pytest.param(
            {"kind": "publishable", "user": None, "origins": APP},
            Reason.TOKEN_UNKNOWN,
            id="other kind",
        ),
        pytest.param({"audience": "x"}, Reason.TOKEN_WRONG_AUDIENCE, id="audience"),
        pytest.param({"audience": "prices"}, None, id="this audience"),
        pytest.param({"origins": APP}, None, id="this origin"),
        pytest.param({"origins": f"{EVIL}\n{APP}"}, None, id="this one of two"),
        pytest.param({"origins": "https://*.example"}, None, id="a pattern"),
        pytest.param({"origins": EVIL}, Reason.TOKEN_WRONG_ORIGIN, id="origin"),
        pytest.param(
            {"origins": f"{APP}:8443"}, Reason.TOKEN_WRONG_ORIGIN, id="other port"
        ),
        pytest.param({"origins": "null"}, Reason.TOKEN_WRONG_ORIGIN, id="null"),
        pytest.param(
            {"revoked_at": -DAY, "expires_at": -DAY, "origins": EVIL},
            Reason.TOKEN_REVOKED,
            id="several: what is final comes first",
        ),
    ],
)
def test_why_a_token_opens_nothing(
    changed: dict[str, Any],
    reason: Reason | None,
    secret_token: tuple[ConnectionToken, str],
) -> None:
    """Each reason by itself, and no other way in."""
    token, text = secret_token
    now = timezone.now()
    change(
        token,
        **{
            name: now + value if isinstance(value, timedelta) else value
            for name, value in changed.items()
        },
    )

    assert reason_of(text, APP, "prices") == (reason or token)


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        pytest.param("", None, True, id="unbound, none"),
        pytest.param("", "null", True, id="unbound, null"),
        pytest.param(APP, APP, True, id="bound"),
        pytest.param(APP, f"{APP}:443", True, id="bound, default port"),
        pytest.param(APP, None, False, id="bound, none"),
        pytest.param(APP, "null", False, id="bound, null"),
        pytest.param(APP, "", False, id="bound, empty"),
        pytest.param(APP, f"{APP}/", False, id="bound, path"),
        pytest.param(APP, f"{APP},{EVIL}", False, id="bound, two"),
        pytest.param(APP, f"{APP}.evil.example", False, id="bound, suffix"),
        pytest.param(APP, "http://app.example", False, id="bound, scheme"),
        pytest.param("null", "null", True, id="null"),
        pytest.param("https://*.example", APP, True, id="wildcard"),
        pytest.param("https://*.example", "https://example", False, id="apex"),
    ],
)
def test_a_token_is_bound_to_its_origins(
    origins: str,
    origin: str | None,
    allowed: bool,
    secret_token: tuple[ConnectionToken, str],
) -> None:
    """Compared as the policy compares; without an Origin it is not one of them."""
    token, text = secret_token
    change(token, origins=origins)

    assert reason_of(text, origin) == (token if allowed else Reason.TOKEN_WRONG_ORIGIN)


@pytest.mark.parametrize("origin", [None, EVIL, "null"])
def test_a_publishable_token_is_nothing_elsewhere(
    origin: str | None, publishable: tuple[ConnectionToken, str]
) -> None:
    """It stands in a page for all to read; its origins are what it is worth."""
    token, text = publishable

    assert reason_of(text, origin) is Reason.TOKEN_WRONG_ORIGIN
    assert reason_of(text, APP) == token
    assert token.user is None


@pytest.mark.parametrize("kind", TokenKind)
def test_a_token_of_another_kind_is_another_token(
    kind: TokenKind, secret_token: tuple[ConnectionToken, str], ada: User
) -> None:
    """Its public id with another prefix finds nothing, whatever the checksum says."""
    token, text = secret_token
    forged = Secret.new(kind, token.public_id)

    assert verify(forged, None) is Reason.TOKEN_UNKNOWN
    same = f"{kind.prefix}{text[5:-6]}"
    other = Secret(kind, token.public_id, same + text[-6:])
    expected = token if kind is TokenKind.SECRET else Reason.TOKEN_UNKNOWN
    found = verify(other, None)
    assert (found if isinstance(found, Reason) else found.token) == expected


def test_an_unknown_token_costs_what_a_known_one_costs(
    secret_token: tuple[ConnectionToken, str],
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Any,
) -> None:
    """One query and two comparisons in constant time, row or no row (ASVS 11.2.4)."""
    compared: list[tuple[int, int]] = []
    compare = verification.constant_time_compare

    def counting(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(verification, "constant_time_compare", counting)
    token, text = secret_token
    costs = []
    for secret in (
        Secret.parse(text),
        Secret.new(TokenKind.SECRET, token.public_id),
        Secret.new(TokenKind.SECRET),
    ):
        compared.clear()
        with django_assert_num_queries(1):
            verification.find(secret)
        costs.append(list(compared))

    assert costs[0] == costs[1] == costs[2] == [(71, 71), (71, 71)]


def test_how_many_queries_it_takes(
    secret_token: tuple[ConnectionToken, str],
    publishable: tuple[ConnectionToken, str],
    ada: User,
    django_assert_num_queries: Any,
) -> None:
    """None for a bad checksum; one, and one write a minute; for tickets two or three."""
    _, with_session = mint_ticket(ada, origin=None, session_key=make_session())
    _, without = mint_ticket(ada, origin=None)
    counts = [
        (secret_token[1], None, 2),
        (secret_token[1], None, 1),
        (publishable[1], APP, 2),
        (publishable[1], APP, 1),
        (publishable[1], EVIL, 1),
        (without, None, 2),
        (without, None, 1),
        (with_session, None, 3),
        (Secret.new(TokenKind.SECRET).text, None, 1),
    ]
    for text, origin, count in counts:
        with django_assert_num_queries(count):
            reason_of(text, origin)
    with django_assert_num_queries(0):
        assert inspect(f"{without[:-1]}-") == Inspection(None, Reason.TOKEN_MALFORMED)


@pytest.mark.parametrize(
    ("seen", "written"),
    [
        pytest.param(None, True, id="never"),
        pytest.param(timedelta(seconds=-59), False, id="just now"),
        pytest.param(timedelta(seconds=-61), True, id="a minute ago"),
        pytest.param(timedelta(hours=1), False, id="in the future: another clock"),
    ],
)
def test_notes_the_last_use_once_a_minute(
    seen: timedelta | None,
    written: bool,
    secret_token: tuple[ConnectionToken, str],
    django_assert_num_queries: Any,
) -> None:
    """A write costs more than all the rest; this tells days from minutes."""
    token, text = secret_token
    before = seen and timezone.now() + seen
    change(token, last_used_at=before)
    with django_assert_num_queries(1 + written):
        verify(Secret.parse(text), None)
    token.refresh_from_db()

    assert (token.last_used_at != before) is written
    assert token.previous_used_at is None


def test_of_two_uses_at_once_one_is_noted(
    secret_token: tuple[ConnectionToken, str],
) -> None:
    """Who has read the row before the other wrote the time writes none himself."""
    token, text = secret_token
    verify(Secret.parse(text), None)
    first = ConnectionToken.objects.get().last_used_at
    assert token.last_used_at is None
    verification._note_use(token, Secret.parse(text))

    assert ConnectionToken.objects.get().last_used_at == first


def test_a_denied_use_is_not_noted(secret_token: tuple[ConnectionToken, str]) -> None:
    """It was used when it opened something."""
    token, text = secret_token
    change(token, audience="x")
    verify(Secret.parse(text), None)
    token.refresh_from_db()

    assert token.last_used_at is None


@pytest.mark.parametrize("deleted", [False, True])
def test_a_token_of_who_is_gone_opens_nothing(
    deleted: bool, secret_token: tuple[ConnectionToken, str], ada: User
) -> None:
    """Deactivated: that is the reason. Deleted: the tokens went along (ASVS 7.4.2)."""
    _, text = secret_token
    if deleted:
        ada.delete()
    else:
        User.objects.update(is_active=False)

    assert reason_of(text) is (
        Reason.TOKEN_UNKNOWN if deleted else Reason.TOKEN_USER_INACTIVE
    )


@pytest.mark.django_db(transaction=True)
async def test_verifies_from_an_event_loop() -> None:
    """In a thread, with the same answer."""
    ada = await User.objects.acreate(username="ada")
    token = await ConnectionToken.objects.acreate(
        kind="secret", public_id="x", user=ada
    )
    secret = Secret.new(TokenKind.SECRET, "x" * 8)
    await ConnectionToken.objects.filter(pk=token.pk).aupdate(
        public_id=secret.public_id, digest=secret.digest
    )

    assert await averify(secret, None) == Verified(token)
    assert await averify(Secret.new(TokenKind.SECRET), None) is Reason.TOKEN_UNKNOWN


@pytest.mark.django_db(transaction=True)
async def test_a_ticket_opens_without_its_session_from_an_event_loop() -> None:
    """A cookie that did not come along is not another session's."""
    ada = await User.objects.acreate(username="ada")
    key = await sync_to_async(make_session)()
    ticket = await sync_to_async(mint_ticket)(ada, origin=None, session_key=key)

    assert await averify(Secret.parse(ticket[1]), None) == Verified(ticket[0], key)


def test_what_was_verified_shows_no_secret(ada: User) -> None:
    """Neither the token nor the key of the session is in repr()."""
    key = make_session()
    _, text = mint_ticket(ada, origin=None, session_key=key)
    verified = verify(Secret.parse(text), None)

    assert isinstance(verified, Verified)
    assert verified.session_key == key
    assert repr(verified) == f"<Verified {text[:13]}>"


# Inspect.


def test_inspects_a_pasted_text(
    secret_token: tuple[ConnectionToken, str],
    publishable: tuple[ConnectionToken, str],
    ada: User,
) -> None:
    """Which token it is, and whether it holds; neither origin nor session is asked."""
    ticket, of_ticket = mint_ticket(ada, origin=APP, audience="x")

    for (token, text), spaces in [
        (secret_token, "{}"),
        (publishable, " {}\n"),
        ((ticket, of_ticket), "{}"),
    ]:
        assert inspect(spaces.format(text)) == Inspection(token, None)
    revoke(publishable[0])
    assert inspect(publishable[1]).reason is Reason.TOKEN_REVOKED
    unknown = Secret.new(TokenKind.SECRET).text
    assert inspect(unknown) == Inspection(None, Reason.TOKEN_UNKNOWN)
    assert inspect("hello") == Inspection(None, Reason.TOKEN_MALFORMED)
    ticket.refresh_from_db()
    assert ticket.used_at is None


# Rotate.


def test_rotates_at_once(secret_token: tuple[ConnectionToken, str]) -> None:
    """After a leak: the old secret is unknown from now on; the row stays."""
    token, old = secret_token
    verify(Secret.parse(old), None)
    used = ConnectionToken.objects.get().last_used_at
    new = rotate(token)

    assert new[:13] == old[:13]
    assert reason_of(old) is Reason.TOKEN_UNKNOWN
    assert reason_of(new) == token
    row = ConnectionToken.objects.get()
    assert (row.previous_digest, row.previous_used_at) == ("", used)
    assert row.previous_expires_at is None
    assert not row.is_rotating
    assert row.digest == token.digest == Secret.parse(new).digest


def test_rotates_with_overlap(secret_token: tuple[ConnectionToken, str]) -> None:
    """Both count until then, and the row says which was used last (ASVS 13.3.4)."""
    token, old = secret_token
    verify(Secret.parse(old), None)
    used = ConnectionToken.objects.get().last_used_at
    new = rotate(token, timedelta(hours=1))
    row = ConnectionToken.objects.get()
    assert (row.last_used_at, row.previous_used_at) == (None, used)
    assert row.is_rotating
    assert token.is_rotating

    assert reason_of(old) == token
    assert ConnectionToken.objects.get().last_used_at is None
    assert reason_of(new) == token
    assert ConnectionToken.objects.get().last_used_at is not None

    change(token, previous_used_at=None)
    verify(Secret.parse(old), None)
    assert ConnectionToken.objects.get().previous_used_at is not None

    change(token, previous_expires_at=timezone.now())
    assert reason_of(old) is Reason.TOKEN_EXPIRED
    assert reason_of(new) == token
    assert not ConnectionToken.objects.get().is_rotating


def test_tells_of_a_rotation(
    secret_token: tuple[ConnectionToken, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The token, never its secrets, and for how long both count."""
    caplog.set_level(logging.INFO, "wsorigin")
    token, _ = secret_token
    rotate(token, timedelta(hours=1))

    assert caplog.messages == [f"rotated token={token.public_id} overlap=1:00:00"]


@pytest.mark.parametrize("overlap", [SECOND, timedelta(days=30)])
def test_both_secrets_count_during_an_overlap(
    overlap: timedelta, secret_token: tuple[ConnectionToken, str]
) -> None:
    """As long as is asked for, thirty days at most."""
    token, old = secret_token
    new = rotate(token, overlap)

    assert reason_of(old) == reason_of(new) == token


def test_a_second_rotation_ends_the_first_secret(
    secret_token: tuple[ConnectionToken, str],
) -> None:
    """Two secrets at a time, never three."""
    token, first = secret_token
    second = rotate(token, DAY)
    third = rotate(token, DAY)

    assert reason_of(first) is Reason.TOKEN_UNKNOWN
    assert reason_of(second) == reason_of(third) == token


def test_an_overlap_does_not_outlive_the_token(
    secret_token: tuple[ConnectionToken, str],
) -> None:
    """What ends the token ends both secrets."""
    token, old = secret_token
    new = rotate(token, DAY)
    change(token, expires_at=timezone.now())
    assert reason_of(old) is reason_of(new) is Reason.TOKEN_EXPIRED
    revoke(token)
    assert reason_of(old) is reason_of(new) is Reason.TOKEN_REVOKED


@pytest.mark.parametrize("overlap", [-SECOND, timedelta(days=30, seconds=1)])
def test_refuses_an_overlap_out_of_bounds(
    overlap: timedelta, secret_token: tuple[ConnectionToken, str]
) -> None:
    """From nothing to thirty days."""
    token, text = secret_token
    with pytest.raises(ValidationError) as refused:
        rotate(token, overlap)

    assert refused.value.code == "overlap"
    assert refused.value.messages == ["The overlap is from nothing to 30 days."]
    assert reason_of(text) == token


@pytest.mark.parametrize("what", ["revoked", "expired", "ticket"])
def test_refuses_to_rotate_what_has_ended(
    what: str, secret_token: tuple[ConnectionToken, str], ada: User
) -> None:
    """A rotation brings nothing back to life, and a ticket is used before that."""
    token, _ = secret_token
    if what == "revoked":
        revoke(token)
    elif what == "expired":
        change(token, expires_at=timezone.now())
    else:
        token, _ = mint_ticket(ada, origin=APP)
    digest = token.digest
    with pytest.raises(ValidationError) as refused:
        rotate(token)
    token.refresh_from_db()

    assert refused.value.code == "ended"
    assert refused.value.messages == [
        f"{token} can't be rotated: it is a ticket, or has ended."
    ]
    assert token.digest == digest


# Revoke.


def test_revokes_once(
    secret_token: tuple[ConnectionToken, str], caplog: pytest.LogCaptureFixture
) -> None:
    """What is revoked stays revoked, with its time and its reason."""
    caplog.set_level(logging.INFO, "wsorigin")
    token, text = secret_token

    assert revoke(token, "leaked") is True
    first = ConnectionToken.objects.get()
    assert revoke(token, "again") is False
    second = ConnectionToken.objects.get()
    assert second.revoked_at == first.revoked_at == token.revoked_at
    assert second.revoke_reason == token.revoke_reason == "leaked"
    assert second.state == "revoked"
    assert reason_of(text) is Reason.TOKEN_REVOKED
    assert caplog.messages == [f"revoked token={token.public_id}"]


def test_a_reason_is_asked_of_nobody(
    secret_token: tuple[ConnectionToken, str],
) -> None:
    """Without one none is stored; and nothing else of the object at hand changes."""
    token, _ = secret_token
    token.name = "not saved yet"
    revoke(token)

    assert ConnectionToken.objects.get().revoke_reason == token.revoke_reason == ""
    assert token.name == "not saved yet"


def test_a_long_reason_is_cut(secret_token: tuple[ConnectionToken, str]) -> None:
    """Rather than a token that is not revoked."""
    token, _ = secret_token
    revoke(token, "x" * 300)

    assert ConnectionToken.objects.get().revoke_reason == "x" * 200


@pytest.fixture
def told() -> Iterator[list[tuple[str, Any]]]:
    """Collect what this process tells the watchers of live connections."""
    said: list[tuple[str, Any]] = []

    def receive(what: str, key: Any, **_: Any) -> None:
        said.append((what, key))

    standing_changed.connect(receive, ConnectionToken)
    yield said
    standing_changed.disconnect(receive, ConnectionToken)


@pytest.mark.django_db(transaction=True)
def test_tells_of_the_end_after_the_commit(ada: User, told: list[Any]) -> None:
    """And not at all where that was rolled back: nobody looks too early."""
    token, _ = mint(TokenKind.SECRET, name="n", user=ada, expires_in=DAY)
    told.clear()
    with transaction.atomic():
        revoke(token)
        transaction.set_rollback(True)
    assert told == []
    with transaction.atomic():
        revoke(token)
        assert told == []
    assert told == [("token", token.pk)]
    revoke(token)
    assert told == [("token", token.pk)]


def test_waits_for_the_commit_of_the_database_that_changed() -> None:
    """Which may be another one than the default."""
    with pytest.raises(ConnectionDoesNotExist):
        tokens.announce("token", 1, "elsewhere")


@pytest.mark.django_db(transaction=True)
def test_orders_to_disconnect(ada: User, told: list[Any]) -> None:
    """A row each, in canonical form, for every process to find; old ones go."""
    token, _ = mint(TokenKind.SECRET, name="n", user=ada, expires_in=DAY)
    disconnect(user=ada)
    Disconnection.objects.update(requested_at=timezone.now() - 2 * DAY)
    told.clear()
    disconnect(user=ada)
    disconnect(token=token)
    disconnect(origin="HTTPS://App.Example:443/")

    rows = list(Disconnection.objects.order_by("pk"))
    assert [(row.user, row.token, row.origin) for row in rows] == [
        (ada, None, ""),
        (None, token, ""),
        (None, None, APP),
    ]
    assert [str(row) for row in rows] == [str(ada.pk), str(token.pk), APP]
    assert told == [("disconnection", 0)] * 3
    with pytest.raises(ValueError, match=r"^name a user, a token or an origin$"):
        disconnect()
    with pytest.raises(InvalidOrigin):
        tokens.disconnect_each([{"user": ada}, {"origin": "app.example"}])
    assert Disconnection.objects.count() == 3


# Prune.


def test_prunes_what_has_been_dead_for_long(ada: User) -> None:
    """Tickets an hour after their end; tokens after the days that denials are kept."""
    now = timezone.now()
    hour, month = timedelta(hours=1), timedelta(days=30)
    kept, gone = [], []
    tickets = iter([mint_ticket(ada, origin=None)[0] for _ in range(6)])
    for end, is_gone in [(hour, False), (-hour + SECOND * 5, False), (-hour, True)]:
        for used in (None, now):
            ticket = next(tickets)
            change(ticket, expires_at=now + end, used_at=used)
            (gone if is_gone else kept).append(ticket.pk)
    for values, is_gone in [
        ({}, False),
        ({"expires_at": None}, False),
        ({"expires_at": -month + DAY}, False),
        ({"expires_at": -month}, True),
        ({"revoked_at": -month + DAY}, False),
        ({"revoked_at": -month}, True),
        ({"expires_at": None, "revoked_at": -month}, True),
    ]:
        token, _ = mint(TokenKind.SECRET, name="n", user=ada, expires_in=DAY)
        change(token, **{name: end and now + end for name, end in values.items()})
        (gone if is_gone else kept).append(token.pk)
    disconnect(user=ada)
    Disconnection.objects.update(requested_at=now - DAY)
    disconnect(origin=APP)
    Disconnection.objects.create(user=ada, requested_at=now - DAY)

    assert prune() == len(gone)
    left = ConnectionToken.objects.order_by("pk").values_list("pk", flat=True)
    assert list(left) == sorted(kept)
    assert [row.origin for row in Disconnection.objects.all()] == [APP]
    assert prune() == 0


def test_days_are_kept_as_the_setting_says(
    secret_token: tuple[ConnectionToken, str],
) -> None:
    """``WSORIGIN_AUDIT_RETENTION_DAYS`` is for tokens as for denials."""
    change(secret_token[0], expires_at=timezone.now() - 2 * DAY)

    assert prune() == 0
    with override_settings(WSORIGIN_AUDIT_RETENTION_DAYS=1):
        assert prune() == 1


# Open, and stay open.


@pytest.mark.parametrize(
    ("kind", "values", "usable", "standing"),
    [
        pytest.param("secret", {}, True, True, id="secret"),
        pytest.param("secret", {"expires_at": None}, True, True, id="no end"),
        pytest.param("secret", {"user": False}, True, True, id="nobody's"),
        pytest.param("secret", {"expires_at": -SECOND}, False, False, id="expired"),
        pytest.param("secret", {"revoked_at": -SECOND}, False, False, id="revoked"),
        pytest.param("secret", {"inactive": True}, False, False, id="inactive"),
        pytest.param("ticket", {}, True, True, id="fresh ticket"),
        pytest.param("ticket", {"used_at": -SECOND}, False, True, id="used ticket"),
        pytest.param("ticket", {"expires_at": -DAY}, False, False, id="missed ticket"),
        pytest.param(
            "ticket",
            {"used_at": -DAY, "expires_at": -DAY},
            False,
            True,
            id="a socket outlives the ticket that opened it",
        ),
        pytest.param(
            "ticket",
            {"used_at": -SECOND, "revoked_at": -SECOND},
            False,
            False,
            id="used ticket, revoked",
        ),
        pytest.param(
            "ticket",
            {"used_at": -SECOND, "inactive": True},
            False,
            False,
            id="used ticket, inactive",
        ),
    ],
)
def test_what_may_open_and_what_may_stay(
    kind: str, values: dict[str, Any], usable: bool, standing: bool, ada: User
) -> None:
    """Two questions, side by side: they differ for tickets, on purpose."""
    now = timezone.now()
    row = {"kind": kind, "user": ada, "expires_at": DAY, **values}
    if row.pop("inactive", False):
        User.objects.update(is_active=False)
    token = ConnectionToken.objects.create(
        **{
            name: now + value if isinstance(value, timedelta) else value or None
            for name, value in row.items()
        }
    )

    assert ConnectionToken.objects.usable().exists() is usable
    assert ConnectionToken.objects.standing().exists() is standing
    assert ConnectionToken.objects.dead().exists() is (token.state != "active")


# Tickets.


@pytest.mark.parametrize(
    "origin",
    [
        None,
        APP,
        f"{APP}:8443",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "https://foo_bar.example",
        "https://co.uk",
        "https://xn--bcher-kva.example",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "moz-extension://123e4567-e89b-12d3-a456-426614174000",
    ],
)
def test_a_ticket_opens_where_it_was_fetched(origin: str | None, ada: User) -> None:
    """Once, from the same origin, for who fetched it; none is none."""
    token, text = mint_ticket(ada, origin=origin)
    elsewhere = [EVIL, "null", "", APP if origin is None else None]

    for other in elsewhere:
        assert reason_of(text, other) is Reason.TOKEN_WRONG_ORIGIN
    assert reason_of(text, origin) == token
    assert reason_of(text, origin) is Reason.TOKEN_USED
    token.refresh_from_db()
    assert token.state == "used"
    assert token.used_at == token.last_used_at


@pytest.mark.parametrize("origin", ["null", "", "app.example", f"{APP},{EVIL}", "*"])
def test_there_is_no_ticket_for_nobodys_origin(origin: str, ada: User) -> None:
    """``null`` is everybody's, so that a ticket for it would be everybody's."""
    with pytest.raises(InvalidOrigin):
        mint_ticket(ada, origin=origin)

    assert not ConnectionToken.objects.exists()


@pytest.mark.parametrize(
    ("of_ticket", "of_endpoint", "allowed"),
    [
        ("", "", True),
        ("", "prices", True),
        ("prices", "prices", True),
        ("prices", "", False),
        ("prices", "chat", False),
        ("prices", "Prices", False),
    ],
)
def test_a_ticket_is_for_its_audience(
    of_ticket: str, of_endpoint: str, allowed: bool, ada: User
) -> None:
    """A ticket for the prices opens no other endpoint (ASVS 9.2.3, 9.2.4)."""
    token, text = mint_ticket(ada, origin=None, audience=of_ticket)
    expected = token if allowed else Reason.TOKEN_WRONG_AUDIENCE

    assert reason_of(text, None, of_endpoint) == expected
    token.refresh_from_db()
    assert bool(token.used_at) is allowed


@pytest.mark.parametrize(("age", "seconds"), [(30, 30), (7.5, 7.5), (500, 120)])
def test_a_ticket_lasts_as_long_as_the_setting_says(
    age: float, seconds: float, ada: User
) -> None:
    """Thirty seconds, two minutes at most; after that it is expired (ASVS 6.5.5)."""
    with override_settings(WSORIGIN_TICKET_MAX_AGE=age):
        token, text = mint_ticket(ada, origin=None)
    assert token.expires_at == token.created_at + timedelta(seconds=seconds)

    change(token, expires_at=timezone.now())
    assert reason_of(text) is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("what", ["inactive", "deleted", "revoked"])
def test_a_ticket_of_who_is_gone_opens_nothing(what: str, ada: User) -> None:
    """Between the minting and the use too."""
    token, text = mint_ticket(ada, origin=None)
    expected = Reason.TOKEN_USER_INACTIVE
    if what == "inactive":
        User.objects.update(is_active=False)
    elif what == "deleted":
        ada.delete()
        expected = Reason.TOKEN_UNKNOWN
    else:
        revoke(token)
        expected = Reason.TOKEN_REVOKED

    assert reason_of(text) is expected


@pytest.mark.parametrize("field", ["used_at", "revoked_at", "expires_at"])
def test_what_ends_a_ticket_while_it_is_verified_counts(field: str, ada: User) -> None:
    """Read as good, it is used up only if it is good still."""
    token, text = mint_ticket(ada, origin=None)
    secret = Secret.parse(text)
    found = find(secret)
    assert found
    change(token, **{field: timezone.now()})

    assert verification._redeem(found, secret, "") is Reason.TOKEN_USED
    assert (ConnectionToken.objects.get().used_at is None) is (field != "used_at")


def test_a_ticket_is_bound_to_the_session_that_fetched_it(ada: User) -> None:
    """Beside another session's cookie it opens nothing; beside its own, or none, it does."""
    own, other = make_session(), make_session()
    tickets = [mint_ticket(ada, origin=None, session_key=own)[1] for _ in range(3)]
    answers = [
        verify(Secret.parse(text), None, session_key=key)
        for text, key in zip(tickets, (other, own, ""), strict=True)
    ]

    assert answers[0] is Reason.TOKEN_WRONG_SESSION
    for verified in answers[1:]:
        assert isinstance(verified, Verified)
        assert verified.session_key == own


@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_a_ticket_of_an_ended_session_opens_nothing(how: str, ada: User) -> None:
    """Who has logged out has logged out, tickets in flight included (ASVS 7.4.1)."""
    key = make_session()
    token, text = mint_ticket(ada, origin=None, session_key=key)
    sessions = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class()
    if how == "deleted":
        sessions.objects.all().delete()
    else:
        sessions.objects.update(expire_date=timezone.now())

    assert reason_of(text) is Reason.TOKEN_WRONG_SESSION
    token.refresh_from_db()
    assert token.used_at is None


def test_the_row_of_a_ticket_does_not_give_the_session_away(ada: User) -> None:
    """Who reads the database learns no more of a session than he knows already."""
    key = make_session()
    token, text = mint_ticket(ada, origin=None, session_key=key)

    assert key not in str(vars(token))
    assert Secret.parse(text).unseal(token.sealed_session_key) == key


@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
def test_a_session_in_a_cookie_binds_no_ticket(ada: User) -> None:
    """It is kept nowhere, so that nothing could end it."""
    token, text = mint_ticket(ada, origin=None, session_key="x" * 500)

    assert token.sealed_session_key == ""
    assert reason_of(text) == token


def test_there_are_so_many_tickets_at_once(ada: User) -> None:
    """Twenty that wait to be used (ASVS 2.4.1); used, ended and others' do not count."""
    for _ in range(MAX_OUTSTANDING):
        token, text = mint_ticket(ada, origin=None)
    with pytest.raises(TooManyTickets):
        mint_ticket(ada, origin=None)
    mint_ticket(User.objects.create_user("bob"), origin=None)
    for free in (
        lambda: reason_of(text),
        lambda: change(token, used_at=None, revoked_at=timezone.now()),
        lambda: change(token, revoked_at=None, expires_at=timezone.now()),
    ):
        free()
        last, _ = mint_ticket(ada, origin=None)
        with pytest.raises(TooManyTickets):
            mint_ticket(ada, origin=None)
        last.delete()

    assert MAX_OUTSTANDING == 20


def test_tokens_are_no_tickets(ada: User) -> None:
    """Nor counted among those that wait to be used, nor deleted with the old ones."""
    for _ in range(MAX_OUTSTANDING):
        token, _ = mint(TokenKind.SECRET, name="n", user=ada, expires_in=DAY)
    change(token, expires_at=timezone.now() - DAY)
    mint_ticket(ada, origin=None)

    assert ConnectionToken.objects.filter(pk=token.pk).exists()


def test_old_tickets_go_when_new_ones_come(ada: User) -> None:
    """An hour after their end (ASVS 14.2.7); until then the reason is not "unknown"."""
    old, of_old = mint_ticket(ada, origin=None)
    late, of_late = mint_ticket(ada, origin=None)
    bobs, _ = mint_ticket(User.objects.create_user("bob"), origin=None)
    for token in (old, bobs):
        change(token, expires_at=timezone.now() - timedelta(hours=1, seconds=1))
    change(late, expires_at=timezone.now() - timedelta(minutes=59))
    mint_ticket(ada, origin=None)

    assert reason_of(of_old) is Reason.TOKEN_UNKNOWN
    assert reason_of(of_late) is Reason.TOKEN_EXPIRED
    assert ConnectionToken.objects.filter(pk=bobs.pk).exists()


# Many at once, each with a connection of its own.


def at_once(work: Callable[[], Any], times: int, *, held_at: str) -> Counter[Any]:
    """Do something in as many threads, held back together before a statement."""
    barrier = threading.Barrier(times, timeout=60)

    def hold(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(held_at):
            barrier.wait()
        return execute(sql, *arguments)

    def run() -> Any:
        with connection.cursor() as cursor:
            # One writes after the other, on a machine that has other work too.
            cursor.execute("PRAGMA busy_timeout = 60000")
        try:
            with connection.execute_wrapper(hold):
                return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        futures = [pool.submit(run) for _ in range(times)]
        return Counter(future.result() for future in futures)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("with_session", [False, True])
def test_of_a_hundred_uses_at_once_one_wins(with_session: bool, ada: User) -> None:
    """All have seen an unused ticket before the first one uses it up (ASVS 6.5.1)."""
    key = make_session() if with_session else ""
    token, text = mint_ticket(ada, origin=None, session_key=key)
    answers = at_once(lambda: reason_of(text), 100, held_at="UPDATE")

    assert answers == {token: 1, Reason.TOKEN_USED: 99}


@pytest.mark.django_db(transaction=True)
def test_many_fetches_at_once_do_not_exceed_the_bound(ada: User) -> None:
    """Who asks for thirty in parallel gets twenty, and an answer to each."""

    def fetch() -> bool:
        try:
            mint_ticket(ada, origin=None)
        except TooManyTickets:
            return False
        return True

    answers = at_once(fetch, 30, held_at="BEGIN")

    assert answers == {True: 20, False: 10}
    assert ConnectionToken.objects.count() == 20
