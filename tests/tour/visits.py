"""
Each page of the admin that is ours, and how to get there; and Django's own beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TRUSTED: Final = "/admin/wsorigin/trustedorigin/"
DENIED: Final = "/admin/wsorigin/deniedhandshake/"
TOKENS: Final = "/admin/wsorigin/connectiontoken/"


@dataclass(frozen=True, slots=True)
class Visit:
    """
    A page: what answers a GET, or the form on it once it is filled in and sent.

    ``sent`` are the fields to fill in; where it is empty the form stays as it is.
    """

    name: str
    path: str
    sent: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


VISITS: Final = (
    Visit("app", "/admin/wsorigin/"),
    Visit("trusted", TRUSTED),
    Visit("add", f"{TRUSTED}add/"),
    Visit("trust-this", f"{TRUSTED}add/?pattern=https://evil.example&expires=30"),
    Visit(
        "add-with-errors",
        f"{TRUSTED}add/",
        {"pattern": "app.example.com/path", "expires_at_0": "2020-01-01"},
    ),
    Visit("change", f"{TRUSTED}3/change/"),
    Visit("history", f"{TRUSTED}3/history/"),
    Visit("delete", f"{TRUSTED}3/delete/"),
    Visit("import", f"{TRUSTED}import/"),
    Visit(
        "import-checked",
        f"{TRUSTED}import/",
        {
            "lines": "https://new.example  # Partner\nHTTPS://Two.Example/\n"
            "https://two.example\nhttps://old.example\nno.scheme.example",
            "_check": "Check",
        },
    ),
    Visit("policy", f"{TRUSTED}policy/"),
    Visit("policy-allowed", f"{TRUSTED}policy/?origin=https://app.partner.example"),
    Visit(
        "policy-denied",
        f"{TRUSTED}policy/?origin=https://app.partner.example:8443&path=/ws/prices/",
    ),
    Visit("policy-malformed", f"{TRUSTED}policy/?origin=app.example&audience=prices"),
    Visit("policy-errors", f"{TRUSTED}policy/?origin=null&path=x&audience=y"),
    Visit("denied", DENIED),
    Visit("denial", f"{DENIED}1/change/"),
    Visit("prune", f"{DENIED}prune/"),
    Visit("tokens", TOKENS),
    Visit("token", f"{TOKENS}2/change/"),
    Visit("token-rotating", f"{TOKENS}1/change/"),
    Visit("token-revoked", f"{TOKENS}4/change/"),
    Visit("mint", f"{TOKENS}add/"),
    Visit("mint-with-errors", f"{TOKENS}add/", {"name": "", "origins": "x"}),
    Visit("secret", f"{TOKENS}add/", {"name": "Price feed"}),
    Visit(
        "publishable",
        f"{TOKENS}add/",
        {
            "name": "Partner widget",
            "kind": "publishable",
            "origins": "https://shop.example.com",
        },
    ),
    Visit("rotate", f"{TOKENS}1/rotate/"),
    Visit("revoke", f"{TOKENS}1/revoke/"),
    Visit(
        "revoke-several",
        TOKENS,
        {"action": "revoke_selected", "_selected_action": "1", "index": "0"},
    ),
    Visit("disconnect", f"{TOKENS}1/disconnect/"),
    Visit("verify", f"{TOKENS}verify/"),
    Visit("verify-nothing", f"{TOKENS}verify/", {"token": "no token"}),
    Visit(
        "deactivated",
        TRUSTED,
        {"action": "deactivate", "_selected_action": "5", "index": "0"},
    ),
)

# The same kinds of pages, without a line of ours.
PLAIN: Final = (
    Visit("plain-app", "/plain/auth/"),
    Visit("plain-list", "/plain/auth/user/"),
    Visit("plain-form", "/plain/auth/user/1/change/"),
    Visit("plain-history", "/plain/auth/user/1/history/"),
    Visit("plain-delete", "/plain/auth/user/4/delete/"),
)
