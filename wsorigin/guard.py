"""
The guard: an ASGI wrapper that lets a WebSocket handshake through, or denies it.

It reads, asks the policy, answers and tells. It compares no origins itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from inspect import isawaitable, iscoroutinefunction
from operator import itemgetter
from typing import Any, Final, NamedTuple

from asgiref.sync import ThreadSensitiveContext
from channels.db import database_sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from .audit import audit
from .conf import conf, is_list
from .denial import (
    Message,
    RateLimit,
    Receive,
    Send,
    log_denial,
    log_withheld,
    send_denial,
)
from .handshake import (
    CREDENTIAL_PREFIX,
    MARKER,
    SUBPROTOCOL_HEADER,
    Handshake,
    Headers,
    Scope,
    is_application_subprotocol,
)
from .origins import InvalidOrigin
from .patterns import OriginPattern
from .policy import SITE, Decision, Explanation, Policy, Reason, Rule
from .refresh import aget_policy, policy_in_memory
from .signals import handshake_checked

logger = logging.getLogger(__name__)

# Not of Scope, Receive and Send: Django's own handler wants a dict.
Application = Callable[[Any, Any, Any], Awaitable[None]]
Origins = Sequence[str]
OriginsHook = Callable[[Scope], Origins | Awaitable[Origins | None] | None]
AudienceHook = Callable[[Scope], str | Awaitable[str]]

# One for each endpoint; one for each tenant where a hook gives the list.
_MAX_ENDPOINT_POLICIES: Final = 1024
_MAX_PENDING_SIGNALS: Final = 1000


class Admission(NamedTuple):
    """
    What the guard leaves in ``scope["wsorigin"]`` for the application.

    ``decision.credentials`` says whether the cookies that came along count; where
    they do not, they are gone from the scope. ``enforced`` is False in report-only
    mode, where a handshake goes on with all that it brought. ``token`` is reserved
    for the token that vouched for the handshake.
    """

    handshake: Handshake
    decision: Decision
    enforced: bool = True
    token: None = None


class OriginGuard:
    """
    Let only allowed origins open a WebSocket on an ASGI application.

    Wrap a consumer, a router, or everything: outside ``AuthMiddlewareStack`` a denied
    handshake costs no query. Two guards compose by AND. Other scopes pass unchanged.

    ``allowed_origins``
        Patterns of origins; `SITE` among them stands for all that the site's settings
        allow. Or a function of the scope, sync (run in a thread, so it may use the
        ORM) or async, that returns them. Default: ``[SITE]``.
    ``audience``
        What this endpoint is for: rules for another audience do not count. Or a
        function of the scope, as above.
    ``require_token``
        Deny handshakes without a valid token.
    ``report_only``
        Record denials and let them through; None takes ``WSORIGIN_REPORT_ONLY``.
    ``subprotocols``
        What this endpoint speaks, best first. A client that offers none of them is
        denied; where the application accepts without naming one, the best common one
        is selected.
    ``name``
        What to call this guard in messages.

    Raises ImproperlyConfigured where a pattern is none.
    """

    def __init__(
        self,
        app: Application,
        *,
        allowed_origins: Origins | OriginsHook | None = None,
        audience: str | AudienceHook = "",
        require_token: bool = False,
        report_only: bool | None = None,
        subprotocols: Sequence[str] = (),
        name: str = "OriginGuard",
    ) -> None:
        self.app = app
        self.allowed_origins = allowed_origins
        self.audience = audience
        self.require_token = require_token
        # A string out of the environment is no switch: "False" would be a true one.
        self.report_only = None if report_only is None else report_only is True
        self.subprotocols = subprotocols
        self.name = name
        if allowed_origins is not None and not callable(allowed_origins):
            self.allowed_origins = checked_origins(allowed_origins, name)

    @property
    def _path_routing(self) -> bool:
        """What Channels' ``path()`` asks: whether the application routes further."""
        return bool(getattr(self.app, "_path_routing", False))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        handshake = Handshake.from_scope(scope)
        # Hooks are awaited, and overdue looks; nothing else, since a coroutine costs
        # as much as a look-up.
        policy, audience = policy_in_memory(), self.audience
        if policy is None or callable(self.allowed_origins):
            policy = await self.policy_for(scope)
        else:
            policy = endpoint_policy(policy, self.allowed_origins, self.name)
        if callable(audience):
            audience = await self.audience_for(scope)
        decision = self.decide(policy, handshake, audience)
        outer: Admission | None = scope.get("wsorigin")
        if outer and outer.enforced and not outer.decision.credentials:
            # An outer guard has withheld the cookies; this one cannot bring them back.
            decision = decision._replace(credentials=False)
        report_only = self.report_only
        enforced = not (
            conf.WSORIGIN_REPORT_ONLY if report_only is None else report_only
        )
        announce(handshake, decision, enforced=enforced)
        if not decision.allowed:
            audit.record(policy, handshake, audience, decision, enforced=enforced)
            log_denial(
                partial(policy.explain, handshake, audience),
                handshake,
                decision,
                policy.fingerprint,
                enforced=enforced,
            )
            if enforced:
                await send_denial(
                    decision,
                    scope,
                    receive,
                    send,
                    deny_with=conf.WSORIGIN_DENY_WITH,
                    subprotocol=self.subprotocol_for(handshake, scope)
                    or next(iter(handshake.subprotocols), None),
                )
                return
        if scope.get("subprotocols"):
            send = negotiating(send, self.subprotocol_for(handshake, scope))
        scope = admitted_scope(scope, Admission(handshake, decision, enforced))
        await self.app(scope, receive, send)

    async def explain(self, scope: Scope) -> Explanation:
        """Say what this guard would decide about a handshake, and on what grounds."""
        handshake = Handshake.from_scope(scope)
        policy, audience = await self.policy_for(scope), await self.audience_for(scope)
        explanation = policy.explain(handshake, audience)
        return explanation._replace(decision=self.decide(policy, handshake, audience))

    async def policy_for(self, scope: Scope) -> Policy:
        """Return the policy for this endpoint or, with a hook, for this handshake."""
        site, origins = await aget_policy(), self.allowed_origins
        if not callable(origins):
            return endpoint_policy(site, origins, self.name)
        try:
            found = await run_hook(origins, scope, then=as_list)
            return endpoint_policy(site, found, self.name)
        except Exception:
            # Stricter, never looser, and no 500 for a stranger to provoke.
            log_failure(f"get_allowed_origins() of {self.name}")
            return endpoint_policy(site, (), self.name)

    async def audience_for(self, scope: Scope) -> str:
        """Return the audience of this endpoint or, with a hook, of this handshake."""
        if not callable(self.audience):
            return self.audience
        try:
            audience: str = await run_hook(self.audience, scope, then=as_audience)
            return audience
        except Exception:
            log_failure(f"get_audience() of {self.name}")
            return ""

    def decide(self, policy: Policy, handshake: Handshake, audience: str) -> Decision:
        """Decide about a handshake at this endpoint."""
        decision = policy.decide(handshake, audience)
        if self.require_token and decision:
            return Decision(False, Reason.TOKEN_REQUIRED)
        if self.subprotocols and decision and not self.common_subprotocol(handshake):
            return Decision(False, Reason.NO_COMMON_SUBPROTOCOL)
        return decision

    def common_subprotocol(self, handshake: Handshake) -> str | None:
        """Return the first of our subprotocols that the client offered too."""
        offered = handshake.subprotocols
        return next((name for name in self.subprotocols if name in offered), None)

    def subprotocol_for(self, handshake: Handshake, scope: Scope) -> str | None:
        """Return what to select where the application names no subprotocol."""
        common = self.common_subprotocol(handshake)
        if common is None and MARKER in (scope.get("subprotocols") or ()):
            return MARKER
        return common


