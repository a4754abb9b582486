"""What the core says on the admin's pages: known, and translated piece by piece."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from django.test import override_settings
from django.utils import translation

from wsorigin.admin.policy_page import in_words
from wsorigin.admin.preview import preview
from wsorigin.denial import remedy
from wsorigin.explanation import NoRoute, explain
from wsorigin.handshake import Handshake
from wsorigin.models.words import WORDS, recognised, translated
from wsorigin.origins import InvalidOrigin, Origin
from wsorigin.patterns import OriginPattern, compiled, normalisations
from wsorigin.policy import Decision, Explanation, Policy, Reason, Rule
from wsorigin.reconciliation import reconcile

PACKAGE: Final = Path(__file__).parent.parent / "wsorigin"
LANGUAGES: Final = ["de", "fr"]
# Put together of words; what comes of them is refused in German below.
COMPOSED: Final = {"it has x in it", "it has x"}


def explained(reason: Reason) -> Explanation:
    origin = Origin.parse("https://app.example")
    return Explanation(Decision(False, reason, None, False), origin, (), None, "")


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_translated(reason: Reason) -> None:
    """Its sentence, and what to do about it, in each language."""
    for text in filter(None, [reason.sentence, remedy(reason, explained(reason))]):
        for language in LANGUAGES:
            with translation.override(language):
                assert translated(text) != text


def refusals() -> Iterator[str]:
    """Yield what the source has for refusing a text, each part filled in with ``x``."""
    for name in ("origins", "patterns", "sources"):
        tree = ast.parse((PACKAGE / f"{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "InvalidOrigin",
                "self.refuse",
            }:
                yield from filter(None, map(filled_in, node.args))


def filled_in(node: ast.expr) -> str:
    """Return the text that an expression writes; empty for one that is not written."""
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(parts):
            return "".join(map(filled_in, parts))
        case ast.FormattedValue():
            return "x"
    return ""


def test_each_refusal_is_translated() -> None:
    """What keeps a text from being a pattern, and what to write instead."""
    found = set(refusals())

    assert len(found) > 40
    assert {text for text in found if recognised(text) is None} == COMPOSED


@pytest.mark.parametrize(
    "text",
    [
        *("", "app.example", "*", "null ", "a,b", "a b", "a;b", "*://app.example"),
        *(
            "1://a",
            "https://a@b",
            "https://",
            "file:///x",
            "https://a/b",
            "https://a?b",
        ),
        *(
            "https://a:0",
            "https://a:99999",
            "https://[::1]x",
            "https://[x]",
            "ws://1.2",
        ),
        *("https://a..b", "https://\u0430\u200b.example", "chrome-extension://*"),
        *("https://*.*.example", "https://*", "https://a.*.example", "https://*.co.uk"),
        *("https://*.1.2.3.4", "https://a*b*.example", "https://*.github.io"),
        *("https://*.vercel.app", "https://" + "a" * 300, "https://%.example"),
    ],
)
def test_refuses_in_german(text: str) -> None:
    """The preview of what somebody types has no English in it."""
    with translation.override("de"):
        found = preview(text)
        problem, cure = found.problem, found.remedy

    english = preview(text)
    assert problem != english.problem or not problem
    assert cure != english.remedy or not cure


@pytest.mark.parametrize(
    "header",
    [
        *("", "a b", "x", "a://b@c", "a://b%", "a://b\\c", "a://b?c", "a://b#c"),
        *("a://b/c", "a://", "a://b..c", "a://b:01", "a://b:x", "a://b!", "a://\u0430"),
        *(
            "a://" + "b" * 300,
            "a://" + "b." * 140,
            "https://1.2",
            "https://[1::]:70000",
        ),
        *("https://[::x]", "https://[0::1]"),
    ],
)
def test_headers_are_refused_in_german(header: str) -> None:
    """So has the answer about a header that is no origin."""
    with pytest.raises(InvalidOrigin) as refused:
        Origin.parse(header)

    with translation.override("de"):
        assert translated(refused.value.problem) != refused.value.problem


def test_regular_expressions_are_refused_in_german() -> None:
    """What Python says about one stays Python's."""
    with pytest.raises(InvalidOrigin) as refused:
        compiled("(")

    with translation.override("de"):
        assert translated(refused.value.problem).startswith(
            "das ist kein regulärer Ausdruck: missing )"
        )


