"""
Settings of the site that the fleet serves: users with sessions in the database.

The rest is as where several processes serve a site.
"""

from tests.processes.settings import *  # noqa: F403  # all of them

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
