"""The documentation: built strictly, linked throughout, and its blocks run."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from django.core.management.base import CommandParser

from wsorigin import denial, middleware
from wsorigin.handshake import Handshake
from wsorigin.management.commands.wsorigin import Command
from wsorigin.patterns import OriginPattern
from wsorigin.policy import Decision, Policy, Reason, Rule
from wsorigin.site import Site

from .pages import DOCS, Block, blocks, pages
from .servers.sites import unwatched
from .services import missing

ROOT: Final = DOCS.parent
# Pages whose blocks another module of tests runs, or compares.
ELSEWHERE: Final = {
    "tutorial.md": "test_tutorial.py",
    "howto/browser-helper.md": "test_browser_helper.py",
    "howto/deploy.md": "test_proxies.py",
    "howto/existing-project.md": "test_existing_projects.py",
    "howto/tokens.md": "test_docs_tokens.py",
}
# Pages that need a package which is none of wsorigin's.
NEEDED: Final = {"howto/prometheus.md": "prometheus_client"}
TIMEOUT: Final = 300


# The site


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Strictly: no dead link, no unknown reference, no page in no index."""
    if find_spec("sphinx") is None:  # pragma: no cover  # not in CI
        missing("no Sphinx is installed (requirements.txt)")
    options = ["-W", "--keep-going", "-n", "-q", "-E", "-b", "html"]
    result = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "sphinx", *options, DOCS, tmp_path],
        # Nothing of wsorigin runs there, and it would take thrice as long.
        env=unwatched(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")
    built = {str(page.relative_to(tmp_path)) for page in tmp_path.glob("**/*.html")}
    assert {page.replace(".md", ".html") for page in pages()} <= built


def test_each_page_is_in_the_index() -> None:
    """Of the first page, or of the denials', in words and not only in a menu."""
    for page in pages():
        folder = "denials" if page.startswith("denials/") else ""
        index = (DOCS / folder / "index.md").read_text()
        name = str((DOCS / page).relative_to(DOCS / folder))
        assert f"]({name})" in index or page.endswith("index.md"), page


# The blocks


def pages_that_run() -> list[str]:
    """Return the pages with blocks that are run here."""
    return [
        page
        for page in pages()
        if page not in ELSEWHERE
        and any(one.language in {"python", "console"} for one in blocks(page))
    ]


@pytest.mark.parametrize("page", pages_that_run())
def test_the_page_runs(page: str, tmp_path: Path) -> None:
    """Its Python in a project, its commands with the output that it prints."""
    package = NEEDED.get(page)
    if package and find_spec(package) is None:  # pragma: no cover  # not in CI
        missing(f"no {package} is installed (requirements.txt)")
    result = subprocess.run(  # noqa: S603  # this very Python, on our own pages
        [sys.executable, "-m", "tests.pages", page, tmp_path],
        cwd=ROOT,
        env={key: os.environ[key] for key in os.environ if "DJANGO" not in key},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", ELSEWHERE)
def test_the_other_pages_are_run_elsewhere(page: str) -> None:
    """By tests that name them."""
    tests = (ROOT / "tests" / ELSEWHERE[page]).read_text()

    assert Path(page).name in tests


ALL_BLOCKS: Final = [(page, block) for page in pages() for block in blocks(page)]


def of_language(*languages: str) -> pytest.MarkDecorator:
    """Parametrize a test with the blocks in these languages."""
    found = [
        pytest.param(block, id=f"{page}-{number}")
        for number, (page, block) in enumerate(ALL_BLOCKS)
        if block.language in languages
    ]
    return pytest.mark.parametrize("block", found)


def test_no_block_is_in_a_language_that_nobody_reads() -> None:
    """Each is run or parsed, or stands for what something prints."""
    configurations = {"nginx", "apache", "haproxy", "caddyfile"}  # test_proxies.py
    read = {"python", "console", "js", "json", "html", "sh", "text"}
    sphinx = {"{toctree}", "{eval-rst}"}

    assert {one.language for _, one in ALL_BLOCKS} - configurations - sphinx <= read


@of_language("js")
def test_javascript_is_javascript(block: Block, tmp_path: Path) -> None:
    """As a module."""
    check_javascript(block.text, tmp_path)


@of_language("html")
def test_scripts_of_pages_are_javascript(block: Block, tmp_path: Path) -> None:
    """As modules too, since those are the stricter ones."""
    for script in re.findall(r"<script[^>]*>(.*?)</script>", block.text, re.DOTALL):
        check_javascript(script, tmp_path)


def check_javascript(text: str, folder: Path) -> None:
    """Have Node parse a module."""
    node = shutil.which("node")
    if node is None:  # pragma: no cover  # not in CI
        missing("no Node.js is installed (Debian: nodejs)")
    path = folder / "block.mjs"
    path.write_text(text, encoding="utf-8")
    subprocess.run([node, "--check", path], check=True, timeout=TIMEOUT)  # noqa: S603


@of_language("json")
def test_json_is_json(block: Block) -> None:
    """As a parser reads it."""
    assert json.loads(block.text)


def commands() -> list[str]:
    """Return what the pages say after ``manage.py wsorigin``, in blocks and in lines."""
    found = set()
    for page in pages():
        text = (DOCS / page).read_text().replace("\\|", "|")
        found.update(re.findall(r"manage\.py wsorigin ([^`\n|)]+)", text))
    return sorted(found)


@pytest.mark.parametrize("arguments", commands())
def test_each_command_on_a_page_is_one(arguments: str) -> None:
    """Its options exist, and their values are of the right kind."""
    parser: CommandParser = Command().create_parser("manage.py", "wsorigin")
    words = shlex.split(arguments)
    if all(map(str.isalpha, words)):  # a name: what it needs is left out
        with pytest.raises(SystemExit, match="0"):
            parser.parse_args([*words, "--help"])
    else:
        assert parser.parse_args(words).run


# The denials

DENYING: Final = [*Reason][[*Reason].index(Reason.MISSING) :]
OWN: Final = {b"host": b"app.example"}
POLICY: Final = Policy(
    [
        Rule(
            OriginPattern.parse("https://partner.example"),
            "WSORIGIN_ALLOWED_ORIGINS[0]",
        )
    ],
    site=Site(allowed_hosts=("app.example",)),
    same_origin=True,
)
# Where it is the origin that is denied; of a page of the site itself, all else is.
ORIGINS: Final = {
    Reason.MISSING: (None, OWN),
    Reason.MULTIPLE: ("https://app.example,https://evil.example", OWN),
    Reason.MALFORMED: ("https://partner.example/", OWN),
    Reason.OPAQUE: ("null", OWN),
    Reason.UNLISTED: ("https://partner.example:8443", OWN),
    Reason.HOST_NOT_ALLOWED: ("http://shop.example", {b"host": b"shop.example"}),
    Reason.ORIGIN_REWRITTEN: (
        "https://app.example",
        {**OWN, b"sec-fetch-site": b"cross-site"},
    ),
}


def denied(reason: Reason) -> str:
    """Have a denial written to the log, and return what stands there."""
    origin, headers = ORIGINS.get(reason, ("https://app.example", OWN))
    handshake = Handshake("/ws/prices/", origin, headers)
    assert reason not in ORIGINS or POLICY.decide(handshake).reason is reason
    is_stripped = reason is Reason.UPGRADE_STRIPPED
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]  # a function will do
    logger = middleware.logger if is_stripped else denial.logger
    logger.addHandler(handler)
    try:
        if is_stripped:
            middleware.log(handshake, ["Upgrade", "Connection"])
        else:
            denial.log_denial(
                POLICY.explain(handshake),
                handshake,
                Decision(False, reason),
                "3f9a1c0b2d4e",  # on the pages for any
                enforced=True,
            )
    finally:
        logger.removeHandler(handler)
    [line] = lines
    return line


@pytest.mark.parametrize("reason", DENYING)
def test_each_denial_has_a_page_that_begins_with_its_words(reason: Reason) -> None:
    """First the sentence that clients and the admin get, then the log line, exactly."""
    text = (DOCS / f"denials/{reason}.md").read_text()
    begin = (
        f"# {reason.sentence}\n\n```text\n{denied(reason)}\n```\n\nReason `{reason}`, "
    )

    assert text.startswith(begin)
    answer = text.removeprefix(begin).partition("\n")[0]
    if reason is Reason.UPGRADE_STRIPPED:
        assert answer == "status 426."
    else:
        code = denial.close_code(reason)
        assert answer == f"status {denial.status(reason)}, close code {code}."
    headings = re.findall("(?m)^## (.*)", text)
    assert headings == ["What to check", "What to change"]


def test_each_denial_is_in_both_indexes() -> None:
    """With its words in its own, and by name in the reference."""
    index = (DOCS / "denials/index.md").read_text()
    reference = (DOCS / "reference/reasons.md").read_text()

    for reason in DENYING:
        assert f"| [`{reason}`]({reason}.md) | {reason.sentence} |" in index
        assert f"](../denials/{reason}.md)" in reference
    assert {page.stem for page in (DOCS / "denials").glob("*.md")} == {
        *DENYING,
        "index",
    }