class CheckedOrigins(tuple[str, ...]):
    """An endpoint's list, read once; it keeps its policy: no handshake walks a list."""

    _compiled: tuple[Policy, Policy] | None = None

    def policy(self, site: Policy, name: str) -> Policy:
        """Return the policy of this list, compiled anew where the site's is another."""
        compiled = self._compiled
        if compiled is None or compiled[0] is not site:
            compiled = self._compiled = site, endpoint_policy(site, tuple(self), name)
        return compiled[1]


def checked_origins(origins: Any, name: str) -> CheckedOrigins:
    """
    Return an ``allowed_origins`` attribute as a tuple of readable patterns.

    Raises ImproperlyConfigured, naming the entry, for anything else.
    """
    if isinstance(origins, CheckedOrigins):
        return origins
    where = f"{name}.allowed_origins"
    if not is_list(origins):
        raise ImproperlyConfigured(f"{where} is {origins!r}, not a list of origins.")
    for index, origin in enumerate(origins):
        try:
            read_pattern(origin)
        except InvalidOrigin as exc:
            raise ImproperlyConfigured(
                f"{where}[{index}] is {origin!r}: {exc.problem}. {exc.remedy}"
            ) from exc
    return CheckedOrigins(origins)


def read_pattern(entry: Any) -> OriginPattern | None:
    """Read one entry of an endpoint's list; None stands for `SITE`."""
    return None if entry == SITE else OriginPattern.parse(entry)


def endpoint_policy(site: Policy, origins: Origins | None, name: str) -> Policy:
    """
    Return the compiled policy of an endpoint.

    Remembered by value, with the site's policy that it builds upon: two mounts of one
    consumer with different lists stay apart, two with the same list share.
    """
    if origins is None:
        return site
    if isinstance(origins, CheckedOrigins):
        return origins.policy(site, name)
    key = (name, *origins)
    policy = site.endpoints.get(key)
    if policy is None:
        rules = []
        for index, origin in enumerate(origins):
            source = f"{name}.allowed_origins[{index}]"
            try:
                pattern = read_pattern(origin)
            except InvalidOrigin as exc:
                logger.error("%s trusts nobody: %s", source, exc)
            else:
                if pattern:
                    rules.append(Rule(pattern, source))
        if len(site.endpoints) >= _MAX_ENDPOINT_POLICIES:
            site.endpoints.clear()
        policy = site.narrowed_to(rules, with_site=SITE in origins)
        site.endpoints[key] = policy
    return policy


