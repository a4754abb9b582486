"""Settings of the benchmarks: a site with one host; each contender brings its list."""

from django.core.management.utils import get_random_secret_key

SECRET_KEY = get_random_secret_key()
ALLOWED_HOSTS = ["chat.example.com"]
INSTALLED_APPS = ["wsorigin"]
USE_TZ = True
# Without a database: what is to be written waits in memory.
WSORIGIN_INHERIT = ["same-origin"]
# Denials are logged as in production, a few a second, but nobody reads them here.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"nobody": {"class": "logging.NullHandler"}},
    "loggers": {"wsorigin": {"handlers": ["nobody"], "propagate": False}},
}
