"""
The live examination: knock at a URL as a page would, and as an attacker would.

One cause, one finding: what a broken step makes the later ones look like is not told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

from django.conf import settings

from wsorigin.denial import remedy
from wsorigin.origins import InvalidOrigin, Origin, is_loopback
from wsorigin.policy import Decision, Explanation, Reason
from wsorigin.sources import current_site

from .answer import Answer, Failure, excerpt
from .arrivals import STRANGER, Seen, changes, preflight_of, seen_in, signed
from .case import Case
from .client import Client, trust
from .finding import Finding
from .fronts import PROXIES, front_of
from .lookalikes import is_address, is_admitted, strangers
from .obstacles import denial_of, obstacle
from .sockets import sockets, user_named
from .static import MAX_SKEW
from .target import Target, WrongQuestion


class ForeignHost(WrongQuestion):
    """A host that isn't in ``ALLOWED_HOSTS``: whoever knocks there says whose it is."""


def examine(
    url: str,
    *,
    origin: str | None = None,
    proxy: str | None = None,
    own_host: bool = False,
    timeout: float = 10.0,
    idle: float | None = None,
    user: str | None = None,
    cafile: str | None = None,
) -> list[Finding]:
    """
    Knock at the URL of a WebSocket, and return what is wrong there; nothing if all is well.

    ``origin`` is that of the page that wants to connect, by default the URL's own.
    ``proxy`` is the name of what stands in front, if it does not show it. ``own_host``
    permits a host outside of ``ALLOWED_HOSTS``. ``timeout`` bounds each handshake, in
    seconds. With ``idle``, a socket is left open for so many seconds; with ``user``, a
    ticket of that user is used, twice. Only these open sockets with the application,
    one that looks at the selected subprotocol, and a stranger's, where it gets in; all
    others are no-op handshakes.
    ``cafile`` has certificates to trust besides the system's.

    Raises ForeignHost, and WrongQuestion for a URL, an origin, a proxy, a user or a file
    that is none. Synchronous: not to be called on an event loop.
    """
    target = Target.parse(url)
    allowed = is_own_host(target.host)
    if not (allowed or own_host):
        raise ForeignHost(
            f"{target.host} is not in ALLOWED_HOSTS: nobody may knock at other people's "
            "doors. If it is yours, say so: --i-own-this-host"
        )
    if proxy is not None and proxy not in PROXIES:
        raise WrongQuestion(f"{proxy!a} is none of {', '.join(PROXIES)}.")
    try:
        page = Origin.parse(origin) if origin is not None else target.origin
    except InvalidOrigin as exc:
        raise WrongQuestion(f"{exc}.") from exc
    visitor = user_named(user) if user is not None else None
    case = Case(Client(target, timeout, trust(cafile)), page, proxy or "", allowed)
    return list(_findings(case, idle, visitor))


def is_own_host(host: str) -> bool:
    """Whether a host is named in ``ALLOWED_HOSTS``; "*" names none."""
    site = current_site()
    named = tuple(name for name in site.allowed_hosts if name != "*")
    return replace(site, allowed_hosts=named).allows(host)


def _findings(case: Case, idle: float | None, user: Any) -> Iterator[Finding]:
    answer = signed(case)
    if not case.front and not _is_hopeless(answer):
        case = replace(case, front=front_of(case.client, answer))
    yield from _clock(case, answer)
    yield from _mixed_content(case)
    problem = obstacle(case, answer)
    if problem:
        yield problem
        return
    seen = seen_in(answer)
    # Where no guard answers, it tells nothing to a stranger either.
    stranger = signed(case, STRANGER) if preflight_of(answer) else Answer()
    changed = list(changes(case, answer, stranger))
    yield from changed
    spoiled = {finding.id for finding in changed}
    if not seen:
        yield from _undiagnosed(case, answer)
    refused = _refused(case, answer, seen)
    explained = {"host-rewritten", "origin-stripped", "origin-rewritten"} & spoiled
    if refused and not explained:
        yield refused
    if not spoiled & {"origin-stripped", "origin-rewritten"}:
        yield from strangers(case, answer, known=spoiled)
    yield from _hsts(case, answer)
    if not refused:
        yield from sockets(case, answer, idle, user)


