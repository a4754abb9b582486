"""
Dependencies: no bound allows, and no test runs on, what is known to be vulnerable.

The table holds what stands between a client and a decision. All the rest of an
environment is for ``make audit``, which asks a service that knows what was found since.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).parent.parent
POLICY: Final = (ROOT / "SECURITY.md").read_text()


class Advisory(NamedTuple):
    """Versions of a package with a known weakness, a range for each series."""

    package: str
    name: str
    affected: tuple[str, ...]

    def covers(self, release: str | Version) -> bool:
        """Whether a version has it."""
        ranges = map(SpecifierSet, self.affected)
        return any(one.contains(release, prereleases=True) for one in ranges)


# Sources: Django's archive of security issues; the changelogs of daphne, idna, h2 and
# Django REST framework; the PyPA's database (PYSEC) and GitHub's advisories for others.
ADVISORIES: Final = [
    Advisory("autobahn", "CVE-2020-35678", ("<20.12.3",)),
    Advisory("channels", "CVE-2020-35681", (">=3.0,<3.0.3",)),
    Advisory("cryptography", "CVE-2026-39892", ("<46.0.7",)),
    Advisory("cryptography", "CVE-2026-69247", (">=44,<50",)),
    Advisory("daphne", "CVE-2026-44545", ("<4.2.2",)),
    Advisory("daphne", "CVE-2026-44546", ("<4.2.2",)),
    Advisory("django", "CVE-2026-3902", ("<5.2.13", ">=6.0a1,<6.0.4")),
    Advisory(
        "django", "CVE-2026-84429", ("<5.2.18", ">=6.0a1,<6.0.9", ">=6.1a1,<6.1.2")
    ),
    Advisory(
        "django", "CVE-2026-113593", ("<5.2.19", ">=6.0a1,<6.0.10", ">=6.1a1,<6.1.3")
    ),
    Advisory("djangorestframework", "CVE-2024-21520", ("<3.15.2",)),
    # Found by trying: 2.7.3 panics, 2.7.4 does not.
    Advisory("granian", "CVE-2026-42544", ("<2.7.4",)),
    Advisory("h11", "CVE-2025-43859", ("<0.16",)),
    Advisory("h2", "CVE-2025-57804", ("<4.3",)),
    Advisory("h2", "CVE-2026-71554", ("<4.4.1",)),
    Advisory("idna", "CVE-2024-3651", ("<3.7",)),
    Advisory("idna", "CVE-2026-45409", ("<3.14",)),
    Advisory("twisted", "CVE-2024-41671", ("<24.7",)),
    Advisory("twisted", "CVE-2026-42304", ("<26.4",)),
    Advisory("uvicorn", "CVE-2020-7694", ("<0.11.7",)),
    Advisory("websockets", "CVE-2021-33880", ("<9.1",)),
]


def declared() -> dict[str, Requirement]:
    """Return what pyproject.toml and requirements.txt ask for, by file and name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *chain.from_iterable(extras)]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    developers = [line for line in lines if re.match(r"[A-Za-z]", line)]
    return {
        f"{file}: {canonicalize_name(requirement.name)}": requirement
        for file, texts in (
            ("pyproject.toml", asked),
            ("requirements.txt", developers),
        )
        for requirement in map(Requirement, texts)
    }


DECLARED: Final = declared()


def lowest(requirement: Requirement) -> Version:
    """Return the lowest version that a requirement names."""
    return min(
        Version(one.version) for one in requirement.specifier if one.operator == ">="
    )


@pytest.mark.parametrize("where", DECLARED)
def test_the_lowest_version_allowed_has_no_known_weakness(where: str) -> None:
    """A bound says from where on; what was found later in a series, `make audit` says."""
    requirement = DECLARED[where]
    floor = lowest(requirement)
    package = canonicalize_name(requirement.name)
    found = [
        one.name for one in ADVISORIES if one.package == package and one.covers(floor)
    ]

    assert found == [], f"{where} allows {floor}"


def test_what_is_installed_has_no_known_weakness() -> None:
    """The suite runs on what it would tell others to install."""
    installed = {
        canonicalize_name(one.metadata["Name"]): one.version for one in distributions()
    }
    found = [
        f"{one.name} in {one.package} {installed[one.package]}"
        for one in ADVISORIES
        if one.package in installed and one.covers(installed[one.package])
    ]

    assert found == []


@pytest.mark.parametrize(
    ("package", "release", "known"),
    [
        ("daphne", "4.2.1", {"CVE-2026-44545", "CVE-2026-44546"}),
        ("daphne", "4.2.2", set()),
        ("django", "5.2.18", {"CVE-2026-113593"}),
        ("django", "6.0.8", {"CVE-2026-84429", "CVE-2026-113593"}),
        ("django", "6.1rc1", {"CVE-2026-84429", "CVE-2026-113593"}),
        ("django", "6.1.3", set()),
        ("cryptography", "43.0", {"CVE-2026-39892"}),
        ("cryptography", "49.0", {"CVE-2026-69247"}),
    ],
)
def test_the_table_knows_each_series(
    package: str, release: str, known: set[str]
) -> None:
    """A fix in one series says nothing about the next one."""
    found = {
        one.name for one in ADVISORIES if one.package == package and one.covers(release)
    }

    assert found == known


@pytest.mark.parametrize("where", [one for one in DECLARED if "pyproject" in one])
def test_the_policy_names_each_bound(where: str) -> None:
    """What an installed wsorigin demands is on the page, with the advisories behind it."""
    requirement = DECLARED[where]
    (row,) = re.findall(
        rf"^\| `{requirement.name}` \| (.*) \| (.*) \|$", POLICY, re.MULTILINE
    )
    behind = {
        one.name
        for one in ADVISORIES
        if one.package == canonicalize_name(requirement.name)
    }

    assert row[0] == f"`{requirement.specifier}`"
    assert set(re.findall(r"CVE-\d+-\d+", row[1])) == behind


class Service(BaseHTTPRequestHandler):
    """A service for vulnerabilities, which knows what the path says, of any version."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = {
            "id": "PYSEC-2024-60",
            "aliases": ["CVE-2024-3651"],
            "affected": [{"package": asked["package"], "ranges": []}],
        }
        name, release = asked["package"]["name"], asked["version"]
        known = self.path.strip("/").split("+")
        answer = {"vulns": [found]} if {name, f"{name}=={release}"} & {*known} else {}
        body = json.dumps(answer).encode()
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def service() -> Iterator[str]:
    """Run that service; return its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_audit_without_an_answer_is_no_clean_one(service: str) -> None:
    """Something known and nobody to ask are two ends, neither of them a success."""
    ends = {"idna==3.6+h2": 1, "nothing": 2}
    audits = [
        subprocess.Popen(  # noqa: S603  # our own script
            [ROOT / ".ci/audit", "-s", "osv", "--osv-url", f"{service}/{known}"],
            env={**os.environ, "VENV": sys.prefix},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for known in ends
    ]
    found, unheard = (audit.communicate(timeout=120)[1] for audit in audits)

    assert [audit.returncode for audit in audits] == list(ends.values())
    assert "1 known vulnerability in 1 package" in found
    assert "NOT AUDITED" in unheard
