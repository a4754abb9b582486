"""Each system check: what triggers it, what its hint says, and that the hint cures it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest
from channels.consumer import AsyncConsumer
from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from django.core.checks import CheckMessage, run_checks
from django.test import override_settings
from django.urls import path

from tests import applications
from wsorigin.checks import IDS, deployment, finding

# A project without anything to complain about.
QUIET: dict[str, Any] = {
    "ALLOWED_HOSTS": ["app.example.com"],
    "SESSION_COOKIE_SECURE": True,
}


def found(**settings: Any) -> list[CheckMessage]:
    """Run the checks of wsorigin, those for the deployment too."""
    with override_settings(**{**QUIET, **settings}):
        messages = run_checks(include_deployment_checks=True)
    return [m for m in messages if m.id and m.id.startswith("wsorigin.")]


def test_a_plain_project_is_quiet() -> None:
    """Without anything to complain about, nothing is said."""
    assert found() == []


def redis_layer(*hosts: Any) -> dict[str, Any]:
    """Return the setting for channels_redis."""
    backend = "channels_redis.core.RedisChannelLayer"
    return {"default": {"BACKEND": backend, "CONFIG": {"hosts": hosts}}}


CASES = [
    pytest.param(
        "E001",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://ok.example", "example.com"]},
        "WSORIGIN_ALLOWED_ORIGINS[1] is 'example.com': it has no scheme",
        "'https://example.com'",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://ok.example", "https://example.com"]},
        id="no scheme",
    ),
    pytest.param(
        "E001",
        {"WSORIGIN_ALLOWED_ORIGINS": [""]},
        "WSORIGIN_ALLOWED_ORIGINS[0] is '': it is empty",
        "environment variable",
        {"WSORIGIN_ALLOWED_ORIGINS": []},
        id="empty string from an environment variable",
    ),
    pytest.param(
        "E001",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://a.example/chat"]},
        "WSORIGIN_ALLOWED_ORIGINS[0] is 'https://a.example/chat': it has a path",
        "'https://a.example'",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://a.example"]},
        id="path",
    ),
    pytest.param(
        "E001",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://*.github.io"]},
        "WSORIGIN_ALLOWED_ORIGINS[0] is 'https://*.github.io': anybody can have a name",
        "'https://*-yours.github.io'",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://*-yours.github.io"]},
        id="public suffix",
    ),
    pytest.param(
        "E001",
        {"WSORIGIN_ALLOWED_ORIGINS": ["*"]},
        "WSORIGIN_ALLOWED_ORIGINS[0] is '*'",
        "WSORIGIN_ALLOW_ALL_ORIGINS = True",
        {"WSORIGIN_ALLOWED_ORIGINS": []},
        id="star in the list",
    ),
    pytest.param(
        "E001",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": ["https://("]},
        "WSORIGIN_ALLOWED_ORIGIN_REGEXES[0] is 'https://(': it isn't a regular",
        "",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": []},
        id="broken regular expression",
    ),
    pytest.param(
        "E002",
        {"WSORIGIN_ALLOWED_ORIGINS": "https://a.example, https://b.example"},
        "WSORIGIN_ALLOWED_ORIGINS is 'https://a.example, https://b.example', not a list",
        "WSORIGIN_ALLOWED_ORIGINS = ['https://a.example', 'https://b.example']",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://a.example", "https://b.example"]},
        id="string instead of list",
    ),
    pytest.param(
        "E002",
        {"WSORIGIN_INHERIT": None},
        "WSORIGIN_INHERIT is None, not a list",
        "WSORIGIN_INHERIT = []",
        {"WSORIGIN_INHERIT": []},
        id="None instead of list",
    ),
    pytest.param(
        "E002",
        {"WSORIGIN_REPORT_ONLY": "yes"},
        "WSORIGIN_REPORT_ONLY is 'yes', not a bool, and reads as False",
        "WSORIGIN_REPORT_ONLY = True",
        {"WSORIGIN_REPORT_ONLY": True},
        id="string instead of bool",
    ),
    pytest.param(
        "E002",
        {"WSORIGIN_REFRESH_INTERVAL": 0},
        "WSORIGIN_REFRESH_INTERVAL is 0, not a number above zero, and reads as 5",
        "WSORIGIN_REFRESH_INTERVAL = 5",
        {"WSORIGIN_REFRESH_INTERVAL": 0.5},
        id="no interval",
    ),
    pytest.param(
        "E002",
        {"WSORIGIN_TOKENS_MUST_EXPIRE": 0},
        "WSORIGIN_TOKENS_MUST_EXPIRE is 0, not a bool, and reads as True",
        "WSORIGIN_TOKENS_MUST_EXPIRE = False",
        {"WSORIGIN_TOKENS_MUST_EXPIRE": False},
        id="a number that reads as the strict choice",
    ),
    pytest.param(
        "E002",
        {"WSORIGIN_TICKET_MAX_AGE": 3600},
        "WSORIGIN_TICKET_MAX_AGE is 3600, and reads as 120",
        "WSORIGIN_TICKET_MAX_AGE = 30",
        {"WSORIGIN_TICKET_MAX_AGE": 120},
        id="a ticket for an hour",
    ),
    pytest.param(
        "E003",
        {"WSORIGIN_ALLOWED_ORIGIN": []},
        "WSORIGIN_ALLOWED_ORIGIN isn't a setting of wsorigin",
        "WSORIGIN_ALLOWED_ORIGINS",
        {},
        id="unknown name",
    ),
    pytest.param(
        "E004",
        {"WSORIGIN_DENY_WITH": "htp"},
        "WSORIGIN_DENY_WITH is 'htp', which is none of 'http', 'close'",
        "'http'",
        {"WSORIGIN_DENY_WITH": "http"},
        id="unknown choice",
    ),
    pytest.param(
        "E004",
        {"WSORIGIN_MISSING_ORIGIN": "require_token"},
        "WSORIGIN_MISSING_ORIGIN is 'require_token'",
        "'require-token'",
        {"WSORIGIN_MISSING_ORIGIN": "require-token"},
        id="unknown choice for a missing origin",
    ),
    pytest.param(
        "E004",
        {"WSORIGIN_INHERIT": ["same-origin", "corss"]},
        "WSORIGIN_INHERIT[1] is 'corss'",
        "'cors'",
        {"WSORIGIN_INHERIT": ["same-origin", "cors"]},
        id="unknown source",
    ),
    pytest.param(
        "E005",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"https://app.example\.com"]},
        "meant for 'https://app.example.com', and matches 'https://appxexample.com' too",
        r"r'^(?:https://app\.example\.com)$'",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"^(?:https://app\.example\.com)$"]},
        id="unescaped dot",
    ),
    pytest.param(
        "E005",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"https://.*example\.com"]},
        "matches 'https://evil",
        "keep '.*' out of host names",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"https://[a-z]+\.example\.com"]},
        id="prefix",
    ),
    pytest.param(
        "E005",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [re.compile(r".*")]},
        "matches 'https://evil.example' too",
        "keep '.*' out of host names",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": []},
        id="everything",
    ),
    pytest.param(
        "E005",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"(?i)https://app.example\.com"]},
        "matches 'https://appxexample.com' too",
        "Escape each dot",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"(?i)https://app\.example\.com"]},
        id="unescaped dot behind a flag",
    ),
    pytest.param(
        "E006",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"https://([a-z]+)*\.example\.com"]},
        "takes far too long for 'https://aaaa",
        "'[a-z0-9-]+'",
        {"WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"https://[a-z0-9-]+\.example\.com"]},
        id="exponential backtracking",
    ),
    pytest.param(
        "W001",
        {
            "CORS_ALLOWED_ORIGINS": ["https://a.example"],
            "CSRF_TRUSTED_ORIGINS": ["https://*.co.uk"],
            "WSORIGIN_INHERIT": ["same-origin", "cors", "csrf"],
        },
        "CSRF_TRUSTED_ORIGINS[0] is 'https://.co.uk': anybody can have a name",
        "'https://*.yours.co.uk'",
        {
            "CORS_ALLOWED_ORIGINS": ["https://a.example"],
            "CSRF_TRUSTED_ORIGINS": [],
            "WSORIGIN_INHERIT": ["same-origin", "cors", "csrf"],
        },
        id="inherited entry",
    ),
    pytest.param(
        "W001",
        {
            "CORS_ALLOWED_ORIGINS": [
                "https://*.a.example",
                "null",
                "file://",
                "b.example",
            ]
        },
        "CORS_ALLOWED_ORIGINS[0] is 'https://*.a.example': this list knows no such",
        "WSORIGIN_ALLOWED_ORIGINS",
        {"CORS_ALLOWED_ORIGINS": []},
        id="wildcard in a list that knows none",
    ),
    pytest.param(
        "W002",
        {"CORS_ALLOWED_ORIGINS": ["https://A.example:443"]},
        "CORS_ALLOWED_ORIGINS[0] never matches a browser over HTTP",
        "'https://a.example'",
        {"CORS_ALLOWED_ORIGINS": ["https://a.example"]},
        id="CORS entry that never matches",
    ),
    pytest.param(
        "W002",
        {"WSORIGIN_ALLOWED_ORIGINS": ["wss://a.example"]},
        "WSORIGIN_ALLOWED_ORIGINS[0] never matches a browser: the origin is the page's",
        "'https://a.example'",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://a.example"]},
        id="WebSocket scheme",
    ),
    pytest.param(
        "W003",
        {"WSORIGIN_ALLOW_ALL_ORIGINS": True},
        "every website may open WebSockets here",
        "WSORIGIN_ALLOW_ALL_ORIGINS = False",
        {"WSORIGIN_ALLOW_ALL_ORIGINS": False},
        id="all origins",
    ),
    pytest.param(
        "W004",
        {"CORS_ORIGIN_ALLOW_ALL": True},
        "CORS_ORIGIN_ALLOW_ALL is on, which WebSockets never inherit",
        "CORS_ALLOWED_ORIGINS",
        {"CORS_ORIGIN_ALLOW_ALL": False, "CORS_ALLOWED_ORIGINS": ["https://a.example"]},
        id="CORS for all origins",
    ),
    pytest.param(
        "W005",
        {"ALLOWED_HOSTS": ["*"]},
        "ALLOWED_HOSTS has '*'",
        "ALLOWED_HOSTS = ['example.com']",
        {"ALLOWED_HOSTS": ["example.com"]},
        id="any host",
    ),
    pytest.param(
        "W006",
        {"WSORIGIN_ALLOWED_ORIGINS": ["http://a.example"]},
        "WSORIGIN_ALLOWED_ORIGINS[0] trusts pages over plain http",
        "'https://a.example'",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://a.example"]},
        id="plain http",
    ),
    pytest.param(
        "W007",
        {"WSORIGIN_ALLOWED_ORIGINS": ["null"]},
        "WSORIGIN_ALLOWED_ORIGINS[0] is 'null'",
        "Remove it",
        {"WSORIGIN_ALLOWED_ORIGINS": []},
        id="null",
    ),
    pytest.param(
        "W008",
        {"CORS_ALLOWED_ORIGIN_REGEXES": [r"https://\w+\.example\.com"]},
        "matches 'https://a.example.com.evil.example' too over HTTP",
        r"r'https://\w+\.example\.com$'",
        {"CORS_ALLOWED_ORIGIN_REGEXES": [r"https://\w+\.example\.com$"]},
        id="unanchored CORS expression",
    ),
    pytest.param(
        "W009",
        {
            "CORS_ALLOWED_ORIGINS": ["https://a.example"],
            "WSORIGIN_INHERIT": ["same-origin"],
        },
        "https://a.example: CORS lets it read over HTTP, but its sockets are refused",
        "WSORIGIN_INHERIT = [\n    'same-origin',\n    'cors',\n]",
        {
            "CORS_ALLOWED_ORIGINS": ["https://a.example"],
            "WSORIGIN_INHERIT": ["same-origin", "cors"],
        },
        id="lists that disagree",
    ),
    pytest.param(
        "W010",
        {"ASGI_APPLICATION": "tests.applications.validated"},
        "OriginValidator stands before /old/",
        "GuardedAsyncWebsocketConsumer",
        {"ASGI_APPLICATION": "tests.applications.guarded"},
        id="Channels' validator",
    ),
    pytest.param(
        "W011",
        {"ASGI_APPLICATION": "tests.applications.mixed"},
        r"Nothing checks the origin of WebSocket handshakes at /inner/^(?P<room>\w+)/$",
        "from wsorigin.consumers import GuardedAsyncWebsocketConsumer",
        {"ASGI_APPLICATION": "tests.applications.guarded"},
        id="unguarded route",
    ),
    pytest.param(
        "W012",
        {"SESSION_COOKIE_SAMESITE": "None"},
        "SESSION_COOKIE_SAMESITE lets every website send the session along",
        "SESSION_COOKIE_SAMESITE = 'Lax'",
        {"SESSION_COOKIE_SAMESITE": "Lax"},
        id="SameSite=None",
    ),
    pytest.param(
        "W013",
        {
            "CHANNEL_LAYERS": {
                "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
            }
        },
        "CHANNEL_LAYERS['default'] is in memory",
        "'channels_redis.core.RedisChannelLayer'",
        {
            "CHANNEL_LAYERS": {
                "default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}
            }
        },
        id="channel layer in memory",
    ),
    pytest.param(
        "W016",
        {"CHANNEL_LAYERS": redis_layer("redis://localhost:6379")},
        "CHANNEL_LAYERS['default'] gives up on Redis after five seconds",
        "'socket_timeout': None",
        {
            "CHANNEL_LAYERS": redis_layer(
                {"address": "redis://localhost:6379", "socket_timeout": None}
            )
        },
        id="an impatient channel layer",
    ),
    pytest.param(
        "W013",
        {"SESSION_ENGINE": "django.contrib.sessions.backends.cache"},
        "Sessions live in CACHES['default'], which is in memory",
        "SESSION_ENGINE = 'django.contrib.sessions.backends.db'",
        {"SESSION_ENGINE": "django.contrib.sessions.backends.db"},
        id="sessions in memory",
    ),
    pytest.param(
        "W017",
        {"WSORIGIN_REPORT_ONLY": True},
        "WSORIGIN_REPORT_ONLY is on",
        "WSORIGIN_REPORT_ONLY = False",
        {"WSORIGIN_REPORT_ONLY": False},
        id="report-only",
    ),
    pytest.param(
        "W014",
        {"SESSION_COOKIE_SECURE": False},
        "Nothing says that this site is served over https",
        "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')",
        {
            "SESSION_COOKIE_SECURE": False,
            "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
        },
        id="nothing says https",
    ),
    pytest.param(
        "W015",
        {"SECURE_CSP": {"default-src": ["'self'"], "connect-src": ["https:"]}},
        "SECURE_CSP['connect-src'] allows connections to https:",
        "\"'self'\"",
        {"SECURE_CSP": {"connect-src": ["https:", "'self'"]}},
        id="CSP of Django 6",
    ),
    pytest.param(
        "W015",
        {"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"default-src": "'none'"}}},
        "CONTENT_SECURITY_POLICY['default-src'] allows connections to 'none'",
        "\"'self'\"",
        {
            "CONTENT_SECURITY_POLICY": {
                "DIRECTIVES": {"connect-src": ["wss://app.example.com"]}
            },
            "SECURE_CSP": {"img-src": ["'none'"]},
        },
        id="django-csp",
    ),
    pytest.param(
        "I001",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://A.example:443/"]},
        "the trailing slash removed, upper case lowered, the default port removed",
        "'https://a.example'",
        {"WSORIGIN_ALLOWED_ORIGINS": ["https://a.example"]},
        id="normalised",
    ),
]


@pytest.mark.parametrize(("number", "trigger", "message", "hint", "cure"), CASES)
def test_finds_and_cures(
    number: str, trigger: Any, message: str, hint: str, cure: Any
) -> None:
    """The trigger gives the finding, with a hint; following the hint ends it."""
    hits = [m for m in found(**trigger) if m.id == f"wsorigin.{number}"]

    assert hits
    assert any(message in m.msg for m in hits), hits
    assert any(hint in (m.hint or "") for m in hits), hits
    assert [m for m in found(**cure) if m.id == f"wsorigin.{number}"] == []


def test_an_old_daphne_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Daphne below 4.2.2 lets clients smuggle an Origin header (CVE-2026-44546)."""
    monkeypatch.setattr(deployment, "version", lambda name: "4.2.1")
    (message,) = found()

    assert message.id == "wsorigin.E007"
    assert message.hint == "pip install 'daphne>=4.2.2'"


