"""The demo's one page."""

from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def home(request: HttpRequest) -> HttpResponse:
    """Show the live prices; a visitor without a session gets ada's."""
    # Only a demo logs anybody in unasked: an attack needs somebody with a session, and
    # this makes it one click away. ada has no password and no permissions.
    if not request.user.is_authenticated:
        ada, _ = get_user_model().objects.get_or_create(
            username="ada", defaults={"password": make_password(None)}
        )
        login(request, ada)
    host = request.get_host().rsplit(":", 1)[0]
    attack_url = f"http://{host}:{settings.ATTACK_PORT}/"
    return render(request, "home.html", {"attack_url": attack_url})
