"""
The page about ASVS and OWASP: each point has a row, each row its tests.

That these exist, `test_threat_model.py` sees to, for all pages.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

from .servers.sites import ROOT

PAGE: Final = (ROOT / "docs/explanation/asvs.md").read_text()
MET, CHEAT_SHEET, OTHERS = re.split(r"^## .*$", PAGE, flags=re.MULTILINE)[1:]

# What ASVS 5.0 asks that concerns WebSockets, their tokens, or their logs.
IDS: Final = [
    "2.4.1",
    "3.3.2",
    "3.4.2",
    "3.5.1",
    "3.5.2",
    "3.5.3",
    "3.5.8",
    "4.1.3",
    "4.2.5",
    "4.4.1",
    "4.4.2",
    "4.4.3",
    "4.4.4",
    "6.5.1",
    "6.5.2",
    "6.5.5",
    "7.1.1",
    "7.1.2",
    "7.2.1",
    "7.2.2",
    "7.2.3",
    "7.2.4",
    "7.3.1",
    "7.3.2",
    "7.4.1",
    "7.4.2",
    "7.4.3",
    "7.4.5",
    "7.5.2",
    "8.3.2",
    "9.1.1",
    "9.1.2",
    "9.1.3",
    "9.2.1",
    "9.2.2",
    "9.2.3",
    "9.2.4",
    "11.2.2",
    "11.2.4",
    "11.4.1",
    "11.5.1",
    "12.2.1",
    "13.3.4",
    "14.2.1",
    "14.2.2",
    "14.2.7",
    "14.3.2",
    "16.2.1",
    "16.2.2",
    "16.2.5",
    "16.3.1",
    "16.3.2",
    "16.3.3",
    "16.4.1",
    "16.5.1",
    "16.5.3",
]
# A word of each point of the Cheat Sheet.
POINTS: Final = [
    "`wss` only",
    "compression",
    "Upgrade",
    "`Origin` on every handshake",
    "CSRF token",
    "`SameSite`",
    "session expires",
    "log-out closes",
    "tokens rather than cookies",
    "rotated",
    "each message is authorised",
    "bounded in size and rate",
    "bounded numbers of connections",
    "violations are logged",
    "a log entry for each connection",
    "foreign origin",
]


def rows(section: str) -> list[list[str]]:
    """Return the cells of the rows of a section's tables, without the headings."""
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    cells = [line.split(" | ") for line in lines]
    headings = {"id", "point", "point of the Cheat Sheet", "---"}
    return [row for row in cells if row[0] not in headings]


def named_in(row: list[str]) -> list[str]:
    """Return the tests that a row names in its last cell."""
    return re.findall(r"`(test_\w+\.py::test_\w+)`", row[-1])


@pytest.mark.parametrize("number", IDS)
def test_each_requirement_has_a_row(number: str) -> None:
    """Either among those that are met, or among the others; not among both."""
    assert [row[0] for row in rows(MET + OTHERS)].count(number) == 1


@pytest.mark.parametrize("point", POINTS)
def test_each_point_has_a_row(point: str) -> None:
    """As above."""
    found = [row for row in rows(CHEAT_SHEET + OTHERS) if point in row[0]]

    assert len(found) == 1


def test_no_row_is_about_anything_else() -> None:
    """The lists are complete, so that a new row is a new entry here."""
    numbers = [row[0] for row in rows(MET + OTHERS) if re.match(r"\d", row[0])]
    points = [row for row in rows(CHEAT_SHEET + OTHERS) if not re.match(r"\d", row[0])]

    assert sorted(numbers) == sorted(IDS)
    assert len(points) == len(POINTS)


@pytest.mark.parametrize("row", rows(MET + CHEAT_SHEET), ids=lambda row: row[0][:40])
def test_what_is_met_names_its_tests(row: list[str]) -> None:
    """Nothing but tests stands in the last cell, and at least one does."""
    assert named_in(row)
    assert row[-1] == ", ".join(f"`{name}`" for name in named_in(row))


@pytest.mark.parametrize("row", rows(OTHERS), ids=lambda row: row[0][:40])
def test_what_is_not_met_has_a_reason(row: list[str]) -> None:
    """In a sentence."""
    assert row[-1].endswith(".")
