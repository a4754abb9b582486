"""
The guard: an ASGI wrapper that lets a WebSocket handshake through, or denies it.

It reads, asks the policy, answers and tells. It compares no origins itself.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from .admission import Admission, negotiating, restrict
from .announcing import announce
from .audit import audit
from .conf import conf
from .credentials import Credential, find_credential
from .denial import RateLimit, log_denial, may_log, send_denial
from .diagnosis import is_signed, seen
from .endpoints import Origins, checked_origins, endpoint_policy
from .handshake import (
    MARKER,
    PREFLIGHT,
    SUBPROTOCOL_HEADER,
    Handshake,
    Receive,
    Scope,
    Send,
    read_headers,
)
from .hooks import as_audience, as_origins, run_hook
from .live import NOTHING, Claim, Connection, Watcher, claim_for, shared_terms, watch
from .models import ConnectionToken
from .policy import Decision, Explanation, MissingOrigin, Policy, Reason
from .preflight import answer_preflight, is_for_page
from .refresh import aget_policy, policy_in_memory
from .sessions import may_have_session, session_key_in
from .signals import handshake_checked
from .verification import Verified, averify, misplaced

logger = logging.getLogger(__name__)

# Not of Scope, Receive and Send: Django's own handler wants a dict.
Application = Callable[[Any, Any, Any], Awaitable[None]]
OriginsHook = Callable[[Scope], Origins | Awaitable[Origins | None] | None]
AudienceHook = Callable[[Scope], str | Awaitable[str]]

Admitted = tuple[Scope, Receive, Send, Connection | None, Watcher | None]

_VOUCHED: Final = Decision(True, Reason.TOKEN)


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

    # A consumer has one for each connection.
    __slots__ = (
        "allowed_origins",
        "app",
        "audience",
        "name",
        "report_only",
        "require_token",
        "subprotocols",
    )

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
        # In a coroutine that is over when the application starts: this frame lasts as
        # long as the connection, and error trackers record frames.
        admitted = await self.admit(scope, receive, send)
        if admitted is None:
            return
        scope, receive, send, connection, watching = admitted
        del admitted
        if connection is None or watching is None:
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            watching.discard(connection)
            if connection.closing is not None:
                await connection.settle()

    async def admit(
        self, scope: Scope, receive: Receive, send: Send
    ) -> Admitted | None:
        """
        Decide about a handshake, and say with what the application is to be called.

        None where it is answered already: denied, or a no-op handshake. Else scope,
        receive and send, and where this guard is the one to end it, the connection, and
        the watcher that looks after it.
        """
        # Hooks are awaited, and overdue looks; nothing else, since a coroutine costs
        # as much as a look-up.
        site = policy_in_memory() or await aget_policy()
        policy, origins, audience = site, self.allowed_origins, self.audience
        if callable(audience):
            audience = await self.audience_for(scope)
        if origins is not None:
            if callable(origins):
                origins = await self.origins_for(origins, scope)
            policy = endpoint_policy(site, origins, self.name)
        headers = read_headers(scope, policy.site.read)
        # First, since it takes a token out of the URL.
        credential = find_credential(scope, headers)
        handshake, decision = policy.answer(scope, headers, audience)
        outer: Admission | None = scope.get("wsorigin")
        connection = outer.connection if outer else None
        offered = scope.get("subprotocols")
        token, session_key, is_preflight = None, "", False
        if outer or credential or offered or self.require_token or self.subprotocols:
            token = outer.token if outer else None
            is_preflight = PREFLIGHT in (offered or ())
            decision = self.under_terms(
                policy,
                handshake,
                decision,
                with_token=bool(credential or token),
                negotiates=not is_preflight,
            )
            if is_preflight:
                if await answered(policy, decision, handshake, scope, receive, send):
                    return None
            elif token and decision.allowed:
                # An outer guard has verified it, and used up a ticket.
                reason = misplaced(token, handshake.origin, audience)
                decision = Decision(False, reason) if reason else decision
                # Behind a report-only guard, this one ends it with its session.
                session_key = connection.claim.session_key if connection else ""
            elif credential and decision.allowed:
                verified = await self.verify(credential, handshake, audience, headers)
                if isinstance(verified, Reason):
                    decision = Decision(False, verified)
                else:
                    token, session_key = verified
            if outer and outer.withheld:
                # The cookies are gone; this guard cannot bring them back.
                decision = decision._replace(credentials=False)
        report_only = self.report_only
        enforced = not (
            conf.WSORIGIN_REPORT_ONLY if report_only is None else report_only
        )
        if handshake_checked.receivers:
            announce(
                handshake_checked,
                OriginGuard,
                handshake=handshake,
                decision=decision,
                enforced=enforced,
            )
        if not decision.allowed:
            record_denial(policy, handshake, audience, decision, enforced=enforced)
            if enforced or is_preflight:  # the application sees no preflight
                await send_denial(
                    decision,
                    scope,
                    receive,
                    send,
                    deny_with=conf.WSORIGIN_DENY_WITH,
                    subprotocol=(
                        self.subprotocol_for(handshake, scope)
                        or next(iter(handshake.subprotocols), None)
                        if offered
                        else None
                    ),
                )
                return None
        if offered:
            send = negotiating(send, self.subprotocol_for(handshake, scope))
        own: Connection | None = None
        if decision.allowed:
            terms = shared_terms(origins, self.name, audience)
            if connection and connection.enforced is enforced:
                connection.terms += terms
            else:
                claim = NOTHING
                if token or (
                    decision.credentials
                    and ("user" in scope or may_have_session(headers))
                ):
                    cookies = headers.get(b"cookie", b"")
                    claim = await self.claim(scope, cookies, token, session_key)
                connection = own = Connection(
                    handshake, terms, receive, send, claim, enforced
                )
        withheld = (enforced and not decision.credentials) or bool(
            outer and outer.withheld
        )
        admission = Admission(
            handshake, decision, enforced, token, connection, withheld
        )
        scope = {**scope, "wsorigin": admission}
        # Beside a token, cookies never count: no secret comes without one of these.
        if offered or not decision.credentials or SUBPROTOCOL_HEADER in headers:
            restrict(scope, headers)
        if own is None:
            return scope, receive, send, None, None
        return scope, own.receive, own.send, own, watch(own, site)

    async def explain(self, scope: Scope) -> Explanation:
        """Say what this guard would decide about a handshake, and on what grounds."""
        handshake = Handshake.from_scope(scope)
        policy, audience = await self.policy_for(scope), await self.audience_for(scope)
        explanation = policy.explain(handshake, audience)
        decision = self.under_terms(
            policy,
            handshake,
            explanation.decision,
            negotiates=bool(scope.get("subprotocols")),
        )
        return explanation._replace(decision=decision)

    async def policy_for(self, scope: Scope) -> Policy:
        """Return the policy for this endpoint or, with a hook, for this handshake."""
        origins = self.allowed_origins
        if callable(origins):
            origins = await self.origins_for(origins, scope)
        return endpoint_policy(await aget_policy(), origins, self.name)

    async def origins_for(self, hook: OriginsHook, scope: Scope) -> Origins | None:
        """Return the origins that a hook gives for a handshake; none where it fails."""
        try:
            found: Origins | None = await run_hook(hook, scope, then=as_origins)
            return found
        except Exception:
            # Stricter, never looser, and no 500 for a stranger to provoke.
            log_failure(f"get_allowed_origins() of {self.name}")
            return ()

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

    def under_terms(
        self,
        policy: Policy,
        handshake: Handshake,
        decision: Decision,
        *,
        with_token: bool = False,
        negotiates: bool,
    ) -> Decision:
        """
        Return a policy's decision under this guard's terms, before a token is verified.

        One that came along may vouch for a client without origin, never for a wrong
        origin; beside it the cookies do not count. Who only asks ``negotiates`` no
        subprotocol.
        """
        if with_token:
            if (
                decision.reason is Reason.MISSING
                and policy.missing is MissingOrigin.REQUIRE_TOKEN
            ):
                decision = _VOUCHED
            decision = decision._replace(credentials=False)
        elif self.require_token and decision:
            return Decision(False, Reason.TOKEN_REQUIRED)
        if (
            negotiates
            and self.subprotocols
            and decision
            and not self.common_subprotocol(handshake)
        ):
            return Decision(False, Reason.NO_COMMON_SUBPROTOCOL)
        return decision

    async def verify(
        self,
        credential: Credential,
        handshake: Handshake,
        audience: str,
        headers: Mapping[bytes, bytes],
    ) -> Verified | Reason:
        """Verify the token of a handshake; without a database, no token holds."""
        if credential.secret is None:
            return credential.problem or Reason.TOKEN_MALFORMED
        cookies = headers.get(b"cookie")
        try:
            return await averify(
                credential.secret,
                handshake.origin,
                audience,
                session_key=session_key_in(cookies) if cookies else "",
            )
        except Exception:
            log_failure("verifying a token")
            return Reason.TOKEN_UNAVAILABLE

    async def claim(
        self,
        scope: Scope,
        cookies: bytes,
        token: ConnectionToken | None,
        session_key: str,
    ) -> Claim:
        """Say what a connection rests upon; at the least, its session has to stand."""
        verified = Verified(token, session_key) if token else None
        try:
            return await claim_for(scope, cookies, verified)
        except Exception:
            log_failure("reading the session of a handshake")
            return Claim(session_key=session_key_in(cookies))

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


failures: Final = RateLimit(burst=20, per_second=0.2)


def log_failure(what: str) -> None:
    """Log the exception in hand; at a bounded rate, since a stranger provokes it."""
    if failures.allows():
        logger.exception("%s failed", what)


async def answered(
    policy: Policy,
    decision: Decision,
    handshake: Handshake,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> bool:
    """
    Answer a no-op handshake where its sender may know; say whether it was answered.

    The site's own doctor may know all that arrived here, also of a denial.
    """
    more: dict[str, Any] = {}
    if is_signed(scope["subprotocols"]):
        complete = Handshake.from_scope(scope)
        more["seen"] = seen(scope, complete, policy.site, decision)
    elif not is_for_page(decision):
        return False
    await answer_preflight(decision, handshake, receive, send, **more)
    return True


def record_denial(
    policy: Policy,
    handshake: Handshake,
    audience: str,
    decision: Decision,
    *,
    enforced: bool,
) -> None:
    """Tell the operator of a denial: in the audit, and in the log."""
    audit.record(policy, handshake, audience, decision, enforced=enforced)
    if may_log():
        log_denial(
            policy.explain(handshake, audience),
            handshake,
            decision,
            policy.fingerprint,
            enforced=enforced,
        )
