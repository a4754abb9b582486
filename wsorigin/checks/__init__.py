"""
System checks: what can be said about the configuration without running it.

Each finding has an id for ever, one sentence, and a hint that can be pasted. What
needs I/O beyond importing the ASGI application is not here.
"""

from __future__ import annotations

from django.core.checks import Tags, register

from .deployment import check_deployment, check_server
from .finding import IDS, finding
from .lists import check_lists
from .regexes import check_regexes
from .routes import check_routes
from .settings import check_settings

__all__ = [
    "IDS",
    "check_deployment",
    "check_lists",
    "check_regexes",
    "check_routes",
    "check_server",
    "check_settings",
    "finding",
    "register_all",
]


def register_all() -> None:
    """Register the checks; those about the deployment run with ``check --deploy``."""
    for check in (
        check_settings,
        check_lists,
        check_regexes,
        check_routes,
        check_server,
    ):
        register(check, Tags.security)
    register(check_deployment, Tags.security, deploy=True)
