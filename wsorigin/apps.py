"""
The app's configuration: the only place where anything happens by itself.
"""

from django.apps import AppConfig


class WsoriginConfig(AppConfig):
    """Register the system checks, and compile the policy before the first handshake."""

    name = "wsorigin"
    verbose_name = "WebSocket origins"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, sources

        checks.register_all()
        # Here, because compiling loads the tables for international names and public
        # suffixes, which belong to no handshake.
        sources.get_policy()
