"""
The WebSocket routes of the project, and what stands in front of each.

Found by walking the ASGI application through routers and middleware. Nothing is run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from channels.routing import ProtocolTypeRouter, URLRouter, get_default_application
from channels.security.websocket import OriginValidator
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler

from .consumers import OriginGuardMixin
from .guard import OriginGuard

# What Channels takes for ALLOWED_HOSTS where that is empty.
_HOSTS_IN_DEBUG: Final = ["localhost", "127.0.0.1", "[::1]"]


@dataclass(frozen=True, slots=True)
class Route:
    """
    A WebSocket route: its path as written, and what a handshake meets on the way.

    ``guards`` are ours, the outermost first; ``validators`` are Channels' own.
    ``app`` is where the walk ended: a consumer, or something it cannot look into.
    """

    path: str
    app: Any
    guards: tuple[OriginGuard, ...] = ()
    validators: tuple[OriginValidator, ...] = ()
    patterns: tuple[Any, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of what answers at this route."""
        name = getattr(self.app, "__qualname__", None) or type(self.app).__qualname__
        return str(name)

    @property
    def validator(self) -> str:
        """What the project wrote to get the outermost validator of Channels', if any."""
        if not self.validators:
            return ""
        # AllowedHostsOriginValidator is a function: of it, only the list is left to see.
        outermost, hosts = self.validators[0], settings.ALLOWED_HOSTS or _HOSTS_IN_DEBUG
        if type(outermost) is OriginValidator and outermost.allowed_origins == hosts:
            return "AllowedHostsOriginValidator"
        return type(outermost).__qualname__

    def match(self, path: str) -> dict[str, Any] | None:
        """Return the URL's keyword arguments where a path leads here, else None."""
        found: dict[str, Any] = {}
        rest = path.removeprefix("/")
        for pattern in self.patterns:
            match = pattern.match(rest)
            if match is None:
                return None
            rest, _, kwargs = match
            found.update(kwargs)
        return {**found, **self.defaults}


def websocket_routes(application: Any = None) -> list[Route]:
    """
    List the WebSocket routes of an ASGI application, by default the project's.

    Raises whatever importing ``ASGI_APPLICATION`` raises.
    """
    if application is None:
        if not getattr(settings, "ASGI_APPLICATION", None):
            return []
        application = get_default_application()
    return list(_walk(application, Route("", application)))


def route_for(
    path: str, routes: Iterable[Route] | None = None
) -> tuple[Route, dict[str, Any]] | None:
    """
    Return the route that a path leads to, with its keyword arguments.

    Out of ``routes``, by default the project's. None where it leads nowhere.
    """
    for route in websocket_routes() if routes is None else routes:
        kwargs = route.match(path)
        if kwargs is not None:
            return route, kwargs
    return None


def validator_at(path: str) -> str:
    """Return which validator of Channels' decides at a path, empty where none does."""
    found = route_for(path)
    return found[0].validator if found else ""


def _walk(app: Any, route: Route) -> Iterator[Route]:
    if isinstance(app, ProtocolTypeRouter):
        if "websocket" in app.application_mapping:
            yield from _walk(app.application_mapping["websocket"], route)
    elif isinstance(app, URLRouter):
        for entry in app.routes:
            yield from _walk(
                entry.callback,
                replace(
                    route,
                    path=route.path + str(entry.pattern),
                    patterns=(*route.patterns, entry.pattern),
                    defaults={**route.defaults, **entry.default_args},
                ),
            )
    elif isinstance(app, OriginGuard):
        yield from _walk(app.app, replace(route, guards=(*route.guards, app)))
    elif isinstance(app, OriginValidator):
        yield from _walk(
            app.application, replace(route, validators=(*route.validators, app))
        )
    elif hasattr(app, "consumer_class"):
        yield _at_consumer(app, replace(route, app=app.consumer_class))
    else:
        inner = _inner(app)
        if inner is not None:
            yield from _walk(inner, route)
        elif not isinstance(app, ASGIHandler):
            # Not Django's own handler, which speaks no WebSocket, but something opaque.
            yield replace(route, app=app)


def _at_consumer(app: Any, route: Route) -> Route:
    consumer_class = app.consumer_class
    if not issubclass(consumer_class, OriginGuardMixin):
        return route
    guard = consumer_class(**app.consumer_initkwargs).guard()
    return replace(route, guards=(*route.guards, guard))


def _inner(app: Any) -> Callable[..., Any] | None:
    """Look into a middleware: by the usual attributes, or into a function's closure."""
    if inspect.isfunction(app):
        candidates = list(inspect.getclosurevars(app).nonlocals.values())
    else:
        names = ("inner", "app", "application")
        candidates = [getattr(app, name, None) for name in names]
    return next((one for one in candidates if _is_application(one)), None)


def _is_application(thing: Any) -> bool:
    """Whether something looks like an ASGI application: called with three arguments."""
    if not callable(thing) or inspect.isclass(thing):
        return False
    call = thing if inspect.isroutine(thing) else type(thing).__call__
    return inspect.iscoroutinefunction(call) or hasattr(thing, "consumer_class")
