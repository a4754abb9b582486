"""
Settings of the site: one origin for sockets, and one that CORS lists.

The rest is as where several processes serve a site.
"""

from tests.processes.settings import *  # noqa: F403  # all of them

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

WSORIGIN_ALLOWED_ORIGINS = ["https://app.example"]
CORS_ALLOWED_ORIGINS = ["https://cors.example"]
