"""
Logging in without a page, for programs that have set Django up.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest


def log_in(user: Any) -> str:
    """Log a user in on one more device; return the key of the session."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()
    login(request, user)
    request.session.save()
    return str(request.session.session_key)
