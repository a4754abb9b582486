"""
Settings of the site: what a project with logins, tickets and the helper has.

``SERVED_SETTINGS`` in the environment, a JSON object, has the database.
"""

import json
import os

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["127.0.0.1", ".example"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "wsorigin",
]
MIDDLEWARE = [
    "wsorigin.middleware.StrippedUpgradeMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "tests.helper.application"
STATIC_URL = "static/"
USE_TZ = True

globals().update(json.loads(os.environ["SERVED_SETTINGS"]))
