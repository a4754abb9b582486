"""
Sockets that open with the application: the subprotocol they select, how long they may
be silent, and that a ticket opens only one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist

from wsorigin.credentials import Secret
from wsorigin.handshake import CREDENTIAL_PREFIX, MARKER
from wsorigin.tokens import TooManyTickets, mint_ticket

from .answer import Answer, excerpt
from .arrivals import preflight_of
from .case import Case
from .finding import Finding
from .lookalikes import is_admitted
from .target import WrongQuestion


def user_named(name: str) -> Any:
    """Return the user of a name; raises WrongQuestion where there is none."""
    try:
        return get_user_model()._default_manager.get_by_natural_key(name)
    except ObjectDoesNotExist as exc:
        raise WrongQuestion(
            f"There is no user {name!a}. Name one whom the endpoint lets in."
        ) from exc


def fresh_ticket(case: Case, user: Any) -> Secret:
    """
    Mint a ticket for the page's origin and the endpoint's audience.

    Raises WrongQuestion where the user has too many that wait to be used.
    """
    try:
        _, text = mint_ticket(user, origin=str(case.origin), audience=case.audience())
    except TooManyTickets as exc:
        message = f"{user} has too many tickets; try again in a minute."
        raise WrongQuestion(message) from exc
    return Secret.parse(text)


def selection(case: Case, answer: Answer) -> Iterator[Finding]:
    """Yield what is wrong with the subprotocol of a socket that opened."""
    selected = answer.get("sec-websocket-protocol")
    if CREDENTIAL_PREFIX in selected:
        yield case.finding(
            "token-echoed",
            f"The answer repeats the credential: {CREDENTIAL_PREFIX}...",
            f"Sec-WebSocket-Protocol: {MARKER}",
        )
    elif selected != MARKER:
        what = f"It is {excerpt(selected)!r}" if selected else "None is selected"
        yield case.finding(
            "subprotocol-not-echoed",
            f"{what}, of {MARKER!r}: Chromium ends the handshake, Firefox does not.",
            f"Sec-WebSocket-Protocol: {MARKER}",
        )


def ticket_findings(case: Case, user: Any) -> Iterator[Finding]:
    """Use one ticket twice, as the user's page would, and yield what is wrong."""
    ticket = fresh_ticket(case, user)
    first = case.ask(MARKER, ticket.subprotocol)
    if not is_admitted(first):
        yield case.finding(
            "ticket-refused",
            f"{first} for a fresh ticket of {user}"
            + (f", then close code {first.close_code}." if first.close_code else "."),
            "an open socket",
        )
        return
    yield from selection(case, first)
    if is_admitted(case.ask(MARKER, ticket.subprotocol)):
        yield case.finding(
            "ticket-reusable",
            "The same ticket opens a second socket.",
            "a refusal: token-used",
        )


def sockets(
    case: Case, own: Answer, idle: float | None, user: Any
) -> Iterator[Finding]:
    """
    Open sockets as the page would, and yield what is wrong with them.

    ``own`` is the answer to the page's no-op handshake: an endpoint that answers such
    ones is asked to select a subprotocol, too.
    """
    guarded = bool(preflight_of(own))
    if guarded and is_admitted(own):
        answer = case.ask(MARKER)
        if is_admitted(answer):
            yield from selection(case, answer)
    if user is not None:
        yield from ticket_findings(case, user)
    if idle is not None:
        offered = [MARKER] if guarded else []
        if user is not None:
            offered.append(fresh_ticket(case, user).subprotocol)
        yield from _silence(case, idle, *offered)


def _silence(case: Case, seconds: float, *offered: str) -> Iterator[Finding]:
    fields: list[tuple[str, str]] = [("Origin", str(case.origin))]
    if offered:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(offered)))
    answer = case.client.handshake(fields, listen=seconds, until_message=False)
    if not answer.opened or answer.close_code is not None:
        yield case.finding(
            "not-examined",
            f"No socket stays open to be silent: {answer}"
            + (f", closed with {answer.close_code}." if answer.close_code else "."),
            "a socket that opens, such as with --user",
        )
    elif answer.cut:
        yield case.finding(
            "idle-timeout",
            f"The socket was cut after {answer.lasted:.1f} s, without a close frame.",
            f"a socket that is open after {seconds:g} s of silence",
        )
