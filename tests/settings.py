"""Settings of the test suite: as little as a project with the admin can have."""

import os
import tempfile
from pathlib import Path

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1", "[::1]"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "wsorigin",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        # Nobody needs the rows after a power cut, and waiting for the disk takes most
        # of the time of a test with transactions.
        "OPTIONS": {"init_command": "PRAGMA synchronous=OFF"},
        # A file, since threads that share one in memory lock each other out at once.
        "TEST": {
            "NAME": Path(tempfile.gettempdir())
            / f"wsorigin-tests-{os.getpid()}.sqlite3"
        },
    },
}
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
# Nobody attacks these passwords, and a slow hash would take most of the suite's time.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True

# "database" and the audit only where a test asks for them: the others need no database.
WSORIGIN_INHERIT = ["same-origin", "cors", "debug"]
WSORIGIN_AUDIT = False
