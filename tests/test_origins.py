"""
Origins and patterns: what is read, what is refused, and what is said about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from ipaddress import IPv6Address
from typing import TypeVar

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from wsorigin.origins import InvalidOrigin, Origin, is_loopback
from wsorigin.patterns import (
    ALL_ORIGINS,
    OriginPattern,
    PatternKind,
    is_extension_id,
    normalisations,
)

UUID = "3c078156-979c-498b-8990-85f7987dd929"

# Text that is nearly an origin: the pieces of origins, in any order.
PIECES = """
    https http :// : // app example com xn-- null . - _ * *. 443 0 65536 [::1] [ ]
    127.0.0.1 / ? # @ %41 \\ , ; A ü ß \u212a \u017f 。 \uff0f \uff1a \ud800
"""
pieces = st.lists(
    st.sampled_from([*PIECES.split(), " ", "\t", "\n", "\x00"]), max_size=9
).map("".join)
texts = st.one_of(st.text(max_size=40), pieces, pieces.map("https://{}".format))

labels = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
ports = st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format))

T = TypeVar("T")


def outcome(parse: Callable[[str], T], text: str) -> T | InvalidOrigin:
    """Return what was read, or the one exception that reading may raise."""
    try:
        return parse(text)
    except InvalidOrigin as exc:
        return exc


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        pytest.param(
            "web+com.example.app-2://localhost",
            Origin("web+com.example.app-2", "localhost"),
            id="every character of a scheme",
        ),
        pytest.param(
            f"{'s' * 236}://{'a' * 61}",
            Origin("s" * 236, "a" * 61),
            id="300 characters",
        ),
        pytest.param(
            f"https://{'a' * 63}.example",
            Origin("https", f"{'a' * 63}.example"),
            id="63 characters of label",
        ),
        pytest.param(
            "https://app.example.com",
            Origin("https", "app.example.com"),
            id="no port",
        ),
        pytest.param(
            "https://app.example.com:8443",
            Origin("https", "app.example.com", 8443),
            id="port",
        ),
        pytest.param(
            "https://app.example.com:443",
            Origin("https", "app.example.com"),
            id="default port of https",
        ),
        pytest.param(
            "http://app.example.com:80",
            Origin("http", "app.example.com"),
            id="default port of http",
        ),
        pytest.param(
            "http://app.example.com:443",
            Origin("http", "app.example.com", 443),
            id="another scheme's default port",
        ),
        pytest.param(
            "HTTPS://App.EXAMPLE.com",
            Origin("https", "app.example.com"),
            id="upper case",
        ),
        pytest.param(
            "https://app.example.com.",
            Origin("https", "app.example.com."),
            id="trailing dot, another host",
        ),
        pytest.param(
            "https://my_app.example.com",
            Origin("https", "my_app.example.com"),
            id="underscore, which browsers keep",
        ),
        pytest.param(
            "https://xn--mnchen-3ya.example",
            Origin("https", "xn--mnchen-3ya.example"),
            id="A-label",
        ),
        pytest.param(
            "http://127.0.0.1:8000",
            Origin("http", "127.0.0.1", 8000),
            id="IPv4",
        ),
        pytest.param("http://[::1]", Origin("http", "[::1]"), id="IPv6"),
        pytest.param(
            "http://[2001:DB8::1]:8000",
            Origin("http", "[2001:db8::1]", 8000),
            id="IPv6 with letters and port",
        ),
        pytest.param(
            "http://[::ffff:7f00:1]",
            Origin("http", "[::ffff:7f00:1]"),
            id="IPv4-mapped, in hexadecimal as browsers write it",
        ),
        pytest.param(
            "capacitor://localhost", Origin("capacitor", "localhost"), id="Capacitor"
        ),
        pytest.param(
            "app://obsidian.md:80",
            Origin("app", "obsidian.md", 80),
            id="a scheme without default port",
        ),
        pytest.param(
            f"moz-extension://{UUID}",
            Origin("moz-extension", UUID),
            id="Firefox extension",
        ),
        pytest.param(
            "vscode-webview://1234", Origin("vscode-webview", "1234"), id="number"
        ),
        pytest.param(
            "https://" + ".".join(["a" * 49] * 5 + ["abc"]),
            Origin("https", ".".join(["a" * 49] * 5 + ["abc"])),
            id="253 characters of host",
        ),
        pytest.param(
            "https://" + ".".join(["a" * 49] * 5 + ["abc."]),
            Origin("https", ".".join(["a" * 49] * 5 + ["abc."])),
            id="253 characters of host and the root's dot",
        ),
    ],
)
def test_reads_what_browsers_send(value: str, origin: Origin) -> None:
    """A serialized origin becomes scheme, host and port (RFC 6454, section 6.2)."""
    assert Origin.parse(value) == origin


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param("", "it is empty", id="empty"),
        pytest.param("null", "it has no scheme", id="null is no tuple origin"),
        pytest.param("app.example.com", "it has no scheme", id="host alone"),
        pytest.param("https://", "it has no host", id="scheme alone"),
        pytest.param("https://:443", "it has no host", id="port alone"),
        pytest.param("https://a.example/", "it has a path", id="slash"),
        pytest.param("https://a.example?x", "it has a query", id="query"),
        pytest.param("https://a.example#x", "it has a fragment", id="fragment"),
        pytest.param("https://u@a.example", "it has user info", id="user info"),
        pytest.param("https://a%2e", "it has a percent sign", id="percent sign"),
        pytest.param("https://a.example\\", "it has a backslash", id="backslash"),
        pytest.param(
            "https://a.example ", "it has a space or a control character", id="space"
        ),
        pytest.param(
            "https://a\x00b", "it has a space or a control character", id="NUL"
        ),
        pytest.param(
            "https://a.example\n",
            "it has a space or a control character",
            id="line feed, which $ would let pass",
        ),
        pytest.param(
            "https://bücher.example",
            "it has a character outside ASCII",
            id="U-label",
        ),
        pytest.param(
            "https://\u212a.example",
            "it has a character outside ASCII",
            id="lessons 15: KELVIN SIGN, which lower() turns into k",
        ),
        pytest.param(
            "https://fa\xdf.example",
            "it has a character outside ASCII",
            id="lessons 16: sharp s, which casefold() turns into ss",
        ),
        pytest.param(
            "https://a.example:0443", "its port has a leading zero", id="leading zero"
        ),
        pytest.param("https://a.example:", "its port isn't one", id="empty port"),
        pytest.param("https://a.example:abc", "its port isn't one", id="letters"),
        pytest.param(
            "https://a.example:65536", "port 65536 is above 65535", id="65536"
        ),
        pytest.param(
            "https://a..example", "its host has an empty label", id="empty label"
        ),
        pytest.param(
            "https://.a.example", "its host has an empty label", id="leading dot"
        ),
        pytest.param("https://a!b", "its host isn't one", id="other character"),
        pytest.param(
            "http://[1::2::3]", "its IPv6 address isn't one", id="broken IPv6"
        ),
        pytest.param(
            "http://[0:0:0:0:0:0:0:1]",
            "its IPv6 address isn't in canonical form",
            id="uncompressed IPv6",
        ),
        pytest.param(
            "http://[::ffff:127.0.0.1]",
            "its IPv6 address isn't in canonical form",
            id="IPv6 with an IPv4 address, which browsers write in hexadecimal",
        ),
        pytest.param(
            "http://127.1",
            "its host ends in a number but isn't an IPv4 address",
            id="short IPv4",
        ),
        pytest.param(
            "http://127.9",
            "its host ends in a number but isn't an IPv4 address",
            id="short IPv4, nine",
        ),
        pytest.param(
            "http://127.1.",
            "its host ends in a number but isn't an IPv4 address",
            id="short IPv4, root's dot",
        ),
        pytest.param(
            "http://127.0.0.01",
            "its host ends in a number but isn't an IPv4 address",
            id="octal IPv4",
        ),
        pytest.param(
            "http://256.0.0.1",
            "its host ends in a number but isn't an IPv4 address",
            id="IPv4 above 255",
        ),
        pytest.param(
            "http://0xff",
            "its host ends in a number but isn't an IPv4 address",
            id="hexadecimal IPv4",
        ),
        pytest.param(
            "http://app.0x",
            "its host ends in a number but isn't an IPv4 address",
            id="hexadecimal nothing, which is zero",
        ),
        pytest.param(
            "http://app.0xf.",
            "its host ends in a number but isn't an IPv4 address",
            id="hexadecimal, root's dot",
        ),
        pytest.param(
            "https://" + ".".join(["a" * 49] * 5 + ["abcd"]),
            "its host is longer than 253 characters",
            id="254 characters of host",
        ),
        pytest.param(
            "https://" + ".".join(["a" * 49] * 5 + ["abcd."]),
            "its host is longer than 253 characters",
            id="254 characters of host and the root's dot",
        ),
        pytest.param(
            "https://" + "a" * 300, "it is longer than 300 characters", id="too long"
        ),
    ],
)
def test_refuses_what_no_browser_sends_and_says_why(value: str, problem: str) -> None:
    """Each refusal names what is wrong with the header."""
    with pytest.raises(InvalidOrigin) as caught:
        Origin.parse(value)

    assert caught.value.value == value
    assert caught.value.problem == problem


@given(texts)
@example("https://\ud800")
@example("https://app.example.com:443")
def test_reading_a_header_raises_nothing_but_invalid_origin(value: str) -> None:
    """
    Parsing any text gives a fixed point or InvalidOrigin.

    What parses serialises to the value itself, but for letter case and a default
    port; and the serialisation parses to the same origin.
    """
    origin = outcome(Origin.parse, value)
    if isinstance(origin, InvalidOrigin):
        assert origin.problem
        assert str(origin).isprintable()
        return

    assert re.fullmatch(
        re.escape(str(origin)) + r"(:80|:443)?", value, re.IGNORECASE | re.ASCII
    )
    assert Origin.parse(str(origin)) == origin


@given(st.binary(max_size=40))
@example(b"https://app.example.com\xff")
@example(b"https://app.example.com")
def test_reads_any_bytes_of_a_header(value: bytes) -> None:
    """Header bytes, which ASGI passes as they came, raise InvalidOrigin at most."""
    origin = outcome(Origin.parse, value.decode("latin-1"))

    assert isinstance(origin, InvalidOrigin) or Origin.parse(str(origin)) == origin


@given(st.sampled_from(["http", "https", "app"]), names, ports)
@example("https", "127.1", "")
@example("https", "example.com", ":443")
def test_serialises_what_it_read(scheme: str, host: str, port: str) -> None:
    """Reading and writing are inverse on serialized origins."""
    value = f"{scheme}://{host}{port}"
    origin = outcome(Origin.parse, value)
    if isinstance(origin, InvalidOrigin):
        assert "IPv4" in origin.problem
        return

    default = {"http": ":80", "https": ":443"}.get(scheme, ":")
    assert str(origin) == value.removesuffix(default)
    assert Origin.parse(str(origin)) == origin


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
@example(IPv6Address("::"))
@example(IPv6Address("1:0:0:2::3"))
def test_writes_ipv6_as_rfc_5952(address: IPv6Address) -> None:
    """The spelling of an IPv6 address is the browsers' (WHATWG URL, RFC 5952)."""
    # Python 3.13 writes these with dots, browsers in hexadecimal.
    assume(address.ipv4_mapped is None)

    assert str(Origin.parse(f"http://[{address}]")) == f"http://[{address}]"


