"""The admin as a newcomer meets it: a page is refused, trusted, and refused again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import repeat, takewhile
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from .browser import open_browser
from .demo import PHONE, Demo, logged_in, running_demo

pytestmark = pytest.mark.browser

PATIENCE = 30.0
TRUSTED = "wsorigin/trustedorigin/"
DENIED = "wsorigin/deniedhandshake/"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo of this module's own: what it trusts is nobody else's business."""
    with running_demo(tmp_path_factory.mktemp("demo") / "var") as demo:
        yield demo


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """One browser, in which somebody has logged in to the admin."""
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def admin(demo: Demo, browser: BrowserContext) -> Iterator[Page]:
    """A page of the admin, logged in as the demo says."""
    with logged_in(demo, browser) as page:
        yield page


def moments() -> Iterator[None]:
    """Yield until patience ends; each turn loads a page, which takes its time."""
    end = time.monotonic() + PATIENCE
    return takewhile(lambda _: time.monotonic() < end, repeat(None))


def state_of_attack(page: Page) -> str | None:
    """Load the attacker's page anew and return what became of the guarded socket."""
    page.reload()
    panel = page.locator("#guarded:not([data-state=connecting])")
    panel.wait_for()
    return panel.get_attribute("data-state")


def test_a_refused_page_is_trusted_and_refused_again(
    demo: Demo, browser: BrowserContext, admin: Page
) -> None:
    """From *Denied handshakes* by one button, in force without a restart."""
    origin = demo.attacker.rstrip("/")
    with browser.new_page() as attacker:
        attacker.goto(demo.attacker)
        assert state_of_attack(attacker) == "refused"

        link = admin.get_by_role("link", name=f"Trust this origin…: {origin}")
        assert any(admin.goto(demo.admin + DENIED) and link.count() for _ in moments())
        link.first.click()
        expect(admin.locator("#id_pattern")).to_have_value(origin)
        expect(admin.locator("#id_note")).to_have_value(
            re.compile("Seen at /ws/prices/")
        )
        admin.click("[name=_save]")
        expect(admin.locator(".messagelist")).to_contain_text("was added successfully")

        # Without "allow credentials": it opens, and nobody is logged in there.
        assert any(state_of_attack(attacker) == "nobody" for _ in moments())

        admin.goto(demo.admin + TRUSTED)
        admin.get_by_role("row", name=origin).get_by_role("checkbox").check()
        admin.select_option("[name=action]", "deactivate")
        admin.click("[name=index]")
        expect(admin.locator(".messagelist")).to_contain_text(
            "1 trusted origin was deactivated."
        )

        assert any(state_of_attack(attacker) == "refused" for _ in moments())


def test_the_preview_follows_what_is_typed(demo: Demo, admin: Page) -> None:
    """Stored form, examples and mistakes, while one types; markup stays text."""
    admin.goto(f"{demo.admin}{TRUSTED}add/")
    preview = admin.locator("#wsorigin-preview")

    admin.locator("#id_pattern").press_sequentially("HTTPS://*.App.Example/")
    expect(preview).to_contain_text("is stored as https://*.app.example")
    expect(preview.locator(".wsorigin-yes")).to_have_count(3)
    expect(preview.locator(".wsorigin-no")).to_have_count(3)
    expect(admin.locator("[name=_preview]")).to_have_count(0)

    admin.fill("#id_pattern", "https://<b id=injected>.example")
    expect(preview.locator(".wsorigin-problem")).to_contain_text("a pattern of origins")
    expect(admin.locator("#injected")).to_have_count(0)


def test_the_preview_works_without_a_script(demo: Demo, admin: Page) -> None:
    """The button shows the same, and nothing is saved."""
    admin.route("**/preview.js", lambda route: route.abort())
    admin.goto(f"{demo.admin}{TRUSTED}add/")
    admin.fill("#id_pattern", "HTTPS://Unsaved.Example")

    admin.click("[name=_preview]")

    expect(admin.locator("#wsorigin-preview")).to_contain_text(
        "is stored as https://unsaved.example"
    )
    admin.goto(demo.admin + TRUSTED)
    expect(admin.get_by_text("unsaved.example")).to_have_count(0)


@pytest.mark.parametrize(
    "path",
    [
        TRUSTED,
        f"{TRUSTED}add/?pattern=http://a.example",
        f"{TRUSTED}import/",
        f"{TRUSTED}policy/?origin=https://{'a' * 60}.example",
        f"{TRUSTED}policy/?origin=x&path=/{'a' * 200}/",
        DENIED,
        f"{DENIED}prune/",
        "wsorigin/",
    ],
)
def test_fits_a_phone(path: str, demo: Demo, admin: Page) -> None:
    """No page scrolls sideways; wide tables scroll in a box of their own."""
    admin.set_viewport_size(PHONE)
    admin.goto(demo.admin + path)

    assert admin.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert urlsplit(admin.url).path.startswith("/admin/wsorigin/")
