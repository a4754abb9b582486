"""
What became of a handshake on its way: sent and seen, compared.

The guard tells what it saw to a handshake that is signed with the site's key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from wsorigin.denial import shown
from wsorigin.diagnosis import sign
from wsorigin.handshake import PREFLIGHT

from .answer import Answer
from .case import Case
from .finding import Finding, Severity
from .obstacles import json_object

# Reserved for what never exists (RFC 6761, section 6.4).
STRANGER: Final = "https://wsorigin-doctor.invalid"

Seen = Mapping[str, Any]


def preflight_of(answer: Answer) -> dict[str, Any]:
    """Return what the guard answered to a no-op handshake, empty if no guard did."""
    if answer.get("sec-websocket-protocol") != PREFLIGHT:
        return {}
    return json_object(answer.message)


def seen_in(answer: Answer) -> Seen:
    """Return what the application saw of a signed handshake, empty if it does not tell."""
    seen = preflight_of(answer).get("seen")
    return seen if isinstance(seen, dict) else {}


def signed(case: Case, origin: str | None = None) -> Answer:
    """Ask the guard what it sees of a handshake; no application runs."""
    return case.ask(PREFLIGHT, sign(), origin=origin)


def changes(case: Case, own: Answer, stranger: Answer) -> Iterator[Finding]:
    """
    Yield what was changed on the way.

    ``own`` is the answer to the page's own origin, ``stranger`` the one to `STRANGER`:
    a proxy that writes the site's own origin shows only there.
    """
    seen = seen_in(own)
    yield from _origin(
        case,
        {
            str(case.origin): seen or preflight_of(own),
            STRANGER: seen_in(stranger) or preflight_of(stranger),
        },
    )
    if seen:
        yield from _host(case, seen)
        yield from _scheme(case, seen)
        yield from _path(case, seen)


def _host(case: Case, seen: Seen) -> Iterator[Finding]:
    sent = case.target.host_header
    default = ":443" if case.target.tls else ":80"
    if str(seen.get("host", "")).lower().removesuffix(default) == sent:
        return
    header, forwarded = seen.get("host_header"), seen.get("forwarded")
    beside = ""
    if isinstance(forwarded, dict) and forwarded.get("x-forwarded-host"):
        beside = f", with X-Forwarded-Host: {shown(forwarded['x-forwarded-host'])}"
    yield case.finding(
        "host-rewritten",
        f"Host: {_shown(header)} arrives{beside}. The same-origin rule compares it "
        "with the page's origin.",
        f"Host: {sent}, as it was sent",
        severity=Severity.WARNING if seen.get("allowed") else Severity.ERROR,
    )


def _origin(case: Case, arrivals: Mapping[str, Seen]) -> Iterator[Finding]:
    for sent, seen in arrivals.items():
        arrived = seen.get("origin", sent)
        if arrived is None:
            yield case.finding(
                "origin-stripped",
                "No Origin arrives, as if it came from no browser.",
                f"Origin: {sent}, as it was sent",
            )
            return
        if arrived != sent:
            yield case.finding(
                "origin-rewritten",
                f"Origin: {_shown(arrived)} arrives for a page of {sent}: every site "
                "looks alike to the check.",
                f"Origin: {sent}, as it was sent",
            )
            return


def _scheme(case: Case, seen: Seen) -> Iterator[Finding]:
    if not case.target.tls or seen.get("is_https"):
        return
    trusted = seen.get("proxy_ssl_header")
    if seen.get("https_only") and not trusted:
        return  # by a setting; nothing has to say so in each request
    forwarded = seen.get("forwarded")
    values = forwarded if isinstance(forwarded, dict) else {}
    name = trusted or "x-forwarded-proto"
    value = values.get(name)
    title = str(name).title()
    if value is None:
        found = f"TLS ends on the way, and no {title} says so."
    elif trusted:
        found = f"TLS ends on the way, and {title} says {_shown(value)}."
    else:
        found = (
            f"TLS ends on the way, and {title} says {_shown(value)}, but "
            "SECURE_PROXY_SSL_HEADER is not set."
        )
    yield case.finding(
        "scheme-unknown",
        f"{found} A page over plain http under the same name counts as the same origin.",
        f"{title}: https, and SECURE_PROXY_SSL_HEADER",
    )


def _path(case: Case, seen: Seen) -> Iterator[Finding]:
    sent, arrived = case.target.route, str(seen.get("path", case.target.route))
    if arrived == sent:
        return
    # A prefix may be taken off on purpose; a path that the project knows may not.
    meant = sent.endswith(arrived) and not case.is_known(sent)
    yield case.finding(
        "wrong-route",
        f"{shown(arrived)} arrives for {shown(sent)}.",
        f"{shown(sent)}, as it was sent",
        cause="prefix-stripped",
        severity=Severity.INFO if meant else Severity.ERROR,
    )


def _shown(value: object) -> str:
    return "-" if value is None else shown(str(value))
