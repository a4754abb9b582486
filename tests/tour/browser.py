"""
A browser that takes the tour, logged in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import BrowserContext, Page

from tests.browser import open_browser
from tests.servers.sites import ROOT, attended

from .site import ATTACK_PORT, NOW, SITE_PORT
from .visits import Visit

SITE: Final = f"http://localhost:{SITE_PORT}"
ATTACKER: Final = f"http://localhost:{ATTACK_PORT}"

# Fills in the form that has the token of Django's protection against forgeries, and
# sends it as it is then. A field that is there twice counts with its last value.
_SEND: Final = """(fields) => {
    const form = document.querySelector("#content [name=csrfmiddlewaretoken]").form;
    for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement("input");
        Object.assign(input, {type: "hidden", name, value});
        form.append(input);
    }
    HTMLFormElement.prototype.submit.call(form);
}"""


# Colours that are on their way from one scheme to the next are nobody's, and the list
# of all models is not what is looked at.
_STILL: Final = """
localStorage.setItem("django.admin.navSidebarIsOpen", "false");
addEventListener("DOMContentLoaded", () => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("* { transition: none !important; caret-color: transparent; }");
    document.adoptedStyleSheets.push(sheet);
});"""


@contextmanager
def touring(folder: Path) -> Iterator[BrowserContext]:
    """Serve the site from an empty folder; yield a browser for it, logged in."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tour.site"],
        cwd=ROOT,
        env={**os.environ, "DEMO_VAR": str(folder / "var"), "DEMO_PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with attended(process, 1800):
        assert process.stdout
        site, attacker, session = process.stdout.readline().split()
        rules = (
            f"MAP localhost:{SITE_PORT} 127.0.0.1:{site},"
            f"MAP localhost:{ATTACK_PORT} 127.0.0.1:{attacker}"
        )
        with open_browser(
            folder / "profile",
            [f"--host-resolver-rules={rules}"],
            timezone_id="UTC",
            locale="en-GB",
        ) as browser:
            cookie = {"name": "sessionid", "value": session, "url": SITE}
            browser.add_cookies([cookie])
            browser.add_init_script(_STILL)
            # The admin's calendar marks today, by the browser's clock.
            browser.clock.set_fixed_time(NOW)
            yield browser


def go(page: Page, visit: Visit) -> None:
    """Visit a page, and wait until it is all there."""
    page.goto(SITE + visit.path)
    if visit.sent:
        send(page, visit.sent)


def send(page: Page, fields: Mapping[str, str]) -> None:
    """Fill in the form of a page and send it."""
    with page.expect_navigation():
        page.evaluate(_SEND, dict(fields))


def look(page: Page, scheme: Literal["light", "dark"], size: tuple[int, int]) -> None:
    """Show a page in another scheme and size, and not a moment before it has them."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.evaluate("document.fonts.ready")
