"""
The bridge to django-cors-headers: rows that may also read over HTTP.

Asked through that package's own middleware, in a sync and in an async stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from corsheaders.signals import check_request_enabled
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from wsorigin import cors
from wsorigin.models import TrustedOrigin
from wsorigin.refresh import aget_policy, current

pytestmark = pytest.mark.django_db(transaction=True)

ROW = "https://row.example"
STRANGER = "https://stranger.example"

Ask = Callable[..., HttpResponse]


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("page")


async def async_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("page")


urlpatterns = [path("api/page/", page), path("page/", page)]
urlpatterns += [path("api/async-page/", async_page), path("async-page/", async_page)]


def ask_wsgi(origin: str, at: str = "page/", **options: Any) -> HttpResponse:
    """Ask in a thread, as WSGI servers do."""
    method, headers = options.pop("method", "GET"), options.pop("headers", {})
    client = Client(headers={"origin": origin, **headers})
    return client.generic(method, f"/{at}")


def ask_asgi(origin: str, at: str = "page/", **options: Any) -> HttpResponse:
    """Ask on an event loop, with async middleware and an async view."""

    async def ask() -> Any:
        await aget_policy()  # as the look that a change starts, which nobody waits for
        method = options.pop("method", "GET")
        prefix, _, name = at.rpartition("page/")
        headers = {"origin": origin, **options.pop("headers", {})}
        at_path = f"/{prefix}async-page/{name}"
        return await AsyncClient().generic(method, at_path, headers=headers)

    return async_to_sync(ask)()


@pytest.fixture(params=[ask_wsgi, ask_asgi])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask this site for a page, as a page of another origin."""
    return request.param


@pytest.fixture(autouse=True)
def site() -> Iterator[None]:
    """A site with django-cors-headers that lists nothing itself."""
    listening = list(check_request_enabled.receivers)
    cors.connect()
    with override_settings(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["corsheaders.middleware.CorsMiddleware"],
        WSORIGIN_INHERIT=["database"],
        WSORIGIN_REFRESH_INTERVAL=60,
    ):
        current.expire()
        yield
        current.expire()
        assert current._look
        current._look.result(10)
    check_request_enabled.receivers = listening
    check_request_enabled.sender_receivers_cache.clear()
    current.forget()


def granted(response: HttpResponse) -> str | None:
    """Return the origin that may read a response."""
    assert response.status_code == HTTPStatus.OK
    return response.headers.get("access-control-allow-origin")


def test_a_row_with_allow_cors_may_read_at_once(ask: Ask) -> None:
    """From the commit on; strangers may not, and rows without the tick neither."""
    assert granted(ask(ROW)) is None
    row = TrustedOrigin.objects.create(pattern=ROW)
    assert granted(ask(ROW)) is None
    row.allow_cors = True
    row.save()

    assert granted(ask(ROW)) == ROW
    assert granted(ask(STRANGER)) is None
    assert granted(ask(ROW + ".evil.example")) is None
    assert granted(ask("not an origin")) is None


@pytest.mark.parametrize(
    "change", [{"is_active": False}, {"allow_cors": False}, {"expires_at": "now"}]
)
def test_what_ends_it(ask: Ask, change: dict[str, Any]) -> None:
    """An inactive or expired row, or one without the tick, grants nothing."""
    TrustedOrigin.objects.create(pattern=ROW, allow_cors=True)
    assert granted(ask(ROW)) == ROW
    if "expires_at" in change:
        change = {"expires_at": timezone.now()}
    TrustedOrigin.objects.update(**change)

    assert granted(ask(ROW)) is None


def test_patterns_cover_what_they_cover_over_sockets(ask: Ask) -> None:
    """The same grammar, the same answer; an audience is a matter of sockets."""
    TrustedOrigin.objects.create(
        pattern="https://*.row.example", audience="prices", allow_cors=True
    )

    assert granted(ask("https://a.row.example")) == "https://a.row.example"
    assert granted(ask(ROW)) is None


@pytest.mark.parametrize("regex", [r"^/api/", re.compile(r"^/api/")])
def test_only_within_the_paths_that_cors_is_for(ask: Ask, regex: Any) -> None:
    """A yes would switch CORS on everywhere: CORS_URLS_REGEX is asked first."""
    TrustedOrigin.objects.create(pattern=ROW, allow_cors=True)
    with override_settings(CORS_URLS_REGEX=regex):
        inside, outside = ask(ROW, at="api/page/"), ask(ROW)

    assert granted(inside) == ROW
    assert granted(outside) is None
    assert not [name for name in outside.headers if name.startswith("access-control")]


def test_preflights_are_answered(ask: Ask) -> None:
    """By django-cors-headers itself, with its own settings."""
    TrustedOrigin.objects.create(pattern=ROW, allow_cors=True)

    headers = {"access-control-request-method": "PUT"}
    answer = ask(ROW, method="OPTIONS", headers=headers)
    refusal = ask(STRANGER, method="OPTIONS", headers=headers)

    assert granted(answer) == ROW
    assert answer.content == b""
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert granted(refusal) is None


def test_no_query_for_a_request(ask: Ask) -> None:
    """The answer comes from memory, on the event loop too."""
    TrustedOrigin.objects.create(pattern=ROW, allow_cors=True)
    assert granted(ask(ROW)) == ROW
    look = current._look
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            assert granted(ask(ROW)) == ROW
            assert granted(ask(STRANGER)) is None

    assert len(queries) == 0
    assert current._look is look


@pytest.mark.parametrize("credentials", [True, False])
def test_credentials_are_the_settings_business(ask: Ask, credentials: bool) -> None:
    """CORS_ALLOW_CREDENTIALS says so, whatever a row says about sockets."""
    TrustedOrigin.objects.create(
        pattern=ROW, allow_cors=True, allow_credentials=not credentials
    )
    with override_settings(CORS_ALLOW_CREDENTIALS=credentials):
        headers = ask(ROW).headers

    assert headers["access-control-allow-origin"] == ROW
    assert ("access-control-allow-credentials" in headers) is credentials


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        pytest.param("null", "null", id="null"),
        pytest.param(
            "moz-extension://*",
            "moz-extension://0b0d9f5c-8a5a-4d3f-9f38-0d6b1c3d2e4f",
            id="any extension",
        ),
    ],
)
def test_what_strangers_can_send_gets_no_session(
    ask: Ask, pattern: str, origin: str
) -> None:
    """With CORS_ALLOW_CREDENTIALS such a row would hand out the visitor's session."""
    TrustedOrigin.objects.create(pattern=pattern, allow_cors=True)
    assert granted(ask(origin)) == origin

    with override_settings(CORS_ALLOW_CREDENTIALS=True):
        assert granted(ask(origin)) is None


def test_without_the_database_no_row_counts(ask: Ask) -> None:
    """What WSORIGIN_INHERIT leaves out is left out over HTTP too."""
    TrustedOrigin.objects.create(pattern=ROW, allow_cors=True)
    assert granted(ask(ROW)) == ROW
    with override_settings(WSORIGIN_INHERIT=["same-origin"]):
        assert granted(ask(ROW)) is None


def test_requests_without_an_origin(ask: Ask) -> None:
    """Most requests have none, and nothing is looked up for them."""
    assert granted(Client().get("/page/")) is None
