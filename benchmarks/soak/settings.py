"""
Settings of the site that is soaked, for its servers and for who watches over them.

``SERVED_SETTINGS`` in the environment, a JSON object, has the database and the rest.
"""

import json
import os

from benchmarks.settings import ALLOWED_HOSTS, LOGGING, USE_TZ

__all__ = ["ALLOWED_HOSTS", "LOGGING", "USE_TZ"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "wsorigin",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "benchmarks.soak.site"
# So few that they are reached within a minute.
WSORIGIN_AUDIT_MAX_ROWS = 200

globals().update(json.loads(os.environ["SERVED_SETTINGS"]))