@given(st.integers(0, 2**112 - 1).map(IPv6Address))
def test_refuses_other_spellings_of_ipv6(address: IPv6Address) -> None:
    """Leading zeros are not a browser's, whatever the address."""
    with pytest.raises(InvalidOrigin, match="canonical"):
        Origin.parse(f"http://[{address.exploded}]")


@pytest.mark.parametrize(
    ("origin", "port"),
    [
        pytest.param(Origin("https", "a.example"), 443, id="https"),
        pytest.param(Origin("http", "a.example"), 80, id="http"),
        pytest.param(Origin("wss", "a.example"), 443, id="wss"),
        pytest.param(Origin("ws", "a.example"), 80, id="ws"),
        pytest.param(Origin("https", "a.example", 8443), 8443, id="its own"),
        pytest.param(Origin("tauri", "localhost"), None, id="no default"),
    ],
)
def test_knows_the_port_of_a_connection(origin: Origin, port: int | None) -> None:
    """The default port belongs to the scheme."""
    assert origin.effective_port == port


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("localhost", True, id="localhost"),
        pytest.param("app.localhost", True, id="below localhost"),
        pytest.param("127.0.0.1", True, id="IPv4"),
        pytest.param("[::1]", True, id="IPv6"),
        pytest.param("notlocalhost", False, id="ends alike"),
        pytest.param("localhost.evil.example", False, id="begins alike"),
        pytest.param("127.0.0.2", False, id="another loopback address"),
    ],
)
def test_knows_loopback_names(host: str, expected: bool) -> None:
    """Only names that cannot be anybody else's are loopback."""
    assert is_loopback(host) is expected


