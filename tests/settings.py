"""Settings of the test suite: as little as a project can have."""

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1", "[::1]"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "wsorigin",
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
ROOT_URLCONF = "tests.urls"
USE_TZ = True

# "database" and the audit only where a test asks for them: the others need no database.
WSORIGIN_INHERIT = ["same-origin", "cors", "debug"]
WSORIGIN_AUDIT = False
