"""
Settings of the site that real servers serve in the benchmarks.

``SERVED_SETTINGS`` in the environment, a JSON object, has the database and the rest.
"""

import json
import os

from .settings import ALLOWED_HOSTS, LOGGING, USE_TZ  # noqa: F401  # of this site too

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "wsorigin",
]

globals().update(json.loads(os.environ["SERVED_SETTINGS"]))