def test_origins_are_compared_by_their_parts() -> None:
    """Equal origins are interchangeable as keys."""
    origin = Origin("https", "a.example", 8443)

    assert {origin} == {Origin.parse("HTTPS://A.example:8443")}
    assert origin != Origin("https", "a.example")


@pytest.mark.parametrize(
    ("text", "canonical", "kind"),
    [
        pytest.param(
            "https://app.example.com",
            "https://app.example.com",
            PatternKind.EXACT,
            id="exact",
        ),
        pytest.param(
            "https://app.example.com:8443",
            "https://app.example.com:8443",
            PatternKind.EXACT,
            id="port",
        ),
        pytest.param(
            "https://app.example.com:*",
            "https://app.example.com:*",
            PatternKind.EXACT,
            id="any port",
        ),
        pytest.param(
            "https://*.example.com",
            "https://*.example.com",
            PatternKind.SUBDOMAINS,
            id="subdomains",
        ),
        pytest.param(
            "https://*.example.com:*",
            "https://*.example.com:*",
            PatternKind.SUBDOMAINS,
            id="subdomains on any port",
        ),
        pytest.param(
            "https://.example.com",
            "https://.example.com",
            PatternKind.APEX_AND_SUBDOMAINS,
            id="apex and subdomains",
        ),
        pytest.param(
            "https://app-*.example.com",
            "https://app-*.example.com",
            PatternKind.LABEL,
            id="label, wildcard behind",
        ),
        pytest.param(
            "https://*-team.vercel.app",
            "https://*-team.vercel.app",
            PatternKind.LABEL,
            id="label, wildcard before, below a hosting company's suffix",
        ),
        pytest.param(
            "https://a-*-b.example.com:8443",
            "https://a-*-b.example.com:8443",
            PatternKind.LABEL,
            id="label, wildcard between",
        ),
        pytest.param("null", "null", PatternKind.NULL, id="null"),
        pytest.param(
            "capacitor://localhost",
            "capacitor://localhost",
            PatternKind.EXACT,
            id="Capacitor",
        ),
        pytest.param(
            "tauri://localhost",
            "tauri://localhost",
            PatternKind.EXACT,
            id="Tauri",
        ),
        pytest.param(
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            PatternKind.EXACT,
            id="Chrome extension",
        ),
        pytest.param(
            "moz-extension://*",
            "moz-extension://*",
            PatternKind.ANY_EXTENSION,
            id="any Firefox extension",
        ),
        pytest.param(
            f"moz-extension://{UUID}",
            f"moz-extension://{UUID}",
            PatternKind.EXACT,
            id="one Firefox extension",
        ),
        pytest.param(
            "https://*.localhost",
            "https://*.localhost",
            PatternKind.SUBDOMAINS,
            id="an unknown suffix: localhost",
        ),
        pytest.param(
            "https://*.corp",
            "https://*.corp",
            PatternKind.SUBDOMAINS,
            id="an unknown suffix: an intranet's",
        ),
        pytest.param(
            "https://*.city.kawasaki.jp",
            "https://*.city.kawasaki.jp",
            PatternKind.SUBDOMAINS,
            id="an exception of the suffix list",
        ),
        pytest.param(
            "http://[::1]:8000",
            "http://[::1]:8000",
            PatternKind.EXACT,
            id="IPv6 with port",
        ),
        pytest.param(
            "http://[::1]:*", "http://[::1]:*", PatternKind.EXACT, id="IPv6, any port"
        ),
        pytest.param(
            "http://127.0.0.1", "http://127.0.0.1", PatternKind.EXACT, id="IPv4"
        ),
    ],
)
def test_reads_each_form_of_pattern(
    text: str, canonical: str, kind: PatternKind
) -> None:
    """Each form of the grammar is read, and written back in normal form."""
    pattern = OriginPattern.parse(text)

    assert pattern.kind is kind
    assert str(pattern) == canonical


