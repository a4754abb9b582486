"""Tokens as text: their format, and where in a handshake they are found."""

from __future__ import annotations

import base64
import hashlib
import string
import zlib
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from wsorigin.credentials import (
    Credential,
    InvalidToken,
    Secret,
    TokenKind,
    find_credential,
    is_ours,
)
from wsorigin.handshake import (
    CREDENTIAL_PREFIX,
    MARKER,
    SECRET_HEADERS,
    Handshake,
    read_headers,
    redacted,
)
from wsorigin.policy import Reason

LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
KINDS = dict(zip(TokenKind, ("wsok_", "wsop_", "wsot_"), strict=True))

# With checksums from another implementation of CRC-32.
TOKENS = [
    "wsok_00000000" + "0" * 32 + "3mlB4R",
    "wsop_Ab3kZ9qT" + "4fJ" * 10 + "zz" + "2TEVmD",
    "wsot_zzzzzzzz" + "z" * 32 + "0v9Ban",
]


def checksum(text: str) -> str:
    """Compute the checksum by the documentation alone."""
    number = zlib.crc32(text.encode("ascii"))
    return "".join(LETTERS[number // 62**place % 62] for place in range(5, -1, -1))


def made_up(kind: TokenKind, body: str) -> str:
    return (text := f"{KINDS[kind]}{body}") + checksum(text)


kinds = st.sampled_from(TokenKind)
bodies = st.text(LETTERS, min_size=40, max_size=40)
tokens = st.builds(made_up, kinds, bodies)


# The format.


@pytest.mark.parametrize("text", TOKENS)
def test_the_checksum_is_what_the_documentation_says(text: str) -> None:
    """CRC-32 of all before, in base62, six digits with leading zeros."""
    assert text[-6:] == checksum(text[:-6])
    assert Secret.parse(text).text == text


@pytest.mark.parametrize("kind", TokenKind)
def test_a_new_token_has_the_format(kind: TokenKind) -> None:
    """Prefix, public id, 32 random letters and digits, checksum: 51 characters."""
    secret = Secret.new(kind)

    assert secret.text.startswith(KINDS[kind])
    assert kind.prefix == KINDS[kind]
    assert len(secret.text) == 5 + 8 + 32 + 6
    assert set(secret.text[5:]) <= set(LETTERS)
    assert secret.public_id == secret.text[5:13]
    assert secret.text[-6:] == checksum(secret.text[:-6])
    assert Secret.parse(secret.text) == secret


def test_a_new_token_may_keep_its_public_id() -> None:
    """A rotated token is still called what it was called; only the secret is new."""
    first = Secret.new(TokenKind.SECRET)
    second = Secret.new(TokenKind.SECRET, first.public_id)

    assert second.public_id == first.public_id == second.text[5:13]
    assert second.text != first.text


def test_secrets_are_random() -> None:
    """Any letter or digit at any place, and none twice (ASVS 7.2.3, 11.5.1)."""
    texts = [Secret.new(TokenKind.SECRET).text for _ in range(2000)]

    assert len({text[5:45] for text in texts}) == len(texts)
    assert all(
        {text[place] for text in texts} == set(LETTERS) for place in range(5, 45)
    )
    assert len(LETTERS) ** 32 > 2**128


@given(st.text() | st.text(LETTERS + "_", min_size=45, max_size=57) | tokens)
@example("")
@example(f"{TOKENS[0]}\n")
@example(f" {TOKENS[0]}")
@example(TOKENS[0].upper())
@example(TOKENS[0].replace("0", "\u0660"))
def test_parsing_gives_a_token_or_says_that_it_is_none(text: str) -> None:
    """It raises nothing but InvalidToken, whose message does not repeat the text."""
    secret, problem = None, ""
    try:
        secret = Secret.parse(text)
    except InvalidToken as exc:
        problem = str(exc)

    assert (secret is None) is bool(problem)
    assert len(text) < 20 or text not in problem
    assert secret is None or text == secret.text == made_up(secret.kind, text[5:45])


@given(tokens, st.integers(0, 50), st.sampled_from(LETTERS + "_"))
def test_one_changed_character_is_noticed(text: str, place: int, other: str) -> None:
    """By the checksum, or by the format: without asking a database."""
    changed = text[:place] + other + text[place + 1 :]
    assume(changed != text)

    with pytest.raises(InvalidToken):
        Secret.parse(changed)


@given(tokens, st.integers(0, 49))
def test_two_swapped_characters_are_noticed(text: str, place: int) -> None:
    """The other mistake that people make."""
    pair = text[place : place + 2]
    changed = text[:place] + pair[::-1] + text[place + 2 :]
    assume(changed != text)

    with pytest.raises(InvalidToken):
        Secret.parse(changed)


@given(tokens)
def test_what_shows_a_token_does_not_show_it(text: str) -> None:
    """Neither repr() nor str() nor a format; the public id is what people call it by."""
    secret = Secret.parse(text)
    credential = Credential(secret)

    for shown in (repr(secret), str(secret), f"{secret}", repr(credential)):
        assert text[13:45] not in shown
        assert secret.public_id in shown


@given(tokens)
def test_the_digest_names_its_algorithm(text: str) -> None:
    """SHA-256 of the whole text (ASVS 6.5.2, 11.4.1); the tag lets it change (11.2.2)."""
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()

    assert Secret.parse(text).digest == f"sha256:{digest}"


@given(tokens)
def test_the_subprotocol_is_legal_and_reads_back(text: str) -> None:
    """A token of HTTP (RFC 9110, section 5.6.2), and base64url without padding."""
    name = Secret.parse(text).subprotocol
    encoded = name.removeprefix("base64url.bearer.wsorigin.")

    assert len(encoded) == 68
    assert set(name) <= set(LETTERS + "-._")
    assert base64.urlsafe_b64decode(encoded).decode() == text


@given(tokens, st.text(max_size=50))
def test_a_sealed_text_opens_with_its_token_only(text: str, sealed: str) -> None:
    """What is stored is of no use to who reads the database."""
    secret, other = Secret.parse(text), Secret.new(TokenKind.TICKET)

    assert secret.unseal(secret.seal(sealed)) == sealed
    assert set(secret.seal(sealed)) <= set(string.hexdigits)
    assert other.seal("0" * 32) != secret.seal("0" * 32) != ("0" * 32).encode().hex()


# Where it may stand.


def found_in(**scope: Any) -> Credential | None:
    """Look for a token as the guard does."""
    return find_credential(scope, read_headers(scope, SECRET_HEADERS))


def bearer(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", value.encode("latin-1")) for value in values]


def offered(*names: str) -> dict[str, Any]:
    """Be a scope with subprotocols, in the list and in the header."""
    header = (b"sec-websocket-protocol", ", ".join(names).encode("latin-1"))
    return {"subprotocols": list(names), "headers": [header]}


ONE, OTHER = (Secret.new(TokenKind.SECRET) for _ in range(2))
TICKET = Secret.new(TokenKind.TICKET)
MALFORMED = Credential(None, Reason.TOKEN_MALFORMED)
CONFLICT = Credential(None, Reason.TOKEN_CONFLICT)


@pytest.mark.parametrize("kind", TokenKind)
@pytest.mark.parametrize(
    "form",
    [
        "Bearer {}",
        "bearer {}",
        "BEARER {}",
        "bEaReR {}",
        "Bearer   {}",
        "  Bearer {}  ",
        "Basic YTpi,Bearer {}",
        "Bearer {0},Bearer {0}",
        "Bearer {0}, bearer {0}",
    ],
)
def test_finds_a_bearer_token(kind: TokenKind, form: str) -> None:
    """The scheme in any letter case (RFC 9110, section 11.1); Daphne joins repeats."""
    secret = Secret.new(kind)

    assert found_in(headers=bearer(form.format(secret.text))) == Credential(secret)
    assert is_ours(form.format(secret.text).encode())


def test_finds_a_token_in_repeated_headers() -> None:
    """Servers that do not join them say the same."""
    values = "Basic YTpi", f"Bearer {ONE.text}", f"Bearer {ONE.text}"

    assert found_in(headers=bearer(*values)) == Credential(ONE)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
        "Bearer wso_somebody_elses",
        "Token wsok_Ab3kZ9qT",
        "Bearer x,y",
        f"Digest username={'wsok_' * 3}",
        "Bearerwsok_Ab3kZ9qT",
        "\xff\xfe",
    ],
)
def test_leaves_other_authorization_alone(value: str) -> None:
    """The application may well have bearer tokens of its own."""
    assert found_in(headers=bearer(value)) is None
    assert not is_ours(value.encode("latin-1"))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(ONE.text[:-1], id="cut"),
        pytest.param(ONE.text + "0", id="too long"),
        pytest.param(f"{ONE.text[:-1]}{'01'[ONE.text[-1] == '0']}", id="mistyped"),
        pytest.param("wsok_", id="prefix alone"),
        pytest.param(f"wsot_{ONE.text[5:]}", id="another prefix"),
        pytest.param("wsok_" + "0" * 10_000, id="very long"),
        pytest.param(f"{ONE.text} x", id="more words"),
        pytest.param("wsok_\xff", id="bytes"),
    ],
)
@pytest.mark.parametrize("place", ["header", "subprotocol"])
def test_says_that_a_token_is_malformed(place: str, value: str) -> None:
    """What looks like ours and is none is refused, not taken for no token."""
    encoded = base64.urlsafe_b64encode(value.encode("latin-1")).decode().rstrip("=")
    if place == "header":
        scope = {"headers": bearer(f"Bearer {value}")}
    else:
        scope = offered(MARKER, f"{CREDENTIAL_PREFIX}{encoded}")

    assert found_in(**scope) == MALFORMED


