"""Tokens in the admin: who may do what, and that a secret is seen once and nowhere else."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from channels.routing import URLRouter
from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection
from django.test import Client, override_settings
from django.urls import path
from django.utils import timezone
from django.views.debug import ExceptionReporter

from wsorigin import tokens
from wsorigin.admin import TrustedOriginAdmin, samples
from wsorigin.admin.disconnect import disconnect_users
from wsorigin.consumers import GuardedAsyncWebsocketConsumer
from wsorigin.credentials import Secret, TokenKind
from wsorigin.guard import OriginGuard
from wsorigin.live.watcher import hints
from wsorigin.models import ConnectionToken, Disconnection, TrustedOrigin
from wsorigin.policy import Reason
from wsorigin.refresh import get_policy

from .applications import opaque
from .services import Redis
from .test_admin import LIST as TRUSTED
from .test_admin import act, client_of, make_user, text_of

pytestmark = pytest.mark.django_db

LIST = "/admin/wsorigin/connectiontoken/"
ADD = f"{LIST}add/"
VERIFY = f"{LIST}verify/"
TEXT = re.compile(r"wso[kpt]_[0-9A-Za-z]{46}")
DAY = timedelta(days=1)
HOSTILE = [
    pytest.param("<script>alert(1)</script>", id="script"),
    pytest.param("evil \u202emoc.knab", id="right-to-left override"),
    pytest.param("'\"><img src=x onerror=alert(1)>\\{{ 7 }}", id="out of an attribute"),
]


def secret(name: str = "Feed", **fields: Any) -> tuple[ConnectionToken, str]:
    """Mint a secret token; return its row and its text."""
    return tokens.mint(
        TokenKind.SECRET, name=name, **{"expires_in": 30 * DAY, **fields}
    )


def publishable(name: str = "Widget", **fields: Any) -> tuple[ConnectionToken, str]:
    """Mint a publishable token; return its row and its text."""
    fields = {"expires_in": 30 * DAY, "origins": ["https://shop.example"], **fields}
    return tokens.mint(TokenKind.PUBLISHABLE, name=name, **fields)


def ticket() -> tuple[ConnectionToken, str]:
    """Mint a ticket; return its row and its text."""
    visitor = User.objects.create_user("visitor")
    return tokens.mint_ticket(visitor, origin="https://app.example")


def change(row: ConnectionToken, **fields: Any) -> None:
    """Change a row behind everybody's back."""
    ConnectionToken.objects.filter(pk=row.pk).update(**fields)


def mint_data(**values: str) -> dict[str, str]:
    """Return what a browser sends of the form."""
    data = {
        "kind": "secret",
        "name": "Feed",
        "origins": "",
        "audience": "",
        "lifetime": "90",
        "once": "0123456789",
    }
    return data | values


def of(row: ConnectionToken, page: str) -> str:
    """Return the address of a page about one token."""
    return f"{LIST}{row.pk}/{page}/"


def hidden(response: Any, name: str) -> str:
    """Return the value of a hidden field."""
    field = re.search(rf'name="{name}" value="(.*?)"', response.content.decode())
    assert field
    return field[1]


def rotate(client: Client, row: ConnectionToken, overlap: str = "24h") -> Any:
    """Rotate a token as a browser does: look at the form, then send it."""
    page = of(row, "rotate")
    return client.post(
        page, {"overlap": overlap, "seen": hidden(client.get(page), "seen")}
    )


def shown_secret(response: Any) -> str:
    """Return the secret that a page shows."""
    found = re.search(r'id="wsorigin-secret".*?>(.*?)<', response.content.decode())
    assert found, text_of(response)
    return found[1]


def said(response: Any) -> list[str]:
    """Return the messages that a page shows."""
    return [str(one) for one in response.context["messages"]]


def history() -> list[tuple[int, str, str, str]]:
    """Return who did what to which row, by the log of changes, in order."""
    return [
        (one.action_flag, one.user.get_username(), one.object_repr, str(one))
        for one in LogEntry.objects.order_by("pk")
    ]


# Permissions ----------------------------------------------------------------------------

OWN = [
    "view_connectiontoken",
    "delete_connectiontoken",
    "mint_token",
    "mint_token_for_others",
    "rotate_token",
    "revoke_token",
    "disconnect",
]
VIEW = "view_connectiontoken"
Request = tuple[str, str, dict[str, str] | None, tuple[str, ...]]
# What the request is, and which permissions it takes; all concern a token of nobody's.
REQUESTS: dict[str, Request] = {
    "list": ("get", LIST, None, (VIEW,)),
    "token": ("get", f"{LIST}1/change/", None, (VIEW,)),
    "history": ("get", f"{LIST}1/history/", None, (VIEW,)),
    "rename": ("post", f"{LIST}1/change/", {"name": "New"}, (VIEW, "mint_token")),
    "mint form": ("get", ADD, None, ("mint_token",)),
    "mint": ("post", ADD, mint_data(), ("mint_token",)),
    "verify form": ("get", VERIFY, None, (VIEW,)),
    "verify": ("post", VERIFY, {"token": "wsok_"}, (VIEW,)),
    "rotate form": ("get", f"{LIST}1/rotate/", None, ("rotate_token",)),
    "rotate": ("post", f"{LIST}1/rotate/", {"overlap": "1h"}, ("rotate_token",)),
    "revoke form": ("get", f"{LIST}1/revoke/", None, ("revoke_token",)),
    "revoke": ("post", f"{LIST}1/revoke/", {"_revoke": "1"}, ("revoke_token",)),
    "disconnect form": ("get", f"{LIST}1/disconnect/", None, ("disconnect",)),
    "disconnect": ("post", f"{LIST}1/disconnect/", {}, ("disconnect",)),
    "delete": (
        "post",
        f"{LIST}1/delete/",
        {"post": "yes"},
        ("delete_connectiontoken",),
    ),
}


def everything() -> list[Any]:
    """Return all that requests could have changed."""
    return [
        list(ConnectionToken.objects.order_by("pk").values()),
        Disconnection.objects.count(),
        LogEntry.objects.count(),
    ]


