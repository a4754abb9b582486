"""
Settings of the site behind the proxies, which say https by X-Forwarded-Proto.

``SERVED_SETTINGS`` in the environment, a JSON object, replaces some of them.
"""

import json
import os

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["localhost"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "corsheaders",
    "wsorigin",
]
MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
ROOT_URLCONF = "tests.proxies.application"
ASGI_APPLICATION = "tests.proxies.application.application"
USE_TZ = True

# What docs/howto/deploy.md says.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CORS_ALLOWED_ORIGINS = ["https://partner.example"]
# No row of a database counts here, so that none has to be made.
WSORIGIN_INHERIT = ["same-origin", "cors"]
WSORIGIN_AUDIT = False

globals().update(json.loads(os.environ.get("SERVED_SETTINGS", "{}")))
