"""
The operator: one more process on the fleet's database, which changes what may be open.

Run as a program it reads JSON lines, ``[name, arguments]``, and answers each with one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

import django

if __name__ == "__main__":  # pragma: no branch
    django.setup()

from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import close_old_connections, connections
from django.utils import timezone

from tests.servers import logins
from wsorigin import tokens
from wsorigin.credentials import TokenKind
from wsorigin.models import ConnectionToken, DeniedHandshake, TrustedOrigin

User: Final = get_user_model()
Minted = tuple[int, str]


def trust(origins: Sequence[str]) -> None:
    """Trust origins, with credentials."""
    for origin in origins:
        TrustedOrigin(pattern=origin, allow_credentials=True).save()


def distrust(origin: str) -> None:
    """Deactivate an origin."""
    TrustedOrigin.objects.filter(pattern=origin).update(is_active=False)


def add_user(name: str) -> None:
    """Make a user."""
    User.objects.create_user(name)


def log_in(name: str) -> str:
    """Log a user in on one more device; return the key of the session."""
    return logins.log_in(User.objects.get(username=name))


def deactivate(name: str) -> None:
    """Take a user's rights away."""
    user = User.objects.get(username=name)
    user.is_active = False
    user.save()


def set_password(name: str) -> None:
    """Change a user's password."""
    user = User.objects.get(username=name)
    user.set_password("another")
    user.save()


def delete_session(key: str) -> None:
    """Delete a session past Django's own log-out."""
    Session.objects.filter(session_key=key).delete()


def expire_session(key: str) -> None:
    """Let a session's time be over."""
    Session.objects.filter(session_key=key).update(expire_date=timezone.now())


def mint(user: str) -> Minted:
    """Mint a secret token; return its number and its text."""
    token, text = tokens.mint(
        TokenKind.SECRET,
        name="for the tests",
        user=User.objects.get(username=user),
        expires_in=timedelta(days=1),
    )
    return token.pk, text


def mint_ticket(user: str, origin: str, session: str = "") -> Minted:
    """Mint a ticket as the ticket endpoint does; return its number and its text."""
    owner = User.objects.get(username=user)
    token, text = tokens.mint_ticket(owner, origin=origin, session_key=session)
    return token.pk, text


def mint_tickets_at_once(user: str, count: int) -> int:
    """Mint so many tickets in as many threads; return how many there are for it."""
    owner = User.objects.get(username=user)

    def mint_one(_: int) -> bool:
        try:
            tokens.mint_ticket(owner, origin=None)
        except tokens.TooManyTickets:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(count) as threads:
        return sum(threads.map(mint_one, range(count)))


def revoke(pk: int) -> None:
    """Revoke a token."""
    assert tokens.revoke(ConnectionToken.objects.get(pk=pk), "leaked")


def expire_token(pk: int) -> None:
    """Let a token's time be over."""
    ConnectionToken.objects.filter(pk=pk).update(expires_at=timezone.now())


def rotate(pk: int) -> None:
    """Give a token another secret; the old one counts for an hour."""
    tokens.rotate(ConnectionToken.objects.get(pk=pk), timedelta(hours=1))


def disconnect(name: str) -> None:
    """Close the connections of a user, who may come again."""
    tokens.disconnect(user=User.objects.get(username=name))


def prune_later(pk: int) -> None:
    """Prune as somebody would who came tomorrow."""
    yesterday = timezone.now() - timedelta(days=1)
    ConnectionToken.objects.filter(pk=pk).update(expires_at=yesterday)
    assert tokens.prune() == 1


def denials() -> dict[str, int]:
    """Return how many handshakes were denied, for each reason."""
    counted: dict[str, int] = {}
    for reason, count in DeniedHandshake.objects.values_list("reason", "count"):
        counted[reason] = counted.get(reason, 0) + count
    return counted


COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    command.__name__: command
    for command in (
        trust,
        distrust,
        add_user,
        log_in,
        deactivate,
        set_password,
        delete_session,
        expire_session,
        mint,
        mint_ticket,
        mint_tickets_at_once,
        revoke,
        expire_token,
        rotate,
        disconnect,
        prune_later,
        denials,
    )
}

if __name__ == "__main__":  # pragma: no branch
    for line in sys.stdin:
        name, arguments = json.loads(line)
        close_old_connections()  # as between two requests
        print(json.dumps(COMMANDS[name](**arguments)), flush=True)
