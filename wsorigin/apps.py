"""
The app's configuration: the only place where anything happens by itself.
"""

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.models.signals import post_delete, post_migrate, post_save
from django.utils.translation import gettext_lazy


class WsoriginConfig(AppConfig):
    """Wire checks, triggers and signals; compile before the first handshake."""

    name = "wsorigin"
    verbose_name = gettext_lazy("WebSocket origins")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.contrib.auth import user_logged_out

        from . import checks, models, refresh, signals
        from .live import events

        checks.register_all()
        post_migrate.connect(
            models.install_triggers, sender=self, dispatch_uid="wsorigin.triggers"
        )
        for signal in (post_save, post_delete):
            signal.connect(
                lambda using, **_: models.announce_change(using),
                sender=models.TrustedOrigin,
                weak=False,
                dispatch_uid="wsorigin.changed",
            )
        signals.trusted_origins_changed.connect(
            refresh.current.expire, dispatch_uid="wsorigin.expire"
        )
        signals.trusted_origins_changed.connect(
            events.origins_changed, dispatch_uid="wsorigin.live"
        )
        signals.standing_changed.connect(
            events.standing_changed, dispatch_uid="wsorigin.live"
        )
        user_logged_out.connect(events.logged_out, dispatch_uid="wsorigin.live")
        for signal in (post_save, post_delete):
            signal.connect(
                events.token_changed,
                sender=models.ConnectionToken,
                dispatch_uid="wsorigin.live",
            )
            signal.connect(
                events.user_changed,
                sender=settings.AUTH_USER_MODEL,
                dispatch_uid="wsorigin.live",
            )
        if apps.is_installed("django.contrib.sessions"):
            post_delete.connect(
                events.session_deleted,
                sender="sessions.Session",
                dispatch_uid="wsorigin.live",
            )
        if apps.is_installed("corsheaders"):
            from . import cors

            cors.connect()
        # Here, because compiling loads the tables for international names and public
        # suffixes, which belong to no handshake. The database is not asked yet.
        refresh.current.compile()