@pytest.fixture
def row() -> ConnectionToken:
    """A token of nobody's with the key 1."""
    made, _text = secret()
    made.delete()
    made.pk = 1
    made.save(force_insert=True)
    return made


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize("name", REQUESTS)
def test_anonymous_is_sent_to_the_login(name: str) -> None:
    """Without a login nothing is shown or changed."""
    method, url, data, _needed = REQUESTS[name]
    before = everything()

    response = getattr(Client(), method)(url, data)

    assert response.status_code == 302
    assert "/login/" in response["Location"]
    assert everything() == before


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize("name", REQUESTS)
def test_each_request_takes_its_permission(name: str) -> None:
    """All others together do not open it; those that it names do."""
    method, url, data, needed = REQUESTS[name]
    before = everything()
    for number, missing in enumerate(needed):
        others = [one for one in OWN if one != missing]

        client = client_of(make_user(f"others{number}", *others))
        assert getattr(client, method)(url, data).status_code == 403
        assert everything() == before

    done = getattr(client_of(make_user("entitled", *needed)), method)(url, data)

    assert done.status_code in (200, 302)
    assert "/login/" not in done.get("Location", "")


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    "name", [name for name, request in REQUESTS.items() if request[0] == "post"]
)
def test_what_changes_something_asks_for_the_csrf_token(name: str) -> None:
    """Another site cannot have it done."""
    _method, url, data, _needed = REQUESTS[name]
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    before = everything()

    assert client.post(url, data).status_code == 403
    assert everything() == before


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    "action", ["revoke_selected", "disconnect_selected", "delete_selected"]
)
def test_who_may_only_look_can_run_no_action(action: str) -> None:
    """An action that is not offered is not run either, and no button leads there."""
    client = client_of(make_user("eve", VIEW))
    before = everything()

    response = act(
        client, action, ConnectionToken.objects.get(), url=LIST, post="1", _revoke="1"
    )
    body = response.content.decode()
    body += client.get(f"{LIST}1/change/").content.decode()

    assert everything() == before
    for page in ("add", "1/rotate", "1/revoke", "1/disconnect", "1/delete"):
        assert f"{LIST}{page}/" not in body
    assert action not in body
    assert 'name="name"' not in body


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param("eve", id="one's own"),
        pytest.param("bob", id="another's"),
    ],
)
@pytest.mark.parametrize("for_others", [True, False])
def test_what_acts_as_somebody_else_takes_one_more(
    owner: str, for_others: bool
) -> None:
    """Rotating hands out a credential of its owner; so it takes what minting it takes."""
    rights = ["rotate_token", "mint_token", VIEW]
    if for_others:
        rights.append("mint_token_for_others")
    eve = make_user("eve", *rights)
    owners = {"eve": eve, "bob": User.objects.create_user("bob")}
    row, _text = secret(user=owners[owner])
    client = client_of(eve)
    expected = 200 if for_others or owner == "eve" else 403

    assert client.get(of(row, "rotate")).status_code == expected
    assert client.post(of(row, "rotate"), {}).status_code == expected
    renamed = client.post(of(row, "change"), {"name": "Mine"}).status_code
    assert renamed == {200: 302, 403: 403}[expected]
    body = client.get(of(row, "change")).content.decode()
    assert ("/rotate/" in body) == (expected == 200)


def test_pages_about_a_token_that_is_gone(admin_client: Client) -> None:
    """They say so; no error of ours."""
    for page in ("rotate", "revoke", "disconnect"):
        assert admin_client.get(f"{LIST}999/{page}/").status_code == 404
    gone = admin_client.get(f"{LIST}999/change/", follow=True)
    assert "Perhaps it was deleted?" in text_of(gone)


# Minting --------------------------------------------------------------------------------


def test_mints_and_shows_the_secret(admin_client: Client, admin_user: User) -> None:
    """It opens, is the minter's, and is known by its log entry."""
    response = admin_client.post(ADD, mint_data(owner="admin", audience="prices"))

    row = ConnectionToken.objects.get()
    assert tokens.inspect(shown_secret(response))[:2] == (row, None)
    assert (row.kind, row.name, row.audience) == ("secret", "Feed", "prices")
    assert (row.user, row.created_by) == (admin_user, admin_user)
    assert row.expires_at
    assert abs(row.expires_at - timezone.now() - 90 * DAY) < timedelta(minutes=1)
    assert history() == [
        (ADDITION, "admin", str(row), f"Added “{row}”."),
    ]
    assert "It acts as admin." in text_of(response)


def test_the_form_explains_the_kinds(admin_client: Client) -> None:
    """One line each, and none for tickets, which nobody mints."""
    page = text_of(admin_client.get(ADD))

    assert "secret : for servers, devices and native apps." in page
    assert "publishable : may stand in a page for all to read." in page
    assert "never" not in re.findall(r"\d+ days|never$", page)
    assert admin_client.post(ADD, mint_data(kind="ticket")).status_code == 200
    assert not ConnectionToken.objects.exists()


def test_a_publishable_token_names_nobody(admin_client: Client) -> None:
    """The owner that the form suggests is for the other kind; the origins are kept."""
    origins = "HTTPS://Shop.Example\nhttps://*.customers.example"
    response = admin_client.post(
        ADD, mint_data(kind="publishable", owner="admin", origins=origins)
    )

    row = ConnectionToken.objects.get()
    assert row.user is None
    assert row.origins == "https://shop.example\nhttps://*.customers.example"
    body = response.content.decode()
    assert Secret.parse(shown_secret(response)).subprotocol in body
    assert "It acts as" not in body


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "  "}, "name", "This field is required."),
        ({"name": "n" * 101}, "name", "at most 100 characters"),
        ({"kind": "publishable"}, "origins", "A publishable token is bound to origins"),
        (
            {"kind": "publishable", "origins": "https://a.example", "owner": "bob"},
            "owner",
            "never a person",
        ),
        ({"origins": "app.example"}, "origins", "it has no scheme"),
        ({"owner": "nobody-here"}, "owner", "There is no such user."),
        ({"owner": "gone"}, "owner", "This user is deactivated"),
        ({"lifetime": "never"}, "lifetime", "Select a valid choice."),
        ({"lifetime": "7"}, "lifetime", "Select a valid choice."),
        ({"once": ""}, "once", "This field is required."),
    ],
)
def test_mistakes_stand_beside_their_fields(
    values: dict[str, str], field: str, words: str, admin_client: Client
) -> None:
    """What the tokens' own module says as well; nothing is minted, nothing logged."""
    User.objects.create_user("bob")
    User.objects.create_user("gone", is_active=False)

    response = admin_client.post(ADD, mint_data(**{"owner": "admin", **values}))

    assert words in text_of(response)
    assert [*response.context["form"].errors] == [field]
    assert not ConnectionToken.objects.exists()
    assert history() == []


