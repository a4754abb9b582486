"""
One question about a handshake, answered by the guards that it would meet.

The command and the admin ask here, so that they say the same. Deciding is the policy's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from asgiref.sync import async_to_sync

from .denial import remedy, shown
from .guard import OriginGuard
from .handshake import Scope
from .policy import Explanation, Rule
from .routes import route_for, websocket_routes
from .sources import django_list


class NoRoute(LookupError):
    """No WebSocket route leads to a path; the message names those that there are."""


def explain(
    origin: str | None,
    *,
    path: str | None = None,
    audience: str = "",
    host: str = "",
    scheme: str = "",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Explanation | None:
    """
    Say what would be decided about a handshake; None where nothing checks the path.

    With a path, the guards of its route answer, else the site's policy for an audience.
    ``host`` defaults to this site's, ``scheme`` is ``"http"`` or ``"https"`` if known.

    Raises NoRoute for a path that leads nowhere.
    """
    scope: Scope = {
        "type": "websocket",
        "path": path or "/",
        "headers": [(b"host", (host or own_host()).encode()), *headers],
    }
    if origin is not None:
        scope["headers"].append((b"origin", origin.encode()))
    if scheme:
        scope["scheme"] = {"http": "ws", "https": "wss"}[scheme]
    if path is None:
        guards: Sequence[OriginGuard] = [OriginGuard(nowhere, audience=audience)]
    else:
        guards = guards_at(path, scope)
    explanation: Explanation | None = async_to_sync(ask)(guards, scope)
    return explanation


async def ask(guards: Iterable[OriginGuard], scope: Scope) -> Explanation | None:
    """
    Explain what the guards of a route decide together; None where there are none.

    The first denial is final; of several admissions the innermost is the answer, with
    the cookies only where none of them withholds these.
    """
    explanation, credentials = None, True
    for guard in guards:
        explanation = await guard.explain(scope)
        credentials = credentials and explanation.decision.credentials
        if not explanation.decision:
            return explanation
    if explanation is None:
        return None
    decision = explanation.decision._replace(credentials=credentials)
    return explanation._replace(decision=decision)


async def nowhere(*_: Any) -> None:
    """Stand where an application would; explaining runs none."""


def own_host() -> str:
    """Return a host of this site to ask about."""
    hosts = django_list("ALLOWED_HOSTS")[1]
    names = [str(host).lstrip(".") for host in hosts if host != "*"]
    return names[0] if names else "localhost"


def guards_at(path: str, scope: Scope) -> Sequence[OriginGuard]:
    """
    Return the guards that a handshake for a path meets, and complete its scope.

    Raises NoRoute for a path that leads nowhere.
    """
    found = route_for(path)
    if found is None:
        routes = ", ".join(f"/{route.path}" for route in websocket_routes())
        raise NoRoute(
            f"No WebSocket route leads to {shown(path)}. "
            + (f"Routes: {routes}" if routes else "ASGI_APPLICATION has none.")
        )
    route, kwargs = found
    scope["url_route"] = {"args": (), "kwargs": kwargs}
    return route.guards


def as_json(
    origin: str | None, path: str | None, explanation: Explanation
) -> dict[str, Any]:
    """Return an explanation as plain data."""
    decision, nearest = explanation.decision, explanation.nearest
    return {
        "origin": origin,
        "path": path,
        "allowed": decision.allowed,
        "reason": decision.reason,
        "sentence": decision.reason.sentence,
        "problem": explanation.problem,
        "credentials": decision.credentials,
        "rules": [rule_as_json(rule) for rule in explanation.matches],
        "nearest": nearest
        and {**rule_as_json(nearest.rule), "difference": nearest.difference},
        "remedy": "" if decision else remedy(decision.reason, explanation),
    }


def rule_as_json(rule: Rule) -> dict[str, Any]:
    """Return a rule as plain data."""
    return {
        "pattern": str(rule.pattern),
        "source": rule.source,
        "credentials": rule.credentials,
        "audience": rule.audience,
    }