@pytest.mark.parametrize("kind", TokenKind)
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["{}"], id="alone"),
        pytest.param([MARKER, "{}"], id="beside the marker"),
        pytest.param(["{}", MARKER, "chat", "v2.example"], id="before others"),
        pytest.param(["chat", "{}", "{}"], id="twice"),
    ],
)
def test_finds_a_token_among_the_subprotocols(
    kind: TokenKind, names: list[str]
) -> None:
    """Wherever it stands in the list."""
    secret = Secret.new(kind)
    scope = offered(*(name.format(secret.subprotocol) for name in names))

    assert found_in(**scope) == Credential(secret)


@pytest.mark.parametrize(
    "keep",
    [
        pytest.param({"headers"}, id="granian reads none where one name is broken"),
        pytest.param({"subprotocols"}, id="uvicorn on wsproto removes the header"),
        pytest.param({"headers", "subprotocols"}, id="both"),
    ],
)
@pytest.mark.parametrize("names", [[ONE.subprotocol], [MARKER, ONE.subprotocol]])
def test_list_and_header_are_the_same_to_it(names: list[str], keep: set[str]) -> None:
    """Servers differ in which of both they pass on."""
    scope = {name: value for name, value in offered(*names).items() if name in keep}

    assert found_in(**scope) == Credential(ONE)
    assert found_in(**{"subprotocols": None, "headers": None, **scope}) == Credential(
        ONE
    )


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param(offered(ONE.subprotocol, OTHER.subprotocol), id="two names"),
        pytest.param({"headers": bearer(f"Bearer {ONE.text},Bearer {OTHER.text}")}),
        pytest.param(
            {"headers": bearer(f"Bearer {ONE.text}", f"Bearer {OTHER.text}")},
            id="two headers",
        ),
        pytest.param(
            {**offered(ONE.subprotocol), "headers": bearer(f"Bearer {OTHER.text}")},
            id="header and name",
        ),
        pytest.param(
            {**offered(OTHER.subprotocol), "subprotocols": [ONE.subprotocol]},
            id="list and header of the same",
        ),
        pytest.param(
            offered(ONE.subprotocol, f"{CREDENTIAL_PREFIX}x"), id="one is none"
        ),
        pytest.param(
            {"headers": bearer(f"Bearer {ONE.text}, Bearer wsok_x")},
            id="one is none, in the header",
        ),
    ],
)
def test_two_that_differ_are_refused(scope: dict[str, Any]) -> None:
    """Neither the first nor the last wins."""
    assert found_in(**scope) == CONFLICT