@pytest.mark.parametrize(
    ("text", "canonical", "changes"),
    [
        pytest.param(
            "https://app.example.com", "https://app.example.com", [], id="nothing"
        ),
        pytest.param("null", "null", [], id="nothing about null"),
        pytest.param(
            "HTTPS://App.Example.com",
            "https://app.example.com",
            ["upper case lowered"],
            id="upper case",
        ),
        pytest.param(
            "https://APP-*.example.com",
            "https://app-*.example.com",
            ["upper case lowered"],
            id="upper case around a wildcard",
        ),
        pytest.param(
            "https://app.example.com:443",
            "https://app.example.com",
            ["the default port removed"],
            id="lessons 17: default port of https",
        ),
        pytest.param(
            "http://*.example.com:80",
            "http://*.example.com",
            ["the default port removed"],
            id="default port of http",
        ),
        pytest.param(
            "https://app.example.com:80",
            "https://app.example.com:80",
            [],
            id="another scheme's default port stays",
        ),
        pytest.param(
            "https://app.example.com/",
            "https://app.example.com",
            ["the trailing slash removed"],
            id="trailing slash",
        ),
        pytest.param(
            "https://bücher.example",
            "https://xn--bcher-kva.example",
            ["the Unicode name written as ASCII"],
            id="U-label",
        ),
        pytest.param(
            "https://*.Bücher.example",
            "https://*.xn--bcher-kva.example",
            ["the Unicode name written as ASCII"],
            id="U-label below a wildcard, in upper case",
        ),
        pytest.param(
            "https://faß.example",
            "https://xn--fa-hia.example",
            ["the Unicode name written as ASCII"],
            id="lessons 16: sharp s is a letter of its own",
        ),
        pytest.param(
            "https://app。example.com",
            "https://app.example.com",
            ["the Unicode name written as ASCII"],
            id="ideographic full stop",
        ),
        pytest.param(
            "http://[0:0:0:0:0:0:0:1]",
            "http://[::1]",
            ["the IPv6 address compressed"],
            id="lessons 16: uncompressed IPv6",
        ),
        pytest.param(
            "http://[2001:DB8:0:0:1:0:0:1]:8000",
            "http://[2001:db8::1:0:0:1]:8000",
            ["upper case lowered", "the IPv6 address compressed"],
            id="IPv6, the first of two long runs of zeros",
        ),
        pytest.param(
            "http://[2001:db8::1:1:1:1:1]",
            "http://[2001:db8:0:1:1:1:1:1]",
            ["the IPv6 address compressed"],
            id="IPv6, a single zero is written",
        ),
        pytest.param(
            "http://[::ffff:127.0.0.1]",
            "http://[::ffff:7f00:1]",
            ["the IPv6 address compressed"],
            id="IPv4-mapped IPv6",
        ),
        pytest.param(
            "HTTPS://APP.example.com:443/",
            "https://app.example.com",
            [
                "the trailing slash removed",
                "upper case lowered",
                "the default port removed",
            ],
            id="several",
        ),
    ],
)
def test_normalises_a_pattern_and_says_so(
    text: str, canonical: str, changes: list[str]
) -> None:
    """What the parser changed is told, so that nobody is surprised."""
    pattern = OriginPattern.parse(text)

    assert str(pattern) == canonical
    assert normalisations(text, pattern) == changes


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        pytest.param("", "it is empty", "Remove it. Splitting an", id="empty"),
        pytest.param(
            "*", "'*' isn't a pattern", "WSORIGIN_ALLOW_ALL_ORIGINS = True", id="*"
        ),
        pytest.param(
            "example.com", "no scheme", "Write 'https://example.com'.", id="no scheme"
        ),
        pytest.param(
            "//example.com",
            "no scheme",
            "Write 'https://example.com'.",
            id="scheme-relative",
        ),
        pytest.param(
            "*.example.com",
            "no scheme",
            "Write 'https://*.example.com'.",
            id="wildcard without scheme",
        ),
        pytest.param("/", "no scheme", "Write 'https://example.com'.", id="slash"),
        pytest.param(
            "*://example.com",
            "its scheme is a wildcard",
            "Write two entries, 'https://example.com' and 'http://example.com'.",
            id="any scheme",
        ),
        pytest.param(
            "1s://example.com", "its scheme isn't one", "'https://'", id="bad scheme"
        ),
        pytest.param(
            "\u212a://example.com",
            "its scheme isn't one",
            "'https://'",
            id="lessons 15: KELVIN SIGN in the scheme",
        ),
        pytest.param(
            "https://example.com/chat",
            "it has a path",
            "Write 'https://example.com'.",
            id="path",
        ),
        pytest.param(
            "https://example.com/*",
            "it has a path",
            "Write 'https://example.com'.",
            id="lessons 7: a wildcard path",
        ),
        pytest.param(
            "https://example.com//", "it has a path", "example.com", id="two slashes"
        ),
        pytest.param(
            "https://example.com?x=1",
            "it has a query",
            "Write 'https://example.com'.",
            id="query",
        ),
        pytest.param(
            "https://example.com#x",
            "it has a fragment",
            "Write 'https://example.com'.",
            id="fragment",
        ),
        pytest.param(
            "https://user:pw@example.com",
            "it has user info",
            "Write 'https://example.com'.",
            id="user info",
        ),
        pytest.param(
            "https://", "it has no host", "as in 'https://example.com'", id="no host"
        ),
        pytest.param(
            "https://:443",
            "it has no host",
            "as in 'https://example.com'",
            id="port alone",
        ),
        pytest.param("file://", "it has no host", "Pages from file:// send", id="file"),
        pytest.param(
            " https://a.example ",
            "space around it",
            "Write 'https://a.example'.",
            id="space around",
        ),
        pytest.param(
            "https://a.example\n",
            "space around it",
            "Write 'https://a.example'.",
            id="line feed",
        ),
        pytest.param(
            "https://a.example https://b.example",
            "a space in it",
            "one origin per entry",
            id="two with a space",
        ),
        pytest.param(
            "https://a.example,https://b.example",
            "a comma in it",
            "one origin per entry",
            id="two with a comma",
        ),
        pytest.param(
            "https://a.example;https://b.example",
            "a semicolon in it",
            "one origin per entry",
            id="two with a semicolon",
        ),
        pytest.param(
            "https://a.example:", "'' isn't a port", "1 to 65535", id="empty port"
        ),
        pytest.param(
            "https://a.example:0", "'0' isn't a port", "1 to 65535", id="port 0"
        ),
        pytest.param(
            "https://a.example:0443", "'0443' isn't a port", "1 to", id="zero ahead"
        ),
        pytest.param(
            "https://a.example:65536",
            "port 65536 is above 65535",
            "Ports end there.",
            id="port 65536",
        ),
        pytest.param(
            "https://a.example:80*", "'80*' isn't a port", "1 to", id="part of a port"
        ),
        pytest.param(
            "https://*.*.example.com",
            "it has two wildcards",
            "One '*', in the left-most label.",
            id="two wildcards",
        ),
        pytest.param(
            "https://*a*.example.com", "two wildcards", "One '*'", id="two in a label"
        ),
        pytest.param(
            "https://.*.example.com", "two wildcards", "One '*'", id="dot and star"
        ),
        pytest.param(
            "https://*", "covers every host", "'https://*.example.com'", id="any host"
        ),
        pytest.param(
            "https://.", "covers every host", "'https://*.example.com'", id="dot alone"
        ),
        pytest.param(
            "https://app.*.example.com",
            "isn't in the left-most label",
            "Move the '*'",
            id="wildcard inside",
        ),
        pytest.param(
            "https://example.*",
            "isn't in the left-most label",
            "Move the '*'",
            id="wildcard at the end",
        ),
        pytest.param(
            "https://bü*.example.com",
            "isn't a label with one '*'",
            "ASCII letters",
            id="U-label around a wildcard",
        ),
        pytest.param(
            "capacitor://*",
            "not with capacitor",
            "Write the exact host",
            id="any host of another scheme",
        ),
        pytest.param(
            "chrome-extension://*", "not with", "for an extension its id", id="Chrome"
        ),
        pytest.param(
            "app://*.localhost",
            "not with app",
            "Write the exact host",
            id="wildcard of another scheme",
        ),
        pytest.param(
            "moz-extension://*:80", "not with", "exact host", id="extension with port"
        ),
        pytest.param(
            "https://*.co.uk",
            "co.uk, which is a public suffix",
            "Name yours: 'https://*.yours.co.uk'.",
            id="registry's suffix",
        ),
        pytest.param(
            "https://*.com",
            "com, which is a public suffix",
            "'https://*.yours.com'.",
            id="top-level domain",
        ),
        pytest.param(
            "https://*.com.",
            "com, which is a public suffix",
            "'https://*.yours.com'.",
            id="with the root's dot",
        ),
        pytest.param(
            "https://.co.uk",
            "co.uk, which is a public suffix",
            "'https://*.yours.co.uk'.",
            id="dot form",
        ),
        pytest.param(
            "https://*.github.io",
            "github.io, which is a public suffix",
            "'https://*.yours.github.io' or 'https://*-yours.github.io'.",
            id="hosting company's suffix",
        ),
        pytest.param(
            "https://*.kawasaki.jp",
            "kawasaki.jp, which is a public suffix",
            "'https://*.yours.kawasaki.jp'.",
            id="suffix that the list writes as a wildcard",
        ),
        pytest.param(
            "https://app-*.co.uk",
            "co.uk, which is a public suffix",
            "'https://*.yours.co.uk'.",
            id="label below a registry's suffix",
        ),
        pytest.param(
            "https://*.10.0.0.1", "an address has no subdomains", "alone", id="IPv4"
        ),
        pytest.param(
            "https://*.[：：1]",  # noqa: RUF001  # full-width colons are the point
            "an address has no subdomains",
            "alone",
            id="IPv6",
        ),
        pytest.param(
            "https://127.1", "isn't an IPv4 address", "four numbers", id="short IPv4"
        ),
        pytest.param(
            "http://[1::2::3]", "isn't one", "'[2001:db8::1]'", id="broken IPv6"
        ),
        pytest.param(
            f"https://{'a' * 40}*{'b' * 23}.example.com",
            "no label is long enough",
            "at most 63",
            id="a label that cannot be",
        ),
        pytest.param(
            "http://[::1", "isn't one", "'[2001:db8::1]'", id="IPv6 without end"
        ),
        pytest.param(
            "http://[2001:db8::12",
            "isn't one",
            "'[2001:db8::1]'",
            id="IPv6 without end, not another address",
        ),
        pytest.param(
            "http://[::1]8080", "isn't a port", "1 to 65535", id="IPv6, no colon"
        ),
        pytest.param(
            "http://[::1]*", "isn't a port", "1 to 65535", id="IPv6, no colon, any"
        ),
        pytest.param(
            "http://[fe80::1%eth0]", "isn't one", "'[2001:db8::1]'", id="zone id"
        ),
        pytest.param(
            "https://a..example", "isn't a host name", "no empty part", id="empty part"
        ),
        pytest.param(
            "https://*..example.com", "isn't a host name", "no empty", id="empty below"
        ),
        pytest.param(
            "https://" + "a" * 64 + ".example",
            "isn't a host name",
            "none over 63",
            id="long label",
        ),
        pytest.param(
            "https://" + "a." * 120 + "example.com.example.com",
            "isn't a host name",
            "Letters, digits",
            id="long name",
        ),
        pytest.param(
            "https://a%2eexample", "isn't a host name", "Letters", id="percent sign"
        ),
        pytest.param(
            "https://a\\example", "isn't a host name", "Letters", id="backslash"
        ),
        pytest.param(
            "https://evil／x.example",  # noqa: RUF001  # a full-width slash
            "isn't a host name",
            "Letters",
            id="a slash after mapping",
        ),
        pytest.param(
            "https://☕.example",
            "isn't an internationalised name",
            "'xn--'",
            id="not in IDNA 2008",
        ),
        pytest.param(
            "https://" + "a" * 300, "longer than 300 characters", "", id="too long"
        ),
        pytest.param(None, "it isn't a string", "Write it in quotes.", id="None"),
        pytest.param(
            ["https://a.example"], "it isn't a string", "in quotes", id="a list"
        ),
    ],
)
def test_refuses_other_patterns_with_a_remedy(
    text: str, problem: str, remedy: str
) -> None:
    """Each refusal says what is wrong and what to write instead."""
    with pytest.raises(InvalidOrigin) as caught:
        OriginPattern.parse(text)

    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
    assert re.fullmatch(r"([A-Z].*\.)?", caught.value.remedy), "a sentence, or none"


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        "localhost:3000",
        "//example.com",
        "https://example.com/chat",
        "https:///chat",
        "https://example.com?x",
        "https://user@example.com",
        "*://example.com",
        " https://example.com",
        "https://*",
        "https://*.co.uk",
        "https://*.github.io",
    ],
)
def test_remedies_can_be_pasted(text: str) -> None:
    """What a remedy tells to write is itself a pattern."""
    with pytest.raises(InvalidOrigin) as caught:
        OriginPattern.parse(text)

    pasted = re.findall(r"'(.+?)'", caught.value.remedy)
    assert pasted
    assert [OriginPattern.parse(one) for one in pasted]