def test_parts_are_translated_one_by_one() -> None:
    """A text of several parts is put together anew; names in it stay as they are."""
    text = "differs only in the scheme (http) and the port (the default)"

    with translation.override("de"):
        assert translated(text) == (
            "weicht nur hierin ab: Schema (http) und Port (der Standardport)"
        )
        assert translated("https://app.example") == "https://app.example"


def test_english_stays_english() -> None:
    """Without a translation each text is what the core said."""
    with translation.override("en"):
        assert [
            text for text in WORDS if "%(" not in text and translated(text) != text
        ] == []
        text = "only begins alike: the name goes on with .evil.example"
        assert translated(text) == text


def test_differences_are_translated() -> None:
    """What keeps the nearest rule from covering an origin."""
    rules = ["https://app.example", "https://*.sub.example", "https://x-*.pre.example"]
    policy = Policy([Rule(OriginPattern.parse(text), "test") for text in rules])
    other = Policy([Rule(OriginPattern.parse(rules[0]), "test", audience="prices")])
    asked = [
        (policy, "http://app.example:81"),
        (policy, "https://a.app.example"),
        (policy, "https://app.example.evil.example"),
        (policy, "https://b.sub.sub.example:81"),
        (policy, "https://sub.example"),
        (policy, "https://pre.example"),
        (other, "https://app.example"),
        (other, "http://app.example:81"),
        (
            Policy([Rule(OriginPattern.parse("https://a.b.example"), "test")]),
            "https://c.b.example",
        ),
    ]
    for one, origin in asked:
        nearest = one.explain(Handshake("/", origin)).nearest
        assert nearest
        with translation.override("fr"):
            assert translated(nearest.difference) != nearest.difference


def test_normalisations_are_translated() -> None:
    """What was changed of what somebody typed."""
    changes = set()
    for text in (
        *("HTTPS://.App.Example:443/", "https://b\xfccher.example", "https://[0::1]"),
    ):
        changes |= set(normalisations(text, OriginPattern.parse(text)))

    assert len(changes) == 6
    with translation.override("fr"):
        assert {text for text in changes if translated(text) == text} == set()


COMPARED: Final[list[dict[str, Any]]] = [
    {"CORS_ALLOW_ALL_ORIGINS": True, "CSRF_TRUSTED_ORIGINS": ["https://a.example"]},
    {
        "CORS_ALLOWED_ORIGINS": ["https://a.example"],
        "CORS_ALLOWED_ORIGIN_REGEXES": [r"https://[a-z]+\\.b\\.example"],
        "CORS_ALLOW_CREDENTIALS": True,
        "WSORIGIN_INHERIT": [],
        "ALLOWED_HOSTS": ["testserver"],
    },
    {
        "CORS_ALLOWED_ORIGINS": ["https://a.example", "https://b.example"],
        "CSRF_TRUSTED_ORIGINS": ["https://c.example"],
        "WSORIGIN_ALLOWED_ORIGINS": ["https://b.example", "https://d.example"],
        "WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"https://[a-z]+\\.e\\.example"],
        "WSORIGIN_INHERIT": ["same-origin"],
    },
    {
        "CORS_ALLOWED_ORIGINS": ["https://a.example"],
        "CORS_ALLOWED_ORIGIN_REGEXES": [r"https://[a-z]+\\.b\\.example"],
        "WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"https://[a-z]+\\.b\\.example"],
        "ALLOWED_HOSTS": ["x.example", "y.example"],
        "WSORIGIN_INHERIT": ["hosts"],
    },
]


@pytest.mark.parametrize(
    "settings", COMPARED, ids=["all", "no-sockets", "own-lists", "hosts"]
)
def test_comparisons_are_translated(settings: dict[str, Any]) -> None:
    """What does not agree between HTTP and sockets."""
    with override_settings(**settings):
        rows = reconcile().rows

    assert any(row.disagreement or row.note for row in rows)
    with translation.override("de"):
        for row in rows:
            said = in_words(row)
            assert said.websocket != row.websocket
            assert said.note != row.note or not row.note
            for sentence in row.disagreement.split(". "):
                assert not sentence or sentence not in said.disagreement


def test_a_path_that_leads_nowhere_is_named_in_german() -> None:
    """With the routes that there are."""
    with (
        override_settings(ASGI_APPLICATION="tests.servers.application.application"),
        pytest.raises(NoRoute) as refused,
    ):
        explain("https://app.example", path="/nowhere/")

    with translation.override("de"):
        assert translated(str(refused.value)).startswith(
            "Keine WebSocket-Route führt zu '/nowhere/'. Routen: /"
        )
