"""
The pictures in the docs, taken of the tour: ``python -m tests.pictures``.

Each page wide, in the dark, and on a phone. Beside them goes ``pictures.json``, with what
the pages were, so that a test can tell pictures that are out of date.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import django
from playwright.sync_api import Page

from .tour.browser import ATTACKER, SITE, go, look, touring
from .tour.visits import TOKENS, TRUSTED, VISITS, Visit

ROOT: Final = Path(__file__).parent.parent
IMAGES: Final = ROOT / "docs/images"
STYLES: Final = ROOT / "wsorigin/static/wsorigin/admin.css"
FACTS: Final = "pictures.json"
PHONE: Final = 390

# A walk of prices that is the same each time, and no more of the real ones.
_WALK: Final = """() => {
    for (const share of Object.keys(seen)) delete seen[share];
    table.tBodies[0].replaceChildren();
    const prices = {Acme: 182.4, Globex: 64.15, Initech: 23.8, Umbrella: 311.05};
    let state = 11;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.48;
    for (let step = 0; step < 45; step++) {
        for (const share in prices) draw(share, prices[share] *= 1 + random() / 90);
    }
    window.draw = () => {};
}"""
# The one thing on the policy page that has a clock of its own.
_STOP: Final = """() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode;
        node.data = node.data.replace(/\\d+\\.\\d+ s ago/, "0.4 s ago");
    }
}"""


def at_home(page: Page) -> None:
    """Open the demo's own page, as ada, who is logged in by it."""
    page.context.clear_cookies()
    page.goto(SITE)
    page.wait_for_selector("#prices tbody tr:nth-child(4)")
    page.wait_for_function("portfolio.textContent.startsWith('ada')")
    page.evaluate(_WALK)


def under_attack(page: Page) -> None:
    """Open the attacker's page with ada's cookie, and wait for what it reads."""
    page.goto(ATTACKER)
    page.wait_for_selector("#guarded[data-state=refused]")
    page.locator("#unguarded[data-state=stolen] pre", has_text="…").wait_for()


def at(visit: Visit) -> Callable[[Page], None]:
    """Return how to open a page of the admin."""

    def arrive(page: Page) -> None:
        go(page, visit)
        page.evaluate(_STOP)

    return arrive


@dataclass(frozen=True, slots=True)
class Picture:
    """A page, how to get there, and how much of it is worth showing."""

    name: str
    arrive: Callable[[Page], None]
    width: int
    height: int
    phone_height: int = 844


_VISIT: Final = {visit.name: visit for visit in VISITS}
PICTURES: Final = (
    Picture("admin-trusted", at(_VISIT["trusted"]), 1200, 1000),
    Picture(
        "admin-form",
        at(
            Visit(
                "form", f"{TRUSTED}add/?pattern=HTTPS://*.Partner.Example/&expires=30"
            )
        ),
        *(1200, 1180),
    ),
    Picture("admin-policy", at(_VISIT["policy-denied"]), 1200, 1180),
    Picture("admin-denied", at(_VISIT["denied"]), 1200, 1000),
    Picture("admin-tokens", at(Visit("tokens", TOKENS)), 1580, 720),
    Picture("admin-token-secret", at(_VISIT["secret"]), 1100, 800),
    Picture("demo-home", at_home, 1000, 530),
    Picture("demo-attack", under_attack, 1000, 590),
)


def take(page: Page, folder: Path) -> dict[str, Any]:
    """Take all pictures into a folder; return what they are of."""
    pictures = {}
    for picture in PICTURES:
        picture.arrive(page)
        for suffix, scheme, size in (
            ("", "light", (picture.width, picture.height)),
            ("-dark", "dark", (picture.width, picture.height)),
            ("-phone", "light", (PHONE, picture.phone_height)),
        ):
            look(page, scheme, size)
            page.screenshot(path=folder / f"{picture.name}{suffix}.png")
            pictures[picture.name + suffix] = {"size": size, "page": digest(page)}
    return {"django": series(), "pictures": pictures}


def digest(page: Page) -> str:
    """Hash what a page is made of, without what is drawn anew for each visitor."""
    html = re.sub(r'value="[\w-]{20,}"', "", page.content())
    return hashlib.sha256(f"{html}{STYLES.read_text()}".encode()).hexdigest()[:16]


def series() -> str:
    """Return the series of Django whose admin is in the pictures."""
    return ".".join(map(str, django.VERSION[:2]))


def main(folder: Path = IMAGES) -> None:
    """Take the pictures, and write down what they are of."""
    with TemporaryDirectory() as site, touring(Path(site)) as browser:
        facts = take(browser.new_page(), folder)
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