def test_what_belongs_to_no_field_is_said_above(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a public id that is taken, once in 62 to the eighth."""
    row, _text = secret()
    monkeypatch.setattr("wsorigin.credentials._random", lambda _: row.public_id)

    response = admin_client.post(ADD, mint_data(owner=""))

    assert "Token with this Public id already exists." in text_of(response)


@override_settings(WSORIGIN_TOKENS_MUST_EXPIRE=False)
def test_offers_never_only_where_the_site_allows_it(admin_client: Client) -> None:
    """The setting decides, and the form shows it."""
    assert 'value="never"' in admin_client.get(ADD).content.decode()

    admin_client.post(ADD, mint_data(lifetime="never"))

    assert ConnectionToken.objects.get().expires_at is None


def test_owner_is_oneself_without_the_permission_for_others() -> None:
    """There is no field, and a forged one is not read."""
    User.objects.create_superuser("root")
    eve = make_user("eve", "mint_token")
    client = client_of(eve)
    page = client.get(ADD)

    assert 'name="owner"' not in page.content.decode()
    assert "A secret token will identify you, eve." in text_of(page)

    done = client.post(ADD, mint_data(owner="root"))

    assert ConnectionToken.objects.get().user == eve
    assert 'href="/admin/" class="button default"' in done.content.decode()


@pytest.mark.parametrize(("owner", "name"), [("bob", "bob"), ("", None)])
def test_owner_is_anybody_with_the_permission_for_others(
    owner: str, name: str | None
) -> None:
    """Or nobody: then the connections are anonymous."""
    User.objects.create_user("bob")
    client = client_of(make_user("eve", "mint_token", "mint_token_for_others"))

    client.post(ADD, mint_data(owner=owner))

    row = ConnectionToken.objects.get()
    assert (row.user and row.user.get_username()) == name
    assert row.created_by
    assert row.created_by.get_username() == "eve"


def test_a_form_mints_once(admin_client: Client) -> None:
    """Reloading the answer sends it again: that says so, with the way to the token."""
    page = admin_client.get(ADD)
    data = mint_data(once=hidden(page, "once"))
    text = shown_secret(admin_client.post(ADD, data))

    again = admin_client.post(ADD, data)

    row = ConnectionToken.objects.get()
    assert text not in again.content.decode()
    assert "nothing more was minted" in text_of(again)
    assert of(row, "change") in again.content.decode()

    row.delete()
    assert "The token is gone by now." in text_of(admin_client.post(ADD, data))
    assert not ConnectionToken.objects.exists()

    admin_client.post(ADD, mint_data(once=hidden(admin_client.get(ADD), "once")))
    assert ConnectionToken.objects.count() == 1


def test_remembers_few_forms(admin_client: Client) -> None:
    """The session does not grow with each token."""
    for number in range(12):
        admin_client.post(ADD, mint_data(once=f"form{number}"))

    remembered = admin_client.session["wsorigin_minted"]
    assert list(remembered) == [f"form{number}" for number in range(2, 12)]
    assert ConnectionToken.objects.count() == 12


# The secret -----------------------------------------------------------------------------


def test_the_secret_is_shown_once_and_is_nowhere_else(
    admin_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Not in another page, a message, the session, the log of changes, a log, a repr; and
    the one page is not to be cached (ASVS 5.0, 14.2.2, 14.3.2 and 16.2.5).
    """
    caplog.set_level(logging.DEBUG)
    minted = admin_client.post(ADD, mint_data())
    row = ConnectionToken.objects.get()
    rotated = rotate(admin_client, row)
    secrets = [shown_secret(minted), shown_secret(rotated)]

    for response, text in zip([minted, rotated], secrets, strict=True):
        assert response.content.decode().count(text) == 1
        assert "no-store" in response["Cache-Control"]
        assert text[13:] not in str(response.cookies)
        assert list(get_messages(response.wsgi_request)) == []
    pages = [
        admin_client.post(ADD, mint_data()),
        admin_client.get(LIST),
        admin_client.get(f"{LIST}?q={row.public_id}"),
        *(
            admin_client.get(of(row, page))
            for page in (
                "change",
                "history",
                "delete",
                "rotate",
                "revoke",
                "disconnect",
            )
        ),
        *(admin_client.post(VERIFY, {"token": text}) for text in secrets),
        admin_client.post(VERIFY, {"token": f"{secrets[0]}x"}),
        admin_client.post(VERIFY, {"token": secrets[0] * 10}),
        admin_client.post(VERIFY, {"token": f"{secrets[0]}\0"}),
        admin_client.get("/admin/"),
    ]
    row.refresh_from_db()
    written = [
        *(page.content.decode() for page in pages),
        str(dict(admin_client.session)),
        str(list(LogEntry.objects.values())),
        repr(row),
        repr(vars(row)),
        caplog.text,
    ]
    for text in secrets:
        tail = text[13:]  # beyond the public id
        assert [one for one in written if tail in one] == []
    assert row.digest not in "".join(written[: len(pages) + 2])
    assert row.previous_digest not in "".join(written[: len(pages) + 2])


def test_samples_hold_no_secret(admin_client: Client) -> None:
    """They read it from the environment, so that it gets into no file by a paste."""
    body = admin_client.post(ADD, mint_data()).content.decode()

    samples = re.findall(r"<pre.*?</pre>", body, re.DOTALL)
    assert len(samples) == 3
    assert all("WSORIGIN_TOKEN" in sample for sample in samples)
    assert not TEXT.search("".join(samples))


routed = URLRouter(
    [
        path("ws/<slug:room>/", OriginGuard(opaque)),
        path("ws/chat/", OriginGuard(opaque)),
        path("ws/prices/", OriginGuard(opaque, audience="prices")),
    ]
)


@override_settings(ASGI_APPLICATION=f"{__name__}.routed")
@pytest.mark.parametrize(
    ("audience", "origins", "secure", "expected"),
    [
        ("", [], False, ("ws://testserver/ws/chat/", "")),
        ("prices", [], True, ("wss://testserver/ws/prices/", "")),
        ("unheard-of", [], False, ("ws://testserver/ws/chat/", "")),
        (
            "",
            ["https://*.shop.example", "https://b.example"],
            False,
            ("ws://testserver/ws/chat/", "https://app.shop.example"),
        ),
    ],
)
def test_samples_name_an_address_of_the_site(
    audience: str,
    origins: list[str],
    secure: bool,
    expected: tuple[str, str],
    rf: Any,
) -> None:
    """One that can be pasted, for the token's audience, and an origin it is bound to."""
    row, _text = secret(audience=audience, origins=origins)

    sample = samples.sample_for(row, rf.get("/", secure=secure))

    assert (sample.url, sample.origin) == expected
    assert sample.http_url == expected[0].replace("ws", "http", 1)


@pytest.mark.parametrize("application", [None, "tests.nowhere.application"])
def test_samples_without_an_application(application: str | None) -> None:
    """Where no route is known, something is shown that looks like one."""
    with override_settings(ASGI_APPLICATION=application):
        assert samples.path_for("") == "/ws/"


def test_a_broken_application_costs_no_secret(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minted is minted: whatever happens to the sample, the secret is shown."""

    class Broken(GuardedAsyncWebsocketConsumer):
        def __init__(self, **kwargs: Any) -> None:
            raise NameError("a mistake of the project's")

    monkeypatch.setattr("tests.applications.guarded", Broken.as_asgi())
    with override_settings(ASGI_APPLICATION="tests.applications.guarded"):
        page = admin_client.post(ADD, mint_data())

    assert shown_secret(page)
    assert "ws://testserver/ws/" in page.content.decode()


@pytest.mark.parametrize("what", ["mint", "rotate", "verify"])
def test_the_report_of_an_error_has_no_token(
    what: str, admin_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Django mails such reports with the local variables and what was sent."""
    row, text = secret()
    seen = hidden(admin_client.get(of(row, "rotate")), "seen")
    url, data, statement = {
        "mint": (ADD, mint_data(), "INSERT INTO"),
        "rotate": (of(row, "rotate"), {"overlap": "1h", "seen": seen}, "UPDATE"),
        "verify": (VERIFY, {"token": text}, "SELECT"),
    }[what]

    def fail(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith(statement) and "wsorigin_connectiontoken" in sql:
            raise DatabaseError("away")
        return execute(sql, *rest)

    admin_client.raise_request_exception = False
    with connection.execute_wrapper(fail):
        assert admin_client.post(url, data).status_code == 500

    record = next(one for one in caplog.records if one.exc_info)
    assert record.exc_info
    reporter = ExceptionReporter(record.request, *record.exc_info)  # type: ignore[attr-defined]
    report = reporter.get_traceback_html() + reporter.get_traceback_text()
    assert "DatabaseError" in report
    assert not TEXT.search(report)


def test_a_strict_content_security_policy_suits(admin_client: Client) -> None:
    """No script, style or handler in the pages themselves."""
    row, _text = secret()
    pages = [
        admin_client.get(ADD),
        admin_client.post(ADD, mint_data()),
        admin_client.post(ADD, mint_data()),
        admin_client.get(LIST),
        admin_client.get(VERIFY),
        *(
            admin_client.get(of(row, page))
            for page in ("change", "rotate", "revoke", "disconnect")
        ),
    ]
    found = r"<script(?![^>]* src=)[^>]*>|<style| style=| on\w+="
    for page in pages:
        assert re.findall(found, page.content.decode()) == []


# Hostile text ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_harmless_and_readable(text: str, admin_client: Client) -> None:
    """What somebody wrote into a row is escaped and shown as what it is."""
    user = User.objects.create(username=text)
    row, _text = secret(user=user, created_by=user)
    change(row, name=text, audience=text, origins=text, revoke_reason=text)
    rotated, _text = secret(text, user=user)
    tokens.rotate(rotated, DAY)
    revoked, pasted = secret(text, user=user)
    change(revoked, name=text, audience=text, revoke_reason=text, origins=text)
    change(revoked, revoked_at=timezone.now())

    pages = [
        admin_client.get(LIST),
        admin_client.get(f"{LIST}?q={quote(text)}"),
        *(
            admin_client.get(of(one, page))
            for one in (row, rotated, revoked)
            for page in ("change", "rotate", "revoke", "disconnect", "delete")
        ),
        admin_client.post(VERIFY, {"token": pasted}),
        act(admin_client, "revoke_selected", row, url=LIST),
        act(admin_client, "disconnect_selected", row, url=LIST),
        rotate(admin_client, rotated),
        admin_client.post(of(rotated, "revoke"), {"_revoke": "1", "reason": text}),
        admin_client.get(of(rotated, "history")),
    ]
    for page in pages[:-2] + pages[-1:]:
        assert page.status_code == 200
        # What one has searched for comes back in its field alone.
        body = re.sub(r'<input[^>]*id="searchbar"[^>]*>', "", page.content.decode())
        assert "<script>alert" not in body
        assert "<img src=x" not in body
        assert "\u202e" not in body


def test_a_token_in_a_name_or_a_reason_is_cut_to_its_public_id(
    admin_client: Client,
) -> None:
    """Whoever pastes it there means to say which one; it is not kept."""
    row, text = secret()
    public = text[:13]

    admin_client.post(ADD, mint_data(name=f"Instead of {text}"))
    admin_client.post(of(row, "change"), {"name": f"Old {text}"})
    admin_client.post(
        of(row, "revoke"), {"_revoke": "1", "reason": f"{text} in a repository"}
    )

    row.refresh_from_db()
    assert row.name == f"Old {public}..."
    assert row.revoke_reason == f"{public}... in a repository"
    assert ConnectionToken.objects.filter(name=f"Instead of {public}...").exists()
    assert not TEXT.search(str(history()))


# The list -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "state", "expires"),
    [
        ({}, "active", ""),
        ({"expires_at": None}, "active", "never"),
        ({"expires_at": 13 * DAY}, "active", "in 12 days"),
        ({"expires_at": 1.5 * DAY}, "active", "in 1 day"),
        ({"expires_at": DAY / 2}, "active", "within a day"),
        ({"expires_at": -DAY}, "expired", ""),
        ({"used_at": -DAY}, "used", ""),
        ({"revoked_at": -DAY, "expires_at": DAY}, "revoked", ""),
        ({"previous_expires_at": DAY}, "active, two secrets", ""),
        ({"previous_expires_at": -DAY}, "active", ""),
        ({"user": "gone"}, "owner deactivated", ""),
    ],
)
def test_shows_state_and_expiry(
    fields: dict[str, Any], state: str, expires: str, admin_client: Client
) -> None:
    """In words; marked where it is two weeks or less."""
    row, _text = secret()
    now = timezone.now()
    gone = User.objects.create_user("gone", is_active=False)
    for name, value in fields.items():
        if isinstance(value, timedelta):
            value = now + value
        change(row, **{name: gone if value == "gone" else value})

    page = admin_client.get(LIST)

    body = page.content.decode()
    assert f">{state}</span>" in body
    marked = re.findall(r'field-expiry.*?wsorigin-soon">(.*?)<', body)
    assert marked == ([expires] if expires and expires != "never" else [])
    assert ('field-expiry">never<' in body) == (expires == "never")


def test_a_line_says_what_there_is_to_know(admin_client: Client) -> None:
    """Public id with its prefix, kind, name, owner, two origins, last use."""
    origins = ["https://a.example", "https://b.example", "https://c.example"]
    row, _text = publishable(origins=origins)
    line = text_of(admin_client.get(LIST))

    assert f"wsop_{row.public_id} active publishable Widget nobody never " in line
    assert "https://a.example https://b.example 1 more" in line

    bob = User.objects.create_user("bob")
    row, _text = secret(user=bob, origins=["https://a.example"])
    change(row, previous_used_at=timezone.now(), last_used_at=timezone.now() - DAY)
    line = text_of(admin_client.get(f"{LIST}?kind=secret"))
    assert f"wsok_{row.public_id} active secret Feed bob " in line
    assert "https://a.example" in line
    assert "more" not in line
    assert "never" not in line


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (
            "",
            ["gone", "mine", "old", "others", "revoked", "rotating", "soon", "widget"],
        ),
        (
            "kind=secret",
            ["gone", "mine", "old", "others", "revoked", "rotating", "soon"],
        ),
        ("kind=publishable", ["widget"]),
        ("kind=publishable&_facets=True", ["widget"]),
        ("kind=ticket", [""]),
        ("state=active", ["mine", "others", "rotating", "soon", "widget"]),
        ("state=soon", ["soon"]),
        ("state=rotating", ["rotating"]),
        ("state=unused", ["mine", "others", "rotating", "soon"]),
        ("state=expired", ["old"]),
        ("state=revoked", ["revoked"]),
        ("owner=me", ["mine"]),
        ("owner=others", ["gone", "others"]),
        ("owner=inactive", ["gone"]),
        ("owner=nobody", ["old", "revoked", "rotating", "soon", "widget"]),
        ("q=visitor", [""]),
        ("q=widg", ["widget"]),
        ("q=bob", ["others"]),
        ("q=Z123", ["widget"]),
        ("q=wsop_Z1234567", ["widget"]),
    ],
)
def test_filters_and_search(
    query: str, found: list[str], admin_client: Client, admin_user: User
) -> None:
    """Tickets come and go by themselves: only who asks for them sees them."""
    now = timezone.now()
    bob = User.objects.create_user("bob")
    gone = User.objects.create_user("gone", is_active=False)
    secret("mine", user=admin_user)
    secret("others", user=bob)
    secret("gone", user=gone)
    change(secret("old")[0], expires_at=now - DAY)
    change(secret("revoked")[0], revoked_at=now)
    change(secret("soon")[0], expires_at=now + 3 * DAY)
    tokens.rotate(secret("rotating")[0], DAY)
    change(publishable("widget")[0], last_used_at=now, public_id="Z1234567")
    ticket()

    response = admin_client.get(f"{LIST}?{query}")

    assert sorted(row.name for row in response.context["cl"].queryset) == found


