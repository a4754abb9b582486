"""
Why a handshake was allowed or denied: the public, stable names, and what they mean.

What to do about one is said by `wsorigin.denial`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """
    Why a handshake was allowed or denied.

    The values are public and stable: they appear unchanged in logs, JSON, denial
    bodies and tests.
    """

    SAME_ORIGIN = "same-origin"
    LISTED = "listed"
    WILDCARD = "wildcard"
    REGEX = "regex"
    DEBUG_LOOPBACK = "debug-loopback"
    ALL_ORIGINS = "all-origins"
    TOKEN = "token"  # noqa: S105  # a reason, no password

    MISSING = "missing"
    MULTIPLE = "multiple"
    MALFORMED = "malformed"
    OPAQUE = "opaque"
    UNLISTED = "unlisted"
    HOST_NOT_ALLOWED = "host-not-allowed"
    ORIGIN_REWRITTEN = "origin-rewritten"

    TOKEN_REQUIRED = "token-required"  # noqa: S105  # as above, and below
    TOKEN_MALFORMED = "token-malformed"  # noqa: S105
    TOKEN_IN_URL = "token-in-url"  # noqa: S105
    TOKEN_CONFLICT = "token-conflict"  # noqa: S105
    TOKEN_UNKNOWN = "token-unknown"  # noqa: S105
    TOKEN_EXPIRED = "token-expired"  # noqa: S105
    TOKEN_REVOKED = "token-revoked"  # noqa: S105
    TOKEN_USED = "token-used"  # noqa: S105
    TOKEN_WRONG_ORIGIN = "token-wrong-origin"  # noqa: S105
    TOKEN_WRONG_AUDIENCE = "token-wrong-audience"  # noqa: S105
    TOKEN_WRONG_SESSION = "token-wrong-session"  # noqa: S105
    TOKEN_USER_INACTIVE = "token-user-inactive"  # noqa: S105
    TOKEN_UNAVAILABLE = "token-unavailable"  # noqa: S105

    NO_COMMON_SUBPROTOCOL = "no-common-subprotocol"
    UPGRADE_STRIPPED = "upgrade-stripped"

    # An Enum hashes its name, in Python: as much as half a look-up.
    __hash__ = str.__hash__

    @property
    def sentence(self) -> str:
        """What this reason means, for people."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Reason.SAME_ORIGIN: "The page comes from this site itself.",
    Reason.LISTED: "The origin is listed.",
    Reason.WILDCARD: "A wildcard covers the origin.",
    Reason.REGEX: "A regular expression matches the whole origin.",
    Reason.DEBUG_LOOPBACK: "DEBUG is on and the page comes from this machine.",
    Reason.ALL_ORIGINS: "WSORIGIN_ALLOW_ALL_ORIGINS is on.",
    Reason.TOKEN: "A token vouches for a client that sends no origin.",
    Reason.MISSING: (
        "The handshake has no Origin header, so it does not come from a browser, "
        "or a proxy removed the header."
    ),
    Reason.MULTIPLE: "The handshake has more than one Origin header.",
    Reason.MALFORMED: "The Origin header isn't a serialized origin.",
    Reason.OPAQUE: (
        "The origin is opaque ('null'): a sandboxed frame, a data: or file: page, "
        "or anybody who wants to look like one."
    ),
    Reason.UNLISTED: "No rule covers the origin.",
    Reason.HOST_NOT_ALLOWED: (
        "The page comes from the host that it connects to, but that host isn't in "
        "ALLOWED_HOSTS. DNS rebinding looks like this."
    ),
    Reason.ORIGIN_REWRITTEN: (
        "The browser says that another site started this, yet the Origin header "
        "names this site: a proxy rewrites it, which switches the check off."
    ),
    Reason.TOKEN_REQUIRED: "This endpoint asks for a token.",
    Reason.TOKEN_MALFORMED: "The token isn't one: it is cut, mistyped or made up.",
    Reason.TOKEN_IN_URL: (
        "A token came in the URL, where it ends up in logs and histories. It belongs "
        "in the Authorization header or among the subprotocols."
    ),
    Reason.TOKEN_CONFLICT: "The handshake brought two different tokens.",
    Reason.TOKEN_UNKNOWN: "There is no such token.",
    Reason.TOKEN_EXPIRED: "The token has expired.",
    Reason.TOKEN_REVOKED: "The token was revoked.",
    Reason.TOKEN_USED: "The ticket was used already; each opens one socket.",
    Reason.TOKEN_WRONG_ORIGIN: "The token belongs to another origin.",
    Reason.TOKEN_WRONG_AUDIENCE: "The token is for another audience.",
    Reason.TOKEN_WRONG_SESSION: (
        "The ticket belongs to another session, or to one that has ended."
    ),
    Reason.TOKEN_USER_INACTIVE: "The user whom the token stands for is deactivated.",
    Reason.TOKEN_UNAVAILABLE: (
        "Tokens cannot be checked at the moment. Try again in a few seconds."
    ),
    Reason.NO_COMMON_SUBPROTOCOL: (
        "The client offered none of the subprotocols that this endpoint speaks."
    ),
    Reason.UPGRADE_STRIPPED: (
        "The handshake arrived as an ordinary HTTP request: a proxy in front of this "
        "server does not pass the upgrade on."
    ),
}


class MissingOrigin(StrEnum):
    """What to do with a handshake that has no Origin header at all."""

    REQUIRE_TOKEN = "require-token"  # noqa: S105  # a choice, no password
    DENY = "deny"
    ALLOW = "allow"
