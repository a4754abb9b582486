"""Tokens as a newcomer meets them: minted in the admin, used in a program, revoked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright._impl._driver import compute_driver_executable
from playwright.sync_api import BrowserContext, Page, expect

from wsorigin.denial import CLOSE_CREDENTIAL, CLOSE_REVOKED

from .browser import open_browser
from .demo import PHONE, Demo, logged_in, running_demo
from .servers.sites import attended

pytestmark = pytest.mark.browser

TOKENS = "wsorigin/connectiontoken/"
# For a program to start, connect and print, on a machine busy with others.
PATIENCE = 60


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo of this module's own, with no tokens but ours."""
    with running_demo(tmp_path_factory.mktemp("demo") / "var") as demo:
        yield demo


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """One browser, whose pages may use the clipboard."""
    with open_browser(
        tmp_path_factory.mktemp("profile"),
        permissions=["clipboard-read", "clipboard-write"],
    ) as browser:
        yield browser


@pytest.fixture
def admin(demo: Demo, browser: BrowserContext) -> Iterator[Page]:
    """A page of the admin, logged in as the demo says."""
    with logged_in(demo, browser) as page:
        yield page


def mint(demo: Demo, admin: Page, name: str, *, origins: str = "") -> str:
    """Mint a token by the form, a publishable one where it has origins; return it."""
    admin.goto(f"{demo.admin}{TOKENS}add/")
    admin.fill("#id_name", name)
    if origins:
        admin.check("[value=publishable]")
        admin.fill("#id_origins", origins)
    admin.click("input[value=Mint]")
    return admin.locator("#wsorigin-secret").inner_text()


def sample(admin: Page, name: str) -> str:
    """Return a sample as it stands on the page."""
    return admin.locator(f"#wsorigin-sample-{name}").text_content() or ""