@pytest.mark.parametrize("form", ["plain", "encoded"])
def test_a_token_in_the_search_goes_no_further(form: str, admin_client: Client) -> None:
    """It is in the address by then: a redirect takes it out, and a message says so."""
    row, text = secret()
    sent = {"plain": text, "encoded": Secret.parse(text).subprotocol}[form]

    response = admin_client.get(LIST, {"q": f"Feed {sent}", "kind": "secret"})

    location = response["Location"]
    assert response.status_code == 302
    assert text not in location
    assert sent not in location
    assert location.startswith(f"{LIST}?q=Feed+")
    assert location.endswith("&kind=secret")
    assert (row.public_id in location) == (form == "plain")

    page = admin_client.get(location)
    (message,) = said(page)
    assert "rotate or revoke it" in message
    assert text[13:] not in page.content.decode()


# One token ------------------------------------------------------------------------------


def test_only_the_name_can_be_changed(admin_client: Client) -> None:
    """Whatever else is sent is not read, and the digests are not shown."""
    row, _text = secret(user=User.objects.create_user("bob"))
    before = ConnectionToken.objects.filter(pk=row.pk).values().get()
    sent = dict.fromkeys(before, "1") | {"name": "New", "_continue": "1"}

    page = admin_client.post(of(row, "change"), sent, follow=True)

    after = ConnectionToken.objects.filter(pk=row.pk).values().get()
    assert after == before | {"name": "New"}
    assert "sha256" not in page.content.decode()
    assert history()[-1][3] == f"Changed “wsok_{row.public_id} New” — Changed Name."
    assert "Save and add another" not in page.content.decode()