@given(texts)
@example("https://\ud800.example")
@example("https://\u0300a.example")
@example("https://xn--a\u0300.example")
@example("https://example.com/")
@example("https://.example.com")
def test_reading_a_pattern_raises_nothing_but_invalid_origin(text: str) -> None:
    """Any text gives a pattern or InvalidOrigin; a pattern's text is its own."""
    pattern = outcome(OriginPattern.parse, text)
    if isinstance(pattern, InvalidOrigin):
        assert pattern.problem
        assert str(pattern).isprintable()
        return

    assert OriginPattern.parse(str(pattern)) == pattern
    if pattern.kind is not PatternKind.APEX_AND_SUBDOMAINS:
        assert normalisations(str(pattern), pattern) == []


def test_says_that_the_dot_form_is_two_rules() -> None:
    """``.example.com`` covers the apex too, which not everybody expects."""
    pattern = OriginPattern.parse("https://.example.com")

    assert any("two" in change for change in normalisations(str(pattern), pattern))


@given(
    st.sampled_from(["", "*.", ".", "app-*.", "*-app."]),
    names,
    st.one_of(ports, st.just(":*")),
)
@example("*.", "com", "")
@example("*.", "example.com", ":443")
def test_reading_a_pattern_is_idempotent(wildcard: str, host: str, port: str) -> None:
    """Reading what a pattern writes gives the same pattern."""
    pattern = outcome(OriginPattern.parse, f"https://{wildcard}{host}{port}")

    assert (
        isinstance(pattern, InvalidOrigin)
        or OriginPattern.parse(str(pattern)) == pattern
    )


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(r"https://[a-z]+\.example\.com", id="text"),
        pytest.param(re.compile(r"https://[a-z]+\.example\.com"), id="compiled"),
    ],
)
def test_wraps_a_regular_expression(source: str | re.Pattern[str]) -> None:
    """Text and compiled expressions are alike."""
    pattern = OriginPattern.for_regex(source)

    assert pattern.kind is PatternKind.REGEX
    assert str(pattern) == r"re:https://[a-z]+\.example\.com"
    assert normalisations("", pattern) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("(", "it isn't a regular expression", id="does not compile"),
        pytest.param("a{99999999999}", "it isn't a regular expression", id="overflows"),
        pytest.param(
            "(" * 5000 + ")" * 5000, "it isn't a regular expression", id="too deep"
        ),
        pytest.param(b"x", "over bytes", id="bytes"),
        pytest.param(re.compile(b"x"), "over bytes", id="compiled bytes"),
        pytest.param(None, "it isn't a regular expression", id="None"),
        pytest.param(["x"], "it isn't a regular expression", id="a list"),
    ],
)
def test_refuses_what_is_no_regular_expression(source: str, problem: str) -> None:
    """A source that cannot match text is refused, whatever it is."""
    with pytest.raises(InvalidOrigin) as caught:
        OriginPattern.for_regex(source)

    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("text", "example"),
    [
        pytest.param("https://a.example:8443", "https://a.example:8443", id="exact"),
        pytest.param("https://a.example:*", "https://a.example", id="any port"),
        pytest.param(
            "https://*.a.example", "https://subdomain.a.example", id="subdomains"
        ),
        pytest.param("https://.a.example", "https://a.example", id="dot form"),
        pytest.param("https://app-*.a.example", "https://app-x.a.example", id="label"),
        pytest.param(
            "moz-extension://*",
            "moz-extension://00000000-0000-4000-8000-000000000000",
            id="any extension",
        ),
    ],
)
def test_gives_an_example(text: str, example: str) -> None:
    """An example is an origin that a browser could send."""
    assert OriginPattern.parse(text).example() == Origin.parse(example)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(OriginPattern.parse("null"), id="null"),
        pytest.param(ALL_ORIGINS, id="all"),
        pytest.param(OriginPattern.for_regex(".*"), id="regex"),
    ],
)
def test_gives_no_example_where_there_is_none(pattern: OriginPattern) -> None:
    """Patterns without a tuple have no example origin, and nothing to normalise."""
    assert pattern.example() is None
    assert normalisations(str(pattern), pattern) == []


