"""The tutorial, followed to the letter: an empty directory, pip, Daphne and a browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_path
from typing import Final

import pytest
from playwright.sync_api import BrowserContext, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from . import browser as chromium
from .pages import DOCS, Block, blocks_in, is_as_printed
from .services import free_port, missing

ROOT: Final = DOCS.parent
TUTORIAL: Final = DOCS / "tutorial.md"
# From the start of a process to its first answer, on a machine busy with others.
TIMEOUT: Final = 120.0
# Denials are written every two seconds.
LATE: Final = 5.0
# Servers: they go on while the page does.
LASTING: Final = re.compile("python (manage.py runserver|-m http.server) ")
STEP: Final = re.compile(
    r"^\d+\. (Open|Type|Click|Untick) (?:`(.+)` into )?[<*](.+)[>*]\.$", re.MULTILINE
)


@dataclass
class Reader:
    """Who does what the page says: in a directory, at terminals, in a browser."""

    folder: Path
    environment: dict[str, str]
    browser: BrowserContext
    terminals: list[subprocess.Popen[bytes]] = field(default_factory=list)
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
                self.run(command, printed)
        elif block.remark == "the page":
            shown = self.tabs[self.elsewhere].locator("pre")
            wait_for(block.text, shown.inner_text)
        elif block.remark == "the site":
            # Among the lines about requests.
            wait_for(f"…{block.text}…", self.log(0).read_text)
        else:
            path = self.folder / block.file
            path.parent.mkdir(exist_ok=True)
            with path.open("a" if block.is_addition else "w") as file:
                file.write(block.text)

    def run(self, command: str, printed: str) -> None:
        """Run a command, and compare; a server goes on, in a terminal of its own."""
        shell = ["bash", "-c", command]
        if LASTING.match(command):
            log = self.log(len(self.terminals))
            with log.open("wb") as output:
                process = subprocess.Popen(  # noqa: S603  # of our own page
                    shell,
                    cwd=self.folder,
                    env=self.environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            self.terminals.append(process)
            wait_for(printed, log.read_text)
            return
        result = subprocess.run(  # noqa: S603  # as above
            shell,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert is_as_printed(printed, result.stdout), f"$ {command}\n{result.stdout}"
        if command == "python -m venv .venv":
            self.lend_packages()

    def lend_packages(self) -> None:
        """
        Let the environment have what is installed here, except wsorigin.

        So pip has the wheel to install, and its dependencies are there already.
        """
        packages = self.folder.parent / "packages"
        packages.mkdir()
        for path in Path(get_path("purelib")).iterdir():
            if "wsorigin" not in path.name and path.suffix != ".pth":
                (packages / path.name).symlink_to(path)
        [own] = self.folder.glob(".venv/lib/python*/site-packages")
        (own / "lent.pth").write_text(f"{packages}\n")

    def log(self, number: int) -> Path:
        """Return the file with what a terminal shows."""
        return self.folder.parent / f"terminal{number}"

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


def wait_for(printed: str, shown: Callable[[], str]) -> None:
    """Wait until something shows what is printed on the page."""
    deadline = time.monotonic() + TIMEOUT
    while not is_as_printed(printed, shown()):
        assert time.monotonic() < deadline, f"{printed}\nis not:\n{shown()}"
        time.sleep(0.1)


@pytest.fixture
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package as it is published; return the folder that it is in."""
    if find_spec("hatchling") is None:  # pragma: no cover
        missing("no hatchling is installed (requirements.txt)")
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--wheel", "--no-isolation", "--outdir", str(folder)]
    run = [sys.executable, "-m", "build", *options, str(ROOT)]
    subprocess.run(run, check=True, capture_output=True, timeout=TIMEOUT)  # noqa: S603
    return folder


@pytest.fixture
def reader(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, wheel: Path
) -> Iterator[Reader]:
    """Somebody with an empty directory, and nothing of this suite's environment."""
    folder = tmp_path / "empty"
    folder.mkdir()
    profile = tmp_path_factory.mktemp("profile")
    kept = {"HOME": str(tmp_path), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    environment = {
        **kept,
        # As after ". .venv/bin/activate", which is forgotten with each command's shell.
        "PATH": os.pathsep.join(
            [
                str(folder / ".venv/bin"),
                str(Path(sys.executable).parent),
                os.environ["PATH"],
            ]
        ),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheel),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    with chromium.open_browser(profile) as browser:
        reader = Reader(folder, environment, browser)
        with ending(reader.terminals):
            yield reader


@contextmanager
def ending(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """End the servers, with the processes that they have started themselves."""
    try:
        yield
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(TIMEOUT)


@pytest.mark.browser
@pytest.mark.server
def test_the_tutorial_works_as_printed(reader: Reader) -> None:
    """Each file, command, output and click, with ports that nobody else has."""
    text = TUTORIAL.read_text(encoding="utf-8")
    for port in ("8000", "9000"):
        text = text.replace(port, str(free_port()))
    reader.elsewhere = re.findall("Open <http://(.*)/>", text)[0]
    reader.read(text)

    assert len(reader.terminals) == 2
