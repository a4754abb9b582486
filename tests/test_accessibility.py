"""The admin's pages as people meet them who see, hear or move otherwise: what axe finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import BrowserContext, Page

from .demo import PHONE
from .services import installed_from_npm
from .tour.browser import go, look, touring
from .tour.visits import PLAIN, VISITS, Visit

pytestmark = pytest.mark.browser

TOUR: Final = Path(__file__).parent / "tour"
WIDE: Final = (1200, 900)
NARROW: Final = (PHONE["width"], PHONE["height"])
# Every rule in both widths and in both schemes; what changes between the two is colours.
COLOURS: Final = ["color-contrast", "link-in-text-block"]
LOOKS: Final[
    tuple[tuple[Literal["light", "dark"], tuple[int, int], list[str]], ...]
] = (
    ("light", WIDE, []),
    ("dark", WIDE, COLOURS),
    ("dark", NARROW, []),
    ("light", NARROW, COLOURS),
)

# A violation is a rule, and the element with its parent: what is Django's own looks the
# same on a page of Django's.
RUN: Final = """async (rules) => {
    const look = (node) =>
        node.localName + [...node.classList].map((name) => `.${name}`).join("");
    const shape = (node) => `${look(node.parentElement)} > ${look(node)}`;
    const options = {resultTypes: ["violations"], elementRef: true};
    if (rules.length) options.runOnly = {type: "rule", values: rules};
    const {violations} = await axe.run(document, options);
    return violations.flatMap(({id, nodes}) =>
        nodes.map(({element, html}) => [id, shape(element), html]));
}"""

Violations = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install axe from npm; skip where that cannot be, though never in CI."""
    packages = installed_from_npm(TOUR, tmp_path_factory.mktemp("npm"))
    return (packages / "axe-core/axe.min.js").read_text()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """One browser on the tour."""
    with touring(tmp_path_factory.mktemp("tour")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: BrowserContext) -> Iterator[Page]:
    """One page of it, for all visits."""
    with browser.new_page() as page:
        yield page


@pytest.fixture(scope="module")
def of_django(page: Page, axe: str) -> Violations:
    """What axe finds on pages that are Django's alone."""
    found: Violations = {}
    for visit in PLAIN:
        found |= violations(page, visit, axe)
    return found


def violations(page: Page, visit: Visit, axe: str) -> Violations:
    """Visit a page, and return what axe finds there in any of its looks."""
    go(page, visit)
    page.evaluate(axe)
    found: Violations = {}
    for scheme, size, rules in LOOKS:
        look(page, scheme, size)
        for rule, shape, html in page.evaluate(RUN, rules):
            found[rule, shape] = f"{scheme}, {size[0]} wide: {html}"
    return found


@pytest.mark.parametrize("visit", VISITS, ids=str)
def test_has_no_violation(
    visit: Visit, page: Page, axe: str, of_django: Violations
) -> None:
    """In light and dark, wide and on a phone: nothing but what Django's own shell has."""
    found = violations(page, visit, axe)

    assert {key: found[key] for key in found.keys() - of_django.keys()} == {}


def test_finds_what_is_wrong(page: Page, axe: str) -> None:
    """The check is one: a label that is gone and a colour that is too faint are found."""
    go(page, VISITS[1])
    page.evaluate(
        """() => {
            document.querySelector("label[for=searchbar]").remove();
            document.querySelector(".wsorigin-state").style.color = "#ccc";
        }"""
    )
    page.evaluate(axe)

    rules = {rule for rule, _shape, _html in page.evaluate(RUN, [])}

    assert {"label", "color-contrast"} <= rules


def test_django_has_little_that_is_wrong(of_django: Violations) -> None:
    """What is taken for Django's own is a short list, and nothing of ours is on it."""
    assert len(of_django) < 10
    assert "wsorigin" not in str(of_django)
