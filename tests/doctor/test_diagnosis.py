"""What the guard tells the doctor: only to whom it concerns, and no secret."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from django.test import override_settings

from wsorigin.diagnosis import MAX_AGE, PREFIX, is_signed, seen, sign
from wsorigin.handshake import Handshake, is_application_subprotocol
from wsorigin.policy import Decision, Reason
from wsorigin.site import Site

UNLISTED = Decision(False, Reason.UNLISTED)


def asked(site: Site | None = None, **scope: Any) -> dict[str, Any]:
    """Return what would be told of a handshake with these headers, or this scope."""
    headers = scope.pop("headers", {})
    scope = {
        "type": "websocket",
        "path": "/ws/",
        "headers": [(name.encode(), headers[name].encode()) for name in headers],
        **scope,
    }
    return seen(scope, Handshake.from_scope(scope), site or Site(), UNLISTED)


def test_a_question_is_a_subprotocol_that_browsers_and_servers_take() -> None:
    """It is a token (RFC 9110, section 5.6.2), and none of the application's."""
    question = sign()

    assert re.fullmatch(r"[A-Za-z0-9._-]+", question)
    assert not is_application_subprotocol(question)
    assert sign() != question


def test_knows_its_own_questions() -> None:
    """Among others, wherever it stands."""
    assert is_signed(["wsorigin.preflight", sign()])


@pytest.mark.parametrize(
    "offered",
    [
        pytest.param([], id="nothing"),
        pytest.param(["wsorigin.preflight"], id="no question"),
        pytest.param([PREFIX], id="empty"),
        pytest.param([f"{PREFIX}a.b.c"], id="made up"),
        pytest.param([f"{PREFIX}\N{KELVIN SIGN}.b.c"], id="outside ASCII"),
        pytest.param([f"{PREFIX}a", sign()], id="only the first counts"),
    ],
)
def test_takes_no_other_for_one(offered: list[str]) -> None:
    """Whatever a stranger writes, it is no question."""
    assert not is_signed(offered)


def test_a_question_of_another_site_is_none() -> None:
    """It is signed with the site's key."""
    with override_settings(SECRET_KEY="another"):
        question = sign()

    assert not is_signed([question])


def test_a_question_is_good_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds it in a log comes too late."""
    question, now = sign(), time.time()
    monkeypatch.setattr(time, "time", lambda: now + MAX_AGE + 2)

    assert not is_signed([question])


def test_tells_what_decides() -> None:
    """Host, origin, path, scheme, and the decision."""
    told = asked(
        headers={"host": "site.example:8443", "origin": "https://evil.example"},
        scheme="wss",
        http_version="1.1",
        extensions={"websocket.http.response": {}},
    )

    assert told == {
        "path": "/ws/",
        "origin": "https://evil.example",
        "host": "site.example:8443",
        "host_header": "site.example:8443",
        "scheme": "wss",
        "is_https": True,
        "https_only": False,
        "proxy_ssl_header": None,
        "forwarded": {},
        "http_version": "1.1",
        "denial_responses": True,
        "allowed": False,
        "reason": "unlisted",
    }
    assert json.loads(json.dumps(told)) == told


def test_tells_of_a_handshake_without_anything() -> None:
    """What did not arrive is null."""
    told = asked()

    assert (told["host"], told["host_header"], told["origin"]) == ("", None, None)
    assert (told["scheme"], told["is_https"], told["denial_responses"]) == (
        None,
        False,
        False,
    )


def test_tells_no_value_that_may_be_a_secret() -> None:
    """What proxies say of the request has a value, the others have names at most."""
    told = asked(
        headers={
            "cookie": "sessionid=secret",
            "authorization": "Bearer secret",
            "sec-websocket-protocol": "secret",
            "x-internal-auth": "secret",
            "x-forwarded-for": "secret",
            "x-forwarded-client-cert": "secret",
            "via": "secret",
            "x-forwarded-proto": "https",
        }
    )

    assert "secret" not in json.dumps(told)
    assert told["forwarded"] == {
        "via": None,
        "x-forwarded-client-cert": None,
        "x-forwarded-for": None,
        "x-forwarded-proto": "https",
    }


@pytest.mark.parametrize(
    ("site", "host"),
    [
        pytest.param(Site(), "app:8000", id="the header"),
        pytest.param(
            Site(use_forwarded_host=True), "site.example", id="forwarded host"
        ),
        pytest.param(Site(use_forwarded_port=True), "app:8443", id="forwarded port"),
        pytest.param(
            Site(use_forwarded_host=True, use_forwarded_port=True),
            "site.example:8443",
            id="both",
        ),
    ],
)
def test_the_host_is_the_one_that_counts(site: Site, host: str) -> None:
    """USE_X_FORWARDED_HOST and USE_X_FORWARDED_PORT are honoured as the policy does."""
    headers = {
        "host": "app:8000",
        "x-forwarded-host": "site.example",
        "x-forwarded-port": "8443",
    }

    assert asked(site, headers=headers)["host"] == host
    assert asked(site, headers={"host": "app:8000"})["host"] == "app:8000"


@pytest.mark.parametrize(
    ("site", "headers", "is_https"),
    [
        pytest.param(Site(https_only=True), {}, False, id="a setting is no header"),
        pytest.param(
            Site(https_only=True, proxy_ssl_header=(b"x-scheme", "https")),
            {"x-scheme": "https"},
            True,
            id="the header that is trusted",
        ),
        pytest.param(
            Site(), {"x-forwarded-proto": "https"}, False, id="one that is not trusted"
        ),
    ],
)
def test_tells_what_the_request_itself_says_of_https(
    site: Site, headers: dict[str, str], is_https: bool
) -> None:
    """Apart from what settings say of the site; the trusted header is told."""
    told = asked(site, headers=headers)

    assert told["is_https"] == is_https
    assert told["https_only"] == site.https_only
    assert told["forwarded"] == headers