def _is_hopeless(answer: Answer) -> bool:
    """Whether there is nobody to ask what is in front."""
    return answer.failure in {
        Failure.NO_NAME,
        Failure.NO_CONNECTION,
        Failure.CERTIFICATE,
        Failure.TLS,
    }


def _clock(case: Case, answer: Answer) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(answer.get("date")).timestamp()
    except (ValueError, OverflowError):
        return
    skew = time.time() - theirs
    if abs(skew) > MAX_SKEW:
        yield case.finding(
            "clock-skew",
            f"The server's clock is {abs(skew):.0f} s "
            f"{'behind' if skew > 0 else 'ahead of'} this one.",
            f"at most {MAX_SKEW:g} s",
        )


def _mixed_content(case: Case) -> Iterator[Finding]:
    """Say that browsers do not even try (Mixed Content, section 5.1)."""
    target = case.target
    if (
        case.origin.scheme == "https"
        and not target.tls
        and not is_loopback(target.host)
    ):
        yield case.finding(
            "mixed-content",
            f"A page of {case.origin} may not open ws://: the browser refuses by itself, "
            "and often without a word.",
            "wss://",
        )


def _undiagnosed(case: Case, answer: Answer) -> Iterator[Finding]:
    """Say that nothing is known about Host and scheme, where a guard stands there."""
    if preflight_of(answer) or denial_of(answer):
        yield case.finding(
            "no-diagnosis",
            "A guard answers, but does not tell what arrived: it does not know the "
            "signature.",
            "a server with the same SECRET_KEY, and a clock that agrees",
        )


def _refused(case: Case, answer: Answer, seen: Seen) -> Finding | None:
    """Say that the page's own origin is refused, if not only a token is missing."""
    body = seen or preflight_of(answer) or denial_of(answer)
    reason = str(body.get("reason", ""))
    if body.get("allowed", is_admitted(answer)) is True or "token" in reason:
        return None
    hint = f"manage.py wsorigin explain {case.origin} --path {case.target.route}"
    if reason in list(Reason):
        decision = Decision(False, Reason(reason))
        why = f"{reason}. {decision.reason.sentence}"
        hint = remedy(decision.reason, Explanation(decision, case.origin, (), None, ""))
    elif answer.close_code:
        why = f"the socket was closed with {answer.close_code}."
    else:
        why = f"{answer}, without a reason."
    finding = case.finding(
        "trusted-origin-refused", f"{case.origin} is refused: {why}", "an open socket"
    )
    elsewhere = "If its pages are elsewhere, name their origin: --origin"
    return replace(finding, remedies={"django": f"{hint}\n{elsewhere}"})


def _hsts(case: Case, answer: Answer) -> Iterator[Finding]:
    """Say that browsers upgrade the socket of an http page, whose origin is null then."""
    if case.origin.scheme != "http" or is_address(case.target.host):
        return  # HSTS knows no addresses (RFC 6797, section 8.1.1)
    header = ""
    if case.target.tls:
        page = f"GET / HTTP/1.1\r\nHost: {case.target.host_header}\r\n\r\n"
        for one in (answer, case.client.send(page.encode())):
            header = header or one.get("strict-transport-security")
    if not header and case.is_own and settings.SECURE_HSTS_SECONDS:
        header = f"max-age={settings.SECURE_HSTS_SECONDS}"
    if header and "max-age=0" not in header:
        yield case.finding(
            "hsts-null",
            f"{case.target.host} has Strict-Transport-Security: {excerpt(header)}. "
            f"Chromium sends 'Origin: null' for a page of {case.origin} then.",
            "a page over https",
        )
