"""The admin: who may do what, what is shown, what is saved, and what never is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from html import unescape
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin import AdminSite
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from django.urls import path
from django.utils import timezone

from wsorigin.admin import DeniedHandshakeAdmin, lines, policy_page
from wsorigin.admin.chart import draw, nice_ceiling
from wsorigin.admin.preview import preview
from wsorigin.models import DeniedHandshake, TrustedOrigin
from wsorigin.policy import Policy, Reason
from wsorigin.refresh import current, get_policy
from wsorigin.testing import override_policy

from .waiting import eventually

pytestmark = pytest.mark.django_db

BASE = "/admin/wsorigin"
LIST = f"{BASE}/trustedorigin/"
DENIED = f"{BASE}/deniedhandshake/"
HOSTILE = [
    pytest.param("https://<script>alert(1)</script>.example", id="script"),
    pytest.param("https://evil.example/\u202emoc.knab", id="right-to-left override"),
    pytest.param("https://b\u0430nk.example", id="homograph"),
    pytest.param("https://" + "a" * 292, id="300 characters"),
    pytest.param("'\"><img src=x onerror=alert(1)>\\{{ 7 }}", id="out of an attribute"),
]


def make_user(name: str, *permissions: str) -> User:
    """Make a member of staff who may do just that."""
    user = User.objects.create_user(name, is_staff=True)
    chosen = Permission.objects.filter(
        content_type__app_label="wsorigin", codename__in=permissions
    )
    assert len(chosen) == len(permissions)
    user.user_permissions.set(chosen)
    return user


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def row(pattern: str = "https://app.example", **values: Any) -> TrustedOrigin:
    return TrustedOrigin.objects.create(pattern=pattern, **values)


def denied(origin: str = "https://evil.example", **values: Any) -> DeniedHandshake:
    now = timezone.now()
    values = {
        "day": now.date(),
        "endpoint": "/ws/",
        "reason": "unlisted",
        "count": 1,
        "first_seen_at": now,
        "last_seen_at": now,
    } | values
    return DeniedHandshake.objects.create(origin=origin, **values)


def text_of(response: Any) -> str:
    """Return a page as a person reads it: without tags, entities resolved."""
    assert response.status_code == 200, response
    body = re.sub(
        r"<(script|style|svg).*?</\1>", "", response.content.decode(), flags=re.S
    )
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def entries(flag: int) -> list[tuple[str, str]]:
    """Return who changed what, by the log."""
    chosen = LogEntry.objects.filter(action_flag=flag).order_by("object_repr")
    return [(one.user.username, one.object_repr) for one in chosen]


def form_data(pattern: str, **values: str) -> dict[str, str]:
    """Return what a browser sends of the form."""
    dates = {"expires_at_0": "", "expires_at_1": ""}
    return {"pattern": pattern, "is_active": "on", "lifetime": "", **dates, **values}


def act(client: Client, action: str, *rows: Any, url: str = LIST, **more: str) -> Any:
    """Run an action of a list on rows, and follow."""
    keys = [str(one.pk) for one in rows]
    data = {"action": action, "_selected_action": keys, **more}
    return client.post(url, data, follow=True)


# Permissions ----------------------------------------------------------------------

ALL = ["view", "add", "change", "delete"]
# What the request is; which permission on which model it takes.
REQUESTS: dict[str, tuple[str, str, dict[str, str] | None, str]] = {
    "list": ("get", LIST, None, "view_trustedorigin"),
    "add form": ("get", f"{LIST}add/", None, "add_trustedorigin"),
    "add": (
        "post",
        f"{LIST}add/",
        form_data("https://new.example"),
        "add_trustedorigin",
    ),
    "add preview": (
        "post",
        f"{LIST}add/",
        form_data("https://new.example", _preview="1"),
        "add_trustedorigin",
    ),
    "form": ("get", f"{LIST}1/change/", None, "view_trustedorigin"),
    "change": (
        "post",
        f"{LIST}1/change/",
        form_data("https://new.example"),
        "change_trustedorigin",
    ),
    "change preview": (
        "post",
        f"{LIST}1/change/",
        form_data("https://new.example", _preview="1"),
        "change_trustedorigin",
    ),
    "delete": ("post", f"{LIST}1/delete/", {"post": "yes"}, "delete_trustedorigin"),
    "live preview": ("get", f"{LIST}preview/?pattern=x", None, "add_trustedorigin"),
    "import form": ("get", f"{LIST}import/", None, "add_trustedorigin"),
    "import check": (
        "post",
        f"{LIST}import/",
        {"lines": "https://new.example", "_check": "1"},
        "add_trustedorigin",
    ),
    "import": (
        "post",
        f"{LIST}import/",
        {
            "lines": "https://new.example",
            "_import": "1",
            "fingerprint": lines.Verdicts(
                (
                    lines.Line(
                        1,
                        "https://new.example",
                        lines.Verdict.NEW,
                        values={"pattern": "https://new.example"},
                    ),
                )
            ).fingerprint,
        },
        "add_trustedorigin",
    ),
    "export": ("get", f"{LIST}export/", None, "view_trustedorigin"),
    "policy": ("get", f"{LIST}policy/", None, "view_trustedorigin"),
    "explain": (
        "get",
        f"{LIST}policy/?origin=https://a.example",
        None,
        "view_trustedorigin",
    ),
    "denials": ("get", DENIED, None, "view_deniedhandshake"),
    "denial": ("get", f"{DENIED}1/change/", None, "view_deniedhandshake"),
    "denial delete": (
        "post",
        f"{DENIED}1/delete/",
        {"post": "yes"},
        "delete_deniedhandshake",
    ),
    "prune form": ("get", f"{DENIED}prune/", None, "delete_deniedhandshake"),
    "prune": ("post", f"{DENIED}prune/", {}, "delete_deniedhandshake"),
}


def everything() -> list[Any]:
    """Return all that requests could have changed."""
    return [
        list(TrustedOrigin.objects.order_by("pk").values()),
        list(DeniedHandshake.objects.order_by("pk").values()),
        LogEntry.objects.count(),
    ]


@pytest.fixture
def two_rows() -> None:
    """A trusted origin and an old denial, both with the key 1."""
    row(pk=1)
    old = timezone.now() - timedelta(days=90)
    denied(pk=1, day=old.date(), first_seen_at=old, last_seen_at=old)


@pytest.mark.usefixtures("two_rows")
@pytest.mark.parametrize("name", REQUESTS)
def test_anonymous_is_sent_to_the_login(name: str) -> None:
    """Without a login nothing is shown or changed."""
    method, url, data, _permission = REQUESTS[name]
    before = everything()

    response = getattr(Client(), method)(url, data)

    assert response.status_code == 302
    assert "/login/" in response["Location"]
    assert everything() == before


@pytest.mark.usefixtures("two_rows")
@pytest.mark.parametrize("name", REQUESTS)
def test_each_request_takes_its_permission(name: str) -> None:
    """All other permissions together do not open it; the one alone does."""
    method, url, data, permission = REQUESTS[name]
    model = permission.partition("_")[2]
    own = ALL if model == "trustedorigin" else ["view", "delete"]
    # "change" implies "view", as everywhere in the admin, and may preview.
    implied = {
        "view_trustedorigin": {"change_trustedorigin"},
        "add_trustedorigin": {"change_trustedorigin"} if "live" in name else set(),
    }.get(permission, set())
    others = {f"{verb}_{model}" for verb in own} - {permission} - implied
    before = everything()

    refused = getattr(client_of(make_user("others", *others)), method)(url, data)

    assert refused.status_code == 403
    assert everything() == before

    needed = {permission}
    if permission == "change_trustedorigin":
        needed.add("view_trustedorigin")
    done = getattr(client_of(make_user("entitled", *needed)), method)(url, data)

    assert done.status_code in (200, 302)
    assert "/login/" not in done.get("Location", "")


@pytest.mark.usefixtures("two_rows")
@pytest.mark.parametrize("name", REQUESTS)
def test_staff_without_permission_gets_nowhere(name: str) -> None:
    """Being staff is not enough for any of it."""
    method, url, data, _permission = REQUESTS[name]
    before = everything()

    assert getattr(client_of(make_user("staff")), method)(url, data).status_code == 403
    assert everything() == before


@pytest.mark.usefixtures("two_rows")
@pytest.mark.parametrize(
    ("action", "url"),
    [
        ("activate", LIST),
        ("deactivate", LIST),
        ("extend", LIST),
        ("delete_selected", LIST),
        ("delete_selected", DENIED),
    ],
)
def test_who_may_only_look_can_run_no_action(action: str, url: str) -> None:
    """An action that is not offered is not run either."""
    client = client_of(make_user("eve", "view_trustedorigin", "view_deniedhandshake"))
    before = everything()

    response = act(client, action, TrustedOrigin.objects.get(), url=url, post="yes")

    assert response.status_code == 200
    assert "No action selected" in text_of(response) or f'"{action}"' not in str(
        response.content
    )
    assert everything() == before


@pytest.mark.usefixtures("two_rows")
def test_who_may_only_look_sees_no_buttons() -> None:
    """Nothing is offered that would be refused."""
    client = client_of(make_user("eve", "view_trustedorigin", "view_deniedhandshake"))

    page = client.get(LIST).content.decode()
    form = client.get(f"{LIST}1/change/").content.decode()
    denials = client.get(DENIED).content.decode()

    assert "/import/" not in page
    assert "_preview" not in form
    assert "data-url" not in form
    assert "lifetime" not in form
    assert "https://app.example" in form
    assert "Trust this origin" not in denials
    assert "Trust this origin" not in client.get(f"{DENIED}1/change/").content.decode()
    assert "/prune/" not in denials


@pytest.mark.parametrize("url", [f"{DENIED}add/", f"{DENIED}1/change/"])
@pytest.mark.usefixtures("two_rows")
def test_nobody_writes_denials(url: str, admin_client: Client) -> None:
    """Not even a superuser adds or changes what was recorded."""
    assert (
        admin_client.post(url, {"origin": "https://forged.example"}).status_code == 403
    )


def test_the_app_index_of_another_admin_site_leads_nowhere_else(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One without trusted origins has no policy page; a link to it would be an error."""
    site = AdminSite()
    site.register(DeniedHandshake, DeniedHandshakeAdmin)
    urls = ModuleType("tests.urls_of_another_site")
    monkeypatch.setattr(urls, "urlpatterns", [path("admin/", site.urls)], raising=False)
    with override_settings(ROOT_URLCONF=urls):
        page = text_of(admin_client.get(f"{BASE}/"))

    assert "Denied handshakes" in page
    assert "WebSocket policy" not in page


