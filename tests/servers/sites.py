"""
Sites for real servers: their settings as an environment, their database, their commands.

What serves them is next door.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
# Of the site in this folder.
SETTINGS: Final = "tests.servers.settings"
# What makes a process several times slower, for the sake of finding mistakes.
_WATCHING: Final = ("PYTHONDEVMODE", "PYTHONASYNCIODEBUG", "COVERAGE_PROCESS_CONFIG")
# Of a command, on a machine busy with others.
_TIMEOUT: Final = 60


def environment(
    module: str, database: dict[str, Any] | None = None, **settings: Any
) -> dict[str, str]:
    """Return an environment for a module of settings, some of which are replaced."""
    if database:
        settings["DATABASES"] = {"default": database}
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": module,
        "SERVED_SETTINGS": json.dumps(settings),
    }


def unwatched(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """
    Return an environment whose processes run at full speed: no coverage is measured.

    For those that run no line of the tests', and none of wsorigin that no other does.
    """
    return {name: env[name] for name in env if name not in _WATCHING}


def sqlite(file: str | Path, **options: Any) -> dict[str, Any]:
    """Return Django's settings for a database in a file."""
    engine = "django.db.backends.sqlite3"
    return {"ENGINE": engine, "NAME": str(file), "OPTIONS": options}


def program(module: str, *arguments: str, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start a Python program of ours."""
    return subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def attended(process: subprocess.Popen[str], patience: float) -> Iterator[None]:
    """
    End a process with the block, and after so many seconds in any case.

    Who waits for a line of its output, waits for its end too: this bounds both.
    """
    watchdog = Timer(patience, process.kill)
    watchdog.start()
    try:
        with process:
            try:
                yield
            finally:
                process.terminate()
    finally:
        watchdog.cancel()


def manage(*arguments: str, env: dict[str, str]) -> str:
    """Run one of Django's commands, which has to succeed; return what it printed."""
    process = program("django", *arguments, env=env)
    output, _ = process.communicate(timeout=_TIMEOUT)
    assert process.returncode == 0, output
    return output


def make_database(file: Path) -> None:
    """Make the database of the site in this folder."""
    process = program("tests.servers", env=environment(SETTINGS, sqlite(file)))
    output, _ = process.communicate(timeout=_TIMEOUT)
    assert process.returncode == 0, output
