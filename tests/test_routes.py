"""The walk through an ASGI application to its WebSocket routes."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from tests import applications
from wsorigin.routes import route_for, websocket_routes


def test_finds_each_route_with_its_guards() -> None:
    """Routers, middleware classes, closures and guards are looked through."""
    routes = {
        route.path: [guard.name for guard in route.guards]
        for route in websocket_routes(applications.guarded)
    }

    assert routes == {
        "ws/prices/": ["Guarded"],
        "ws/<slug:tenant>/": ["Tenants"],
        "wrapped/": ["OriginGuard"],
        "below/x/": ["OriginGuard"],
        "twice/": ["OriginGuard", "Guarded"],
    }


def test_tells_unguarded_routes_from_others() -> None:
    """A route without guard or validator is bare."""
    routes = websocket_routes(applications.mixed)
    bare = {route.path: route.name for route in routes if not route.guards}

    assert bare == {
        r"inner/^(?P<room>\w+)/$": "Bare",
        "sync/": "BareSync",
        "opaque/": "opaque",
    }


@pytest.mark.parametrize(
    "application",
    [
        pytest.param(applications.only_http, id="Django alone"),
        pytest.param(
            applications.ProtocolTypeRouter({"http": applications.only_http}),
            id="no websocket key",
        ),
    ],
)
def test_no_websockets_no_routes(application: Any) -> None:
    """An application without WebSockets has no routes."""
    assert websocket_routes(application) == []


def test_no_application_no_routes() -> None:
    """A project without ASGI_APPLICATION has none either."""
    assert websocket_routes() == []


@pytest.mark.parametrize(
    ("path", "name", "kwargs"),
    [
        ("/ws/prices/", "Guarded", {}),
        ("/ws/acme/", "Tenants", {"tenant": "acme"}),
        ("/below/x/", "opaque", {}),
    ],
)
@override_settings(ASGI_APPLICATION="tests.applications.guarded")
def test_follows_a_path(path: str, name: str, kwargs: dict[str, str]) -> None:
    """A path leads to the first route that matches, as in URLRouter."""
    found = route_for(path)

    assert found
    assert (found[0].name, found[1]) == (name, kwargs)


@override_settings(ASGI_APPLICATION="tests.applications.mixed")
def test_follows_a_path_through_nested_routers() -> None:
    """An inner router sees what the outer one left of the path."""
    found = route_for("/inner/lobby/")

    assert found
    assert found[1] == {"room": "lobby"}
    assert route_for("/nowhere/") is None


async def test_middleware_of_the_example_passes_on() -> None:
    """The closure that the walk looks into is true middleware."""
    assert await applications.traced(applications.opaque)({}, None, None) is None
