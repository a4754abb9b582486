"""
Settings of the site: sessions in the database, and nothing left unlogged.

``SERVED_SETTINGS`` in the environment, a JSON object, has the database and the rest.
``WIRE_LOG`` names a file for what servers log of a handshake as it came in.
"""

import json
import os

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["site.example", "127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "wsorigin",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
# The tests know no password; a slow hash would only make them slow.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.secret_site.application"
USE_TZ = True

WSORIGIN_ALLOWED_ORIGINS = ["https://app.example"]

# At DEBUG, libraries of two servers print handshakes before anybody can redact them.
_ON_THE_WIRE = {"level": "DEBUG", "handlers": ["wire", "known"], "propagate": False}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(name)s %(levelname)s %(message)s"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain"},
        "known": {
            "class": "logging.StreamHandler",
            "formatter": "plain",
            "level": "INFO",
        },
        "wire": {"class": "logging.FileHandler", "filename": os.environ["WIRE_LOG"]},
    },
    "root": {"level": "DEBUG", "handlers": ["stderr"]},
    "loggers": {"uvicorn.error": _ON_THE_WIRE, "hpack": _ON_THE_WIRE},
}

globals().update(json.loads(os.environ["SERVED_SETTINGS"]))