def test_writes_all_origins_as_a_star() -> None:
    """The one pattern that cannot be read has a text nevertheless."""
    assert str(ALL_ORIGINS) == "*"


def test_expands_the_dot_form_to_two() -> None:
    """``.example.com`` stands for the apex and for all names below it."""
    pattern = OriginPattern.parse("https://.example.com:8443")

    assert [str(one) for one in pattern.expand()] == [
        "https://example.com:8443",
        "https://*.example.com:8443",
    ]


def test_expands_others_to_themselves() -> None:
    """All other forms stand for themselves."""
    pattern = OriginPattern.parse("https://*.example.com")

    assert pattern.expand() == (pattern,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("http://a.example", True, id="http"),
        pytest.param("http://*.a.example", True, id="http below"),
        pytest.param("https://a.example", False, id="https"),
        pytest.param("http://localhost:3000", False, id="localhost"),
        pytest.param("http://*.localhost", False, id="below localhost"),
        pytest.param("http://127.0.0.1", False, id="loopback address"),
        pytest.param("capacitor://localhost", False, id="another scheme"),
    ],
)
def test_knows_patterns_of_clear_text(text: str, expected: bool) -> None:
    """Pages over http:// can be changed on the way, but for this very machine's."""
    assert OriginPattern.parse(text).is_cleartext is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param(UUID, True, id="UUID"),
        pytest.param(UUID[:-1], False, id="short"),
        pytest.param(f"{UUID}0", False, id="long"),
        pytest.param("evil.example", False, id="a name"),
    ],
)
def test_knows_extension_ids(host: str, expected: bool) -> None:
    """Firefox gives each installation of an extension a UUID."""
    assert is_extension_id(host) is expected


