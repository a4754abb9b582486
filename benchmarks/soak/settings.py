"""
Settings of the site that is soaked, for its servers and for who watches over them.

Those that the benchmarks' servers have, and pages with users.
"""

from benchmarks.served import *  # noqa: F403  # all of them

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "benchmarks.soak.site"
# So few that they are reached within a minute.
WSORIGIN_AUDIT_MAX_ROWS = 200
