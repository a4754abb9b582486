"""
Settings of the site that the doctor examines.

``SERVED_SETTINGS`` in the environment, a JSON object, replaces some of them.
"""

import json
import os
from typing import Any

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "wsorigin",
]
MIDDLEWARE = ["wsorigin.middleware.StrippedUpgradeMiddleware"]
DATABASES: dict[str, dict[str, Any]] = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
ROOT_URLCONF = "tests.doctor.site"
ASGI_APPLICATION = "tests.doctor.site.application"
USE_TZ = True

WSORIGIN_INHERIT = ["same-origin"]
WSORIGIN_AUDIT = False

globals().update(json.loads(os.environ.get("SERVED_SETTINGS", "{}")))