def test_a_name_is_needed(admin_client: Client) -> None:
    """A token that nobody can name is one that nobody dares to revoke."""
    row, _text = secret()

    page = admin_client.post(of(row, "change"), {"name": " "})

    assert "This field is required." in text_of(page)


def test_shows_what_it_opens_and_since_when(admin_client: Client) -> None:
    """All of its origins, its audience, who made it, why it was revoked."""
    bob = User.objects.create_user("bob")
    origins = ["https://a.example", "https://b.example", "https://c.example"]
    row, _text = secret(user=bob, origins=origins, audience="prices", created_by=bob)
    tokens.revoke(row, "Leaked")

    page = text_of(admin_client.get(of(row, "change")))

    for words in (*origins, "prices", "by bob", "Leaked", "revoked"):
        assert words in page

    plain, _text = secret()
    page = text_of(admin_client.get(of(plain, "change")))
    assert "Origins: any Audience: all" in page
    assert "why it was revoked" not in page.lower()


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("active", {"rotate", "revoke", "disconnect"}),
        ("expired", {"revoke", "disconnect"}),
        ("revoked", {"disconnect"}),
        ("ticket", {"revoke", "disconnect"}),
    ],
)
def test_offers_what_can_be_done(
    state: str, offered: set[str], admin_client: Client
) -> None:
    """No button that would be refused; tickets cannot be renamed either."""
    row = ticket()[0] if state == "ticket" else secret()[0]
    now = timezone.now()
    changes = {"expired": {"expires_at": now - DAY}, "revoked": {"revoked_at": now}}
    change(row, **changes.get(state, {"audience": ""}))

    body = admin_client.get(of(row, "change")).content.decode()

    pages = ("rotate", "revoke", "disconnect")
    assert {page for page in pages if of(row, page) in body} == offered
    assert ('name="name"' in body) == (state != "ticket")


