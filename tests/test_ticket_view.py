"""The ticket endpoint: who gets a ticket, for what, and what a refusal says."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.messages import get_messages
from django.db import connection
from django.db.models.signals import post_save
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path, reverse
from django.views.debug import ExceptionReporter

from wsorigin.credentials import Secret
from wsorigin.models import ConnectionToken
from wsorigin.policy import Reason
from wsorigin.tokens import MAX_OUTSTANDING, mint_ticket
from wsorigin.verification import Verified, verify

urlpatterns = [path("wsorigin/", include("wsorigin.urls"))]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

OWN = "http://testserver"
APP = "https://app.example"
URL = "/wsorigin/ticket/"
CSRF = "c" * 32


@pytest.fixture
def ada(db: None) -> User:
    """A user."""
    return User.objects.create_user("ada")


@pytest.fixture
def page(ada: User) -> Client:
    """A page that this user is logged in on, with Django's CSRF checks in force."""
    client = Client(enforce_csrf_checks=True, headers={"x-csrftoken": CSRF})
    client.force_login(ada)
    client.cookies["csrftoken"] = CSRF
    return client


def bearer(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """Be a project's own middleware: it knows programs by their bearer tokens."""

    def middleware(request: HttpRequest) -> HttpResponse:
        name = request.headers.get("authorization", "").removeprefix("Bearer ")
        user = User.objects.filter(username=name).first()
        request.user = user or request.user or AnonymousUser()
        return get_response(request)

    return middleware


@pytest.fixture
def program(settings: Any, ada: User) -> Client:
    """A program with a bearer token of the project's own, and no cookies."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.bearer"]
    headers = {"authorization": "Bearer ada"}
    return Client(enforce_csrf_checks=True, headers=headers)


def post(client: Client, origin: str | None = OWN, **options: Any) -> Any:
    """Ask for a ticket, as a page of that origin."""
    headers = {**({"origin": origin} if origin else {}), **options.pop("headers", {})}
    return client.post(URL, headers=headers, **options)


def redeem(response: Any, origin: str | None, audience: str = "") -> Verified | Reason:
    """Use the ticket of a response."""
    return verify(Secret.parse(response.json()["ticket"]), origin, audience)


# Yes.


def test_the_url_has_a_name() -> None:
    """``wsorigin:ticket``, wherever the project includes it."""
    assert reverse("wsorigin:ticket") == URL


def test_a_login_is_exchanged_for_a_ticket(page: Client, ada: User) -> None:
    """With session and CSRF token: text, age, and what to hand to ``new WebSocket``."""
    response = post(page)
    answer = response.json()
    row = ConnectionToken.objects.get()

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert set(answer) == {"ticket", "max_age", "protocols"}
    assert answer["max_age"] == 30
    assert answer["protocols"] == [
        "wsorigin.v1",
        Secret.parse(answer["ticket"]).subprotocol,
    ]
    assert (row.kind, row.user, row.origins, row.audience) == ("ticket", ada, OWN, "")
    verified = redeem(response, OWN)
    assert isinstance(verified, Verified)
    assert verified.token == row
    assert verified.session_key == page.session.session_key


def test_the_age_is_the_settings(page: Client) -> None:
    """So that a page knows how long it has."""
    with override_settings(WSORIGIN_TICKET_MAX_AGE=90):
        assert post(page).json()["max_age"] == 90


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("audience=prices", "application/x-www-form-urlencoded"),
        ('{"audience": "prices"}', "application/json"),
        ('{"audience": "prices"}', "application/json; charset=utf-8"),
        (
            '--x\r\nContent-Disposition: form-data; name="audience"\r\n\r\nprices\r\n--x--',
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_a_ticket_may_be_for_an_audience(body: str, kind: str, page: Client) -> None:
    """Said in a form or in JSON."""
    response = post(page, data=body, content_type=kind)

    assert ConnectionToken.objects.get().audience == "prices"
    assert redeem(response, OWN) is Reason.TOKEN_WRONG_AUDIENCE
    assert isinstance(redeem(response, OWN, "prices"), Verified)


@pytest.mark.parametrize("body", ["", "{}", '{"audience": ""}', '{"other": 1}'])
def test_no_audience_is_none(body: str, page: Client) -> None:
    """An empty body will do."""
    response = post(page, data=body, content_type="application/json")

    assert isinstance(redeem(response, OWN, "prices"), Verified)


def test_a_ticket_is_for_the_origin_that_asks(page: Client) -> None:
    """A trusted page of another origin gets one for itself, and for nobody else."""
    with override_settings(CSRF_TRUSTED_ORIGINS=[APP]):
        response = post(page, origin=APP)

    assert redeem(response, OWN) is Reason.TOKEN_WRONG_ORIGIN
    assert redeem(response, None) is Reason.TOKEN_WRONG_ORIGIN
    assert isinstance(redeem(response, APP), Verified)


@pytest.mark.parametrize("origin", [None, APP])
def test_whoever_is_logged_in_some_other_way_gets_one(
    origin: str | None, program: Client
) -> None:
    """No page can make a browser send such a header, so that CSRF is no matter."""
    response = post(program, origin=origin)
    verified = redeem(response, origin)

    assert response.status_code == 200
    assert isinstance(verified, Verified)
    assert verified.session_key == ""


def test_only_so_many_are_fetched_at_once(page: Client, ada: User) -> None:
    """The twenty-first is refused until one is used or has expired (ASVS 2.4.1)."""
    for _ in range(MAX_OUTSTANDING - 1):
        mint_ticket(ada, origin=OWN)
    last = post(page)
    with override_settings(WSORIGIN_TICKET_MAX_AGE=7.5):
        refused = post(page)

    assert refused.status_code == 429
    assert refused["Retry-After"] == "8"
    assert refused.json()["reason"] == "too-many-tickets"
    redeem(last, OWN)
    assert post(page).status_code == 200


# No.


def check_problem(response: Any, status: int, reason: str) -> None:
    """Check the form of a refusal (RFC 9457)."""
    problem = response.json()

    assert response.status_code == problem["status"] == status
    assert response["Content-Type"] == "application/problem+json"
    assert set(problem) == {"title", "status", "reason", "detail"}
    assert problem["reason"] == reason
    assert problem["detail"].endswith(".")
    assert "no-store" in response["Cache-Control"]
    assert not ConnectionToken.objects.exists()


@pytest.mark.parametrize("token", [None, "d" * 32, ""])
def test_without_the_csrf_token_there_is_none(token: str | None, page: Client) -> None:
    """Django's own 403: another site made the browser send it (ASVS 3.5.1, 4.4.4)."""
    page.defaults.pop("HTTP_X_CSRFTOKEN")
    response = post(page, headers={} if token is None else {"x-csrftoken": token})

    assert response.status_code == 403
    assert "no-store" in response["Cache-Control"]
    assert not ConnectionToken.objects.exists()


@pytest.mark.parametrize("origin", [APP, "null", "http://testserver.evil.example"])
def test_a_page_of_another_site_gets_none(origin: str, page: Client) -> None:
    """Even with the CSRF token: Django compares the origin too."""
    response = post(page, origin=origin)

    assert response.status_code == 403
    assert not ConnectionToken.objects.exists()


LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"


@pytest.mark.parametrize("login_required", [False, True])
def test_nobody_gets_none(login_required: bool, settings: Any) -> None:
    """401, also where the project sends everybody to its login page (ASVS 4.4.4)."""
    if login_required:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]

    check_problem(post(Client(enforce_csrf_checks=True)), 401, "login-required")