async def run_hook(
    hook: Callable[[Scope], Any], scope: Scope, *, then: Callable[[Any], Any]
) -> Any:
    """
    Call a consumer's hook, and ``then`` on what it returns.

    A plain function runs in a thread, so that it may use the ORM; so does ``then``,
    since a queryset asks the database only when it is read.
    """
    if iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__):
        return then(await hook(scope))

    def call() -> Any:
        result = hook(scope)
        return result if isawaitable(result) else then(result)

    result = await database_sync_to_async(call)()
    return then(await result) if isawaitable(result) else result


failures: Final = RateLimit(burst=20, per_second=0.2)


def log_failure(what: str) -> None:
    """Log the exception in hand; at a bounded rate, since a stranger provokes it."""
    if failures.allows():
        logger.exception("%s failed", what)


def as_list(origins: Any) -> list[str] | None:
    """Return what a hook gave as a list; raises TypeError where it is none."""
    if origins is None:
        return None
    if not isinstance(origins, (str, bytes, Mapping)):
        listed = list(origins)
        if all(isinstance(origin, str) for origin in listed):
            return listed
    raise TypeError(f"origins have to be a list of strings, not {origins!r}")


def as_audience(audience: Any) -> str:
    """Return what a hook gave as an audience; None is none."""
    return "" if audience is None else str(audience)


def negotiating(send: Send, default: str | None) -> Send:
    """
    Wrap send so that accepting selects a subprotocol where the application names none.

    Chromium fails a handshake that offered some and was given none. A credential is
    never selected: it would stand in the response, and in logs.
    """

    async def negotiating_send(message: Message) -> None:
        if message["type"] == "websocket.accept":
            chosen = message.get("subprotocol")
            if chosen is None or chosen.startswith(CREDENTIAL_PREFIX):
                message = {**message, "subprotocol": default}
        await send(message)

    return negotiating_send


def admitted_scope(scope: Scope, admission: Admission) -> Scope:
    """Return the scope that the application sees: what it may have, and why."""
    scope = dict(scope)
    scope["wsorigin"] = admission
    withheld = admission.enforced and not admission.decision.credentials
    headers = scope.get("headers") or ()
    if withheld:
        if b"cookie" in map(itemgetter(0), headers):
            log_withheld(admission.handshake, admission.decision)
        withhold_session(scope)
    if scope.get("subprotocols"):
        scope["subprotocols"] = list(
            filter(is_application_subprotocol, scope["subprotocols"])
        )
    # By the header itself too: where one name in it is broken, granian reads none, and
    # hypercorn only one of two headers.
    if withheld or SUBPROTOCOL_HEADER in map(itemgetter(0), headers):
        scope["headers"] = list(application_headers(headers, withheld=withheld))
    return scope


def application_headers(
    headers: Headers, *, withheld: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers without our token, and without cookies that do not count."""
    for name, value in headers:
        if name == SUBPROTOCOL_HEADER:
            offered = (one.strip() for one in value.decode("latin-1").split(","))
            kept = ", ".join(filter(is_application_subprotocol, offered))
            if kept:
                yield name, kept.encode("latin-1")
        elif not (withheld and name == b"cookie"):
            yield name, value


def withhold_session(scope: dict[str, Any]) -> None:
    """Empty what middleware outside the guard has already read from the cookies."""
    if "cookies" in scope:
        scope["cookies"] = {}
    if "session" in scope:
        scope["session"] = import_module(settings.SESSION_ENGINE).SessionStore()
    if "user" in scope:
        # Not at import: this needs the app registry, and not all projects have auth.
        from django.contrib.auth.models import AnonymousUser

        scope["user"] = AnonymousUser()


_announcements: Final[set[asyncio.Task[Any]]] = set()


def announce(handshake: Handshake, decision: Decision, *, enforced: bool) -> None:
    """Send `handshake_checked` from a task of its own, where anybody listens."""
    if not handshake_checked.receivers:
        return
    if len(_announcements) >= _MAX_PENDING_SIGNALS:
        # Receivers that cannot keep up lose events; the handshakes go on.
        return
    task = asyncio.get_running_loop().create_task(
        _announce(handshake=handshake, decision=decision, enforced=enforced),
        context=contextvars.Context(),
    )
    _announcements.add(task)
    task.add_done_callback(_announcements.discard)


async def _announce(**what: Any) -> None:
    # In a context of its own, plain receivers run in a thread of their own: one that
    # hangs would otherwise block the thread that sync consumers and the ORM share.
    async with ThreadSensitiveContext():
        await handshake_checked.asend_robust(OriginGuard, **what)
