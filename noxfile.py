"""
The matrix: each Python with each Django that runs on it, and the oldest of everything.

``nox`` runs all of it, ``nox -s newest oldest`` its corners, as CI does. What a Python is
missing for is skipped. The suite with servers, browsers and databases is `make test`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["matrix", "oldest"]

PYTHONS = ["3.11", "3.12", "3.13"]
DJANGOS = ["5.2", "6.0", "6.1"]
# Django 6.0 ended with Python 3.11 (its release notes, "Python compatibility").
PAIRS = [
    nox.param(python, django, id=f"{python}-django-{django}")
    for python in PYTHONS
    for django in DJANGOS
    if django == "5.2" or python != "3.11"
]
OURS = tomllib.loads(Path("pyproject.toml").read_text())["project"]


def run_tests(session: nox.Session, *constraints: str) -> None:
    """Run the tests that need nothing but Python, with some versions decided."""
    session.install("-r", "requirements.txt", *constraints)
    session.run("pip", "check")
    session.run(
        "python",
        "-m",
        "pytest",
        *("-q", "-n", "2", "--dist=loadfile", "-m", "not browser and not server"),
        *session.posargs,
    )


@nox.session
@nox.parametrize("python,django", PAIRS)
def matrix(session: nox.Session, django: str) -> None:
    """Test one Python with one Django."""
    run_tests(session, f"django=={django}.*")


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """Test the lowest version of everything that the package declares."""
    extras = [one for extra in OURS["optional-dependencies"].values() for one in extra]
    declared = [*OURS["dependencies"], *extras]
    run_tests(session, *(one.replace(">=", "==") for one in declared))


@nox.session(python=PYTHONS[-1])
def newest(session: nox.Session) -> None:
    """Test the newest Python with the newest Django."""
    run_tests(session, f"django=={DJANGOS[-1]}.*")