def test_without_users_there_is_none(settings: Any) -> None:
    """A project without authentication has nobody to give one to."""
    settings.MIDDLEWARE = []

    check_problem(post(Client(enforce_csrf_checks=True)), 401, "login-required")


def test_who_is_deactivated_gets_none(page: Client) -> None:
    """The session is still there, the user is not (ASVS 7.4.2)."""
    User.objects.update(is_active=False)

    check_problem(post(page), 401, "login-required")


def test_a_wrong_bearer_token_is_nobody(program: Client) -> None:
    """It is the project's middleware that says who it is."""
    headers = {"authorization": "Bearer bob"}

    check_problem(post(program, headers=headers), 401, "login-required")


@pytest.mark.parametrize("scheme", ["Basic YTpi", "Negotiate x", "digest x", "NTLM x"])
def test_what_browsers_attach_by_themselves_needs_the_csrf_token(
    scheme: str, program: Client
) -> None:
    """A password that the browser remembers is sent with forged requests too."""
    assert post(program, headers={"authorization": scheme}).status_code == 403


def test_a_bearer_token_beside_a_login_needs_the_csrf_token(page: Client) -> None:
    """The session may be what counts, whatever the header says."""
    page.defaults.pop("HTTP_X_CSRFTOKEN")
    headers = {"authorization": "Bearer somebody"}

    assert post(page, headers=headers).status_code == 403


