"""Where rules come from: each list of a Django project, and the policy made of them."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.test import override_settings

from wsorigin.handshake import Handshake
from wsorigin.policy import Decision, Policy, Reason
from wsorigin.refresh import get_policy
from wsorigin.signals import policy_changed
from wsorigin.sources import collect, current_site


def rules(**settings: Any) -> list[tuple[str, str, bool]]:
    """Collect under these settings: pattern, source, credentials."""
    with override_settings(**settings):
        found = collect()
    return [(str(r.pattern), r.source, r.credentials) for r in found.rules]


def decide(origin: str, host: str = "elsewhere.example") -> Decision:
    """Ask the site's policy."""
    return get_policy().decide(Handshake("/", origin, {b"host": host.encode()}))


def test_settings_come_first_and_name_their_place() -> None:
    """Each rule says which entry of which setting it is."""
    found = rules(
        WSORIGIN_ALLOWED_ORIGINS=["https://A.example/", "null"],
        WSORIGIN_ALLOWED_ORIGIN_REGEXES=[r"https://\d\.example", re.compile("x")],
        WSORIGIN_ALLOW_ALL_ORIGINS=True,
        CORS_ALLOWED_ORIGINS=["https://cors.example"],
    )

    assert found == [
        ("https://a.example", "WSORIGIN_ALLOWED_ORIGINS[0]", True),
        ("null", "WSORIGIN_ALLOWED_ORIGINS[1]", False),
        (r"re:https://\d\.example", "WSORIGIN_ALLOWED_ORIGIN_REGEXES[0]", True),
        ("re:x", "WSORIGIN_ALLOWED_ORIGIN_REGEXES[1]", True),
        ("*", "WSORIGIN_ALLOW_ALL_ORIGINS", False),
        ("https://cors.example", "CORS_ALLOWED_ORIGINS[0]", False),
    ]


@pytest.mark.parametrize("credentials", [True, False])
def test_cors_gives_the_session_only_as_cors_does(credentials: bool) -> None:
    """CORS_ALLOW_CREDENTIALS decides over both protocols."""
    found = rules(
        CORS_ALLOW_CREDENTIALS=credentials,
        CORS_ALLOWED_ORIGINS=["https://cors.example"],
        CORS_ALLOWED_ORIGIN_REGEXES=[r"https://\w\.example$"],
    )

    assert [rule[2] for rule in found] == [credentials, credentials]


def test_cors_under_its_old_names() -> None:
    """The old names are read, and the new ones win, as in django-cors-headers."""
    old = {"CORS_ORIGIN_WHITELIST": ["https://old.example"]}
    both = {**old, "CORS_ALLOWED_ORIGINS": ["https://new.example"]}

    assert rules(**old)[0][1] == "CORS_ORIGIN_WHITELIST[0]"
    assert rules(**both)[0][1] == "CORS_ALLOWED_ORIGINS[0]"
    assert rules(CORS_ORIGIN_REGEX_WHITELIST=["x"])[0][1] == (
        "CORS_ORIGIN_REGEX_WHITELIST[0]"
    )


def test_cors_for_all_and_null_are_not_inherited() -> None:
    """Neither "all origins" nor null nor file: pages come over from CORS."""
    assert rules(CORS_ALLOW_ALL_ORIGINS=True) == []
    assert rules(CORS_ALLOWED_ORIGINS=["null", "file://"]) == []


def test_a_cors_regex_matches_in_full_here() -> None:
    """What leaks over HTTP (re.match) does not leak over WebSockets."""
    with override_settings(CORS_ALLOWED_ORIGIN_REGEXES=[r"https://\w+\.example\.com"]):
        assert decide("https://app.example.com").reason is Reason.REGEX
        assert not decide("https://app.example.com.evil.example")


def test_csrf_wildcards_include_the_apex() -> None:
    """In CSRF_TRUSTED_ORIGINS "*." means what it means to Django."""
    settings: dict[str, Any] = {
        "WSORIGIN_INHERIT": ["csrf"],
        "CSRF_TRUSTED_ORIGINS": ["https://*.example.com:8443", 5],
    }
    with override_settings(**settings):
        assert decide("https://example.com:8443").credentials
        assert decide("https://a.b.example.com:8443").credentials
        assert not decide("https://example.com")
        assert len(collect().problems) == 1