@pytest.mark.parametrize("redis", ["7.1.0", None])
def test_other_clients_of_redis_are_patient(
    redis: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before redis-py 8 there was no time-out; without it there is no such layer."""

    def version(name: str) -> str:
        if redis is None:
            raise PackageNotFoundError
        return redis

    monkeypatch.setattr(deployment, "version", version)
    layers = redis_layer("redis://localhost:6379")
    with override_settings(CHANNEL_LAYERS=layers):
        assert list(deployment._check_idle_redis(layers["default"])) == []


def test_no_daphne_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other servers are as good."""

    def missing(name: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(deployment, "version", missing)

    assert found() == []


def test_each_id_is_known_and_triggered() -> None:
    """No id is used twice, unknown, or without a test that triggers it."""
    tested = {case.values[0] for case in CASES} | {"E007"}

    assert tested == set(IDS)
    with pytest.raises(KeyError):
        finding("E999", "no such thing")


def test_unguarded_routes_are_named_with_their_remedies() -> None:
    """Each route is looked at, through routers, middleware and closures."""
    messages = found(ASGI_APPLICATION="tests.applications.mixed")
    text = "\n".join(f"{m.msg} {m.hint}" for m in messages)

    assert len(messages) == 3
    assert "/sync/ (BareSync)" in text
    assert "GuardedJsonWebsocketConsumer" in text
    assert "/opaque/ (opaque)" in text
    assert "OriginGuard(opaque)" in text


@pytest.mark.parametrize(
    ("hosts", "validator", "name"),
    [
        pytest.param(
            ["app.example"],
            AllowedHostsOriginValidator,
            "AllowedHostsOriginValidator",
            id="by hosts",
        ),
        pytest.param(
            [],
            AllowedHostsOriginValidator,
            "AllowedHostsOriginValidator",
            id="by no hosts, in DEBUG",
        ),
        pytest.param(
            ["app.example"],
            partial(OriginValidator, allowed_origins=["https://a.example"]),
            "OriginValidator",
            id="by a list",
        ),
    ],
)
def test_a_validator_is_called_what_the_project_calls_it(
    hosts: list[str],
    validator: Callable[[Any], Any],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody looks for that name, to remove it."""
    with override_settings(ALLOWED_HOSTS=hosts, DEBUG=True):
        application = URLRouter([path("", validator(applications.Bare.as_asgi()))])
        monkeypatch.setattr(applications, "validated", application)
    [message] = found(
        ASGI_APPLICATION="tests.applications.validated", ALLOWED_HOSTS=hosts, DEBUG=True
    )

    assert message.msg.startswith(f"Channels' {name} stands before /:")
    assert (message.hint or "").startswith(f"Remove {name}.")


@pytest.mark.parametrize(
    ("source", "hosts", "is_covered"),
    [
        pytest.param("wss://*.example.com", ["app.example.com"], True, id="below it"),
        pytest.param("*.example.com", [".example.com"], True, id="a dot"),
        pytest.param("wss://*.example.com", ["example.com"], False, id="the apex"),
        pytest.param("wss://*.example.com", ["example.org"], False, id="another"),
        pytest.param("wss://example.com", [".example.com"], True, id="the apex alone"),
    ],
)
def test_a_wildcard_in_a_policy_covers_what_it_covers_in_browsers(
    source: str, hosts: list[str], is_covered: bool
) -> None:
    """Subdomains, and not the apex (CSP 3, "host-part matches")."""
    policy = {"connect-src": [source]}
    ids = [m.id for m in found(SECURE_CSP=policy, ALLOWED_HOSTS=hosts)]

    assert ids == ([] if is_covered else ["wsorigin.W015"])


def test_a_consumer_without_a_twin_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrapped is the application, as it stands in the route."""

    class Raw(AsyncConsumer):
        """Speaks ASGI itself."""

    application = URLRouter([path("", Raw.as_asgi())])
    monkeypatch.setattr(applications, "mixed", application)
    [message] = found(ASGI_APPLICATION="tests.applications.mixed")

    assert "Raw.as_asgi()) from wsorigin.guard" in (message.hint or "")


def test_a_validator_beside_the_guard_is_superfluous() -> None:
    """Beside a guard, Channels' validator only adds a second list."""
    hints = [
        m.hint
        for m in found(ASGI_APPLICATION="tests.applications.validated")
        if "/both/" in m.msg
    ]

    assert hints == ["Remove OriginValidator."]


def test_an_application_without_websockets_has_no_routes() -> None:
    """Django's own handler speaks no WebSocket."""
    assert found(ASGI_APPLICATION="tests.applications.only_http") == []