def test_a_cookie_without_a_login_needs_the_csrf_token(program: Client) -> None:
    """Nobody but the project knows what its other cookies are worth."""
    program.cookies["jwt"] = "x"
    del program.defaults["HTTP_AUTHORIZATION"]

    assert post(program).status_code == 403


@pytest.mark.parametrize("origin", ["null", "app.example", f"{APP},{OWN}", f"{APP}/"])
def test_there_is_none_for_nobodys_origin(origin: str, program: Client) -> None:
    """``null`` is everybody's, and so would be its ticket."""
    check_problem(post(program, origin=origin), 403, "origin")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"prices"', id="a string"),
        pytest.param(b"[" * 200_000, id="deep"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b'{"audience": null}', id="null"),
        pytest.param(b'{"audience": ["prices"]}', id="several"),
        pytest.param(b'{"audience": "%s"}' % (b"x" * 101), id="long"),
        pytest.param(b'{"audience": "a\\u0000b"}', id="NUL"),
        pytest.param(b'{"audience": "\\ud800"}', id="half a character"),
        pytest.param(b'{"audience": "a\\nb"}', id="two lines"),
    ],
)
def test_an_audience_that_is_none_is_refused(body: bytes, page: Client) -> None:
    """400, and never an error of ours."""
    response = post(page, data=body, content_type="application/json")

    check_problem(response, 400, "audience")


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "patch"])
def test_other_methods_are_refused(method: str, page: Client) -> None:
    """A ticket is never in the answer to a link."""
    response = getattr(page, method)(URL)

    assert response.status_code == 405
    assert "POST" in response["Allow"]
    assert "no-store" in response["Cache-Control"]


@pytest.fixture(params=["db", "signed_cookies"])
def database_away(
    request: pytest.FixtureRequest, settings: Any, transactional_db: None
) -> Iterator[Client]:
    """Take the database away from a page that is logged in."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    page = request.getfixturevalue("page")
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = "/nowhere/site.sqlite3"
    yield page
    connection.close()
    connection.settings_dict["NAME"] = name


@pytest.mark.django_db(transaction=True)
def test_without_a_database_it_says_so(
    database_away: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """503 and when to come back; the reason why is in the log (ASVS 16.5.1, 16.5.3)."""
    response = post(database_away)

    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["reason"] == "token-unavailable"
    assert "no-store" in response["Cache-Control"]
    assert "the database does not answer" in caplog.text
    assert "unable to open database file" not in response.text


# What is left of it.


def test_it_is_never_cached(page: Client) -> None:
    """Neither by the browser nor by anything on the way (ASVS 14.2.2, 14.3.2)."""
    assert "no-store" in post(page)["Cache-Control"]


def test_a_ticket_is_in_its_answer_and_nowhere_else(
    page: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in logs, SQL included, messages, session, cookies or other headers."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "django.db.backends")
    before = dict(page.session.items())
    connection.force_debug_cursor = True
    try:
        response = post(page)
    finally:
        connection.force_debug_cursor = False
    text = response.json()["ticket"]
    elsewhere = [
        caplog.text,
        [str(vars(record)) for record in caplog.records],
        [str(message) for message in get_messages(response.wsgi_request)],
        dict(page.session.items()),
        page.cookies.output(),
        response.headers,
        list(ConnectionToken.objects.values()),
    ]

    assert any("INSERT" in message for message in caplog.messages)
    assert dict(page.session.items()) == before
    assert text[13:] not in str(elsewhere)
    assert json.loads(response.content)["protocols"][1][40:] not in str(elsewhere)


def test_a_ticket_is_in_no_report_of_an_error(
    page: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong after it was made: reports go out by mail."""
    made = []

    def receiver(instance: ConnectionToken, **_: Any) -> None:
        made.append(instance.public_id)
        raise RuntimeError("somebody's receiver")

    page.raise_request_exception = False
    post_save.connect(receiver, sender=ConnectionToken)
    try:
        response = post(page)
    finally:
        post_save.disconnect(receiver, sender=ConnectionToken)
    [record] = [one for one in caplog.records if one.exc_info]
    report = ExceptionReporter(record.request, *record.exc_info).get_traceback_html()

    assert response.status_code == 500
    assert "somebody&#x27;s receiver" in report
    # The public id may be there, nothing after it.
    assert re.search(f"wsot_{made[0]}[0-9A-Za-z]", report) is None