def test_deleting_is_logged(admin_client: Client) -> None:
    """As everywhere in the admin; orders about it go with it."""
    row, _text = secret()
    tokens.disconnect(token=row)

    admin_client.post(of(row, "delete"), {"post": "yes"})

    assert not ConnectionToken.objects.exists()
    assert not Disconnection.objects.exists()
    assert history()[-1][:3] == (DELETION, "admin", str(row))


# Rotating -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overlap", "lasts"),
    [
        ("now", timedelta(0)),
        ("1h", timedelta(hours=1)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
    ],
)
def test_rotates_with_an_overlap(
    overlap: str, lasts: timedelta, admin_client: Client
) -> None:
    """The new secret counts at once, the old one for as long as was chosen."""
    row, old = secret()

    response = rotate(admin_client, row, overlap)

    new = shown_secret(response)
    row.refresh_from_db()
    assert tokens.inspect(new)[:2] == (row, None)
    if lasts:
        assert tokens.inspect(old)[:2] == (row, None)
        assert row.previous_expires_at
        assert abs(row.previous_expires_at - timezone.now() - lasts) < DAY / 1000
    else:
        assert tokens.inspect(old)[:2] == (None, Reason.TOKEN_UNKNOWN)
    assert ("the old secret counts, too" in text_of(response)) == bool(lasts)
    words = {"now": "none", "1h": "1 hour", "24h": "24 hours", "7d": "7 days"}[overlap]
    assert history() == [
        (
            CHANGE,
            "admin",
            str(row),
            f"Changed “{row}” — Rotated; the old secret counts for: {words}.",
        )
    ]


def test_a_form_rotates_once(admin_client: Client) -> None:
    """Rotating twice would end the secret that is in use: the first form is outdated."""
    row, old = secret()
    page = of(row, "rotate")
    data = {"overlap": "24h", "seen": hidden(admin_client.get(page), "seen")}
    new = shown_secret(admin_client.post(page, data))

    again = admin_client.post(page, data)

    assert "Nothing was changed" in text_of(again)
    assert new not in again.content.decode()
    assert tokens.inspect(old) == (row, None, True)
    assert tokens.inspect(new) == (row, None, False)
    assert len(history()) == 1
    # The form that is shown instead would do it.
    data["seen"] = hidden(again, "seen")
    assert shown_secret(admin_client.post(page, data)) != new


@pytest.mark.parametrize("ending", ["revoked", "ticket"])
def test_what_has_ended_is_not_rotated(ending: str, admin_client: Client) -> None:
    """And the page says why."""
    row = ticket()[0] if ending == "ticket" else secret()[0]
    seen = hidden(admin_client.get(of(row, "rotate")), "seen")
    if ending == "revoked":
        tokens.revoke(row)

    page = admin_client.post(of(row, "rotate"), {"overlap": "1h", "seen": seen})

    assert "can't be rotated" in text_of(page)
    assert history() == []


def test_an_unknown_overlap_rotates_nothing(admin_client: Client) -> None:
    """Only what is offered."""
    row, text = secret()

    page = rotate(admin_client, row, "1y")

    assert "Select a valid choice" in text_of(page)
    assert tokens.inspect(text)[:2] == (row, None)


def test_a_banner_says_which_secret_is_used(admin_client: Client) -> None:
    """While both work: on the token's page, and where a rotation would end one."""
    row, _text = secret()
    tokens.rotate(row, DAY)
    page, form = (
        text_of(admin_client.get(of(row, one))) for one in ("change", "rotate")
    )

    assert "two secrets work: the old one, never used the new one, not used yet" in page
    assert "Rotating again ends the older one at once (never used)." in form

    now = timezone.now()
    change(row, previous_used_at=now - DAY, last_used_at=now)
    page, form = (
        text_of(admin_client.get(of(row, one))) for one in ("change", "rotate")
    )
    assert re.search("the old one, last used .* the new one, last used ", page)
    assert "ends the older one at once (last used " in form

    change(row, previous_expires_at=now - DAY)
    assert "two secrets" not in text_of(admin_client.get(of(row, "change")))
    assert "two secrets" not in text_of(admin_client.get(of(row, "rotate")))


# Revoking -------------------------------------------------------------------------------