def test_the_app_index_leads_to_the_policy(admin_client: Client) -> None:
    """The page of the app links it, to those who may see it."""
    assert f"{LIST}policy/" in admin_client.get(f"{BASE}/").content.decode()
    denials = client_of(make_user("eve", "view_deniedhandshake"))
    assert f"{LIST}policy/" not in denials.get(f"{BASE}/").content.decode()


# Hostile text ---------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_harmless_and_readable(text: str, admin_client: Client) -> None:
    """What raw SQL or a stranger wrote is escaped and in ASCII, on every page."""
    trusted = row(text, note=text[:300])
    written = denied(text, endpoint=text[:200], nearest=text, reason=text[:40])
    unlisted = denied(text)
    pages = [
        LIST,
        f"{LIST}?q={text[:20]}",
        f"{LIST}{trusted.pk}/change/",
        f"{LIST}{trusted.pk}/delete/",
        f"{LIST}policy/",
        f"{DENIED}{written.pk}/change/",
        f"{DENIED}{unlisted.pk}/change/",
        f"{DENIED}{written.pk}/delete/",
        DENIED,
    ]
    bodies = [admin_client.get(page) for page in pages]
    bodies += [
        admin_client.get(f"{LIST}policy/", {"origin": text, "path": text}),
        admin_client.get(f"{LIST}add/", {"pattern": text, "expires": text}),
        admin_client.get(f"{LIST}preview/", {"pattern": text}),
        admin_client.post(f"{LIST}import/", {"lines": f"{text}\n{text} x=y # {text}"}),
        admin_client.post(f"{LIST}add/", form_data(text, _preview="1")),
        act(admin_client, "delete_selected", trusted),
        act(admin_client, "delete_selected", written, unlisted, url=DENIED),
    ]
    for response in bodies:
        assert response.status_code == 200
        # What one has typed oneself comes back as it was, in its field alone.
        body = response.content.decode()
        if response.request["REQUEST_METHOD"] == "POST":
            own = r'<textarea.*?</textarea>|name="pattern" value=".*?"'
            body = re.sub(own, "", body, flags=re.DOTALL)
        assert "<script>alert" not in body
        assert "<img src=x" not in body
        assert "\u202e" not in body

    shown = text.encode("ascii", "backslashreplace").decode()
    assert shown[:60] in text_of(admin_client.get(DENIED))


@pytest.mark.django_db(transaction=True)
@override_settings(WSORIGIN_INHERIT=["database"])
def test_nothing_hides_in_an_audience(admin_client: Client) -> None:
    """It is free text, beside an origin that counts: in the list, its filter, the policy."""
    row(audience="prices\u202esgnir")
    eventually(lambda: get_policy().size == 1)
    question = {"origin": "https://app.example", "audience": "prices\u202esgnir"}
    bodies = [
        admin_client.get(LIST),
        admin_client.get(f"{LIST}policy/"),
        admin_client.get(f"{LIST}policy/", question),
    ]

    for response in bodies:
        assert "prices\\u202esgnir" in text_of(response)
        assert "\u202e" not in response.content.decode()


def test_a_homograph_is_shown_as_what_browsers_send(admin_client: Client) -> None:
    """The preview has the typed name and its ASCII form side by side."""
    answer = admin_client.get(
        f"{LIST}preview/", {"pattern": "https://b\u0430nk.example"}
    )

    assert answer.json()["pattern"] == "https://xn--bnk-6cd.example"
    assert "https://b\u0430nk.example" in answer.json()["html"]
    assert "look like others" in answer.json()["html"]


