"""
Settings of the site, for the suite's own process and for real servers.

``SERVED_SETTINGS`` in the environment, a JSON object, has the database.
"""

import json
import os

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["site.example", "127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "corsheaders",
    "wsorigin",
]
MIDDLEWARE = [
    "wsorigin.middleware.StrippedUpgradeMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "tests.preflight.application"
ASGI_APPLICATION = "tests.preflight.application.application"
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"wsorigin": {"handlers": ["stderr"], "propagate": False}},
}

WSORIGIN_ALLOWED_ORIGINS = ["https://app.example"]
CORS_ALLOWED_ORIGINS = ["https://cors.example"]

globals().update(json.loads(os.environ["SERVED_SETTINGS"]))