def test_two_that_agree_are_one() -> None:
    """In the header and among the subprotocols alike."""
    scope = offered(MARKER, ONE.subprotocol)
    scope["headers"] += bearer(f"Bearer {ONE.text}")

    assert found_in(**scope) == Credential(ONE)


ENCODED = ONE.subprotocol.removeprefix(CREDENTIAL_PREFIX)


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("", id="nothing"),
        pytest.param("x", id="one character"),
        pytest.param("====", id="padding"),
        pytest.param(f"{ENCODED}=", id="padded"),
        pytest.param(ENCODED[:-1], id="cut"),
        pytest.param(f"{ENCODED}AAAA", id="longer"),
        pytest.param(ENCODED * 1000, id="over-long"),
        pytest.param(f"%{ENCODED[1:]}", id="percent sign"),
        pytest.param(f"%64{ENCODED[1:]}", id="percent-encoded"),
        pytest.param(f"{ENCODED[:-1]}+", id="base64, not base64url"),
        pytest.param(f"{ENCODED[:-1]}\xff", id="bytes"),
        pytest.param("_" * 68, id="decodes to bytes"),
        pytest.param(ENCODED.swapcase(), id="another letter case"),
        pytest.param(ONE.text, id="not encoded"),
    ],
)
def test_what_does_not_decode_is_malformed(encoded: str) -> None:
    """Never an error, and never taken for an application's subprotocol."""
    name = f"{CREDENTIAL_PREFIX}{encoded}"

    assert found_in(**offered(MARKER, name)) == MALFORMED
    assert found_in(subprotocols=[name]) == MALFORMED
    assert found_in(headers=offered(name)["headers"]) == MALFORMED