# The list -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, "active"),
        ({"is_active": False}, "inactive"),
        ({"expires_at": timedelta(days=-1)}, "expired"),
        ({"expires_at": timedelta(days=3, hours=1)}, "expires in 3 days"),
        ({"expires_at": timedelta(days=1, hours=1)}, "expires in 1 day"),
        ({"expires_at": timedelta(hours=1)}, "expires within a day"),
        ({"expires_at": timedelta(days=30)}, "active"),
        ({"pattern": "app.example"}, "unreadable: it has no scheme"),
    ],
)
def test_shows_the_state(
    values: dict[str, Any], state: str, admin_client: Client
) -> None:
    """Whether a row counts is said in words."""
    if "expires_at" in values:
        values = {**values, "expires_at": timezone.now() + values["expires_at"]}
    row(**values)

    assert f">{state}</span>" in admin_client.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("expiry=expired", ["expired"]),
        ("expiry=soon", ["soon"]),
        ("expiry=later", ["later"]),
        ("expiry=never", ["never"]),
        ("audience=prices", ["later"]),
        ("audience=", ["expired", "never", "soon"]),
        ("is_active__exact=0", ["never"]),
        ("allow_cors__exact=1", ["soon"]),
        ("allow_credentials__exact=1", ["soon"]),
        ("q=partner", ["soon"]),
    ],
)
def test_filters(query: str, found: list[str], admin_client: Client) -> None:
    """By expiry, audience, credentials, CORS, and whether they are active."""
    now = timezone.now()
    row("https://expired.example", expires_at=now - timedelta(days=1))
    row(
        "https://soon.example",
        expires_at=now + timedelta(days=3),
        allow_cors=True,
        allow_credentials=True,
        note="A partner",
    )
    row("https://later.example", expires_at=now + timedelta(days=30), audience="prices")
    row("https://never.example", is_active=False)

    page = admin_client.get(f"{LIST}?{query}").content.decode()

    assert sorted(re.findall(r">https://(\w+)\.example</a>", page)) == found


@override_policy(
    "https://own.example",
    "no scheme",
    CORS_ALLOWED_ORIGINS=["https://front.example"],
    inherit=["cors"],
)
def test_shows_the_settings_origins_beside_the_rows(admin_client: Client) -> None:
    """With their source, searched like the rows; what cannot be read as well."""
    page = text_of(admin_client.get(LIST))

    assert "https://own.example WSORIGIN_ALLOWED_ORIGINS[0] active" in page
    assert "https://front.example CORS_ALLOWED_ORIGINS[0] active" in page
    assert (
        "'no scheme' WSORIGIN_ALLOWED_ORIGINS[1] trusts nobody it has a space" in page
    )
    found = text_of(admin_client.get(f"{LIST}?q=FRONT"))
    assert "https://front.example" in found
    assert "https://own.example" not in found
    assert "no scheme" not in found
    assert "https://own.example" not in text_of(admin_client.get(f"{LIST}?expiry=soon"))


def test_long_settings_are_cut(admin_client: Client) -> None:
    """Beyond a hundred there is a link to the page that has them all."""
    origins = [f"https://a{number}.example" for number in range(103)]
    with override_policy(*origins):
        page = text_of(admin_client.get(LIST))

    assert "https://a99.example" in page
    assert "https://a100.example" not in page
    assert "3 more are on the policy page." in page


def test_says_when_the_rows_count_for_nothing(admin_client: Client) -> None:
    """WSORIGIN_INHERIT without "database": list, form and page say so."""
    for url in (LIST, f"{LIST}add/"):
        assert "These rows trust nobody" in text_of(admin_client.get(url))
    assert "WSORIGIN_INHERIT leaves it out" in text_of(
        admin_client.get(f"{LIST}policy/")
    )
    with override_settings(WSORIGIN_INHERIT=["database"]):
        assert "trust nobody" not in text_of(admin_client.get(LIST))
        form = text_of(admin_client.get(f"{LIST}add/"))
    assert "Changes count in every process within 5 seconds." in form


# Actions --------------------------------------------------------------------------


def test_deactivates_and_activates(
    admin_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    """Only rows that change are counted and logged, and the change is announced."""
    on, off = row("https://on.example"), row("https://off.example", is_active=False)

    with django_capture_on_commit_callbacks() as callbacks:
        page = act(admin_client, "deactivate", on, off)

    assert "1 trusted origin was deactivated." in text_of(page)
    assert not TrustedOrigin.objects.filter(is_active=True).exists()
    assert callbacks
    assert entries(CHANGE) == [("admin", "https://on.example")]
    assert LogEntry.objects.get().get_change_message() == "Changed Active."

    page = act(admin_client, "activate", on, off)

    assert "2 trusted origins were activated." in text_of(page)
    assert TrustedOrigin.objects.filter(is_active=True).count() == 2
    assert len(entries(CHANGE)) == 3
    assert "0 trusted origins were activated" in text_of(
        act(admin_client, "activate", on)
    )


@override_settings(WSORIGIN_INHERIT=["database"])
def test_says_when_an_action_counts(admin_client: Client) -> None:
    """In each process, within the interval."""
    page = act(admin_client, "deactivate", row())

    assert "Changes count in every process within 5 seconds." in text_of(page)


def test_extends_by_a_week(admin_client: Client) -> None:
    """From the expiry, or from now where that is over; what never expires stays so."""
    now = timezone.now()
    running = row("https://running.example", expires_at=now + timedelta(days=2))
    expired = row("https://expired.example", expires_at=now - timedelta(days=30))
    never = row("https://never.example")

    page = act(admin_client, "extend", running, expired, never)

    assert "2 trusted origins were extended by a week." in text_of(page)
    until = dict(TrustedOrigin.objects.values_list("pattern", "expires_at"))
    assert until["https://running.example"] == now + timedelta(days=9)
    soon = until["https://expired.example"] - now - timedelta(days=7)
    assert timedelta() <= soon < timedelta(minutes=1)
    assert until["https://never.example"] is None
    assert [name for _user, name in entries(CHANGE)] == [
        "https://expired.example",
        "https://running.example",
    ]


def test_deletes_with_an_entry_for_each(admin_client: Client) -> None:
    """Django's own action, for trusted origins and for denials."""
    act(admin_client, "delete_selected", row(), post="yes")
    act(admin_client, "delete_selected", denied(), url=DENIED, post="yes")

    assert not TrustedOrigin.objects.exists()
    assert not DeniedHandshake.objects.exists()
    assert len(entries(DELETION)) == 2


# The form -------------------------------------------------------------------------


def test_saves_in_canonical_form_and_says_who(admin_client: Client) -> None:
    """The row has the user, the log an entry."""
    admin_client.post(f"{LIST}add/", form_data("HTTPS://App.Example:443/", note="Why"))

    saved = TrustedOrigin.objects.get()
    assert saved.pattern == "https://app.example"
    assert saved.created_by == User.objects.get(username="admin")
    assert entries(ADDITION) == [("admin", "https://app.example")]


def test_changing_keeps_who_made_it(admin_client: Client) -> None:
    """Created by is the one who created."""
    creator = make_user("creator")
    saved = row(created_by=creator)

    admin_client.post(f"{LIST}{saved.pk}/change/", form_data("https://b.example"))

    saved.refresh_from_db()
    assert (saved.pattern, saved.created_by) == ("https://b.example", creator)
    assert entries(CHANGE) == [("admin", "https://b.example")]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("https://app.example/chat", "it has a path. Write 'https://app.example'."),
        ("https://*.co.uk", "co.uk, which is a public suffix. Name yours"),
        ("https://*.a.*.example", "it has two wildcards. One '*', in the left-most"),
        ("app.example", "it has no scheme. Write 'https://app.example'."),
        ("https://known.example", "This origin is trusted already."),
        ("HTTPS://KNOWN.example/", "This origin is trusted already."),
        ("", "This field is required."),
    ],
)
def test_refuses_with_a_remedy(
    pattern: str, message: str, admin_client: Client
) -> None:
    """Each mistake has a message that teaches, and nothing is saved."""
    row("https://known.example")

    page = text_of(admin_client.post(f"{LIST}add/", form_data(pattern)))

    assert message in page
    assert TrustedOrigin.objects.count() == 1
    assert not LogEntry.objects.exists()


