"""
The demo as a newcomer starts it, for the tests that use it in a browser or without one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

from tests.servers.sites import ROOT, attended, unwatched

PRINTED: Final = re.compile(
    r"The site +(?P<site>http://localhost:\d+/)\n"
    r"Its attacker +(?P<attacker>http://localhost:\d+/)\n"
    r"The admin +(?P<admin>http://localhost:\d+/admin/)\n"
    r" +log in as +(?P<username>\S+) +(?P<password>\S+)\n"
    r"Ctrl-C ends the demo\.\n"
)
PHONE: Final = ViewportSize(width=390, height=844)


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo, and what it printed."""

    process: subprocess.Popen[str]
    site: str
    attacker: str
    admin: str
    username: str
    password: str


def environment(var: Path, **ports: str) -> dict[str, str]:
    """Return an environment for the demo: its own files, and ports that are free."""
    free = {"DEMO_PORT": "0", "ATTACK_PORT": "0"}
    return {**unwatched(), "DEMO_VAR": str(var), **free, **ports}


@contextmanager
def running_demo(var: Path) -> Iterator[Demo]:
    """Start the demo, yield it when it has printed what it prints, and stop it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "project.demo"],
        cwd=ROOT,
        env=environment(var),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with attended(process, 120):
        yield read_printed(process, process.stdout)


def read_printed(process: subprocess.Popen[str], stdout: IO[str] | None) -> Demo:
    """Read what a demo prints, all of it and nothing else."""
    assert stdout
    text = "".join(stdout.readline() for _ in range(5))
    printed = PRINTED.fullmatch(text)
    assert printed, text
    return Demo(process, **printed.groupdict())


@contextmanager
def logged_in(demo: Demo, browser: BrowserContext) -> Iterator[Page]:
    """Open a page of the admin, logged in as the demo says."""
    with browser.new_page() as page:
        page.goto(demo.admin)
        if "login" in page.url:
            page.fill("#id_username", demo.username)
            page.fill("#id_password", demo.password)
            page.click("[type=submit]")
        expect(page.locator("#user-tools")).to_contain_text(demo.username)
        yield page
