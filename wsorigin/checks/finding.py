"""
What the checks find: the ids, for ever, and the messages that carry them.

Finding it is the other modules' business.
"""

from __future__ import annotations

from typing import Final

from django.core.checks import CheckMessage, Error, Info, Warning

# What each id stands for. Never reuse one.
IDS: Final = {
    "E001": "an entry of ours that cannot be read",
    "E002": "a setting of the wrong type",
    "E003": "an unknown WSORIGIN_ setting",
    "E004": "a value that is none of the choices",
    "E005": "a regular expression that lets strangers in",
    "E006": "a regular expression that takes too long",
    "E007": "a Daphne with CVE-2026-44546",
    "W001": "an entry of an inherited list that cannot be read",
    "W002": "an entry that never matches a browser",
    "W003": "all origins allowed",
    "W004": "CORS for all origins, which sockets do not inherit",
    "W005": "'*' in ALLOWED_HOSTS",
    "W006": "an origin over plain http",
    "W007": "the null origin listed",
    "W008": "a CORS regular expression that lets strangers in over HTTP",
    "W009": "lists that disagree",
    "W010": "Channels' own validator",
    "W011": "a WebSocket route that nothing guards",
    "W012": "a session cookie with SameSite=None",
    "W013": "storage that other processes do not see",
    "W014": "nothing says that the site is https",
    "W015": "a Content Security Policy without the site's sockets",
    "W016": "a channel layer that hangs up on idle sockets",
    "W017": "denials that are only recorded",
    "I001": "an entry that was normalised",
}

_LEVELS: Final = {"E": Error, "W": Warning, "I": Info}


def finding(number: str, message: str, hint: str = "") -> CheckMessage:
    """Make a check message with one of `IDS`; raises KeyError for any other."""
    if number not in IDS:
        raise KeyError(number)
    return _LEVELS[number[0]](message, hint=hint or None, id=f"wsorigin.{number}")
