"""Pages of the documentation as programs: their blocks, found; and run, in a project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

DOCS: Final = Path(__file__).parents[2] / "docs"

_BLOCK: Final = re.compile(
    r"(?:^<!-- (?P<remark>.+?) -->\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FILE: Final = re.compile(r"(?:#|<!--) (?:At the end of )?(\w[\w/.-]*\.\w+)(?: -->)?\n")


class Block(NamedTuple):
    """
    A fenced block of a page.

    ``remark`` is the comment before it, which no reader sees: ``not run: …`` with the
    reason, or whatever a test wants to know.
    """

    language: str
    text: str
    remark: str = ""

    @property
    def file(self) -> str:
        """The file that it is, by its first line; empty for none."""
        found = _FILE.match(self.text)
        return found[1] if found else ""

    @property
    def is_addition(self) -> bool:
        """Whether it is the end of a file that is there already."""
        return self.text.startswith("# At the end of ")

    @property
    def reason_not_to_run(self) -> str:
        """Why it is not run; empty where it is."""
        marker, _, reason = self.remark.partition("not run: ")
        return "" if marker else reason

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield the commands of a console, each with what it prints."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def pages() -> list[str]:
    """Return the names of all pages."""
    return sorted(str(page.relative_to(DOCS)) for page in DOCS.glob("**/*.md"))


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    return [block for _, block in blocks_in((DOCS / page).read_text(encoding="utf-8"))]


def blocks_in(text: str) -> Iterator[tuple[int, Block]]:
    """Yield the blocks in a text, each with the place where it begins."""
    for found in _BLOCK.finditer(text):
        block = Block(found["language"], found["text"], found["remark"] or "")
        yield found.start(), block


def texts_in(text: str, language: str) -> list[str]:
    """Return the texts of the blocks in a language."""
    return [block.text for _, block in blocks_in(text) if block.language == language]


def is_as_printed(printed: str, output: str) -> bool:
    """Whether an output is the one on the page, where ``…`` stands for anything."""
    parts = map(re.escape, printed.strip().split("…"))
    return bool(re.fullmatch("(?s:.*?)".join(parts), output.strip()))
