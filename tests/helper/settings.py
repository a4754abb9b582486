"""
Settings of the site: what a project with logins, tickets and the helper has.

``HELPER_DATABASE`` in the environment names its file.
"""

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
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["HELPER_DATABASE"],
    }
}
ROOT_URLCONF = "tests.helper.application"
STATIC_URL = "static/"
USE_TZ = True
