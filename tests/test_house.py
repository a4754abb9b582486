"""The house as its visitors see it: README and docs say what the code does."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wsorigin import __version__, checks, conf, denial, signals
from wsorigin.admission import Admission
from wsorigin.consumers import OriginGuardMixin
from wsorigin.management.commands.wsorigin import SUBCOMMANDS
from wsorigin.policy import Reason
from wsorigin.testing import Answer

from .pages import texts_in
from .servers.sites import unwatched

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs/reference/settings.md").read_text()
REASONS = (ROOT / "docs/reference/reasons.md").read_text()
CHECKS = (ROOT / "docs/reference/checks.md").read_text()
COMMAND = (ROOT / "docs/reference/command.md").read_text()
GUARD = (ROOT / "docs/reference/guard.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return texts_in(README, language)


def block(first_line: str) -> str:
    """Return the README's Python block that begins with this line."""
    return next(b for b in blocks("python") if b.startswith(f"{first_line}\n"))


@pytest.mark.parametrize("name", conf.DEFAULTS)
def test_each_setting_is_documented_with_its_default(name: str) -> None:
    """The settings page has a heading and the true default for each."""
    section = SETTINGS.partition(f"## `{name}`")[2].partition("\n## ")[0]
    default = repr(conf.DEFAULTS[name]).replace("'", '"')

    assert f"Default: `{default}`" in section


@pytest.mark.parametrize("name", conf.SOURCE_NAMES)
def test_each_source_is_documented(name: str) -> None:
    """The settings page says what each name in WSORIGIN_INHERIT adds."""
    assert f"| `{name}` |" in SETTINGS


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_documented(reason: Reason) -> None:
    """The page of reasons has a row for each."""
    assert f"| `{reason}` |" in REASONS


@pytest.mark.parametrize("number", checks.IDS)
def test_each_check_is_documented(number: str) -> None:
    """The page of checks has a row for each id, with the words of the code."""
    assert f"| `wsorigin.{number}` | {checks.IDS[number]} |" in CHECKS


def test_no_check_is_documented_that_does_not_exist() -> None:
    """The page has no id that the code does not know."""
    assert set(re.findall(r"`wsorigin\.([EWI]\d{3})`", CHECKS)) == set(checks.IDS)


@pytest.mark.parametrize(
    "code",
    [code for name, code in vars(denial).items() if name.startswith("CLOSE_")],
    ids=str,
)
def test_each_close_code_is_documented(code: int) -> None:
    """The page of reasons has a row for each close code."""
    assert f"| {code} |" in REASONS


def test_the_public_names_are_documented() -> None:
    """Attributes, signals and test helpers are on the page of guards."""
    attributes = [
        name
        for name in vars(OriginGuardMixin)
        if not name.startswith("_") and name not in {"as_asgi", "guard"}
    ]
    names = [
        *attributes,
        *(name for name in vars(signals) if name.islower() and name[0] != "_"),
        *Admission._fields,
        *(set(Answer.__dataclass_fields__)),
    ]

    assert [name for name in names if f"`{name}" not in GUARD.replace(".", "`")] == []


@pytest.mark.parametrize("subcommand", [one.name for one in SUBCOMMANDS])
def test_each_subcommand_is_documented(subcommand: str) -> None:
    """The page of the command has a heading for each."""
    assert f"\n## `{subcommand}" in COMMAND


def test_the_first_screen_has_the_two_commands() -> None:
    """A newcomer sees both without scrolling."""
    first_screen = "\n".join(README.splitlines()[:25])

    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_links_lead_somewhere() -> None:
    """Each relative link in README and docs names a file that exists."""
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_changelog_knows_this_version() -> None:
    """Each version has an entry."""
    assert f"## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


PROBE = """
import asyncio, logging
import django
django.setup()
from asgi import application
from wsorigin.testing import OriginCommunicator

logging.basicConfig(format="%(message)s")

async def main():
    partner = OriginCommunicator(
        application, "/ws/prices/", origin="https://eu.customers.example", host="localhost"
    )
    print(bool(await partner.handshake()), await partner.receive_json_from())
    await partner.disconnect()
    evil = OriginCommunicator(
        application, "/ws/prices/", origin="https://evil.example", host="localhost"
    )
    print((await evil.handshake()).reason)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Follow the README's quickstart in a project fresh from startproject."""
    folder = tmp_path_factory.mktemp("quickstart")
    run(folder, "-m", "django", "startproject", "mysite", ".")
    assert "`python manage.py migrate`" in README
    settings = folder / "mysite/settings.py"
    added = f"{block('# settings.py')}\nASGI_APPLICATION = 'asgi.application'\n"
    settings.write_text(settings.read_text() + added)
    # What startproject has besides, for the apps that the quickstart leaves out.
    settings.write_text(
        settings.read_text() + "MIDDLEWARE = []\nTEMPLATES = []\nSTATIC_URL = '/s/'\n"
    )
    (folder / "mysite/urls.py").write_text("urlpatterns = []\n")
    (folder / "consumers.py").write_text(block("# consumers.py"))
    (folder / "asgi.py").write_text(block("# asgi.py"))
    run(folder, "manage.py", "migrate")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a project, and return what it printed."""
    environment = {**unwatched(), "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    if arguments[:2] == ("-m", "django"):
        del environment["DJANGO_SETTINGS_MODULE"]
    return subprocess.run(  # noqa: S603  # this very Python, on our own text
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_quickstart_works_as_printed(quickstart: Path) -> None:
    """Followed literally, a partner connects and a stranger is refused and told why."""
    result = run(quickstart, "-c", PROBE)

    assert result.stdout == "True {'price': 42}\nunlisted\n", result.stderr
    for line in blocks("text")[0].splitlines():
        for part in line.split():
            assert part in result.stderr


def test_the_quickstart_passes_the_checks(quickstart: Path) -> None:
    """The project of the quickstart has nothing to complain about."""
    result = run(quickstart, "manage.py", "check")

    assert result.stdout == "System check identified no issues (0 silenced).\n"


def test_explain_prints_what_the_readme_shows(quickstart: Path) -> None:
    """The README's example of explain is the command's true output."""
    shown = next(b for b in blocks("console") if "wsorigin explain" in b)
    command, _, output = shown.partition("\n")
    result = run(quickstart, *command.removeprefix("$ python ").split())

    assert result.stdout == output
    assert result.returncode == 1


def test_the_other_python_blocks_run(quickstart: Path) -> None:
    """Blocks about consumers and tests are true code too."""
    consumer = next(b for b in blocks("python") if "class WidgetConsumer" in b)
    test = next(b for b in blocks("python") if "test_strangers" in b)
    namespace: dict[str, object] = {}
    exec(consumer, namespace)  # noqa: S102  # our own README
    namespace["application"] = namespace["WidgetConsumer"].as_asgi()  # type: ignore[attr-defined]  # a consumer class
    exec(test, namespace)  # noqa: S102  # our own README
    asyncio.run(namespace["test_strangers_are_denied"]())  # type: ignore[operator]  # a function