def test_shows_an_invalid_value_escaped() -> None:
    """Client-sent text cannot start a line of its own in a log."""
    error = InvalidOrigin("https://ü\r\n", "it has a space")

    assert str(error) == (r"'https://\xfc\r\n' isn't a valid origin: it has a space")


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        pytest.param(198, "'" + "a" * 198 + "'", id="200 characters, quoted"),
        pytest.param(199, "'" + "a" * 199 + "…", id="one more"),
        pytest.param(5000, "'" + "a" * 199 + "…", id="many more"),
    ],
)
def test_cuts_a_long_invalid_value(length: int, shown: str) -> None:
    """Client-sent text cannot fill a log."""
    error = InvalidOrigin("a" * length, "it has no scheme")

    assert str(error) == f"{shown} isn't a valid origin: it has no scheme"


def test_an_error_is_the_same_where_it_is_made_anew() -> None:
    """Copying and pickling call the class with the arguments of the exception."""
    error = InvalidOrigin("https://a.example/x", "it has a path", "Leave it out.")

    assert error.args == (error.value, error.problem, error.remedy)
    assert repr(copy(error)) == repr(error)


def test_an_error_has_a_remedy_only_where_one_is_given() -> None:
    """What is wrong is found in the text itself; what was meant is not."""
    error = InvalidOrigin("https://a.example/x")

    assert (error.problem, error.remedy) == ("it has a path", "")