@pytest.mark.parametrize(
    ("secure", "schemes"),
    [
        pytest.param({}, ["https", "http"], id="nothing says https"),
        pytest.param({"SECURE_SSL_REDIRECT": True}, ["https"], id="redirect"),
        pytest.param({"SESSION_COOKIE_SECURE": True}, ["https"], id="cookie"),
    ],
)
def test_hosts_as_origins(secure: dict[str, bool], schemes: list[str]) -> None:
    """ALLOWED_HOSTS are origins on the default port, http only where https isn't known."""
    found = rules(
        WSORIGIN_INHERIT=["hosts"],
        ALLOWED_HOSTS=["app.example.com", ".example.org", "*", "[::1]"],
        **secure,
    )
    expected = [
        f"{scheme}://{host}"
        for host in ("app.example.com", ".example.org", "[::1]")
        for scheme in schemes
    ]

    assert [rule[0] for rule in found] == expected


def test_loopback_only_while_debugging() -> None:
    """Loopback pages on any port are trusted while DEBUG, and then only."""
    with override_settings(DEBUG=True):
        for origin in (
            "http://localhost:5173",
            "https://app.localhost",
            "http://127.0.0.1:3000",
            "http://[::1]:8080",
        ):
            assert decide(origin).reason is Reason.DEBUG_LOOPBACK
            assert decide(origin).credentials
        assert not decide("http://127.0.0.2:3000")
        assert not decide("http://localhost.evil.example")
    with override_settings(DEBUG=False):
        assert not decide("http://localhost:5173")
    with override_settings(DEBUG=True, WSORIGIN_INHERIT=["same-origin"]):
        assert not decide("http://localhost:5173")


def test_unreadable_entries_trust_nobody_and_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A wrong entry makes the policy stricter; the rest of its list counts."""
    entries = ["example.com", "https://good.example", None]
    with (
        override_settings(WSORIGIN_ALLOWED_ORIGINS=entries),
        caplog.at_level(logging.ERROR, "wsorigin"),
    ):
        assert decide("https://good.example")
        assert not decide("https://example.com")
    assert "WSORIGIN_ALLOWED_ORIGINS[0] trusts nobody" in caplog.text
    assert "WSORIGIN_ALLOWED_ORIGINS[2] trusts nobody" in caplog.text


def test_unknown_sources_are_ignored() -> None:
    """A misspelt source adds no trust; a check names it."""
    assert rules(WSORIGIN_INHERIT=["corss"], CORS_ALLOWED_ORIGINS=["https://a.b"]) == []


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        pytest.param({}, None, id="none"),
        pytest.param(
            {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
            (b"x-forwarded-proto", "https"),
            id="as an ASGI header name",
        ),
    ],
)
def test_the_site_as_django_sees_it(settings: Any, header: Any) -> None:
    """Django's own settings say what "this site" is."""
    with override_settings(ALLOWED_HOSTS=["App.Example.com"], **settings):
        site = current_site()

    assert site.allowed_hosts == ("app.example.com",)
    assert site.proxy_ssl_header == header


def test_debug_without_hosts_means_this_machine() -> None:
    """As in Django, DEBUG with empty ALLOWED_HOSTS allows loopback names."""
    with override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        assert current_site().allows("app.localhost")
        assert not current_site().allows("app.example.com")


def test_changes_are_announced_once() -> None:
    """policy_changed carries both fingerprints, and is silent when nothing changed."""
    changes: list[tuple[str, str]] = []

    def receiver(sender: Any, old: str, new: str, **_: Any) -> None:
        assert sender is Policy
        changes.append((old, new))

    before = get_policy().fingerprint
    policy_changed.connect(receiver)
    try:
        with override_settings(WSORIGIN_ALLOWED_ORIGINS=["https://a.example"]):
            during = get_policy().fingerprint
            get_policy()
        with override_settings(LANGUAGE_CODE="de"):
            get_policy()
    finally:
        policy_changed.disconnect(receiver)

    assert changes == [(before, during), (during, before)]


def test_lists_without_wildcards_inherit_none() -> None:
    """A wildcard that matches nothing over HTTP does not match over sockets either."""
    with override_settings(CORS_ALLOWED_ORIGINS=["https://*.a.b", "https://a.b:*"]):
        assert len(collect().problems) == 2
    with override_settings(WSORIGIN_INHERIT=["hosts"], ALLOWED_HOSTS=[5]):
        assert len(collect().problems) == 2  # over http, and over https
