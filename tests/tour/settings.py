"""
Settings of the site: the demo's, with lists that are worth looking at.
"""

from project.settings import *  # noqa: F403  # all of them

ROOT_URLCONF = "tests.tour.urls"
TIME_ZONE = "UTC"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CORS_ALLOWED_ORIGINS = ["https://shop.example.com", "https://app.partner.example"]
CORS_ALLOW_CREDENTIALS = True
CSRF_TRUSTED_ORIGINS = ["https://shop.example.com"]
WSORIGIN_ALLOWED_ORIGINS = ["https://status.example.net", "status.example.net"]