def test_revokes_with_a_reason(admin_client: Client) -> None:
    """After a question; the log has it, and where the connections go is said."""
    row, text = secret()

    page = admin_client.get(of(row, "revoke"))
    assert "This token opens nothing any more, for good" in text_of(page)
    assert tokens.inspect(text)[:2] == (row, None)

    done = admin_client.post(
        of(row, "revoke"), {"_revoke": "1", "reason": "Leaked"}, follow=True
    )

    assert tokens.inspect(text)[:2] == (row, Reason.TOKEN_REVOKED)
    assert said(done) == [
        "1 token was revoked; its live connections close within 5 seconds, in every "
        "process."
    ]
    assert done.redirect_chain[-1][0] == of(row, "change")
    assert history() == [
        (CHANGE, "admin", str(row), f"Changed “{row}” — Revoked: Leaked")
    ]


def test_revokes_many_at_once(admin_client: Client) -> None:
    """From the list, with one reason; what was revoked before keeps its own."""
    first, second, third = (secret(name)[0] for name in ("one", "two", "three"))
    tokens.revoke(third, "Long ago")
    rows = [first, second, third]

    page = act(admin_client, "revoke_selected", *rows, url=LIST)
    assert "These 3 tokens open nothing any more" in text_of(page)
    assert "revoked already" in text_of(page)
    assert len(re.findall('name="_selected_action"', page.content.decode())) == 3

    done = act(
        admin_client,
        "revoke_selected",
        *rows,
        url=f"{LIST}?kind=secret",
        _revoke="1",
        reason="Audit",
    )

    reasons = ConnectionToken.objects.order_by("pk").values_list("revoke_reason")
    assert [reason for (reason,) in reasons] == ["Audit", "Audit", "Long ago"]
    assert said(done)[0].startswith("2 tokens were revoked; their live connections")
    assert done.redirect_chain[-1][0] == f"{LIST}?kind=secret"
    assert {one[2] for one in history()} == {str(first), str(second)}


def test_revoking_again_changes_nothing(admin_client: Client) -> None:
    """And says so; without a reason too."""
    row, _text = secret()
    url, data = of(row, "revoke"), {"_revoke": "1"}

    admin_client.post(url, data)
    done = admin_client.post(url, {"_revoke": "1", "reason": "Again"}, follow=True)

    assert said(done)[-1].startswith("0 tokens were revoked")
    row.refresh_from_db()
    assert row.revoke_reason == ""
    assert [one[3] for one in history()] == [f"Changed “{row}” — Revoked."]
    assert "not given" in text_of(done)


def test_a_reason_has_its_bound(admin_client: Client) -> None:
    """The form says it, and nothing is revoked."""
    row, text = secret()

    page = admin_client.post(of(row, "revoke"), {"_revoke": "1", "reason": "x" * 201})

    assert "at most 200 characters" in text_of(page)
    assert tokens.inspect(text)[:2] == (row, None)


def test_who_may_only_revoke_returns_to_the_index(row: ConnectionToken) -> None:
    """The token's page would refuse them."""
    client = client_of(make_user("guard", "revoke_token"))

    done = client.post(of(row, "revoke"), {"_revoke": "1"})

    assert done["Location"] == "/admin/"


# Verifying ------------------------------------------------------------------------------


def verified(client: Client, text: str) -> str:
    """Return what the page says about a text."""
    return text_of(client.post(VERIFY, {"token": text}))


def test_verifies_a_pasted_token(admin_client: Client) -> None:
    """Which row it is, what it is bound to, and why it would fail; nothing is stored."""
    origins = ["https://a.example", "https://b.example"]
    row, text = publishable(origins=origins, audience="prices")
    spare, ticket_text = ticket()
    before = everything()

    page = verified(admin_client, f"  {text}\n")

    assert f"opens connections wsop_{row.public_id} Widget" in page
    assert "Only from https://a.example https://b.example" in page
    assert "Only for the audience prices" in page
    assert f"opens connections wsot_{spare.public_id}" in verified(
        admin_client, ticket_text
    )
    assert everything() == before


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"revoked_at": -DAY}, Reason.TOKEN_REVOKED),
        ({"expires_at": -DAY}, Reason.TOKEN_EXPIRED),
        ({"user": "gone"}, Reason.TOKEN_USER_INACTIVE),
        ({"digest": "other"}, Reason.TOKEN_UNKNOWN),
    ],
)
def test_verify_says_why_not(
    fields: dict[str, Any], reason: Reason, admin_client: Client
) -> None:
    """With the name of the reason, and its sentence."""
    row, text = secret()
    gone = User.objects.create_user("gone", is_active=False)
    for name, value in fields.items():
        if isinstance(value, timedelta):
            value = timezone.now() + value
        change(row, **{name: gone if value == "gone" else value})

    page = verified(admin_client, text)

    assert f"opens nothing {reason}" in page
    assert reason.sentence in page
    assert (f"wsok_{row.public_id}" in page) == (reason != Reason.TOKEN_UNKNOWN)


@pytest.mark.parametrize("text", ["wsok_", "<script>alert(1)</script>", "\u202e"])
def test_verify_repeats_nothing(text: str, admin_client: Client) -> None:
    """Whatever was pasted."""
    response = admin_client.post(VERIFY, {"token": text})

    assert "opens nothing token-malformed" in text_of(response)
    assert text not in response.content.decode().replace("wsok_ ", "")


def test_verify_asks_for_a_text(admin_client: Client) -> None:
    """An empty field is no token."""
    assert "This field is required." in verified(admin_client, "")


# Disconnecting --------------------------------------------------------------------------


def orders() -> list[tuple[Any, Any, str]]:
    """Return what is to be disconnected: user, token, origin."""
    found = Disconnection.objects.order_by("pk")
    return list(found.values_list("user__username", "token", "origin"))


def test_disconnects_a_token(admin_client: Client) -> None:
    """After a question; the token itself stays as it is."""
    row, text = secret()
    assert "They may come again" in text_of(admin_client.get(of(row, "disconnect")))
    assert orders() == []

    done = admin_client.post(of(row, "disconnect"), follow=True)

    assert orders() == [(None, row.pk, "")]
    assert said(done) == [
        "The live connections of 1 token close within 5 seconds, in every process. "
        "They may come again, as far as they still may."
    ]
    assert tokens.inspect(text)[:2] == (row, None)
    message = f"Changed “{row}” — Disconnected its live connections."
    assert history() == [(CHANGE, "admin", str(row), message)]


