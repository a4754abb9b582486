"""
Settings of the site that several processes serve.

``SERVED_SETTINGS`` in the environment, a JSON object, has the database and the rest.
"""

import json
import os

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["site.example", "127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "wsorigin",
]
ROOT_URLCONF = "tests.processes.application"
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
