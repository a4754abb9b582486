"""
The credentials that connections are opened with: a user's session, a secret token.

For programs that `databases.begin` has set up, with sessions among their apps.
"""

from __future__ import annotations

from datetime import timedelta


class Rights:
    """One user, logged in, with a token."""

    def __init__(self) -> None:
        from django.contrib.auth.models import User
        from django.contrib.sessions.backends.db import SessionStore

        from wsorigin.credentials import TokenKind
        from wsorigin.tokens import mint

        user = User.objects.create_user("guest")
        _, self._token = mint(
            TokenKind.SECRET, name="measured", user=user, expires_in=timedelta(days=1)
        )
        session = SessionStore()
        session["_auth_user_id"] = str(user.pk)
        session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
        session["_auth_user_hash"] = user.get_session_auth_hash()
        session.save()
        self._session_key = session.session_key

    def headers(
        self, origin: str, *, with_session: bool = False, with_token: bool = False
    ) -> dict[str, str]:
        """Return the headers that such a connection is opened with."""
        headers = {"Origin": origin}
        if with_session:
            headers["Cookie"] = f"sessionid={self._session_key}"
        if with_token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers
