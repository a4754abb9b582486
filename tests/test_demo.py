"""The demo, started and used as a newcomer would: by its command, in a browser."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocket
from websockets.sync.client import connect

from .browser import open_browser
from .demo import PHONE, Demo, environment, running_demo
from .servers.sites import ROOT


class Visitor:
    """Somebody with a cookie jar."""

    def __init__(self) -> None:
        self.jar = CookieJar()
        self.opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self.jar))

    def get(self, url: str) -> str:
        return self._open(url)

    def post(self, url: str, **form: str) -> str:
        form["csrfmiddlewaretoken"] = self.cookie("csrftoken")
        return self._open(url, urlencode(form).encode())

    def cookie(self, name: str) -> str:
        return next(str(cookie.value) for cookie in self.jar if cookie.name == name)

    def _open(self, url: str, body: bytes | None = None) -> str:
        with self.opener.open(url, body, timeout=30) as response:
            text: str = response.read().decode()
            return text


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo in a directory that is not there yet, as in a fresh checkout."""
    with running_demo(tmp_path_factory.mktemp("demo") / "var") as demo:
        yield demo


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """One browser for all tests of this module, none of which is async."""
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """A page in a browser that has never been anywhere."""
    browser.clear_cookies()
    with browser.new_page() as page:
        yield page


def wait_for(page: Page, selector: str) -> str:
    """Wait until an element is there, and return its text."""
    return page.locator(selector).inner_text()


def test_the_project_passes_its_checks(tmp_path: Path) -> None:
    """The example that people copy has no findings."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--fail-level", "DEBUG"],
        cwd=ROOT,
        env=environment(tmp_path) | {"DJANGO_SETTINGS_MODULE": "project.settings"},
        capture_output=True,
        text=True,
    )

    assert "no issues" in done.stdout, done.stderr


def test_prints_a_login_that_works(demo: Demo) -> None:
    """The printed login opens the admin, and the admin has its style sheet."""
    visitor = Visitor()
    login_page = visitor.get(demo.admin)
    style = re.search(r'href="(/static/[^"]+\.css)"', login_page)
    assert style

    index = visitor.post(
        f"{demo.admin}login/?next=/admin/",
        username=demo.username,
        password=demo.password,
    )

    assert "Site administration" in index
    assert visitor.get(demo.site.rstrip("/") + style[1])


def test_a_second_run_has_a_new_password_and_the_old_sessions(tmp_path: Path) -> None:
    """No password outlives its run; a visitor's session does."""
    visitor = Visitor()
    with running_demo(tmp_path) as first:
        visitor.get(first.site)
    session = visitor.cookie("sessionid")

    with running_demo(tmp_path) as second:
        visitor.get(second.site)

    assert second.password != first.password
    assert visitor.cookie("sessionid") == session
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    """Ctrl-C is the way out, so it is no error: not even with a socket open."""
    with running_demo(tmp_path) as demo:
        url = demo.site.replace("http", "ws", 1) + "ws/unguarded/"
        with connect(url, proxy=None) as client:
            client.recv(timeout=30)
            demo.process.send_signal(signal.SIGINT)
            errors = demo.process.communicate()[1]

    assert (demo.process.returncode, errors) == (0, "")


@pytest.mark.parametrize("variable", ["DEMO_PORT", "ATTACK_PORT"])
def test_names_the_port_that_is_taken(variable: str, tmp_path: Path) -> None:
    """A taken port: one line with the port and its variable, and nothing has begun."""
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        done = run_to_its_end(tmp_path / "var", **{variable: str(port)})

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"Cannot listen on port {port}: Address already in use. "
        f"{variable} moves it, as in: make demo {variable}=8765\n"
    )
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("port", ["http", "70000"])
def test_names_a_port_that_is_none(port: str, tmp_path: Path) -> None:
    """A value that is not a port gets the same line, no traceback."""
    done = run_to_its_end(tmp_path / "var", DEMO_PORT=port)

    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Cannot listen on port {port}: not a port. DEMO_PORT"
    )


def run_to_its_end(var: Path, **ports: str) -> subprocess.CompletedProcess[str]:
    """Run a demo that cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "project.demo"],
        cwd=ROOT,
        env=environment(var, **ports),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.browser
def test_the_site_gets_live_prices(demo: Demo, page: Page) -> None:
    """The site's own page opens the guarded socket, with the session, and stays live."""
    page.goto(demo.site)

    assert wait_for(page, "#socket[data-state=live]") == "live"
    page.wait_for_function("portfolio.textContent.startsWith('ada')")
    before = wait_for(page, "#prices:has(tr)")
    page.wait_for_function("before => prices.innerText !== before", arg=before)


@pytest.mark.browser
def test_the_attacker_reads_the_unguarded_socket_alone(demo: Demo, page: Page) -> None:
    """With the same cookie, one socket tells the stranger everything, one nothing."""
    received: dict[str, list[str | bytes]] = {}

    def listen(opened: WebSocket) -> None:
        frames = received.setdefault(urlsplit(opened.url).path, [])
        opened.on("framereceived", lambda frame: frames.append(frame))

    page.goto(demo.site)
    page.wait_for_function("portfolio.textContent.startsWith('ada')")
    private = wait_for(page, "#portfolio")
    page.on("websocket", listen)
    with page.expect_console_message(lambda message: "403" in message.text) as console:
        page.click("#attack")

    stolen = wait_for(page, "#unguarded[data-state=stolen]")
    refused = wait_for(page, "#guarded[data-state=refused]")
    assert page.url == demo.attacker
    assert private in stolen
    assert "Nothing read" in refused
    # And what the page says is what the browser saw.
    assert private in str(received["/ws/unguarded/"][0])
    assert received["/ws/prices/"] == []
    assert "/ws/prices/' failed" in console.value.text


@pytest.mark.browser
def test_the_attacker_gets_nothing_from_a_visitor_without_a_session(
    demo: Demo, page: Page
) -> None:
    """It is the cookie that is abused: where there is none, there is nothing to steal."""
    page.goto(demo.attacker)

    assert "nobody is logged in" in wait_for(page, "#unguarded[data-state=nobody]")
    assert "Nothing read" in wait_for(page, "#guarded[data-state=refused]")


@pytest.mark.browser
def test_an_outage_is_no_refusal(demo: Demo, page: Page) -> None:
    """The attacking page does not give the guard the credit for a server that is down."""
    page.add_init_script(
        "window.WebSocket = class extends WebSocket {"
        "  constructor(url) { super(url.replace(/:\\d+/, ':9')); }"
        "}"
    )
    page.goto(demo.attacker)

    assert "No answer" in wait_for(page, "#guarded[data-state=unreachable]")
    assert "No answer" in wait_for(page, "#unguarded[data-state=unreachable]")


@pytest.mark.browser
def test_the_pages_fit_a_phone(demo: Demo, page: Page) -> None:
    """Neither page scrolls sideways, with everything on it."""
    page.set_viewport_size(PHONE)
    page.goto(demo.site)
    wait_for(page, "#prices:has(tr)")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]

    page.goto(demo.attacker)
    wait_for(page, "#unguarded[data-state=stolen]")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
