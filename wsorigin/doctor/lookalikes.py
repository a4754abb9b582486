"""
Origins that look like the page's own, and must not get in.

Whether they should, the project's own policy says, where the host is its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

from wsorigin.explanation import explain
from wsorigin.handshake import MARKER, PREFLIGHT
from wsorigin.origins import Origin

from .answer import Answer
from .arrivals import STRANGER, preflight_of
from .case import Case
from .finding import Finding, Severity
from .obstacles import PATIENCE_OF_DAPHNE

# A refusal that takes so much longer than an answer is one that nobody sent.
_SLOW: Final = 2.0


class Lookalike(NamedTuple):
    """Something to send as Origin: one value, several, or none."""

    kind: str
    origins: tuple[str, ...]

    def __str__(self) -> str:
        what = " and ".join(self.origins) or "no Origin"
        return f"{self.kind} ({what})"


def lookalikes(origin: Origin) -> Iterator[Lookalike]:
    """Yield what an attacker would try who knows a trusted origin."""
    text, scheme, host = str(origin), origin.scheme, origin.host
    stranger = STRANGER.removeprefix("https://")
    port = f":{origin.port}" if origin.port else ""
    if not host.startswith("["):
        yield Lookalike("suffix", (f"{scheme}://{host}.{stranger}{port}",))
    if not is_address(host):
        yield Lookalike("prefix", (f"{scheme}://evil{host}{port}",))
    other = 8443 if origin.port != 8443 else 8444
    yield Lookalike("port", (f"{scheme}://{host}:{other}",))
    if scheme == "https":
        yield Lookalike("scheme", (f"http://{host}{port}",))
    yield Lookalike("null", ("null",))
    yield Lookalike("missing", ())
    yield Lookalike("two headers", (text, STRANGER))
    yield Lookalike("two headers", (STRANGER, text))


def try_out(case: Case, lookalike: Lookalike) -> Answer:
    """Send a handshake from a look-alike; where it gets in, no application runs."""
    fields = [("Origin", origin) for origin in lookalike.origins]
    fields.append(("Sec-WebSocket-Protocol", PREFLIGHT))
    return case.client.handshake(fields)


def is_admitted(answer: Answer) -> bool:
    """Whether a page would have got in: opened, and neither told no nor closed."""
    if not answer.opened or (answer.close_code or 0) >= 4000:
        return False
    return preflight_of(answer).get("allowed", True) is True


def is_meant(case: Case, lookalike: Lookalike) -> bool:
    """Whether this project's own policy lets it in, which system checks judge."""
    if not case.is_own or len(lookalike.origins) > 1:
        return False
    target = case.target
    route = target.route if case.is_known(target.route) else None
    explanation = explain(
        next(iter(lookalike.origins), None),
        path=route,
        host=target.host_header,
        scheme="https" if target.tls else "http",
    )
    return explanation is not None and explanation.decision.allowed


def is_address(host: str) -> bool:
    """Whether a host is an IP address and no name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def strangers(case: Case, own: Answer, known: set[str]) -> Iterator[Finding]:
    """
    Try strangers and look-alikes; all that get in make one finding.

    ``own`` is the answer to the page's own origin, ``known`` are the ids of what was
    found before.
    """
    stranger = Lookalike("a stranger", (STRANGER,))
    # As a page would, without asking first: report-only lets in only those.
    answer = case.ask(MARKER, origin=STRANGER)
    admitted = (
        [stranger] if is_admitted(answer) and not is_meant(case, stranger) else []
    )
    if not admitted:
        yield from _refusal(case, own, answer)
        if answer.elapsed - own.elapsed > _SLOW:
            return  # each of the others would take as long
        for lookalike in lookalikes(case.origin):
            if lookalike.kind == "scheme" and "scheme-unknown" in known:
                continue  # the same cause
            if is_admitted(try_out(case, lookalike)) and not is_meant(case, lookalike):
                admitted.append(lookalike)
    if admitted:
        yield case.finding(
            "lookalike-admitted",
            f"These get in: {', '.join(map(str, admitted))}.",
            f"a refusal of all but {case.origin}, and those that are trusted",
        )


def _refusal(case: Case, own: Answer, answer: Answer) -> Iterator[Finding]:
    """Judge how a stranger is refused."""
    if answer.opened:
        return
    if answer.elapsed - own.elapsed > _SLOW:
        hang = answer.failure or answer.elapsed > PATIENCE_OF_DAPHNE
        yield case.finding(
            "refusal-slow",
            f"{answer} after {answer.elapsed:.1f} s"
            + (
                ": a denial response on Daphne, which drops it and hangs up after five."
                if hang
                else "."
            ),
            "a refusal at once",
        )
    elif answer.status != 403:
        yield case.finding(
            "refusal-quality",
            f"A stranger's handshake is answered with: {answer}.",
            "403 Forbidden",
            severity=Severity.WARNING if answer.status == 500 else None,
        )
