"""
Databases to measure on, each by a process of its own with nothing else in its memory.

SQLite in a file, and a PostgreSQL server started for the purpose where there is one.
What is measured is the callers' business.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import django
from django.conf import settings
from django.core.management import call_command
from django.core.management.utils import get_random_secret_key

from tests.services import PostgreSQL, postgresql_programs

from .settings import LOGGING

ROOT: Final = Path(__file__).parents[1]


@contextmanager
def sqlite() -> Iterator[dict[str, Any]]:
    """Give Django's settings for a database in a file."""
    with TemporaryDirectory() as folder:
        name = str(Path(folder) / "site.sqlite3")
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": name}


@contextmanager
def postgresql(programs: Path) -> Iterator[dict[str, Any]]:
    """Give Django's settings for a database on a server of our own."""
    server = PostgreSQL.make(programs)
    try:
        server.start()
        yield server.make_database()
    finally:
        server.destroy()


def measured_on_each(module: str, **options: Any) -> Iterator[tuple[str, Any]]:
    """Run a module as a program, for each kind of database; yield what it prints."""
    databases = {"SQLite": sqlite()}
    if programs := postgresql_programs():
        databases["PostgreSQL"] = postgresql(programs)
    for name, context in databases.items():
        with context as database:
            yield name, measured(module, database, **options)


def measured(module: str, database: dict[str, Any], **options: Any) -> Any:
    """Run a module as a program on a database; return what it prints."""
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", module, json.dumps(database), json.dumps(options)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def begin(*, apps: Iterable[str] = (), **more: Any) -> dict[str, Any]:
    """Set up Django in such a program, make the tables; return the options."""
    database = json.loads(sys.argv[1])
    settings.configure(
        SECRET_KEY=get_random_secret_key(),
        ALLOWED_HOSTS=["chat.example.com"],
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "wsorigin",
            *apps,
        ],
        DATABASES={"default": database},
        USE_TZ=True,
        LOGGING=LOGGING,
        WSORIGIN_REFRESH_INTERVAL=3600,
        **more,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    return asked()


def asked() -> dict[str, Any]:
    """Return the options that such a program was run with."""
    return dict(json.loads(sys.argv[2]))