def test_refuses_an_expiry_in_the_past(admin_client: Client) -> None:
    """For a new row; one that has expired can still get another note."""
    past = {"expires_at_0": "2020-01-01", "expires_at_1": "12:00:00"}
    url = f"{LIST}add/"

    page = text_of(admin_client.post(url, form_data("https://a.example", **past)))
    assert "This is in the past. Choose a later time" in page
    assert not TrustedOrigin.objects.exists()

    past_time = datetime(2020, 1, 1, 12, tzinfo=timezone.get_current_timezone())
    saved = row("https://a.example", expires_at=past_time)
    data = form_data("https://a.example", note="Kept for the record", **past)
    assert admin_client.post(f"{LIST}{saved.pk}/change/", data).status_code == 302
    saved.refresh_from_db()
    assert saved.note == "Kept for the record"


def test_a_quick_choice_replaces_the_expiry(admin_client: Client) -> None:
    """In so many days from now, whatever the fields above say."""
    data = form_data("https://a.example", lifetime="7", expires_at_0="1999-01-01")

    assert admin_client.post(f"{LIST}add/", data).status_code == 302

    saved = TrustedOrigin.objects.get()
    assert saved.expires_at
    left = saved.expires_at - timezone.now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    url = f"{LIST}{saved.pk}/change/"
    admin_client.post(url, form_data("https://a.example", lifetime="30"))
    entry = LogEntry.objects.get(action_flag=CHANGE)
    assert entry.get_change_message() == "Changed Expires at."


@pytest.mark.parametrize("path", ["add/", "1/change/"])
def test_the_preview_button_saves_nothing(path: str, admin_client: Client) -> None:
    """Without a script: the form comes back with what would be stored."""
    row("https://before.example", pk=1)
    before = everything()

    data = form_data("HTTPS://*.App.Example", note="Typed already", _preview="1")
    page = admin_client.post(f"{LIST}{path}", data)

    assert everything() == before
    text = text_of(page)
    assert "HTTPS://*.App.Example is stored as https://*.app.example" in text
    assert "(upper case lowered)" in text
    assert 'value="Typed already"' in page.content.decode()
    assert "Please correct" not in text


def test_the_preview_shows_errors_too(admin_client: Client) -> None:
    """Typed wrong: what is wrong, and what to write instead."""
    data = form_data("https://app.example/x", _preview="1")

    text = text_of(admin_client.post(f"{LIST}add/", data))

    assert "a pattern of origins: it has a path." in text
    assert "Type an origin to see" in text_of(admin_client.get(f"{LIST}add/"))


