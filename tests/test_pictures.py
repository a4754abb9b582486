"""The pictures in the docs: there, small, and of the pages as they are."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .browser import chromium
from .pictures import FACTS, IMAGES, ROOT, series

TAKE = "Take new pictures, and look at them: python -m tests.pictures"
STORED: dict[str, Any] = json.loads((IMAGES / FACTS).read_text())
PICTURES: dict[str, Any] = STORED["pictures"]
MAX_BYTES = 150_000


def size_of(picture: Path) -> list[int]:
    """Return width and height of a PNG (PNG specification, section 11.2.1)."""
    return list(struct.unpack(">II", picture.read_bytes()[16:24]))


@pytest.mark.parametrize("name", PICTURES)
def test_each_picture_is_there_and_small(name: str) -> None:
    """The size that it was taken in, and nothing that a reader waits for."""
    picture = IMAGES / f"{name}.png"

    assert size_of(picture) == PICTURES[name]["size"]
    assert picture.stat().st_size < MAX_BYTES


def test_no_picture_was_taken_otherwise() -> None:
    """What no script takes again grows old unseen."""
    assert {picture.stem for picture in IMAGES.glob("*.png")} == set(PICTURES)


def test_the_docs_show_pictures_that_are_taken() -> None:
    """A page names no picture that is gone."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    text = "".join(page.read_text() for page in pages)

    assert set(re.findall(r"images/([\w-]+)\.png", text)) <= set(PICTURES)


@pytest.mark.browser
def test_the_pictures_are_of_the_pages_as_they_are(tmp_path: Path) -> None:
    """Who changes a page takes a new picture of it."""
    chromium()  # or there is nothing to take them with
    command = [sys.executable, "-m", "tests.pictures", str(tmp_path)]

    subprocess.run(command, cwd=ROOT, check=True, timeout=300)  # noqa: S603  # ours

    taken = json.loads((tmp_path / FACTS).read_text())
    assert list(taken["pictures"]) == list(PICTURES)
    for name, fact in taken["pictures"].items():
        assert size_of(tmp_path / f"{name}.png") == fact["size"]
    if (
        taken["django"] == STORED["django"]
    ):  # pragma: no branch  # the frame is Django's
        assert taken["pictures"] == PICTURES, TAKE
    assert taken["django"] == series()
