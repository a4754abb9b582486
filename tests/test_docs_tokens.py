"""The pages about tokens: what they print is run, for real, as they print it."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from wsorigin.credentials import Secret, TokenKind
from wsorigin.handshake import CREDENTIAL_PREFIX
from wsorigin.models import ConnectionToken
from wsorigin.policy import Reason

from .browser import open_browser
from .pages import texts_in
from .servers.sites import ROOT, attended, unwatched
from .services import free_port

HOWTO: Final = (ROOT / "docs/howto/tokens.md").read_text()
REFERENCE: Final = (ROOT / "docs/reference/tokens.md").read_text()
# From the start of a process to its first answer, on a machine busy with others.
TIMEOUT: Final = 30.0


def block(language: str, begin: str) -> str:
    """Return the how-to's block that begins like this, for a site without TLS."""
    [found] = [one for one in texts_in(HOWTO, language) if one.startswith(begin)]
    return without_tls(found)


def without_tls(text: str) -> str:
    """Leave TLS out: all names lead to this machine."""
    return text.replace("https://", "http://").replace("wss://", "ws://")


# The reference.


@pytest.mark.parametrize("kind", TokenKind)
def test_the_patterns_for_scanners_find_tokens(kind: TokenKind) -> None:
    """As text and among the subprotocols; a public id alone is no find."""
    plain, encoded = (
        re.compile(one.strip())
        for one in texts_in(REFERENCE, "text")
        if one.startswith("\\b")
    )
    for _ in range(200):
        secret = Secret.new(kind)
        name = secret.subprotocol
        for text in (f"token = '{secret.text}'", f"Bearer {secret.text}, x"):
            assert plain.findall(text) == [secret.text]
        assert encoded.findall(f"wsorigin.v1, {name}, chat") == [
            name.removeprefix(CREDENTIAL_PREFIX)
        ]
        assert not plain.search(secret.text[:13])


def test_each_field_is_documented() -> None:
    """The table of the storage has them all, and no other."""
    section = REFERENCE.partition("## Storage")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    documented = {name for row in rows for name in re.findall("`(.*?)`", row)}
    fields = {field.name for field in ConnectionToken._meta.get_fields()}

    assert documented == fields - {"id"}


def test_each_reason_belongs_to_a_condition() -> None:
    """What can be wrong with a token is one of the conditions, or the database."""
    section = REFERENCE.partition("## Access is granted")[2].partition("\n## ")[0]
    reasons = {reason for reason in Reason if reason.startswith("token-")}

    assert {reason for reason in reasons if f"`{reason}`" in section} == reasons
    assert re.findall(r"^(\d+)\. ", section, re.MULTILINE) == [
        str(number) for number in range(1, 12)
    ]


@pytest.mark.django_db
def test_the_python_of_the_reference_runs(django_user_model: Any) -> None:
    """Mint, rotate, revoke."""
    [code] = [one for one in texts_in(REFERENCE, "python") if "tokens.mint" in one]
    names: dict[str, Any] = {"user": django_user_model.objects.create_user("ada")}
    exec(code, names)  # noqa: S102  # our own page

    assert names["text"].startswith("wsok_")
    assert ConnectionToken.objects.get().revoke_reason == "The machine was sold."


# The how-to.


