"""
A real Chromium for the tests marked ``browser``, with a profile like a user's.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, sync_playwright

from .services import missing

# Its tests run as root in containers, where the sandbox cannot; and a browser that
# talks to its maker in the background is not under test.
ARGUMENTS = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """
    Return the path of Chromium: ``CHROMIUM``, the usual place, or the one on the path.

    Skips the test where there is none; in CI, where there has to be one, fails it.
    """
    named = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    path = shutil.which(named) or shutil.which("chromium")
    if path:
        return path
    missing(
        f"no Chromium: neither {named} nor chromium on the path; CHROMIUM names one"
    )


@contextmanager
def open_browser(
    profile: Path, arguments: Sequence[str] = (), **options: Any
) -> Iterator[BrowserContext]:
    """
    Run Chromium, headless, on a profile directory of its own; yield its one context.

    ``arguments`` are further switches of Chromium's, ``options`` are Playwright's.
    Everything inside has to be sync: no test of the same scope can use an event loop of
    its own.
    """
    executable = chromium()
    # A private context, and some distributions' default, blocks third-party cookies:
    # cross-site attacks would fail there for a reason that is not ours.
    preferences = profile / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True, exist_ok=True)
    preferences.write_text(json.dumps({"profile": {"cookie_controls_mode": 0}}))
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=executable,
            headless=True,
            args=[*ARGUMENTS, *arguments],
            **options,
        )
        try:
            yield context
        finally:
            context.close()
