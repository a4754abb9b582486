"""
Run the blocks of a page in a project of its own, in order: ``python -m tests.pages
PAGE FOLDER``.

A block that begins with a file's name is that file, of the package ``mysite``; one for
``settings.py`` comes on top of the settings below, and those of ``test_….py`` are run by
pytest when all else has been. Other Python runs with the names of `CONTEXT`. A console
runs commands of ``manage.py``, and compares what they print.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, Final

import django
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test.utils import override_settings
from django.urls import clear_url_caches

from . import DOCS, Block, blocks, is_as_printed

SETTINGS: Final[dict[str, Any]] = {
    "SECRET_KEY": "only for tests",
    "ALLOWED_HOSTS": ["app.example"],
    "INSTALLED_APPS": [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "wsorigin",
        "mysite",
    ],
    "MIDDLEWARE": [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    "ROOT_URLCONF": "mysite.urls",
    "ASGI_APPLICATION": "mysite.asgi.application",
    "STATIC_URL": "/static/",
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "USE_TZ": True,
    # Tables at once, and no wait for the disk.
    "MIGRATION_MODULES": dict.fromkeys(
        ("admin", "auth", "contenttypes", "sessions", "wsorigin")
    ),
}

# What a page starts from, unless it has these files itself.
FILES: Final = {
    "__init__.py": "",
    "consumers.py": """
from wsorigin.consumers import GuardedAsyncJsonWebsocketConsumer


class PricesConsumer(GuardedAsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.send_json({"price": 42})
""",
    "routing.py": """
from django.urls import path

from .consumers import PricesConsumer

websocket_urlpatterns = [path("ws/prices/", PricesConsumer.as_asgi())]
""",
    "asgi.py": """
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from .routing import websocket_urlpatterns

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns)),
    }
)
""",
    "urls.py": """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
""",
}

# As in pyproject.toml, which is not this project's; with no plugin that it does not need.
PYTEST: Final = [
    *("-q", "-p", "no:cacheprovider", "-p", "pytest_django.plugin"),
    *("-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"),
    *("-o", "asyncio_default_fixture_loop_scope=function"),
]

# What Python that is no file may take for granted.
CONTEXT: Final = """
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth import get_user_model
from django.core.asgi import get_asgi_application
from mysite.routing import websocket_urlpatterns
from wsorigin.guard import OriginGuard

user = get_user_model().objects.get(username="ada")
"""


class Project:
    """The project of a page, in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = {
            **SETTINGS,
            "DATABASES": {
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": folder / "db.sqlite3",
                    "OPTIONS": {"init_command": "PRAGMA synchronous=OFF"},
                }
            },
        }
        self.tests: list[str] = []
        sys.path.insert(0, str(folder))
        for name, text in FILES.items():
            self.write(name, text)

    def run(self, block: Block) -> None:
        """Run a block, in its language."""
        name = block.file.removeprefix("mysite/")
        if block.language == "console":
            self.set_up()
            for command, printed in block.commands():
                if is_of_this_repository(command):
                    continue
                output = self.command(command)
                assert is_as_printed(printed, output), f"$ {command}\n{output}"
        elif name == "settings.py":
            self.change_settings(block.text)
        elif name.startswith("test"):
            self.write(name, block.text)
            self.tests.append(str(self.folder / "mysite" / name))
        elif name:
            path = self.folder / "mysite" / name
            before = path.read_text() if block.is_addition else ""
            self.write(name, before + block.text)
        else:
            self.set_up()
            exec(CONTEXT + block.text, {"__name__": "page"})  # noqa: S102  # our own page

    def write(self, name: str, text: str) -> None:
        """Write a file of the project; its modules are imported anew."""
        path = self.folder / "mysite" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for module in [one for one in sys.modules if one.startswith("mysite.")]:
            if module != "mysite.models":
                del sys.modules[module]
        clear_url_caches()

    def change_settings(self, text: str) -> None:
        """Let a block change the settings; ``...`` in a list is what was there."""
        names: dict[str, Any] = {}
        exec(text, names)  # noqa: S102  # as above
        changed = {name: names[name] for name in names if name.isupper()}
        for name, value in changed.items():
            if isinstance(value, list) and ... in value:
                place = value.index(...)
                value[place : place + 1] = self.settings[name]
        self.settings.update(changed)
        if settings.configured:
            override_settings(**changed).enable()

    def set_up(self) -> None:
        """Set Django up, as soon as something is to run; import all that there is."""
        if not settings.configured:
            settings.configure(**self.settings)
            django.setup()
            call_command("migrate", run_syncdb=True, verbosity=0)
            get_user_model().objects.create_user("ada")
        for path in (self.folder / "mysite").glob("[!_]*.py"):
            if not path.name.startswith("test"):
                import_module(f"mysite.{path.stem}")

    def command(self, command: str) -> str:
        """Run a command of ``manage.py``; return all that it prints."""
        program, script, *arguments = shlex.split(command)
        assert (program, script) == ("python", "manage.py"), command
        output = StringIO()
        # It exits where the answer is no; what it prints says so as well.
        with suppress(SystemExit), redirect_stdout(output), redirect_stderr(output):
            call_command(*arguments)
        return output.getvalue()


def is_of_this_repository(command: str) -> bool:
    """Whether a command is for who works on wsorigin: it has to exist, and takes long."""
    program, *rest = shlex.split(command)
    if program == "make":
        return f"\n{rest[0]}:" in (DOCS.parent / "Makefile").read_text()
    return rest[0] == "-m" and bool(find_spec(rest[1]))


def main(page: str, folder: str) -> None:
    """Run a page."""
    project = Project(Path(folder))
    for block in blocks(page):
        runs = block.language in {"python", "console"} and not block.reason_not_to_run
        if runs:
            project.run(block)
    project.set_up()  # what nothing ran has to be importable
    if project.tests:
        options = [*PYTEST, f"--rootdir={folder}", *project.tests]
        assert pytest.main(options) == pytest.ExitCode.OK


os.environ.update(NO_COLOR="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
main(*sys.argv[1:])