@dataclass
class Project:
    """The project of the how-to, served by its own command."""

    folder: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of its processes: no settings of this suite."""
        return {
            **unwatched(),
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PYTHONPATH": str(ROOT),
            "NO_PROXY": "*",
        }

    def write(self, language: str, name: str, comment: str) -> None:
        """Write the block that begins with a file's name into that file."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(block(language, comment.format(name)))

    def command(self, begin: str, **replacements: str) -> str:
        """Run a command of the page; return what it wrote to standard output."""
        text = block("console", f"$ python {begin}")
        for name, value in replacements.items():
            text = text.replace(name, value)
        return self.python(*shlex.split(text.removeprefix("$ python ")))

    def python(self, *arguments: str) -> str:
        """Run Python in the project; it has to succeed."""
        result = subprocess.run(  # noqa: S603  # this very Python, on our own text
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve it with Daphne's runserver, as while one develops."""
        command = ["manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}"]
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # as above
                [sys.executable, *command],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        try:
            deadline = time.monotonic() + TIMEOUT
            answer = 1
            while answer:
                time.sleep(0.05)
                with socket.socket() as client:
                    answer = client.connect_ex(("127.0.0.1", self.port))
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
            yield
        finally:
            process.terminate()
            process.wait(TIMEOUT)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Follow the page: a project from startproject, with its files, served."""
    project = Project(tmp_path_factory.mktemp("project"), free_port())
    subprocess.run(
        [sys.executable, "-m", "django", "startproject", "mysite", "."],
        cwd=project.folder,
        env={name: text for name, text in unwatched().items() if "DJANGO" not in name},
        check=True,
    )
    settings = project.folder / "mysite/settings.py"
    fresh = settings.read_text()
    project.write("python", "mysite/settings.py", "# {}")
    settings.write_text(fresh + settings.read_text())
    for name in ("consumers", "asgi", "urls"):
        project.write("python", f"mysite/{name}.py", "# {}")
    project.write("html", "templates/feed.html", "<!-- {} -->")
    project.write("python", "display.py", "# {}")
    project.command("manage.py migrate")
    users = "from django.contrib.auth.models import User; " + "; ".join(
        [
            "User.objects.create_superuser('ada', password='lovelace')",
            "User.objects.create_user('warehouse')",
        ]
    )
    project.python("manage.py", "shell", "--no-imports", "-c", users)
    with project.serving():
        yield project


@pytest.mark.server
def test_a_program_with_a_secret_token(project: Project) -> None:
    """It reads the feed, over a rotation; once revoked, it ends and does not loop."""
    first = project.command("manage.py wsorigin token mint --kind secret")
    public_id = first[5:13]
    assert read_feed(project, first) == "Warehouse display 182.4"
    second = project.command("manage.py wsorigin token rotate", PUBLIC_ID=public_id)
    with display(project, first) as old, display(project, second) as new:
        assert [line(old), line(new)] == ["Warehouse display 182.4"] * 2
        project.command("manage.py wsorigin token revoke", PUBLIC_ID=public_id)
        for program in (old, new):
            _, errors = program.communicate(timeout=TIMEOUT)
            assert "ConnectionClosedError: received 4410" in errors
    with display(project, second) as late:
        _, errors = late.communicate(timeout=TIMEOUT)
        assert "InvalidStatus: server rejected WebSocket connection: HTTP 403" in errors


@contextmanager
def display(project: Project, token: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program of the page with a token."""
    url = f"ws://127.0.0.1:{project.port}/ws/feed/"
    program = subprocess.Popen(
        [sys.executable, "display.py"],
        cwd=project.folder,
        env={**project.environment, "FEED_TOKEN": token, "FEED_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with attended(program, 2 * TIMEOUT):
        yield program


def line(program: subprocess.Popen[str]) -> str:
    """Return the next line of a program."""
    assert program.stdout
    return program.stdout.readline().strip()


def read_feed(project: Project, token: str) -> str:
    """Return the first line that the program of the page prints."""
    with display(project, token) as program:
        return line(program)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve other people's pages, which are files."""
    folder = tmp_path_factory.mktemp("sites")
    handler = partial(QuietHandler, directory=str(folder))
    # Threads, since a browser opens connections ahead, and says nothing on them.
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield Site(folder, server.server_port)
        server.shutdown()
        thread.join()


@dataclass
class Site:
    """Where the pages of the other sites lie, and who serves them."""

    folder: Path
    port: int


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files, and say nothing of it."""

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@pytest.fixture(scope="module")
def browser(
    project: Project, sites: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """One browser, to which the names of the page lead to this machine."""
    rules = f"MAP feed.example 127.0.0.1:{project.port}, MAP *.example 127.0.0.1:{sites.port}"
    profile = tmp_path_factory.mktemp("profile")
    with open_browser(profile, [f"--host-resolver-rules={rules}"]) as browser:
        yield browser


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """A page of somebody who is logged in at the feed."""
    browser.clear_cookies()
    with browser.new_page() as page:
        page.goto("http://feed.example/feed/")
        page.fill("[name=username]", "ada")
        page.fill("[name=password]", "lovelace")
        page.click("[type=submit]")
        page.wait_for_url("**/feed/")
        yield page


@pytest.mark.browser
def test_a_page_with_a_ticket(page: Page) -> None:
    """The helper fetches it; the socket is the user's."""
    expect(page.locator("#price")).to_have_text("182.4", timeout=TIMEOUT * 1000)
    expect(page.locator("#for")).to_have_text("ada")


@pytest.mark.browser
def test_a_page_without_the_helper(page: Page) -> None:
    """The few lines that the page prints instead; the log-out ends the socket."""
    [lines] = texts_in(HOWTO, "js")
    seen = page.evaluate(
        f"""async () => {{
          {lines}
          const seen = [];
          return new Promise((resolve) => {{
            socket.onmessage = ({{ data }}) => {{
              seen.push(socket.protocol, data);
              const headers = {{ "X-CSRFToken": csrf }};
              fetch("/admin/logout/", {{ method: "POST", headers }});
            }};
            socket.onclose = ({{ code }}) => resolve([...seen, code]);
          }});
        }}"""
    )

    assert seen == ["wsorigin.v1", '{"price": 182.4, "for": "ada"}', 4401]


@pytest.mark.browser
def test_a_widget_with_a_publishable_token(
    page: Page, project: Project, sites: Site
) -> None:
    """On the two sites that it is bound to, as nobody; on no other, trusted or not."""
    mint = without_tls(
        block("console", "$ python manage.py wsorigin token mint --kind p")
    )
    token = project.python(*shlex.split(mint.removeprefix("$ python ")))
    widget = block("html", "<!doctype html>\n<title>A shop").replace("wsop_…", token)
    (sites.folder / "index.html").write_text(widget, encoding="utf-8")
    expected = {"shop": "182.4", "blog": "182.4", "evil": "closed (1006)"}
    for name, text in expected.items():
        page.goto(f"http://{name}.example/")
        expect(page.locator("#price")).to_have_text(text, timeout=TIMEOUT * 1000)
