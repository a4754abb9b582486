"""The tutorial, followed to the letter: an empty directory, pip, Daphne and a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import BrowserContext, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from .browser import open_browser
from .pages import DOCS, Block, blocks_in
from .services import free_port
from .terminals import Terminals, build_wheel, ending, wait_for

TUTORIAL: Final = DOCS / "tutorial.md"
# Denials are written every two seconds.
LATE: Final = 5.0
# Servers: they go on while the page does.
LASTING: Final = re.compile("python (manage.py runserver|-m http.server) ")
STEP: Final = re.compile(
    r"^\d+\. (Open|Type|Click|Untick) (?:`(.+)` into )?[<*](.+)[>*]\.$", re.MULTILINE
)


@dataclass(kw_only=True)
class Reader(Terminals):
    """Who does what the page says: in a directory, at terminals, in a browser."""

    browser: BrowserContext
    logs: list[Path] = field(default_factory=list)
    tabs: dict[str, Page] = field(default_factory=dict)
    site: str = ""
    elsewhere: str = ""

    def read(self, text: str) -> None:
        """Follow a page from its beginning to its end."""
        steps = ((found.start(), found) for found in STEP.finditer(text))
        for _, one in sorted([*blocks_in(text), *steps], key=lambda pair: pair[0]):
            if isinstance(one, Block):
                self.do(one)
            else:
                self.click(*one.groups())

    def do(self, block: Block) -> None:
        """Write a file, type commands, or compare what a page or a terminal says."""
        if block.language == "console":
            for command, printed in block.commands():
                self.type(command, printed)
        elif block.remark == "the page":
            shown = self.tabs[self.elsewhere].locator("pre")
            wait_for(block.text, shown.inner_text)
        elif block.remark == "the site":
            # Among the lines about requests.
            wait_for(f"…{block.text}…", self.logs[0].read_text)
        else:
            path = self.folder / block.file
            path.parent.mkdir(exist_ok=True)
            with path.open("a" if block.is_addition else "w") as file:
                file.write(block.text)

    def type(self, command: str, printed: str) -> None:
        """Run a command; a server goes on, in a terminal of its own."""
        if LASTING.match(command):
            self.logs.append(self.start(command, printed))
            return
        self.run(command, printed)
        if command == "python -m venv .venv":
            self.lend_packages()

    def click(self, verb: str, text: str | None, name: str) -> None:
        """Do one step in the browser: a tab for each site."""
        if verb == "Open":
            host = name.split("/")[2]
            self.site = host
            if host not in self.tabs:
                self.tabs[host] = self.browser.new_page()
            self.tabs[host].goto(name)
            return
        tab = self.tabs[self.site]
        if verb == "Type":
            tab.get_by_label(name).first.fill(text or "")
        elif verb == "Untick":
            tab.get_by_label(name, exact=True).uncheck()
        else:
            # By what is to be seen; programs that read aloud may be told more.
            seen = f'a:text-is("{name}"), button:text-is("{name}"), [value="{name}"]'
            wanted = tab.locator(seen).first
            with suppress(PlaywrightTimeoutError):
                wanted.wait_for(timeout=LATE * 1000)
            if not wanted.is_visible():  # pragma: no cover  # on a quick machine
                tab.reload()  # "load the page again after some seconds"
            wanted.click()


@pytest.fixture
def reader(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    """Somebody with an empty directory, and nothing of this suite's environment."""
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        reader = Reader(tmp_path / "empty", wheel, browser=browser)
        with ending(reader.running):
            yield reader


@pytest.mark.browser
@pytest.mark.server
def test_the_tutorial_works_as_printed(reader: Reader) -> None:
    """Each file, command, output and click, with ports that nobody else has."""
    text = TUTORIAL.read_text(encoding="utf-8")
    for port in ("8000", "9000"):
        text = text.replace(port, str(free_port()))
    reader.elsewhere = re.findall("Open <http://(.*)/>", text)[0]
    reader.read(text)

    assert len(reader.running) == 2