def test_disconnects_many_tokens(
    admin_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    """From the list; however many they are, the processes are told once."""
    rows = [secret(name)[0] for name in ("one", "two")]

    with django_capture_on_commit_callbacks() as told:
        done = act(admin_client, "disconnect_selected", *rows, url=LIST)

    assert sorted(orders()) == [(None, row.pk, "") for row in rows]
    assert said(done)[0].startswith("The live connections of 2 tokens close within")
    assert len(told) == 1
    assert len(history()) == 2


def test_disconnects_trusted_origins(admin_client: Client) -> None:
    """The rows stay; what isn't readable trusts nobody, and is left out."""
    kept = TrustedOrigin.objects.create(pattern="https://*.example.com")
    broken = TrustedOrigin.objects.create(pattern="example.com")

    done = act(admin_client, "disconnect_selected", kept, broken, url=TRUSTED)

    assert orders() == [(None, None, "https://*.example.com")]
    assert said(done)[0].startswith("The live connections of 1 trusted origin close")
    kept.refresh_from_db()
    assert kept.is_active
    assert len(history()) == 1

    done = act(admin_client, "disconnect_selected", broken, url=TRUSTED)
    assert said(done)[0].startswith("The live connections of 0 trusted origins")
    assert len(orders()) == 1


def test_disconnecting_origins_takes_its_own_permission() -> None:
    """To change them does not do."""
    kept = TrustedOrigin.objects.create(pattern="https://app.example")
    rights = [f"{verb}_trustedorigin" for verb in ("view", "change", "delete", "add")]
    client = client_of(make_user("eve", *rights))

    page = act(client, "disconnect_selected", kept, url=TRUSTED)

    assert orders() == []
    assert "disconnect_selected" not in page.content.decode()
    entitled = client_of(make_user("guard", "view_trustedorigin", "disconnect"))
    act(entitled, "disconnect_selected", kept, url=TRUSTED)
    assert len(orders()) == 1


def test_deactivating_says_that_it_closes_connections(admin_client: Client) -> None:
    """Where the rows count at all."""
    rows = [TrustedOrigin.objects.create(pattern=f"https://{n}.example") for n in "ab"]
    closes = "Live connections that nothing else allows close with it."

    with override_settings(WSORIGIN_INHERIT=["database"]):
        assert closes in said(act(admin_client, "deactivate", rows[0]))[0]
    assert closes not in said(act(admin_client, "deactivate", rows[1]))[0]


class Users(admin.ModelAdmin):  # type: ignore[type-arg]  # generic to type checkers alone
    """A project's own page of users, with our action."""

    actions = [disconnect_users]


@pytest.fixture
def run_on_users(rf: Any) -> Callable[[User], list[str]]:
    """Return a function that runs the action on all users as one, and what it says."""

    def run(user: User) -> list[str]:
        request = rf.post("/")
        request.user = user
        said: list[str] = []
        request._messages = type(
            "Said", (), {"add": lambda _self, _level, text, _tags: said.append(text)}
        )()
        users = Users(User, admin.site)
        assert "disconnect_users" in users.get_actions(request)
        disconnect_users(users, request, User.objects.order_by("pk"))
        return said

    return run


def test_disconnects_users(run_on_users: Callable[[User], list[str]]) -> None:
    """From the project's own page of users (ASVS 5.0, 7.4.5)."""
    guard = make_user("guard", "disconnect")
    bob = User.objects.create_user("bob")

    messages = run_on_users(guard)

    assert orders() == [("guard", None, ""), ("bob", None, "")]
    assert messages[0].startswith("The live connections of 2 users close within")
    assert [one[2] for one in history()] == ["guard", str(bob)]


def test_disconnecting_users_takes_its_permission(
    run_on_users: Callable[[User], list[str]],
) -> None:
    """Whoever may change users may not for that reason disconnect them."""
    eve = make_user("eve", *OWN[:-1])

    with pytest.raises(PermissionDenied):
        run_on_users(eve)

    assert orders() == []


# The policy page ------------------------------------------------------------------------


def test_the_policy_page_counts_live_connections(admin_client: Client) -> None:
    """Of this process; and says how others learn that a right has ended."""
    page = text_of(admin_client.get(f"{TRUSTED}policy/"))

    assert "Live connections 0" in page
    assert "there is no channel layer that they share" in page
    assert "Processes reached" not in page


def test_the_policy_page_asks_the_other_processes(
    admin_client: Client, redis: Redis
) -> None:
    """Over a channel layer that they share: who has this policy, and how many sockets."""
    host = {"address": redis.url, "socket_timeout": None}
    backend = "channels_redis.core.RedisChannelLayer"
    shared = {"default": {"BACKEND": backend, "CONFIG": {"hosts": [host]}}}
    with override_settings(CHANNEL_LAYERS=shared):
        page = text_of(admin_client.get(f"{TRUSTED}policy/"))
        redis.freeze()
        try:
            away = text_of(admin_client.get(f"{TRUSTED}policy/"))
        finally:
            redis.thaw()
            hints.stop()  # or it would go on with this server, after its end

    assert "at once, in every process: the channel layer tells them" in page
    assert "Processes reached 1 of 1 has this policy" in page
    assert f":{os.getpid()} {get_policy().fingerprint} 0 connections" in page
    assert "Processes reached the channel layer does not answer" in away


def test_the_documentation_names_each_permission() -> None:
    """Whoever hands them out finds what they are for."""
    page = (Path(__file__).parent.parent / "docs/reference/admin.md").read_text()
    names = [name for name, _label in ConnectionToken._meta.permissions]
    names += [f"{verb}_connectiontoken" for verb in ("view", "delete")]

    assert [name for name in names if f"| `wsorigin.{name}` |" not in page] == []


def test_trusted_origins_and_tokens_are_registered() -> None:
    """By the project's admin finding this app."""
    assert isinstance(admin.site.get_model_admin(TrustedOrigin), TrustedOriginAdmin)
    assert not admin.site.is_registered(Disconnection)