@contextmanager
def running(*command: str, token: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program with the token where the samples look for it; never for long."""
    process = subprocess.Popen(  # noqa: S603  # our own samples
        command,
        env={**os.environ, "WSORIGIN_TOKEN": token},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",  # frames, as curl prints them
    )
    with attended(process, PATIENCE):
        yield process


def first_line(process: subprocess.Popen[str]) -> str:
    """Wait for the first line that a program prints."""
    assert process.stdout
    return process.stdout.readline()


def test_a_token_opens_a_socket_until_it_is_revoked(demo: Demo, admin: Page) -> None:
    """Mint, copy the sample, connect as its owner; a click closes the socket with 4410."""
    token = mint(demo, admin, "Price feed")

    with running(sys.executable, "-c", sample(admin, "python"), token=token) as client:
        assert f"{demo.username}'s portfolio" in first_line(client)
        assert admin.locator("#wsorigin-secret").inner_text() == token
        admin.click("text=I have stored it")
        expect(admin.locator("#id_name")).to_have_value("Price feed")
        admin.click("text=Revoke…")
        admin.fill("#id_reason", "It was a test")
        admin.click("[name=_revoke]")
        expect(admin.locator(".messagelist")).to_contain_text("1 token was revoked")
        _output, errors = client.communicate(timeout=PATIENCE)

    assert f"received {CLOSE_REVOKED}" in errors
    assert token not in errors
    expect(admin.locator(".field-revoke_reason_shown")).to_contain_text("It was a test")

    admin.goto(f"{demo.admin}{TOKENS}verify/")
    admin.fill("#id_token", token)
    admin.click("input[value=Verify]")
    expect(admin.locator(".wsorigin-answer")).to_contain_text("token-revoked")
    assert token not in admin.content()


def test_disconnecting_closes_what_is_open(demo: Demo, admin: Page) -> None:
    """With the sample for Node.js, in the new one that the browser's driver has."""
    token = mint(demo, admin, "Importer")
    node, _driver = compute_driver_executable()
    program = str(node), "-e", sample(admin, "node")

    with running(*program, token=token) as client:
        assert f"{demo.username}'s portfolio" in first_line(client)
        admin.click("text=I have stored it")
        admin.click("text=Disconnect now…")
        admin.click("input[value='Disconnect now']")
        expect(admin.locator(".messagelist")).to_contain_text("They may come again")
        output, _errors = client.communicate(timeout=PATIENCE)

    assert output.splitlines()[-1] == f"closed {CLOSE_CREDENTIAL}"
    with running(*program, token=token) as client:
        assert f"{demo.username}'s portfolio" in first_line(client)


@pytest.mark.parametrize("origins", ["", "https://shop.example"])
def test_the_sample_for_the_shell_works(origins: str, demo: Demo, admin: Page) -> None:
    """It asks for the token and prints the answer: open, or denied for its origin."""
    token = mint(demo, admin, "By hand", origins=origins)

    with running("bash", "-c", sample(admin, "shell"), token="") as client:
        output, _errors = client.communicate(f"{token}\n", timeout=PATIENCE)

    # A token does not make an origin trusted.
    assert output.startswith("HTTP/1.1 403" if origins else "HTTP/1.1 101")


def test_the_sample_for_pages_works(demo: Demo, admin: Page) -> None:
    """In a page of the origin that the token is bound to; it names nobody."""
    mint(demo, admin, "Widget", origins=demo.site.rstrip("/"))
    script = sample(admin, "page")
    expect(admin.locator("#wsorigin-sample-node")).to_have_count(0)

    admin.goto(demo.site)
    messages = admin.evaluate(
        """script => new Promise((resolve, reject) => {
            const socket = new Function(`${script}; return socket`)();
            socket.onmessage = ({ data }) => resolve([socket.protocol, data]);
            socket.onclose = ({ code }) => reject(code);
        })""",
        script,
    )

    assert messages == ["wsorigin.v1", '{"portfolio": ""}']


def test_copies_by_a_click(demo: Demo, admin: Page) -> None:
    """What is copied is the token itself."""
    token = mint(demo, admin, "Copied")

    button = admin.locator("[data-copy=wsorigin-secret]")
    button.click()

    expect(button).to_have_text("Copied")
    assert admin.evaluate("navigator.clipboard.readText()") == token


def test_works_without_a_script(demo: Demo, admin: Page) -> None:
    """The token can be read and selected; no button is there that does nothing."""
    admin.route("**/tokens.js", lambda route: route.abort())

    assert re.fullmatch("wsok_[0-9A-Za-z]{46}", mint(demo, admin, "Scriptless"))
    expect(admin.locator(".wsorigin-copy").first).to_be_hidden()


def test_two_clicks_mint_one_token(demo: Demo, admin: Page) -> None:
    """And its secret is seen, instead of a page that says it was shown before."""
    admin.goto(f"{demo.admin}{TOKENS}add/")
    admin.fill("#id_name", "Clicked twice")
    with admin.expect_navigation():
        admin.evaluate(
            """for (const _ of "12") document.querySelector(".wsorigin-once").requestSubmit()"""
        )

    expect(admin.locator("#wsorigin-secret")).to_be_visible()
    admin.goto(f"{demo.admin}{TOKENS}?q=Clicked")
    expect(admin.locator("#result_list tbody tr")).to_have_count(1)


def test_a_pasted_token_does_not_get_into_the_address(demo: Demo, admin: Page) -> None:
    """The script searches for its public id instead."""
    token = mint(demo, admin, "Searched")
    asked: list[str] = []
    admin.on("request", lambda request: asked.append(request.url))
    admin.goto(demo.admin + TOKENS)

    admin.fill("#searchbar", token)
    admin.click("#changelist-search [type=submit]")

    expect(admin.locator("#result_list tbody tr")).to_have_count(1)
    assert f"?q={token[:13]}" in admin.url
    assert [url for url in asked if token in url] == []


@pytest.mark.parametrize("page", ["", "add/", "verify/", "1/change/", "1/rotate/"])
def test_fits_a_phone(page: str, demo: Demo, admin: Page) -> None:
    """No page scrolls sideways, that with the samples neither."""
    mint(demo, admin, "n" * 100, origins=f"https://{'a' * 60}.example")
    admin.set_viewport_size(PHONE)
    width = "document.documentElement.scrollWidth"
    assert admin.evaluate(width) == PHONE["width"]

    admin.goto(f"{demo.admin}{TOKENS}{page}")

    assert admin.evaluate(width) == PHONE["width"]
    assert urlsplit(admin.url).path.startswith(f"/admin/{TOKENS}")
