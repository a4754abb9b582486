"""
When a change takes effect: what pages and messages say about it.

It does so in every process, whichever of them was asked.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from wsorigin.conf import conf
from wsorigin.refresh import current


def in_force_within() -> str:
    """Say how soon a change of the trusted origins counts; nothing where none does."""
    if not current.reads_database:
        return ""
    return _("Changes count in every process within %(seconds)g seconds.") % {
        "seconds": conf.WSORIGIN_REFRESH_INTERVAL
    }


def closing_when() -> str:
    """Say how soon connections close that have lost their right, or were told to go."""
    return _("within %(seconds)g seconds, in every process") % {
        "seconds": conf.WSORIGIN_REFRESH_INTERVAL
    }
