"""Probing regular expressions: what leaks, what hangs, and what is fine."""

from __future__ import annotations

import re

import pytest

from wsorigin.regexes import leak, registrable, samples, slow_input

FINE = [
    r"^https://(app|admin)\.example\.com(:8443)?$",
    r"https://[a-z0-9-]+\.example\.com",
    r"https://[^/]+\.example\.com",
    r"https://\w+\.example\.com",
    r"https://([a-z]+\.)*example\.com",
    r"https?://example\.com(?::\d{1,5})?",
    r"https://(?:[a-z0-9-]+\.)?example\.(com|org)",
    r"https://deploy-preview-\d+--mysite\.netlify\.app",
    r"http://localhost:[0-9]+",
    r"(?i)HTTPS://EXAMPLE\.COM",
    r"https://(?>app|web)\.example\.com",
    r"https://a++\.example\.com",
    r"https://[^\d]pp\.example\.com",
    r"https://[^a]pp\.example\.com",
    r"https://\Dpp\.example\.com",
    r"https://[\s\w]pp\.example\.com",
    r"https://qq[qz]\.example\.com",
    r"https://app\.example\.com(?=$)",
]


@pytest.mark.parametrize("pattern", FINE)
def test_no_false_alarm(pattern: str) -> None:
    """A careful expression has a sample, lets no stranger in and is quick."""
    regex = re.compile(pattern)

    assert samples(regex)
    assert leak(regex, regex.fullmatch) is None
    assert slow_input(regex) is None


@pytest.mark.parametrize(
    ("pattern", "stranger"),
    [
        pytest.param(r"https://example\.com.*", "evil", id="suffix (CVE-2026-40110)"),
        pytest.param(r"https://.*example\.com", "evil", id="prefix (CVE-2022-42975)"),
        pytest.param(r"https://app.example\.com", "appxexample.com", id="dot"),
        pytest.param(r"https://app\.example.com", "", id="last dot"),
        pytest.param(r"https://.*\.vercel\.app", "vercel.app", id="shared suffix"),
        pytest.param(r"https://.*", "evil", id="any host"),
        pytest.param(r".*", "https://evil.example", id="anything"),
    ],
)
def test_finds_what_lets_strangers_in(pattern: str, stranger: str) -> None:
    """A leak is shown with an origin that it was meant for and a stranger's."""
    regex = re.compile(pattern)
    leaked = leak(regex, regex.fullmatch)

    assert leaked
    assert regex.fullmatch(leaked[0])
    assert regex.fullmatch(leaked[1])
    assert stranger in leaked[1]
    assert registrable(leaked[0]) != registrable(leaked[1])


def test_an_open_end_leaks_only_where_match_is_used() -> None:
    """django-cors-headers applies expressions with re.match (rack-cors CVE-2017-11173)."""
    regex = re.compile(r"https://app\.example\.com")

    assert leak(regex, regex.fullmatch) is None
    assert leak(regex, regex.match) == (
        "https://app.example.com",
        "https://app.example.com.evil.example",
    )


@pytest.mark.parametrize(
    "pattern",
    [
        r"https://([a-z]+)*\.example\.com",
        r"https://(\w+\.?)+example\.com",
        r"https://(a|a)*b",
        r"https://app(x+x+)+y",
    ],
)
def test_finds_what_hangs(pattern: str) -> None:
    """Exponential backtracking is found in a moment, with the text that shows it."""
    text = slow_input(re.compile(pattern))

    assert text
    assert len(text) <= 300
