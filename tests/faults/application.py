"""
The application: endpoints whose hooks fail, receivers that do, and a clock to move.

``FAULTY_RECEIVERS`` among the settings says how the receivers of our signals fail.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone

from wsorigin.handshake import Receive, Scope, Send

pages = get_asgi_application()  # before anything that may need the app registry

from tests.processes.application import change  # noqa: E402
from tests.servers import logins  # noqa: E402
from tests.servers.consumers import AsyncEcho, SyncEcho  # noqa: E402
from wsorigin import signals  # noqa: E402
from wsorigin.consumers import OriginGuardMixin  # noqa: E402
from wsorigin.guard import OriginGuard  # noqa: E402
from wsorigin.models import TrustedOrigin  # noqa: E402
from wsorigin.sessions import session_store  # noqa: E402

ANSWERED: Final = "http://site.example"
# What hangs does so until the test has seen enough: a thread that never ends would keep
# the process from ending.
released: Final = threading.Event()


async def release(scope: Scope, receive: Receive, send: Send) -> None:
    """Let go of whatever hangs, for good."""
    released.set()
    await receive()
    await send({"type": "websocket.close"})


def raises(*_: Any, **__: Any) -> Any:
    raise RuntimeError("the project's own code fails")


async def araises(*_: Any, **__: Any) -> Any:
    raises()


def hangs(*_: Any, **__: Any) -> Any:
    released.wait()
    return [ANSWERED]


async def ahangs(*_: Any, **__: Any) -> Any:
    while not released.is_set():  # noqa: ASYNC110  # set from elsewhere than this loop
        await asyncio.sleep(0.05)
    return [ANSWERED]


HOOKS: Final[Mapping[str, Callable[..., Any]]] = {
    "raises": raises,
    "araises": araises,
    "hangs": hangs,
    "ahangs": ahangs,
    "string": lambda scope: ANSWERED,
    "number": lambda scope: 7,
    "nested": lambda scope: [[ANSWERED]],
    "patterns": lambda scope: ["*", "site.example", "https://", "", "\udcff"],
}
FAULTY_RECEIVERS: Final[Mapping[str, list[Callable[..., Any]]]] = {
    "raise": [raises, araises],
    "hang": [hangs, ahangs],
    "": [],
}


class Echo(OriginGuardMixin, AsyncEcho):
    """Open to whom the site trusts."""


class ThreadedEcho(OriginGuardMixin, SyncEcho):
    """The same in a thread."""


class Clock:
    """What the process takes for the time of day; its intervals are not touched."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._time = time.time
        # By these two names all that we use looks at the clock.
        time.time = self.time
        timezone.now = self.now

    def time(self) -> float:
        return self._time() + self._seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def move(self, request: HttpRequest) -> HttpResponse:
        """Set the clock so many seconds forward, or back."""
        self._seconds += float(request.GET["by"])
        return HttpResponse(self.now().isoformat())


def save_many(request: HttpRequest) -> HttpResponse:
    """Save so much at once that a database has to grow for it."""
    TrustedOrigin.objects.bulk_create(
        TrustedOrigin(pattern=f"https://{number}.many.example", note="x" * 300)
        for number in range(200)
    )
    return HttpResponse()


def log_in(request: HttpRequest) -> HttpResponse:
    """Log somebody in, and tell the key of the session."""
    user, _ = get_user_model().objects.get_or_create(username="guest")
    return HttpResponse(logins.log_in(user))


def log_out(request: HttpRequest) -> HttpResponse:
    """End a session."""
    session_store()(request.GET["session"]).delete()
    return HttpResponse()


for receiver in FAULTY_RECEIVERS[getattr(settings, "FAULTY_RECEIVERS", "")]:
    signals.handshake_checked.connect(receiver)
    signals.policy_changed.connect(receiver)

urlpatterns = [
    path("change/", change),
    path("save-many/", save_many),
    path("log-in/", log_in),
    path("log-out/", log_out),
    path("clock/", Clock().move),
]
application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": URLRouter(
            [
                path("witness/", AsyncEcho.as_asgi()),
                path("release/", release),
                path("ws/", Echo.as_asgi()),
                path("sync/", ThreadedEcho.as_asgi()),
                *(
                    path(
                        f"hooks/{name}/",
                        OriginGuard(
                            AsyncEcho.as_asgi(), allowed_origins=hook, name=name
                        ),
                    )
                    for name, hook in HOOKS.items()
                ),
            ]
        ),
    }
)
