"""Finding Chromium: by name, not at all, and not at all where it has to be."""

from __future__ import annotations

import sys

import pytest

from .browser import chromium


@pytest.fixture
def no_chromium(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Chromium."""
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    monkeypatch.setenv("PATH", "")


def test_finds_the_browser_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """``CHROMIUM`` names the program to drive."""
    monkeypatch.setenv("CHROMIUM", sys.executable)

    assert chromium() == sys.executable


@pytest.mark.usefixtures("no_chromium")
def test_skips_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer without Chromium can run the rest, and is told what was left out."""
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="no Chromium: neither /nowhere"):
        chromium()


@pytest.mark.usefixtures("no_chromium")
def test_fails_in_ci_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI never passes for want of a browser."""
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="no Chromium"):
        chromium()
