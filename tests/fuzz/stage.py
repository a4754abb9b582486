"""
Sites for the guard to stand in, with tokens: set up once, since settings take longer to
change than a handshake takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.test import override_settings
from django.utils import timezone

from wsorigin import refresh, verification
from wsorigin.conf import DEFAULTS, conf
from wsorigin.credentials import Secret
from wsorigin.models import ConnectionToken

from .choices import TOKENS
from .model.decision import Entry, Everything, Place, Prefix
from .model.guards import Row
from .model.patterns import read_pattern


class Stage(NamedTuple):
    """A site: its policy and settings, and what the model has to know of it."""

    current: refresh.CurrentPolicy
    settings: dict[str, Any]
    place: Place
    entries: tuple[Entry, ...]

    @property
    def report_only(self) -> bool:
        return bool(self.settings["WSORIGIN_REPORT_ONLY"])

    @property
    def deny_with(self) -> str:
        return str(self.settings["WSORIGIN_DENY_WITH"])


SETTINGS: tuple[dict[str, Any], ...] = (
    {
        "WSORIGIN_ALLOWED_ORIGINS": ["https://app.example", "https://*.b.test"],
        "WSORIGIN_INHERIT": ["same-origin"],
        "ALLOWED_HOSTS": ["a.test", ".app.example", "localhost"],
    },
    {
        "WSORIGIN_ALLOWED_ORIGINS": [
            "null",
            "moz-extension://*",
            "https://app*.a.test",
        ],
        "WSORIGIN_INHERIT": ["same-origin"],
        "WSORIGIN_MISSING_ORIGIN": "allow",
        "WSORIGIN_DENY_WITH": "close",
        "ALLOWED_HOSTS": ["*"],
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
        "USE_X_FORWARDED_HOST": True,
    },
    {
        "WSORIGIN_ALLOWED_ORIGIN_REGEXES": [r"https://a.*"],
        "WSORIGIN_INHERIT": [],
        "WSORIGIN_MISSING_ORIGIN": "deny",
        "ALLOWED_HOSTS": ["a.test"],
    },
    {
        "WSORIGIN_ALLOW_ALL_ORIGINS": True,
        "WSORIGIN_INHERIT": ["same-origin"],
        "WSORIGIN_REPORT_ONLY": True,
        "ALLOWED_HOSTS": ["a.test", "[::1]"],
        "SESSION_COOKIE_SECURE": True,
        "USE_X_FORWARDED_PORT": True,
    },
)


def stage(settings: dict[str, Any]) -> Stage:
    """Set up a site."""
    defaults = {"WSORIGIN_AUDIT": False, "ALLOWED_HOSTS": [], "DEBUG": False}
    with override_settings(**{**DEFAULTS, **defaults, **settings}):
        conf.forget()
        current = refresh.CurrentPolicy()
        current.get()
        ours = {name: getattr(conf, name) for name in DEFAULTS}
    get = settings.get
    entries = [Entry(pattern_of(text)) for text in get("WSORIGIN_ALLOWED_ORIGINS", ())]
    for regex in get("WSORIGIN_ALLOWED_ORIGIN_REGEXES", ()):
        entries.append(Entry(Prefix(regex.removesuffix(".*"))))
    if get("WSORIGIN_ALLOW_ALL_ORIGINS"):
        entries.append(Entry(Everything()))
    header = get("SECURE_PROXY_SSL_HEADER")
    place = Place(
        allowed_hosts=settings["ALLOWED_HOSTS"],
        https_only=bool(get("SESSION_COOKIE_SECURE")),
        proxy_ssl_header=(b"x-forwarded-proto", header[1]) if header else None,
        use_forwarded_host=bool(get("USE_X_FORWARDED_HOST")),
        use_forwarded_port=bool(get("USE_X_FORWARDED_PORT")),
        same_origin="same-origin" in settings["WSORIGIN_INHERIT"],
        missing=get("WSORIGIN_MISSING_ORIGIN", "require-token"),
    )
    return Stage(current, ours, place, tuple(entries))


def pattern_of(text: str) -> Any:
    """Read a pattern that is one."""
    return read_pattern(text)


@cache
def stages() -> tuple[Stage, ...]:
    """Return the sites, set up at the first call."""
    return tuple(map(stage, SETTINGS))


# The tokens that there are; the other ones of `TOKENS` nobody knows, nor any ticket: what
# those need of a database is tested with one.
ROWS = {
    TOKENS[0]: Row("secret"),
    TOKENS[1]: Row("secret", origins=(pattern_of("https://app.example"),)),
    TOKENS[2]: Row("secret", problem="token-expired"),
    TOKENS[4]: Row("publishable", origins=(pattern_of("https://*.b.test"),)),
    TOKENS[5]: Row("publishable", origins=(pattern_of("null"),), audience="a"),
    TOKENS[6]: Row("publishable", problem="token-revoked"),
    TOKENS[7]: Row("secret", problem="token-user-inactive"),
}


@cache
def known_tokens() -> dict[str, ConnectionToken]:
    """Return the rows of the tokens that there are."""
    now = timezone.now()
    rows = {}
    for number, (text, row) in enumerate(ROWS.items(), start=1):
        secret = Secret.parse(text)
        rows[text] = ConnectionToken(
            pk=number,
            kind=row.kind,
            public_id=secret.public_id,
            digest=secret.digest,
            origins="\n".join(one.text for one in row.origins),
            audience=row.audience,
            user=User(
                pk=1, username="owner", is_active=row.problem != "token-user-inactive"
            )
            if row.kind == "secret"
            else None,
            created_at=now,
            # Used a moment ago, so that noting it writes nothing.
            last_used_at=now + timedelta(days=365),
            expires_at=now - timedelta(days=1)
            if row.problem == "token-expired"
            else None,
            revoked_at=now if row.problem == "token-revoked" else None,
        )
    return rows


def find(secret: Secret) -> ConnectionToken | None:
    """Find the row of a token, in place of the query."""
    return known_tokens().get(secret.text)


@contextmanager
def standing_on(here: Stage) -> Iterator[None]:
    """Have guards read this site's settings, its policy, and the tokens above."""
    before = refresh.current, vars(conf).copy(), verification.find
    refresh.current, verification.find = here.current, find
    vars(conf).update(here.settings)
    try:
        yield
    finally:
        refresh.current, settings, verification.find = before
        conf.forget()
        vars(conf).update(settings)
