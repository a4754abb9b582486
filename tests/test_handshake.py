"""
What one opening handshake said: read from any scope, judged by nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsorigin.handshake import (
    CREDENTIAL_PREFIX,
    MARKER,
    Handshake,
    is_application_subprotocol,
    read_headers,
)

header_names = st.sampled_from(
    [b"origin", b"host", b"cookie", b"sec-fetch-site", b"sec-websocket-protocol"]
) | st.binary(max_size=8)
header_lists = st.lists(st.tuples(header_names, st.binary(max_size=20)), max_size=6)


def read(*headers: tuple[bytes, bytes], **scope: Any) -> Handshake:
    """Read a handshake with these headers."""
    return Handshake.from_scope({"type": "websocket", "headers": headers, **scope})


def test_reads_a_scope() -> None:
    """Path, scheme, origin and headers are taken as the server gave them."""
    handshake = read(
        (b"host", b"testserver"),
        (b"origin", b"https://app.example"),
        path="/ws/prices/",
        scheme="wss",
        subprotocols=["prices.v2", "prices.v1"],
    )

    assert handshake.path == "/ws/prices/"
    assert handshake.origin == "https://app.example"
    assert handshake.scheme == "wss"
    assert handshake.headers[b"host"] == b"testserver"
    assert handshake.subprotocols == ("prices.v2", "prices.v1")


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"headers": None, "path": None, "subprotocols": None}, id="None"),
        pytest.param({"headers": [], "path": "", "subprotocols": []}, id="empty"),
        pytest.param({"headers": iter([])}, id="an iterator"),
    ],
)
def test_reads_a_scope_that_says_nothing(scope: dict[str, Any]) -> None:
    """What a server does not give is absent, never an exception."""
    handshake = Handshake.from_scope(scope)

    assert handshake == Handshake("", None)


@pytest.mark.parametrize(
    ("values", "origin"),
    [
        pytest.param([], None, id="none, which is not the empty one"),
        pytest.param([b""], "", id="empty"),
        pytest.param([b"null"], "null", id="null"),
        pytest.param([b"https://\xff"], "https://\xff", id="any byte"),
        pytest.param([b"https://a", b"https://b"], "https://a,https://b", id="two"),
        pytest.param([b"https://a", b"https://a"], "https://a,https://a", id="twice"),
        pytest.param([b"https://a", b""], "https://a,", id="one and an empty one"),
        pytest.param(
            [b"https://a,https://b"],
            "https://a,https://b",
            id="lessons 37: joined by Daphne",
        ),
    ],
)
def test_reads_the_origin_as_sent(values: list[bytes], origin: str | None) -> None:
    """Repeated headers are joined with a comma, whichever server passed them on."""
    handshake = read(
        (b"host", b"testserver"), *((b"origin", value) for value in values)
    )

    assert handshake.origin == origin


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"x-origin", id="prefixed"),
        pytest.param(b"origin_", id="underscore"),
        pytest.param(b"sec_websocket_origin", id="draft name, underscores"),
        pytest.param(b"sec-websocket-origin", id="draft name"),
        pytest.param(b"http_origin", id="WSGI's name"),
        pytest.param(b" origin", id="space"),
    ],
)
def test_takes_the_origin_from_its_own_header_only(name: bytes) -> None:
    """Lessons 38: no other name is read as Origin, however it would be normalised."""
    assert read((name, b"https://app.example")).origin is None


def test_never_holds_a_secret() -> None:
    """Cookies, tokens and the query string are nothing a decision may look at."""
    handshake = read(
        (b"cookie", b"sessionid=secret"),
        (b"authorization", b"Bearer secret"),
        (b"sec-websocket-protocol", b"secret"),
        (b"cookie", b"csrftoken=secret"),
        path="/ws/",
        query_string=b"token=secret",
    )

    assert handshake.headers == {}
    assert "secret" not in str(tuple(handshake))


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        pytest.param("wsok_a1b2c3d4" + "x" * 38, "wsok_a1b2c3d4...", id="plain"),
        pytest.param("d3Nva1" + "x" * 62, "d3Nva1...", id="as a subprotocol"),
    ],
)
def test_shows_of_a_token_what_is_public(token: str, shown: str) -> None:
    """Wherever somebody put one: what is left of it opens nothing."""
    handshake = read((b"origin", f"https://{token}".encode()), path=f"/ws/{token}/")

    assert handshake.path == f"/ws/{shown}/"
    assert handshake.origin == f"https://{shown} "
    assert handshake.headers == {b"origin": f"https://{shown} ".encode()}


@pytest.mark.parametrize(
    "name", ["browsold.example", "wsok_a1b2c3d4", "d3Nva1.example"]
)
def test_leaves_alone_what_only_begins_like_a_token(name: str) -> None:
    """A site may be called so."""
    handshake = read((b"origin", f"https://{name}".encode()), path=f"/{name}/")

    assert (handshake.origin, handshake.path) == (f"https://{name}", f"/{name}/")


def test_joins_what_was_sent_in_parts() -> None:
    """Cookies as they are written (RFC 9113, section 8.2.3), all others as lists are."""
    pairs = [(b"cookie", b"a=1"), (b"host", b"a"), (b"cookie", b"b=2"), (b"host", b"b")]
    headers = read_headers({"headers": pairs}, {b"cookie", b"host"})

    assert headers == {b"cookie": b"a=1; b=2", b"host": b"a,b"}


def test_leaves_the_scope_alone() -> None:
    """Reading changes nothing for the application behind."""
    headers = [(b"cookie", b"a"), (b"origin", b"b"), (b"cookie", b"c")]
    scope = {"type": "websocket", "headers": headers, "subprotocols": [MARKER]}
    Handshake.from_scope(scope)

    assert headers == [(b"cookie", b"a"), (b"origin", b"b"), (b"cookie", b"c")]
    assert scope["subprotocols"] == [MARKER]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("prices.v1", True, id="the application's"),
        pytest.param(MARKER, False, id="marker"),
        pytest.param(f"{CREDENTIAL_PREFIX}c2VjcmV0", False, id="credential"),
        pytest.param("wsorigin.v2", False, id="another marker of ours"),
    ],
)
def test_separates_our_subprotocols_from_the_application_s(
    name: str, expected: bool
) -> None:
    """Marker and credential are our transport; an application never sees them."""
    assert is_application_subprotocol(name) is expected
    assert read(subprotocols=[name, "other"]).subprotocols == (
        (name, "other") if expected else ("other",)
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("cross-site", True, id="cross-site"),
        pytest.param("same-site", False, id="same-site"),
        pytest.param("same-origin", False, id="same-origin"),
        pytest.param("none", False, id="none"),
        pytest.param("", False, id="empty"),
    ],
)
def test_knows_what_the_browser_calls_cross_site(
    value: str, expected: bool, handshake: Callable[..., Handshake]
) -> None:
    """Fetch Metadata, section 2.4; a page cannot set this header."""
    assert handshake(sec_fetch_site=value).is_cross_site is expected


def test_absent_fetch_metadata_proves_nothing(
    handshake: Callable[..., Handshake],
) -> None:
    """Chromium sends none on handshakes."""
    assert handshake().is_cross_site is False


def test_shows_itself_escaped() -> None:
    """A handshake in a log or a traceback cannot break the line, nor tell a secret."""
    handshake = read(
        (b"origin", b"https://\xff\r\n"), (b"x-forwarded-for", b"1.2.3.4"), path="/ü\n"
    )

    assert repr(handshake) == r"<Handshake '/\xfc\n' origin='https://\xff\r\n'>"


@given(header_lists, st.none() | st.lists(st.text(max_size=8), max_size=3))
def test_reads_any_headers(
    headers: list[tuple[bytes, bytes]], subprotocols: list[str] | None
) -> None:
    """Whatever a client sent becomes a value."""
    handshake = read(*headers, subprotocols=subprotocols)

    sent = [value for name, value in headers if name == b"origin"]
    assert (handshake.origin is None) == (not sent)
    assert handshake.origin is None or handshake.origin.encode("latin-1") == (
        b",".join(sent)
    )
    assert b"cookie" not in handshake.headers
    assert repr(handshake).isprintable()