def test_a_percent_encoded_name_is_refused() -> None:
    """Daphne decodes the list and not the header, so that the two do not agree."""
    encoded = f"{CREDENTIAL_PREFIX}%{ord(ENCODED[0]):x}{ENCODED[1:]}"
    scope = {"subprotocols": [ONE.subprotocol], "headers": offered(encoded)["headers"]}

    assert found_in(**scope) == CONFLICT


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"headers": None, "subprotocols": None},
        {"headers": [], "subprotocols": []},
        offered("chat", MARKER),
        offered("wsorigin.preflight", "base64url.bearer.authorization.k8s.io.eA"),
        {"path": "/ws/wsok_/", "query_string": b"next=wsop_x&d3Nva1=d3NvcF"},
    ],
)
def test_none_is_none(scope: dict[str, Any]) -> None:
    """Without a token there is no credential, and nothing is changed."""
    before = {**scope}

    assert found_in(**scope) is None
    assert scope == before


# In the URL.


def hidden(secret: Secret) -> dict[str, str]:
    """Return the forms that a token may have in a URL."""
    return {
        "plain": secret.text,
        "percent-encoded": "".join(f"%{ord(one):02x}" for one in secret.text),
        "partly": secret.text.replace("_", "%5F"),
        "base64url": secret.subprotocol.removeprefix(CREDENTIAL_PREFIX),
        "subprotocol": secret.subprotocol,
        "subprotocol, encoded": quote(secret.subprotocol, safe="").replace(".", "%2E"),
    }


def decodings(text: str) -> Iterable[str]:
    """Return what a token can be read in: plain, and base64url."""
    return text, base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


FORMS = list(hidden(ONE))


@pytest.mark.parametrize("secret", [ONE, Secret.new(TokenKind.PUBLISHABLE), TICKET])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "query",
    [
        "token={}",
        "a=b&token={}&c=d",
        "{}",
        "a={}&b={}",
        "Authorization=Bearer%20{}",
        "next=/ws/%3Ftoken%3D{}",
    ],
)
def test_a_token_in_the_query_is_refused_and_taken_out(
    query: str, form: str, secret: Secret
) -> None:
    """Servers write it into their logs, from this very scope (ASVS 14.2.1)."""
    text = query.replace("{}", hidden(secret)[form])
    scope: dict[str, Any] = {"path": "/ws/", "query_string": text.encode()}

    assert find_credential(scope, {}) == Credential(None, Reason.TOKEN_IN_URL)
    assert scope["path"] == "/ws/"
    for read in decodings(secret.text):
        assert read[13:] not in scope["query_string"].decode()
        assert read[20:60] not in scope["query_string"].decode()


@pytest.mark.parametrize("secret", [ONE, Secret.new(TokenKind.PUBLISHABLE), TICKET])
@pytest.mark.parametrize("form", FORMS)
def test_a_token_in_the_path_is_refused_and_taken_out(
    form: str, secret: Secret
) -> None:
    """The path as it was sent, and as the server decoded it."""
    text = hidden(secret)[form]
    is_plain = form in {"plain", "percent-encoded", "partly"}
    decoded = secret.text if is_plain else text.replace("%2E", ".")
    scope: dict[str, Any] = {
        "path": f"/ws/{decoded}/x/",
        "raw_path": f"/ws/{text}/x/".encode(),
        "query_string": b"a=%26",
    }
    handshake = Handshake.from_scope(scope)
    headers = read_headers(scope, SECRET_HEADERS)

    assert find_credential(scope, headers) == Credential(None, Reason.TOKEN_IN_URL)
    assert scope["query_string"] == b"a=%26"
    for read in decodings(secret.text):
        for shown in (scope["path"], scope["raw_path"].decode(), handshake.path):
            assert read[13:] not in shown
            assert read[20:60] not in shown


