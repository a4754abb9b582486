"""HTTP beside WebSockets: every disagreement is named, and the proposal ends it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from wsorigin.conf import SOURCE_NAMES
from wsorigin.models import TrustedOrigin
from wsorigin.reconciliation import Reconciliation, Row, reconcile
from wsorigin.refresh import current

BASE: dict[str, Any] = {
    "ALLOWED_HOSTS": ["app.example.com"],
    "SESSION_COOKIE_SECURE": True,
}


def compare(**lists: Any) -> Reconciliation:
    """Reconcile under these settings."""
    with override_settings(**{**BASE, **lists}):
        return reconcile()


def row(result: Reconciliation, origin: str) -> Row:
    """Find the row of an origin."""
    return next(row for row in result.rows if row.origin == origin)


def pasted(result: Reconciliation) -> dict[str, Any]:
    """Execute the proposal, as pasting it into the settings would."""
    namespace: dict[str, Any] = {"re": re}
    exec(str(result.proposal), namespace)  # noqa: S102  # it is our own output
    return {name: value for name, value in namespace.items() if name.isupper()}


EVERYTHING_WRONG: dict[str, Any] = {
    "ALLOWED_HOSTS": ["app.example.com", ".example.org"],
    "CORS_ALLOW_CREDENTIALS": True,
    "CORS_ALLOWED_ORIGINS": ["https://cors.example", "https://spa.example"],
    "CORS_ALLOWED_ORIGIN_REGEXES": [r"^https://pr-\d+\.cors\.example$"],
    "CSRF_TRUSTED_ORIGINS": ["https://*.forms.example", "https://spa.example"],
    "WSORIGIN_ALLOWED_ORIGINS": ["https://partner.example", "https://.widgets.example"],
    "WSORIGIN_ALLOWED_ORIGIN_REGEXES": [re.compile(r"https://\d\.example\.net")],
    "WSORIGIN_INHERIT": ["csrf", "hosts"],
}


def test_names_every_disagreement() -> None:
    """Each list that grants more or less than the others is in a row of its own."""
    result = compare(**EVERYTHING_WRONG)

    assert {row.origin: row.disagreement for row in result.disagreements} == {
        "https://cors.example": (
            "CORS lets it read over HTTP, but its sockets are refused. "
            "It reads with the session, but its posts fail the CSRF check."
        ),
        r"re:^https://pr-\d+\.cors\.example$": (
            "CORS matches it over HTTP, but its sockets are refused."
        ),
        "https://forms.example": "It opens sockets, but CORS refuses it over HTTP.",
        "https://*.forms.example": "It opens sockets, but CORS refuses it over HTTP.",
        "https://partner.example": "It opens sockets, but CORS refuses it over HTTP.",
        "https://widgets.example": "It opens sockets, but CORS refuses it over HTTP.",
        "https://*.widgets.example": "It opens sockets, but CORS refuses it over HTTP.",
        r"re:https://\d\.example\.net": (
            "It opens sockets, but CORS does not match it over HTTP."
        ),
        "https://app.example.com": (
            "Each host's pages open sockets on the others, which CORS refuses."
        ),
        "https://example.org": (
            "Each host's pages open sockets on the others, which CORS refuses."
        ),
        "https://*.example.org": (
            "Each host's pages open sockets on the others, which CORS refuses."
        ),
    }


def test_pasting_the_proposal_ends_every_disagreement() -> None:
    """With the printed settings, the comparison and the check are silent."""
    after = {**EVERYTHING_WRONG, **pasted(compare(**EVERYTHING_WRONG))}
    with override_settings(**{**BASE, **after}):
        messages = run_checks()

    assert compare(**after).disagreements == ()
    assert str(compare(**after).proposal) == ""
    assert [m for m in messages if m.id == "wsorigin.W009"] == []


origins = st.lists(
    st.sampled_from(
        [
            "https://a.example",
            "https://b.example:8443",
            "https://*.a.example",
            "https://.b.example",
            "http://a.example",
            "https://app.example.com",
            "https://x-*.a.example",
            "https://a.example:*",
        ]
    ),
    unique=True,
)
regexes = st.lists(st.sampled_from([r"https://[a-z]\.example$", r"https://b\.org$"]))


@given(
    st.fixed_dictionaries(
        {
            "ALLOWED_HOSTS": st.lists(
                st.sampled_from(["app.example.com", ".a.example", "b.example", "*"])
            ),
            "CORS_ALLOW_CREDENTIALS": st.booleans(),
            "CORS_ALLOW_ALL_ORIGINS": st.booleans(),
            "CORS_ALLOWED_ORIGINS": origins,
            "CORS_ALLOWED_ORIGIN_REGEXES": regexes,
            "CSRF_TRUSTED_ORIGINS": origins,
            "WSORIGIN_ALLOWED_ORIGINS": origins,
            "WSORIGIN_ALLOWED_ORIGIN_REGEXES": regexes,
            "WSORIGIN_ALLOW_ALL_ORIGINS": st.booleans(),
            "WSORIGIN_INHERIT": st.lists(st.sampled_from(SOURCE_NAMES), unique=True),
        }
    )
)
@settings(max_examples=200, deadline=None)
def test_any_proposal_ends_every_disagreement(lists: dict[str, Any]) -> None:
    """Whatever the lists hold, one paste makes them agree, and another changes nothing."""
    after = compare(**{**lists, **pasted(compare(**lists))})

    assert after.disagreements == ()
    assert str(after.proposal) == ""


@pytest.mark.parametrize(
    ("lists", "origin", "disagreement"),
    [
        pytest.param(
            {"WSORIGIN_INHERIT": ["cors"]},
            "https://app.example.com",
            "It is this site, but its own pages are refused.",
            id="own pages refused",
        ),
        pytest.param(
            {
                "CORS_ALLOWED_ORIGINS": ["https://a.example"],
                "WSORIGIN_ALLOWED_ORIGINS": ["https://a.example"],
            },
            "https://a.example",
            "Its sockets get the session, which CORS denies it over HTTP.",
            id="session over sockets only",
        ),
        pytest.param(
            {
                "CORS_ALLOWED_ORIGIN_REGEXES": ["x"],
                "WSORIGIN_ALLOWED_ORIGIN_REGEXES": ["x"],
            },
            "re:x",
            "Its sockets get the session, which CORS denies it over HTTP.",
            id="session over sockets only, by a regular expression",
        ),
        pytest.param(
            {"CORS_ALLOWED_ORIGINS": [], "WSORIGIN_ALLOW_ALL_ORIGINS": True},
            "*",
            "It opens sockets, but CORS does not match it over HTTP.",
            id="all origins over sockets only",
        ),
    ],
)
def test_disagreements(lists: dict[str, Any], origin: str, disagreement: str) -> None:
    """What sockets grant beyond HTTP, and what they lack, is said in words."""
    assert row(compare(**lists), origin).disagreement == disagreement


@pytest.mark.parametrize(
    ("lists", "origin", "expected"),
    [
        pytest.param({}, "https://app.example.com", "session", id="the site itself"),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": ["https://partner.example"]},
            "https://partner.example",
            "session",
            id="a list for sockets, in a project without CORS",
        ),
        pytest.param(
            {
                "CORS_ALLOWED_ORIGINS": [],
                "WSORIGIN_ALLOWED_ORIGINS": ["https://app.example.com"],
            },
            "https://app.example.com",
            "session",
            id="the site lists itself",
        ),
        pytest.param(
            {"WSORIGIN_ALLOWED_ORIGINS": ["null", "moz-extension://*"]},
            "null",
            "anonymous",
            id="null",
        ),
        pytest.param(
            {"CORS_ALLOWED_ORIGINS": ["https://a.example"]},
            "https://a.example",
            "anonymous",
            id="inherited without the session",
        ),
        pytest.param(
            {"CSRF_TRUSTED_ORIGINS": ["https://pay.example"]},
            "https://pay.example",
            "no",
            id="forms only",
        ),
        pytest.param({"CORS_ALLOW_ALL_ORIGINS": True}, "*", "no", id="CORS for all"),
        pytest.param(
            {"CORS_ORIGIN_ALLOW_ALL": True}, "*", "no", id="CORS for all, as of old"
        ),
    ],
)
def test_what_agrees(lists: dict[str, Any], origin: str, expected: str) -> None:
    """What differs for a good reason is no disagreement."""
    result = compare(**lists)

    assert result.disagreements == ()
    assert row(result, origin).websocket == expected


def test_notes_say_why_a_difference_is_right() -> None:
    """Writing without reading cannot be had over a socket; all origins are not inherited."""
    lists = {
        "CSRF_TRUSTED_ORIGINS": ["https://a.example"],
        "CORS_ALLOW_ALL_ORIGINS": True,
    }
    result = compare(**lists)

    assert row(result, "*").note == (
        "CORS lets all origins read; for sockets see wsorigin.W004."
    )
    assert (
        "posts forms"
        in row(
            compare(CSRF_TRUSTED_ORIGINS=["https://a.example"]), "https://a.example"
        ).note
    )


@pytest.mark.django_db(transaction=True)
def test_a_row_is_an_operator_s_word() -> None:
    """Rows have switches of their own for session, CORS and audience: all agree."""
    for number in range(8):
        TrustedOrigin.objects.create(
            pattern=f"https://row{number}.example",
            allow_credentials=bool(number & 1),
            allow_cors=bool(number & 2),
            audience="prices" if number & 4 else "",
        )
    with override_settings(
        **BASE,
        WSORIGIN_INHERIT=["same-origin", "cors", "database"],
        CORS_ALLOW_CREDENTIALS=True,
        CORS_ALLOWED_ORIGINS=[],
    ):
        current.expire()
        result = reconcile(database=True)
        without = reconcile()

    assert result.disagreements == ()
    assert [row.websocket for row in result.rows if row.note] == (
        ["anonymous", "session"] * 4
    )
    assert [row.origin for row in without.rows] == ["https://app.example.com"]


@pytest.mark.django_db(transaction=True)
def test_a_row_beside_a_list_that_grants_more() -> None:
    """What CORS grants in the settings, sockets are to grant, whatever a row says."""
    TrustedOrigin.objects.create(pattern="https://a.example")
    with override_settings(
        **BASE,
        WSORIGIN_INHERIT=["same-origin", "database"],
        CORS_ALLOW_CREDENTIALS=True,
        CORS_ALLOWED_ORIGINS=["https://a.example"],
        CSRF_TRUSTED_ORIGINS=["https://a.example"],
    ):
        current.expire()
        result = reconcile(database=True)

    assert row(result, "https://a.example").disagreement == (
        "CORS gives it the session over HTTP, but its sockets get none."
    )
    assert "'cors'," in str(result.proposal)
