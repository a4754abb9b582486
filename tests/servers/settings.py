"""
Settings of the served application: a site with every kind of trusted origin.

``SERVED_SETTINGS`` in the environment, a JSON object, replaces some of them.
"""

import json
import os
from typing import Any

from wsorigin.credentials import Secret

# A secret token that each process knows, and that nobody else ever does.
TOKEN = Secret.parse("wsok_Testing00123456789ABCDEFGHIJKLMNOPQRSTUV4awX2i")

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["site.example", "127.0.0.1", "[::1]"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "wsorigin",
]
DATABASES: dict[str, dict[str, Any]] = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
# Sessions that need no table: the cookie is the session.
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
SESSION_COOKIE_NAME = "sessionid"
ROOT_URLCONF = "tests.servers.urls"
USE_TZ = True

WSORIGIN_ALLOWED_ORIGINS = ["https://app.example", "https://*.apps.example"]
CORS_ALLOWED_ORIGINS = ["https://cors.example"]

globals().update(json.loads(os.environ.get("SERVED_SETTINGS", "{}")))