@pytest.mark.parametrize(
    ("typed", "matches", "others"),
    [
        (
            "https://app.example",
            ["https://app.example", "https://app.example:443", "HTTPS://APP.EXAMPLE"],
            [
                "http://app.example",
                "https://app.example:9000",
                "https://app.example.evil.example",
            ],
        ),
        (
            "https://*.app.example",
            [
                "https://app.app.example",
                "https://www.app.example",
                "https://a.b.app.example",
            ],
            [
                "https://app.example",
                "http://app.app.example",
                "https://app.app.example:9000",
            ],
        ),
        (
            "https://.app.example",
            [
                "https://app.example",
                "https://app.app.example",
                "https://a.b.app.example",
            ],
            [
                "http://app.example",
                "https://app.example:9000",
                "https://app.example.evil.example",
            ],
        ),
        (
            "https://*-team.vercel.app",
            [
                "https://1-team.vercel.app",
                "https://x-team.vercel.app",
                "https://pr-7-team.vercel.app",
            ],
            [
                "https://vercel.app",
                "https://1.1-team.vercel.app",
                "http://1-team.vercel.app",
            ],
        ),
        (
            "https://app.example:*",
            [
                "https://app.example:8443",
                "https://app.example",
                "https://app.example:9000",
            ],
            [
                "http://app.example:8443",
                "https://app.example.evil.example:8443",
                "https://evilapp.example:8443",
            ],
        ),
        (
            "http://127.0.0.1:9000",
            ["http://127.0.0.1:9000", "HTTP://127.0.0.1:9000"],
            [
                "https://127.0.0.1:9000",
                "http://127.0.0.1:9001",
                "http://127.0.0.1.evil.example:9000",
            ],
        ),
        (
            "https://[::1]",
            ["https://[::1]", "https://[::1]:443", "HTTPS://[::1]"],
            ["http://[::1]", "https://[::1]:9000", "null"],
        ),
        (
            "capacitor://localhost",
            ["capacitor://localhost", "CAPACITOR://LOCALHOST"],
            ["https://localhost", "capacitor://evillocalhost", "null"],
        ),
        (
            "moz-extension://*",
            [
                "moz-extension://11111111-0000-4000-8000-000000000000",
                "moz-extension://22222222-0000-4000-8000-000000000000",
                "moz-extension://33333333-0000-4000-8000-000000000000",
            ],
            [
                "https://11111111-0000-4000-8000-000000000000",
                "moz-extension://evil11111111-0000-4000-8000-000000000000",
                "null",
            ],
        ),
        ("null", ["null"], ["https://example.com"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_preview_gives_examples(
    typed: str, matches: list[str], others: list[str]
) -> None:
    """What matches and what does not, decided by the policy itself."""
    found = preview(typed)

    assert [example.origin for example in found.matches] == matches
    assert [example.origin for example in found.others] == others


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("http://app.example", "Prefer https://"),
        ("null", "trusts everybody"),
        ("moz-extension://*", "Every Firefox extension"),
        ("https://xn--bnk-6cd.example", "compare it"),
        ("https://b\u0430nk.example", "compare it"),
    ],
)
def test_the_preview_warns(typed: str, words: str) -> None:
    """What is allowed, yet worth a second look."""
    assert words in " ".join(preview(typed).warnings)


@pytest.mark.parametrize("typed", ["https://app.example", "http://localhost:5173"])
def test_the_preview_does_not_cry_wolf(typed: str) -> None:
    """The usual gets no warning."""
    assert preview(typed).warnings == ()


# Import and export ----------------------------------------------------------------


def paste(client: Client, text: str, **more: str) -> Any:
    return client.post(f"{LIST}import/", {"lines": text, **more})


def fingerprint_in(response: Any) -> str:
    found = re.search(r'name="fingerprint" value="(\w+)"', response.content.decode())
    return found[1] if found else ""


def verdicts_in(response: Any) -> list[tuple[str, ...]]:
    """Return the rows of the table of verdicts."""
    table = response.content.decode().partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [
        re.findall(r"<td>(.*?)</td>", one, re.DOTALL) for one in table.split("</tr>")
    ]
    return [
        tuple(unescape(re.sub(r"<[^>]*>", "", cell)) for cell in each)
        for each in cells
        if each
    ]


def test_judges_each_line_before_saving(admin_client: Client) -> None:
    """One verdict per line: new, normalised, known, repeated, wrong; nothing saved."""
    row("https://known.example")
    before = everything()

    page = paste(
        admin_client,
        "# a comment\n"
        "https://a.example  # Partner # 12\n"
        "\n"
        "HTTPS://B.example:443/\n"
        "https://known.example/\n"
        "https://a.example/\n"
        "https://c.example/chat # a path\n"
        "https://d.example sometimes\n"
        "https://e.example expires=soon\n"
        "https://e.example expires=2026-02-30\n"
        "https://e.example expires=2020-01-01\n"
        f"https://e.example audience={'x' * 101}\n",
    )

    assert verdicts_in(page) == [
        ("2", "new", "https://a.example  # Partner # 12", "https://a.example", ""),
        (
            "4",
            "new",
            "HTTPS://B.example:443/",
            "https://b.example",
            "the trailing slash removed, upper case lowered, the default port removed",
        ),
        (
            "5",
            "there already",
            "https://known.example/",
            "https://known.example",
            "It is there already, and stays as it is.",
        ),
        (
            "6",
            "repeated",
            "https://a.example/",
            "https://a.example",
            "Line 2 says this already.",
        ),
        (
            "7",
            "error",
            "https://c.example/chat # a path",
            "",
            "It has a path. Write 'https://c.example'.",
        ),
        (
            "8",
            "error",
            "https://d.example sometimes",
            "",
            "sometimes says nothing here. After the origin: audience=NAME, "
            "expires=2030-01-31, credentials, cors, inactive, or a note after #.",
        ),
        (
            "9",
            "error",
            "https://e.example expires=soon",
            "",
            "soon is no date. Write it as in 2030-01-31 or 2030-01-31T12:00Z.",
        ),
        (
            "10",
            "error",
            "https://e.example expires=2026-02-30",
            "",
            "2026-02-30 is no date. Write it as in 2030-01-31 or 2030-01-31T12:00Z.",
        ),
        (
            "11",
            "error",
            "https://e.example expires=2020-01-01",
            "",
            "It has expired already. Write a later date, or leave it out.",
        ),
        (
            "12",
            "error",
            f"https://e.example audience={'x' * 101}",
            "",
            "audience: Ensure this value has at most 100 characters (it has 101).",
        ),
    ]
    assert "Import 2 origins" in page.content.decode()
    assert everything() == before


def test_imports_what_was_shown(admin_client: Client) -> None:
    """The confirmed lines are saved at once, with who did it and an entry for each."""
    text = "https://a.example cors credentials # Why\nwrong\nhttps://b.example inactive"
    seen = fingerprint_in(paste(admin_client, text, _check="1"))

    done = paste(admin_client, text, _import="1", fingerprint=seen)

    assert done.status_code == 302
    assert "2 trusted origins were imported." in text_of(admin_client.get(LIST))
    a, b = TrustedOrigin.objects.all()
    assert (a.pattern, a.note, a.allow_cors, a.allow_credentials, a.is_active) == (
        "https://a.example",
        "Why",
        True,
        True,
        True,
    )
    assert (b.pattern, b.is_active, b.allow_cors) == ("https://b.example", False, False)
    assert a.created_by == b.created_by == User.objects.get(username="admin")
    assert entries(ADDITION) == [
        ("admin", "https://a.example"),
        ("admin", "https://b.example"),
    ]


@pytest.mark.parametrize("written", ["2099-01-31", "2099-01-31T00:00Z"])
@pytest.mark.parametrize("use_tz", [True, False], ids=["aware", "naive"])
def test_reads_expiries_as_the_site_stores_them(written: str, use_tz: bool) -> None:
    """With USE_TZ or without, whatever the line says of the zone."""
    with override_settings(USE_TZ=use_tz, TIME_ZONE="UTC"):
        [line] = lines.judge(f"https://a.example expires={written}").lines
        row(**line.values)

        kept = TrustedOrigin.objects.in_force().get()

    assert kept.expires_at == datetime(2099, 1, 31, tzinfo=UTC if use_tz else None)


@pytest.mark.parametrize("change", ["the lines", "the rows", "no check"])
def test_shows_again_what_is_not_as_it_was_shown(
    change: str, admin_client: Client
) -> None:
    """What is saved is what was seen, or nothing."""
    text = "https://a.example\nhttps://b.example"
    seen = fingerprint_in(paste(admin_client, text))
    match change:
        case "the lines":
            text += "\nhttps://evil.example"
        case "the rows":
            row("https://b.example")
        case _:
            seen = ""
    before = everything()

    page = paste(admin_client, text, _import="1", fingerprint=seen)

    assert "nothing was saved" in text_of(page)
    assert everything() == before


def test_somebody_else_was_faster(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that appears between the last look and the writing: nothing is half saved."""
    text = "https://a.example\nhttps://b.example"
    seen = fingerprint_in(paste(admin_client, text))
    save = lines.save

    def too_late(verdicts: lines.Verdicts, user: Any) -> list[TrustedOrigin]:
        row("https://b.example")
        return save(verdicts, user)

    monkeypatch.setattr(lines, "save", too_late)
    page = paste(admin_client, text, _import="1", fingerprint=seen)

    assert "nothing was saved" in text_of(page)
    assert list(TrustedOrigin.objects.all()) == []
    assert not LogEntry.objects.exists()


def test_imports_ten_thousand_lines(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    """With errors among them: exactly the confirmed ones, in bulk."""
    lines = [
        f"https://a{number}.example  # Customer {number}" for number in range(10_000)
    ]
    lines[17], lines[5000] = "https://*.co.uk", "https://a16.example"
    text = "\n".join(lines)
    page = paste(admin_client, text)
    assert "9998 new origins" in text_of(page).replace(",", "")
    assert len(verdicts_in(page)) == 10_000

    with django_assert_max_num_queries(250):
        done = paste(admin_client, text, _import="1", fingerprint=fingerprint_in(page))

    assert done.status_code == 302
    assert TrustedOrigin.objects.count() == 9998
    assert LogEntry.objects.count() == 9998


def test_too_many_lines_say_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read ends at a bound, visibly."""
    monkeypatch.setattr(lines, "MAX_LINES", 2)

    page = paste(
        admin_client, "https://a.example\nhttps://b.example\nhttps://c.example\n"
    )

    assert [line[:2] for line in verdicts_in(page)] == [
        ("1", "new"),
        ("2", "new"),
        ("3", "error"),
    ]
    assert "too many at once: read were 2" in text_of(page)


def test_an_empty_paste_says_so(admin_client: Client) -> None:
    """Comments and blank lines are no origins."""
    page = paste(admin_client, "# nothing\n\n\0")

    assert "There is no line with an origin." in text_of(page)
    assert fingerprint_in(page) == ""


def test_who_may_only_add_returns_to_the_index() -> None:
    """The list would refuse them."""
    client = client_of(make_user("adder", "add_trustedorigin"))
    seen = fingerprint_in(paste(client, "https://a.example"))

    done = paste(client, "https://a.example", _import="1", fingerprint=seen)

    assert (done.status_code, done["Location"]) == (302, "/admin/")
    assert TrustedOrigin.objects.count() == 1


def test_the_text_export_reads_back(admin_client: Client) -> None:
    """Imported elsewhere it makes the same rows, and trusts nobody further."""
    later = timezone.now().replace(microsecond=0) + timedelta(days=30)
    row("https://a.example", note="Why\nnot # really", allow_cors=True)
    row("https://b.example", audience="a b", expires_at=later, allow_credentials=True)
    row("https://c.example", is_active=False)
    row("https://expired.example", expires_at=timezone.now() - timedelta(days=1))
    fields = [name for name in lines.COLUMNS if not name.startswith("created")]
    before = list(TrustedOrigin.objects.values_list(*fields))

    response = admin_client.get(f"{LIST}export/")
    text = response.content.decode()
    TrustedOrigin.objects.all().delete()
    seen = fingerprint_in(paste(admin_client, text))
    paste(admin_client, text, _import="1", fingerprint=seen)

    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert "trusted-origins.txt" in response["Content-Disposition"]
    assert "# expired: https://expired.example" in text
    after = list(TrustedOrigin.objects.values_list(*fields))
    assert after == [
        tuple("Why not # really" if v == "Why\nnot # really" else v for v in values)
        for values in before[:3]
    ]


def test_exports_json_and_csv(admin_client: Client) -> None:
    """All fields; in CSV nothing that a spreadsheet would run."""
    creator = make_user("creator")
    row(note="=HYPERLINK(1)", created_by=creator)

    (found,) = json.loads(admin_client.get(f"{LIST}export/?format=json").content)
    table = admin_client.get(f"{LIST}export/?format=csv").content.decode()

    assert found["pattern"] == "https://app.example"
    assert found["created_by"] == "creator"
    assert set(found) == set(lines.COLUMNS)
    assert table.splitlines()[0] == ",".join(lines.COLUMNS)
    assert ",'=HYPERLINK(1)," in table
    wrong = admin_client.get(f"{LIST}export/?format=xml")
    assert (wrong.status_code, b"txt, json, csv" in wrong.content) == (404, True)


# The policy page ------------------------------------------------------------------


def test_shows_rules_with_their_source(admin_client: Client) -> None:
    """And the comparison with HTTP, with settings to paste."""
    with override_policy(
        "https://*.own.example", CORS_ALLOWED_ORIGINS=["https://front.example"]
    ):
        page = text_of(admin_client.get(f"{LIST}policy/"))
        fingerprint = current.get().fingerprint

    assert "https://*.own.example WSORIGIN_ALLOWED_ORIGINS[0]" in page
    assert fingerprint in page
    assert "disagrees It opens sockets, but CORS refuses it over HTTP." in page
    assert "To make them agree, paste this into your settings" in page
    assert "WSORIGIN_INHERIT = [ 'same-origin', 'cors', ]" in page


def test_says_when_the_lists_agree(admin_client: Client) -> None:
    """Nothing to paste then."""
    page = text_of(admin_client.get(f"{LIST}policy/"))

    assert "HTTP and WebSockets agree." in page
    assert "paste this" not in page


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("", "1 to 100 of 250"),
        ("2", "101 to 200 of 250"),
        ("3", "201 to 250 of 250"),
        ("99", "201 to 250 of 250"),
        ("-1", "1 to 100 of 250"),
        ("x", "1 to 100 of 250"),
    ],
)
def test_rules_come_in_pages(number: str, shown: str, admin_client: Client) -> None:
    """However many there are, and whatever page is asked for."""
    with override_policy(*(f"https://a{n}.example" for n in range(250))):
        response = admin_client.get(f"{LIST}policy/", {"page": number})

    assert shown in text_of(response)
    assert len(response.context["rules"]) == (50 if shown.startswith("201") else 100)


def test_a_policy_gives_its_rules_in_slices(policy_of: Callable[..., Policy]) -> None:
    """Own rules before those of the base, as `rules` has them."""
    base = policy_of("https://c.example", "https://d.example", "https://e.example")
    own = policy_of("https://a.example", "https://.b.example").rules
    policy = Policy(own, base=base)

    assert policy.size == len(policy.rules) == 6
    for start in range(8):
        for stop in range(start, 8):
            assert policy.rules_between(start, stop) == policy.rules[start:stop]


@override_settings(ASGI_APPLICATION="tests.applications.guarded")
@pytest.mark.parametrize(
    ("question", "words"),
    [
        (
            {"origin": "https://partner.example", "path": "/ws/prices/"},
            ["allowed", "listed", "with the visitor", "Rule"],
        ),
        (
            {"origin": "https://partner.example:8443", "path": "/ws/prices/"},
            ["denied", "unlisted", "differs only in the port", "Trust this origin"],
        ),
        ({"origin": ""}, ["no Origin header", "missing", "look for a proxy"]),
        ({"origin": "https://a.example/x"}, ["malformed", "it has a path"]),
        ({"origin": "http://testserver"}, ["same-origin", "this site itself"]),
        (
            {"origin": "https://evil.example", "host": "evil.example"},
            ["host-not-allowed", "DNS rebinding"],
        ),
        ({"origin": "x", "path": "/nowhere/"}, ["No WebSocket route", "/ws/prices/"]),
        ({"origin": "x", "path": "ws"}, ["starts with a slash: /ws"]),
        (
            {"origin": "x", "path": "/ws/prices/", "audience": "a"},
            ["Ask about one or the other"],
        ),
    ],
)
def test_explains(
    question: dict[str, str], words: list[str], admin_client: Client
) -> None:
    """Reason, rule, nearest miss and remedy, as the command says them."""
    page = text_of(admin_client.get(f"{LIST}policy/", question))

    for word in words:
        assert word in page


def test_explains_for_an_audience(admin_client: Client) -> None:
    """All rules that cover an origin are named, the deciding one first."""
    with override_policy("https://*.b.example", "https://a.b.example"):
        question = {"origin": "https://a.b.example", "audience": "prices"}
        page = text_of(admin_client.get(f"{LIST}policy/", question))

    assert "Rule https://a.b.example WSORIGIN_ALLOWED_ORIGINS[1]" in page
    assert "Also covered by https://*.b.example WSORIGIN_ALLOWED_ORIGINS[0]" in page


@override_settings(ASGI_APPLICATION="tests.applications.mixed")
def test_explains_that_nothing_checks_a_route(admin_client: Client) -> None:
    """An unguarded route is called that."""
    question = {"origin": "https://a.example", "path": "/sync/"}

    page = text_of(admin_client.get(f"{LIST}policy/", question))

    assert "Nothing checks the origin at /sync/." in page


@override_settings(ASGI_APPLICATION="tests.applications.validated")
def test_explains_that_another_decides_about_a_route(admin_client: Client) -> None:
    """Where Channels' own validator stands, wsorigin can say no more than that."""
    question = {"origin": "https://a.example", "path": "/old/"}

    page = text_of(admin_client.get(f"{LIST}policy/", question))

    # Which one, hangs on the hosts that were allowed when the application was made.
    assert re.search(
        r"No guard stands at /old/: .*OriginValidator decides there\.", page
    )


@override_settings(ASGI_APPLICATION="tests.nowhere.application")
def test_an_application_that_does_not_load_is_no_error(admin_client: Client) -> None:
    """The page says so where the question needs it, and shows the rest."""
    page = text_of(admin_client.get(f"{LIST}policy/", {"origin": "x", "path": "/ws/"}))

    assert "ASGI_APPLICATION: Cannot import" in page
    assert "HTTP and WebSockets agree." in page


# Denied handshakes ----------------------------------------------------------------


def trust_link(page: Any) -> str:
    """Return where the button of the page leads, empty without one."""
    found = re.search(
        r'class="button wsorigin-trust" href="([^"]+)"', page.content.decode()
    )
    return unescape(found[1]) if found else ""


def test_trusting_opens_a_form_that_is_filled_in(admin_client: Client) -> None:
    """The origin, why, and an expiry; saving it makes the row."""
    seen = denied(
        "https://partner.example", endpoint="/ws/prices/", day=date(2026, 3, 1)
    )

    link = trust_link(admin_client.get(DENIED))
    page = admin_client.get(link)
    form = page.context["adminform"].form

    assert form["pattern"].value() == "https://partner.example"
    assert form["note"].value() == "Seen at /ws/prices/ on 2026-03-01"
    assert form["audience"].value() in (None, "")
    left = form["expires_at"].value() - timezone.now()
    assert timedelta(days=29) < left <= timedelta(days=30)
    assert "is stored as https://partner.example" in text_of(page)
    fields = re.findall(
        r'name="(expires_at_\d)" value="([^"]+)"', page.content.decode()
    )
    data = form_data("https://partner.example", **dict(fields))
    assert admin_client.post(link, data).status_code == 302
    saved = TrustedOrigin.objects.get()
    assert saved.expires_at == form["expires_at"].value().replace(microsecond=0)
    assert not saved.allow_credentials
    assert trust_link(admin_client.get(f"{DENIED}{seen.pk}/change/")) == link


@pytest.mark.parametrize("reason", Reason)
def test_only_what_trust_can_cure_can_be_trusted(
    reason: Reason, admin_client: Client
) -> None:
    """A rewritten, missing or broken header is no question of trust."""
    denied("null" if reason is Reason.OPAQUE else "https://a.example", reason=reason)

    link = trust_link(admin_client.get(DENIED))

    assert bool(link) == (reason in {Reason.UNLISTED, Reason.OPAQUE})
    if reason is Reason.OPAQUE:
        assert parse_qs(urlsplit(link).query)["pattern"] == ["null"]


def test_the_sum_of_others_cannot_be_trusted(admin_client: Client) -> None:
    """It names no origin."""
    denied("", endpoint="")

    page = admin_client.get(DENIED)

    assert trust_link(page) == ""
    assert "(others, beyond the bound)" in text_of(page)


def test_trusting_takes_the_permission_to_add() -> None:
    """Seeing denials is not enough."""
    denied()
    view = client_of(make_user("viewer", "view_deniedhandshake"))
    both = client_of(make_user("both", "view_deniedhandshake", "add_trustedorigin"))

    assert trust_link(view.get(DENIED)) == ""
    assert trust_link(both.get(DENIED))


@pytest.mark.parametrize("days", ["99999", "-1", "x", "\u00b2", ""])
def test_an_odd_expiry_in_the_address_is_ignored(
    days: str, admin_client: Client
) -> None:
    """Anybody can write a link; the form only opens."""
    query = {"pattern": "https://a.example", "expires": days, "expires_at": "x"}

    page = admin_client.get(f"{LIST}add/", query)

    assert page.context["adminform"].form["expires_at"].value() is None


@override_settings(ASGI_APPLICATION="tests.applications.guarded")
@pytest.mark.parametrize(
    ("values", "now"),
    [
        ({"origin": "https://partner.example", "endpoint": "/ws/prices/"}, "allowed"),
        ({"origin": "https://evil.example", "endpoint": "/ws/prices/"}, "denied"),
        ({"origin": "https://acme.example", "endpoint": "/ws/acme/"}, "allowed"),
        ({"origin": "https://own.example", "endpoint": "/gone/"}, "allowed"),
        ({"origin": "-", "reason": "missing"}, "denied"),
        ({"origin": "null", "reason": "opaque"}, "denied"),
        ({"origin": "https://rebound.example", "reason": "host-not-allowed"}, "denied"),
        ({"origin": "http://localhost", "reason": "host-not-allowed"}, "allowed"),
        ({"origin": "http://localhost", "reason": "origin-rewritten"}, "denied"),
        ({"reason": "no-common-subprotocol"}, "depends on more than the origin"),
        ({"reason": "token-required"}, "depends on more than the origin"),
        ({"reason": "of raw SQL"}, "depends on more than the origin"),
        ({"origin": ""}, "depends on more than the origin"),
    ],
)
def test_says_what_would_be_allowed_now(
    values: dict[str, str], now: str, admin_client: Client
) -> None:
    """The guards of the endpoint decide again, where it still exists."""
    denied(**{"endpoint": "/gone/", **values})

    with override_policy("https://own.example"):
        (cell,) = re.findall(
            r'<td class="field-now">(.*?)</td>',
            admin_client.get(DENIED).content.decode(),
        )

    assert re.sub("<.*?>", "", cell) == now


@override_settings(ASGI_APPLICATION="tests.applications.mixed")
def test_says_when_nothing_checks_the_endpoint_any_more(admin_client: Client) -> None:
    """That is not the same as being allowed."""
    denied(endpoint="/sync/")

    assert "nothing checks this endpoint" in text_of(admin_client.get(DENIED))


def test_pruning_asks_first(admin_client: Client) -> None:
    """The page says how many; the button deletes them, with an entry for each."""
    old = timezone.now() - timedelta(days=31)
    denied("https://old.example", last_seen_at=old)
    denied("https://new.example")

    assert "1 row was last seen more than 30 days ago." in text_of(
        admin_client.get(f"{DENIED}prune/")
    )
    assert DeniedHandshake.objects.count() == 2
    page = admin_client.post(f"{DENIED}prune/", follow=True)

    assert "1 row was deleted." in text_of(page)
    assert DeniedHandshake.objects.get().origin == "https://new.example"
    ((user, what),) = entries(DELETION)
    assert (user, what.split()[0]) == ("admin", "https://old.example")
    assert "Delete them" not in text_of(admin_client.get(f"{DENIED}prune/"))


def test_who_may_only_delete_returns_to_the_index() -> None:
    """The list would refuse them."""
    client = client_of(make_user("cleaner", "delete_deniedhandshake"))

    assert client.post(f"{DENIED}prune/")["Location"] == "/admin/"


def test_says_when_the_audit_is_off(admin_client: Client) -> None:
    """Otherwise an empty list looks like good news."""
    assert "WSORIGIN_AUDIT is off" in text_of(admin_client.get(DENIED))
    with override_settings(WSORIGIN_AUDIT=True):
        assert "WSORIGIN_AUDIT is off" not in text_of(admin_client.get(DENIED))


def test_another_admin_site_without_trusted_origins_offers_no_trust(rf: Any) -> None:
    """A button that leads nowhere would be an error page."""
    site = AdminSite("other")
    site.register(DeniedHandshake, DeniedHandshakeAdmin)
    request = rf.get("/")
    request.user = User.objects.create_superuser("root")

    assert "trust" not in site.get_model_admin(DeniedHandshake).get_list_display(
        request
    )


# The chart ------------------------------------------------------------------------


def test_the_chart_counts_days_and_reasons(admin_client: Client) -> None:
    """As shapes, and as a table; nothing of it needs a script."""
    today = timezone.now().date()
    denied("https://a.example", count=40)
    denied("https://b.example", count=2)
    denied("null", reason="opaque", count=5, day=today - timedelta(days=29))
    denied("null", reason="opaque", count=7, day=today - timedelta(days=30))

    body = admin_client.get(DENIED).content.decode()
    figure = body.partition('<figure class="wsorigin-chart">')[2].partition(
        "</figure>"
    )[0]

    assert "47 denials in 30 days" in figure
    assert f"<title>{today:%Y-%m-%d}: 42 unlisted</title>" in figure
    table = re.sub(r"\s+", " ", re.sub("<.*?>", " ", figure.partition("<tbody>")[2]))
    assert table.split() == [
        f"{today:%Y-%m-%d}",
        "42",
        "0",
        f"{today - timedelta(days=29):%Y-%m-%d}",
        "0",
        "5",
    ]
    assert "style=" not in figure
    assert "<script" not in figure


def test_there_is_no_empty_chart(admin_client: Client) -> None:
    """Nothing denied, nothing drawn."""
    assert "<figure" not in admin_client.get(DENIED).content.decode()


SERIES = {"a": 9, "b": 8, "c": 7, "d": 6, "e": 2, "f": 1}


def test_small_series_are_one() -> None:
    """No more colours than can be told apart; the largest have their own."""
    today = date(2026, 3, 1)
    counts = {(today, name): count for name, count in SERIES.items()}

    chart = draw(counts, today, days=30, others="others")

    assert chart.legend == [("a", 9), ("b", 8), ("c", 7), ("d", 6), ("others", 3)]
    assert chart.total == 33
    assert len(chart.bars) == 5
    bottom = min(bar.y for bar in chart.bars)
    assert bottom >= 0


@pytest.mark.parametrize(
    ("value", "ceiling"),
    [
        (0, 1),
        (1, 1),
        (2, 2),
        (3, 5),
        (5, 5),
        (6, 10),
        (42, 50),
        (51, 100),
        (1001, 2000),
    ],
)
def test_an_axis_ends_with_a_round_number(value: int, ceiling: int) -> None:
    """1, 2 or 5 with zeros."""
    assert nice_ceiling(value) == ceiling


# With the database in the policy --------------------------------------------------


@pytest.mark.django_db(transaction=True)
@override_settings(WSORIGIN_INHERIT=["same-origin", "database"])
def test_a_row_is_in_the_policy_until_it_is_deactivated(admin_client: Client) -> None:
    """What the admin saves, the policy page and the denials show at once."""
    current.expire()
    denied("https://partner.example")
    admin_client.post(f"{LIST}add/", form_data("https://partner.example"))

    page = text_of(admin_client.get(f"{LIST}policy/"))
    assert "https://partner.example TrustedOrigin" in page
    assert "reachable 1 rule in force, version" in page
    assert "s ago at most 5 s apart" in page
    assert ">allowed</span>" in admin_client.get(DENIED).content.decode()

    act(admin_client, "deactivate", TrustedOrigin.objects.get())

    assert ">denied</span>" in admin_client.get(DENIED).content.decode()


@pytest.mark.django_db(transaction=True)
@override_settings(WSORIGIN_INHERIT=["database"])
def test_many_rows_are_left_out_of_the_comparison(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the page says that, and who compares them all."""
    monkeypatch.setattr(policy_page, "MAX_RECONCILED", 1)
    TrustedOrigin.objects.bulk_create(
        [TrustedOrigin(pattern=f"https://a{n}.example") for n in range(2)]
    )

    page = text_of(admin_client.get(f"{LIST}policy/"))

    assert "Of the settings alone: the 2 rows are too many" in page


@pytest.mark.django_db(transaction=True)
@override_settings(WSORIGIN_INHERIT=["database"])
def test_the_policy_page_links_the_rows(admin_client: Client) -> None:
    """From a rule to the form that changes it."""
    saved = row()
    current.expire()

    page = admin_client.get(f"{LIST}policy/").content.decode()

    assert f'<a href="{LIST}{saved.pk}/change/">TrustedOrigin {saved.pk}</a>' in page


@override_settings(WSORIGIN_INHERIT=["database"])
def test_says_when_the_database_is_away(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was last read counts until it is back."""
    monkeypatch.setattr(type(current), "is_away", property(lambda _: True))

    assert "away What was last read counts." in text_of(
        admin_client.get(f"{LIST}policy/")
    )


def test_counts_of_other_days_are_not_drawn() -> None:
    """Whatever the caller collected, the chart has its days alone."""
    chart = draw({(date(2026, 1, 1), "a"): 5}, date(2026, 3, 1), days=30, others="")

    assert chart.total == 0
    assert list(chart.bars) == []


def test_a_row_that_is_gone_is_no_error(admin_client: Client) -> None:
    """Its form leads back with a message, as everywhere in the admin."""
    response = admin_client.get(f"{LIST}999/change/", follow=True)

    assert "Perhaps it was deleted?" in text_of(response)


@pytest.mark.parametrize(
    "path",
    [
        LIST,
        f"{LIST}add/?pattern=http://a.example",
        f"{LIST}import/",
        f"{LIST}policy/?origin=https://a.example",
        DENIED,
        f"{DENIED}prune/",
    ],
)
def test_a_strict_content_security_policy_suits(
    path: str, admin_client: Client
) -> None:
    """No script, style or handler in the page itself."""
    row()
    denied()

    body = admin_client.get(path).content.decode()

    assert re.findall(r"<script(?![^>]* src=)[^>]*>|<style| style=| on\w+=", body) == []
