"""
Settings of the site that the fleet serves: users with sessions in the database.

``SERVED_SETTINGS`` in the environment, a JSON object, has the database and the rest.
"""

import json
import os

SECRET_KEY = "only for tests"
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
ROOT_URLCONF = "tests.fleet.application"
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {
        "wsorigin": {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    },
}

globals().update(json.loads(os.environ["SERVED_SETTINGS"]))
