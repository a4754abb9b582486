"""
The site itself: which hosts are its own, and how its proxies are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.http.request import split_domain_port, validate_host
from django.test import override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from wsorigin.handshake import Handshake
from wsorigin.origins import Origin
from wsorigin.site import Relation, Site
from wsorigin.sources import current_site

XFP = (b"x-forwarded-proto", "https")
OWN = ("example.com", ".example.org", "[::1]", "127.0.0.1")


@pytest.mark.parametrize(
    ("origin", "host", "relation"),
    [
        pytest.param("https://example.com", "example.com", Relation.SAME, id="same"),
        pytest.param("http://example.com", "example.com", Relation.SAME, id="http"),
        pytest.param(
            "https://example.com", "EXAMPLE.com", Relation.SAME, id="upper-case host"
        ),
        pytest.param(
            "https://example.com", "example.com:443", Relation.SAME, id="default port"
        ),
        pytest.param(
            "http://example.com",
            "example.com:80",
            Relation.SAME,
            id="http default port",
        ),
        pytest.param(
            "https://example.com:8443", "example.com:8443", Relation.SAME, id="port"
        ),
        pytest.param(
            "https://example.com:8443",
            "example.com",
            None,
            id="the page's port is not the socket's",
        ),
        pytest.param(
            "https://example.com",
            "example.com:8443",
            None,
            id="the socket's port is not the page's",
        ),
        pytest.param(
            "https://example.com",
            "example.com:80",
            None,
            id="the other scheme's default port",
        ),
        pytest.param(
            "https://www.example.org",
            "www.example.org",
            Relation.SAME,
            id="below a dot",
        ),
        pytest.param("https://evil.example", "example.com", None, id="another host"),
        pytest.param(
            "https://app.example.com",
            "example.com",
            None,
            id="lessons 28: a subdomain is another origin",
        ),
        pytest.param(
            "https://example.com",
            "app.example.com",
            None,
            id="lessons 28: and so is the apex",
        ),
        pytest.param(
            "https://rebind.evil.example",
            "rebind.evil.example",
            Relation.FOREIGN_HOST,
            id="lessons 32: DNS rebinding",
        ),
        pytest.param(
            "http://10.0.0.1",
            "10.0.0.1",
            Relation.FOREIGN_HOST,
            id="lessons 13: an address is a host like others",
        ),
        pytest.param("http://[::1]", "[::1]", Relation.SAME, id="IPv6"),
        pytest.param("http://[::1]:8000", "[::1]:8000", Relation.SAME, id="IPv6, port"),
        pytest.param("http://127.0.0.1", "127.0.0.1", Relation.SAME, id="IPv4"),
        pytest.param("http://127.0.0.1", "localhost", None, id="the same machine"),
        pytest.param(
            "https://example.com.",
            "example.com.",
            Relation.SAME,
            id="trailing dot on both, as browsers send it",
        ),
        pytest.param("https://example.com.", "example.com", None, id="dot on one"),
        pytest.param(
            "https://my_app.example.org",
            "my_app.example.org",
            Relation.FOREIGN_HOST,
            id="underscore, which Django refuses",
        ),
        pytest.param(
            "capacitor://example.com",
            "example.com",
            None,
            id="another scheme is never the site",
        ),
        pytest.param("https://example.com", None, None, id="no Host"),
        pytest.param("https://example.com", "", None, id="empty Host"),
        pytest.param(
            "https://example.com",
            "example.com,evil.example",
            None,
            id="two Hosts",
        ),
        pytest.param("https://example.com", "example.com:", None, id="empty port"),
        pytest.param("https://example.com", "example.com:0", None, id="port 0"),
        pytest.param(
            "https://example.com",
            "example.com:" + "4" * 5000,
            None,
            id="a port that int() refuses",
        ),
        pytest.param(
            "https://example.com",
            "user@example.com",
            None,
            id="user info",
        ),
        pytest.param("https://example.com", "example.com\xb2", None, id="a byte"),
    ],
)
def test_compares_origin_and_host(
    origin: str,
    host: str | None,
    relation: Relation,
    handshake: Callable[..., Handshake],
) -> None:
    """Same origin: equal host, equal port, and a host that is ours."""
    site = Site(allowed_hosts=OWN)

    assert site.relation(Origin.parse(origin), handshake(origin, host)) is relation


@pytest.mark.parametrize(
    ("site", "scheme", "headers", "secure"),
    [
        pytest.param({}, None, {}, False, id="nothing known, as on Daphne"),
        pytest.param({}, "ws", {}, False, id="ws"),
        pytest.param({}, "wss", {}, True, id="wss means https"),
        pytest.param({}, "https", {}, True, id="https, over HTTP/2"),
        pytest.param(
            {}, "ws", {"x_forwarded_proto": "https"}, False, id="untrusted header"
        ),
        pytest.param(
            {}, "wss", {"x_forwarded_proto": "http"}, True, id="untrusted http header"
        ),
        pytest.param(
            {"proxy_ssl_header": XFP},
            "ws",
            {"x_forwarded_proto": "https"},
            True,
            id="TLS at a proxy that says so",
        ),
        pytest.param(
            {"proxy_ssl_header": XFP},
            None,
            {"x_forwarded_proto": "http"},
            False,
            id="a proxy that says http",
        ),
        pytest.param(
            {"proxy_ssl_header": XFP},
            "wss",
            {"x_forwarded_proto": "http"},
            False,
            id="the trusted header wins over the scope",
        ),
        pytest.param(
            {"proxy_ssl_header": XFP}, "wss", {}, True, id="no header, as without it"
        ),
        pytest.param(
            {"proxy_ssl_header": XFP}, "ws", {}, False, id="no header and plain"
        ),
        pytest.param(
            {"proxy_ssl_header": XFP},
            "ws",
            {"x_forwarded_proto": "https, http"},
            True,
            id="the first of several, as Django",
        ),
        pytest.param(
            {"proxy_ssl_header": XFP},
            "ws",
            {"x_forwarded_proto": "http,https"},
            False,
            id="not the second",
        ),
        pytest.param(
            {"proxy_ssl_header": XFP},
            "ws",
            {"x_forwarded_proto": "wss"},
            True,
            id="Traefik's wss",
        ),
        pytest.param(
            {"proxy_ssl_header": (b"x-tls", "on")},
            "ws",
            {"x_tls": "wss"},
            False,
            id="wss where another word means https",
        ),
        pytest.param(
            {"proxy_ssl_header": (b"x-tls", "on")},
            "ws",
            {"x_tls": "on"},
            True,
            id="another header, another word",
        ),
        pytest.param({"https_only": True}, "ws", {}, True, id="https only"),
        pytest.param(
            {"https_only": True, "proxy_ssl_header": XFP},
            "ws",
            {"x_forwarded_proto": "http"},
            True,
            id="https only, whatever a proxy says",
        ),
    ],
)
def test_refuses_http_where_the_request_is_known_to_be_https(
    site: dict[str, Any],
    scheme: str | None,
    headers: dict[str, str],
    secure: bool,
    handshake: Callable[..., Handshake],
) -> None:
    """The scheme counts only against http: an https origin is never refused for it."""
    compared = Site(allowed_hosts=OWN, **site)
    plain = handshake("http://example.com", "example.com", scheme=scheme, **headers)
    tls = handshake("https://example.com", "example.com", scheme=scheme, **headers)

    assert compared.is_https(plain) is secure
    assert compared.relation(Origin("http", "example.com"), plain) is (
        Relation.INSECURE if secure else Relation.SAME
    )
    assert compared.relation(Origin("https", "example.com"), tls) is Relation.SAME


@pytest.mark.parametrize(
    ("site", "host", "headers", "relation"),
    [
        pytest.param(
            {},
            "internal",
            {"x_forwarded_host": "example.com"},
            None,
            id="a spoofed host, not trusted",
        ),
        pytest.param(
            {"use_forwarded_host": True},
            "internal",
            {"x_forwarded_host": "example.com"},
            Relation.SAME,
            id="a proxy's host, trusted",
        ),
        pytest.param(
            {"use_forwarded_host": True},
            "example.com",
            {"x_forwarded_host": "internal"},
            None,
            id="the trusted header alone counts",
        ),
        pytest.param(
            {"use_forwarded_host": True},
            "example.com",
            {},
            Relation.SAME,
            id="no header, as without it",
        ),
        pytest.param(
            {"use_forwarded_host": True},
            "internal",
            {"x_forwarded_host": "example.com, internal"},
            None,
            id="lessons 45: no reading of lists, from neither end",
        ),
        pytest.param(
            {},
            "example.com:8000",
            {"x_forwarded_port": "443"},
            None,
            id="a spoofed port, not trusted",
        ),
        pytest.param(
            {"use_forwarded_port": True},
            "example.com:8000",
            {"x_forwarded_port": "443"},
            Relation.SAME,
            id="a proxy's port, trusted",
        ),
        pytest.param(
            {"use_forwarded_port": True},
            "example.com",
            {"x_forwarded_port": "8443"},
            None,
            id="another port",
        ),
        pytest.param(
            {"use_forwarded_port": True}, "example.com", {}, Relation.SAME, id="no port"
        ),
        pytest.param(
            {"use_forwarded_port": True},
            "example.com",
            {"x_forwarded_port": "443, 443"},
            None,
            id="a list of ports",
        ),
        pytest.param(
            {"use_forwarded_port": True},
            "example.com",
            {"x_forwarded_port": "\xb2"},
            None,
            id="a digit that is none",
        ),
        pytest.param(
            {"use_forwarded_host": True, "use_forwarded_port": True},
            "internal:8000",
            {"x_forwarded_host": "example.com", "x_forwarded_port": "443"},
            Relation.SAME,
            id="both",
        ),
    ],
)
def test_honours_forwarded_headers_only_where_django_does(
    site: dict[str, bool],
    host: str,
    headers: dict[str, str],
    relation: Relation,
    handshake: Callable[..., Handshake],
) -> None:
    """``USE_X_FORWARDED_HOST`` and ``USE_X_FORWARDED_PORT``, both off by default."""
    compared = Site(allowed_hosts=OWN, **site)
    seen = handshake("https://example.com", host, **headers)

    assert compared.relation(Origin("https", "example.com"), seen) is relation


hosts = st.from_regex(
    r"(\.?[ab._-]{1,3}){1,3}\.?(:80)?|\[::[1a]\](:1)?", fullmatch=True
)
allowed = st.one_of(
    st.just("*"),
    st.just(""),
    st.from_regex(r"\.?[ab._-]{0,3}(\.[ab]){0,2}", fullmatch=True),
)


@given(hosts, st.lists(allowed, max_size=4))
@example("example.com", [".example.com"])
@example("a.example.com:8000", [".example.com"])
@example("notexample.com", [".example.com"])
@example("example.com.", ["example.com"])
@example("example.com..", [".", "example.com."])
@example("my_app.example.com", ["*"])
@example(".", ["*"])
@example(".", ["."])
def test_allows_the_hosts_that_django_allows(host: str, allowed: list[str]) -> None:
    """The same answer as Django's ``get_host()`` for any host and list."""
    domain, _ = split_domain_port(host)
    name = host.removesuffix(":80").removesuffix(":1").removesuffix(":8000")

    assert Site(allowed_hosts=tuple(allowed)).allows(name) is (
        bool(domain) and validate_host(domain, allowed)
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {"ALLOWED_HOSTS": ["Example.com", ".Example.org"]},
            Site(allowed_hosts=(".example.org", "example.com")),
            id="hosts in lower case",
        ),
        pytest.param({"ALLOWED_HOSTS": []}, Site(), id="no hosts"),
        pytest.param({"ALLOWED_HOSTS": "example.com"}, Site(), id="a string is none"),
        pytest.param(
            {"ALLOWED_HOSTS": [], "DEBUG": True},
            Site(allowed_hosts=(".localhost", "127.0.0.1", "[::1]")),
            id="Django's own in DEBUG",
        ),
        pytest.param(
            {"ALLOWED_HOSTS": ["example.com"], "DEBUG": True},
            Site(allowed_hosts=("example.com",)),
            id="the list in DEBUG",
        ),
        pytest.param(
            {"ALLOWED_HOSTS": [], "SECURE_SSL_REDIRECT": True},
            Site(https_only=True),
            id="SECURE_SSL_REDIRECT",
        ),
        pytest.param(
            {"ALLOWED_HOSTS": [], "SESSION_COOKIE_SECURE": True},
            Site(https_only=True),
            id="SESSION_COOKIE_SECURE",
        ),
        pytest.param(
            {
                "ALLOWED_HOSTS": [],
                "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
            },
            Site(proxy_ssl_header=XFP),
            id="SECURE_PROXY_SSL_HEADER",
        ),
        pytest.param(
            {"ALLOWED_HOSTS": [], "SECURE_PROXY_SSL_HEADER": ()},
            Site(),
            id="an empty SECURE_PROXY_SSL_HEADER is none, as in Django",
        ),
        pytest.param(
            {"ALLOWED_HOSTS": [], "SECURE_PROXY_SSL_HEADER": ""},
            Site(),
            id="so is an empty string",
        ),
        pytest.param(
            {
                "ALLOWED_HOSTS": [],
                "USE_X_FORWARDED_HOST": True,
                "USE_X_FORWARDED_PORT": True,
            },
            Site(use_forwarded_host=True, use_forwarded_port=True),
            id="forwarded headers",
        ),
    ],
)
def test_is_made_from_django_s_settings(
    settings: dict[str, Any], expected: Site
) -> None:
    """Nothing about the site is configured twice."""
    with override_settings(**settings):
        assert current_site() == expected


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((), id="empty"),
        pytest.param("", id="empty string"),
        pytest.param(("HTTP_X_FORWARDED_PROTO",), id="one value"),
        pytest.param(("HTTP_X_FORWARDED_PROTO", "https", "x"), id="three values"),
        pytest.param("HTTP_X_FORWARDED_PROTO", id="a string"),
        pytest.param(("HTTP_X_FORWARDED_PROTO", None), id="no word"),
        pytest.param((None, "https"), id="no name"),
        pytest.param(True, id="true"),
    ],
)
def test_compares_whatever_the_proxy_setting_holds(
    header: object, handshake: Callable[..., Handshake]
) -> None:
    """No configuration makes the guard raise."""
    seen = handshake("http://example.com", "example.com", x_forwarded_proto="http")
    with override_settings(
        ALLOWED_HOSTS=["example.com"], SECURE_PROXY_SSL_HEADER=header
    ):
        relation = current_site().relation(Origin("http", "example.com"), seen)

    assert relation in Relation