@pytest.mark.parametrize("form", FORMS[:4])
def test_the_rest_of_the_query_stays(form: str) -> None:
    """Which endpoint it was meant for, and the public id, help who looks into the log."""
    text = f"room=1&token={hidden(ONE)[form]}&x=2"
    scope: dict[str, Any] = {"path": "/ws/", "query_string": text.encode()}
    find_credential(scope, {})

    assert scope["query_string"].startswith(b"room=1&token=")
    assert scope["query_string"].endswith(b"...&x=2")


def test_what_is_not_the_token_stays_as_it_was_sent() -> None:
    """In report-only mode the application still reads its own parameters."""
    text = f"name=a%26b%FC&token={ONE.text}"
    scope: dict[str, Any] = {"query_string": text.encode()}
    find_credential(scope, {})

    assert scope["query_string"] == f"name=a%26b%FC&token={ONE.text[:13]}...".encode()


def test_a_token_in_the_url_counts_nothing_else() -> None:
    """Whatever else came along, who puts it there has to learn it."""
    scope = {**offered(ONE.subprotocol), "query_string": f"t={ONE.text}".encode()}

    assert found_in(**scope) == Credential(None, Reason.TOKEN_IN_URL)


@given(tokens)
def test_redacting_leaves_the_public_id(text: str) -> None:
    """It is what people call a token by; of an encoded one nothing is left."""
    encoded = Secret.parse(text).subprotocol

    assert redacted(f"<{text}>") == f"<{text[:13]}...>"
    assert redacted(encoded) == f"{encoded[: len(CREDENTIAL_PREFIX) + 6]}..."
    assert redacted("/ws/prices/") == "/ws/prices/"


# Whatever a client sends.

pieces: Callable[..., Any] = lambda *known: st.one_of(  # noqa: E731  # a strategy
    st.binary(max_size=12), st.sampled_from([one.encode() for one in known])
)
words = pieces(
    "Bearer ",
    "bearer",
    ",",
    " ",
    "%",
    "%77",
    "wsok_",
    "d3Nva1",
    CREDENTIAL_PREFIX,
    MARKER,
    "_" * 68,
    ONE.text,
    OTHER.text,
    ONE.subprotocol,
    TICKET.subprotocol,
)
texts = st.lists(words, max_size=5).map(b"".join)
names = st.sampled_from(
    [b"authorization", b"sec-websocket-protocol", b"cookie", b"origin"]
)
scopes = st.fixed_dictionaries(
    {},
    optional={
        "headers": st.none() | st.lists(st.tuples(names, texts), max_size=4),
        "subprotocols": st.none()
        | st.lists(texts.map(lambda one: one.decode("latin-1")), max_size=4),
        "query_string": st.none() | texts,
        "raw_path": st.none() | texts,
        "path": st.none()
        | texts.map(lambda one: one.decode("latin-1"))
        | texts.map(lambda one: one.decode("utf-8", "replace")),
    },
)


@given(scopes)
def test_reads_any_scope(scope: dict[str, Any]) -> None:
    """It never raises; it finds a token, or a problem, or nothing; never both."""
    credential = found_in(**scope)

    if credential is not None:
        assert (credential.secret is None) is not (credential.problem is None)
        assert repr(credential).count(ONE.text[13:]) == 0


@given(scopes)
@example({"query_string": f"%77{ONE.text[1:]}".encode()})
@example({"path": f"/{ONE.text}", "raw_path": ONE.text.encode()})
def test_an_url_with_a_token_never_keeps_it(scope: dict[str, Any]) -> None:
    """After the look there is none in the URL, whatever was around it."""
    scope = dict(scope)
    find_credential(scope, read_headers(scope, SECRET_HEADERS))
    # What servers make the path of comes to be the path.
    url = f"{scope.get('path')}?{scope.get('query_string')!r}"

    assert ONE.text not in url
    assert find_credential(scope, {}) != Credential(None, Reason.TOKEN_IN_URL)
