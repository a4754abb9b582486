"""
The rows of the site: the same each time, seen at the same time.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.utils import timezone

from wsorigin import tokens
from wsorigin.credentials import TokenKind
from wsorigin.models import ConnectionToken, DeniedHandshake, TrustedOrigin

_DAYS: Final = 30

ORIGINS: Final[list[tuple[str, dict[str, Any]]]] = [
    (
        "https://app.partner.example",
        {"note": "Partner portal, contract 2027-04", "allow_credentials": True},
    ),
    (
        "https://*.customers.example",
        {"audience": "prices", "note": "Every customer has a name of their own"},
    ),
    (
        "https://pr-*-shop.vercel.app",
        {"note": "Previews of the shop", "expires_at": timedelta(days=5)},
    ),
    (
        "https://launch.example",
        {"note": "Campaign in January", "expires_at": timedelta(days=-40)},
    ),
    ("capacitor://localhost", {"note": "The mobile app", "allow_cors": True}),
    ("https://old.example", {"note": "Replaced by the portal", "is_active": False}),
]
# Reason, origin, nearest rule, most a day.
DENIALS: Final = [
    ("unlisted", "https://evil.example", "", 30),
    (
        "unlisted",
        "https://app.partner.example:8443",
        "https://app.partner.example (TrustedOrigin 1) differs only in the port "
        "(the default)",
        9,
    ),
    ("missing", "-", "", 12),
    ("opaque", "null", "", 6),
    ("origin-rewritten", "http://localhost:8000", "", 2),
    ("token-expired", "https://shop.example.com", "", 3),
]


def seed() -> Any:
    """Fill an empty database; return the user who looks at the pages."""
    make = get_user_model().objects.create_user
    admin = make("admin", is_staff=True, is_superuser=True)
    trust(admin)
    deny()
    mint(admin, feed=make("feed"), gone=make("gone"))
    return admin


def trust(admin: Any) -> None:
    """Add the trusted origins."""
    now = timezone.now()
    for pattern, values in ORIGINS:
        left = values.get("expires_at")
        expiry = {"expires_at": now + left} if left else {}
        row = TrustedOrigin(pattern=pattern, created_by=admin, **(values | expiry))
        row.save()


def deny() -> None:
    """Add the denials of a month."""
    draw = Random(4)  # noqa: S311  # the same each time
    now = timezone.now()
    for ago in reversed(range(_DAYS)):
        seen = now - timedelta(days=ago, minutes=7)
        for order, (reason, origin, nearest, most) in enumerate(DENIALS):
            count = draw.randint(-most // 2, most)
            if count > 0:
                DeniedHandshake.objects.create(
                    day=seen.date(),
                    origin=origin,
                    endpoint="/ws/prices/",
                    reason=reason,
                    count=count,
                    nearest=nearest,
                    first_seen_at=seen - timedelta(hours=5),
                    last_seen_at=seen - timedelta(minutes=order),
                )


def mint(admin: Any, *, feed: Any, gone: Any) -> None:
    """Add tokens: one of each state, the first of them with two secrets."""

    def add(kind: TokenKind, name: str, days: int, **values: Any) -> ConnectionToken:
        expires_in = timedelta(days=days)
        found = tokens.mint(
            kind, name=name, expires_in=expires_in, created_by=admin, **values
        )
        return found[0]

    now = timezone.now()
    partner = add(TokenKind.SECRET, "Partner price feed", 8, user=feed)
    tokens.rotate(partner, timedelta(hours=24))
    widget = add(
        TokenKind.PUBLISHABLE,
        "Shop widget",
        90,
        origins=[
            "https://shop.example.com",
            "https://*.customers.example",
            "https://app.partner.example",
        ],
        audience="prices",
    )
    add(TokenKind.SECRET, "Old laptop", 30, user=gone)
    leaked = add(TokenKind.SECRET, "Nightly export", 30, user=feed)
    tokens.revoke(leaked, "Found in a repository")
    add(TokenKind.SECRET, "Importer", 365, user=admin)
    gone.is_active = False
    gone.save()
    for row, minutes in ((partner, 3), (widget, 1)):
        used = now - timedelta(minutes=minutes)
        ConnectionToken.objects.filter(pk=row.pk).update(last_used_at=used)
    # In the order in which they were minted, though at one time.
    for number, row in enumerate(ConnectionToken.objects.order_by("pk")):
        created = now - timedelta(days=60 - 9 * number)
        ConnectionToken.objects.filter(pk=row.pk).update(created_at=created)
