"""
Settings of the demo project: what a small project with wsorigin has, and no more.

It runs from a fresh checkout; what it writes goes into one directory, ``var/``. With
DATABASE_URL and REDIS_URL in the environment it runs on PostgreSQL and Redis, in as many
processes as it takes.
"""

import os
import tempfile
from pathlib import Path

import dj_database_url
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("DEMO_VAR", BASE_DIR / "var"))
VAR_DIR.mkdir(parents=True, exist_ok=True)


def secret_key(file: Path) -> str:
    """Return this machine's key, made at first use: sessions survive a restart."""
    if not file.exists():
        # Put in place complete, so that no process can ever read half a key. A file
        # made by mkstemp() is its owner's alone (mode 600).
        handle, name = tempfile.mkstemp(dir=file.parent)
        with open(handle, "w") as new:
            new.write(get_random_secret_key())
        os.replace(name, file)
    return file.read_text()


DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or secret_key(VAR_DIR / "secret.key")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "daphne",  # first, so that runserver is Daphne's and speaks WebSocket
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "wsorigin",
]
MIDDLEWARE = [
    "wsorigin.middleware.StrippedUpgradeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {
    # Such as postgres://user:password@localhost/demo.
    "default": dj_database_url.parse(database_url)
    if (database_url := os.environ.get("DATABASE_URL"))
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": VAR_DIR / "demo.sqlite3"},
}
# Such as redis://localhost:6379/0. Without one, each process finds by itself what the
# others changed, within WSORIGIN_REFRESH_INTERVAL instead of at once.
if redis_url := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS = {
        "default": {
            # Or channels_redis.pubsub.RedisPubSubChannelLayer: both do.
            "BACKEND": os.environ.get(
                "REDIS_LAYER", "channels_redis.core.RedisChannelLayer"
            ),
            # With redis-py 8's own time-out, consumers end after five idle seconds.
            "CONFIG": {"hosts": [{"address": redis_url, "socket_timeout": None}]},
        },
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"

# Without "debug", which trusts every page on loopback while DEBUG is on: here the
# attacker lives on loopback too.
WSORIGIN_INHERIT = ["same-origin", "cors", "database"]

# Where the attacking page is, for the link on the home page.
ATTACK_PORT = os.environ.get("ATTACK_PORT") or "8001"
