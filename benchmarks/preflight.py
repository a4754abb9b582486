"""
What a no-op handshake costs beside a refusal: strangers may ask for both.

In process, around an empty application. What is measured is how both are answered,
not how either is decided.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from functools import partial
from typing import Final
from unittest import mock

from wsorigin import refresh
from wsorigin.guard import Application, OriginGuard
from wsorigin.handshake import PREFLIGHT, SUBPROTOCOL_HEADER, Scope

from . import decision
from .figures import Figures
from .rounds import TIMES, Comparison, Contender, Effort, Promise, measure

SIZE: Final = 10_000
QUICK_SIZE: Final = 100

QUESTION: Final = "the no-op preflight"
ANSWERED: Final = "wsorigin, preflight of a listed origin"
STRANGER: Final = "wsorigin, preflight of a stranger"
REFUSED: Final = "wsorigin, refusal"
PLAIN: Final = "wsorigin, refusal without subprotocols"
RAW: Final = "raw refusal"


def results(*, quick: bool, effort: Effort) -> list[Figures]:
    """Measure: what is answered, what is denied, and the least of a denial."""
    contenders = list(asked(QUICK_SIZE if quick else SIZE))
    comparison = Comparison(QUESTION, "in process", REFUSED, contenders)
    return [Figures.of(measure(comparison, effort))]


def promises(figures: Sequence[Figures]) -> Iterator[Promise]:
    """Yield what a preflight may cost."""
    cases = {name: figures[0].ratio(name) for name in (ANSWERED, STRANGER)}
    # As cheap as a refusal; a stranger's is one, after a look at whether it may know.
    yield Promise(f"A no-op preflight costs {{}} {TIMES} a refusal", 1.2, cases)


def asked(size: int) -> Iterator[Contender]:
    """Yield who is asked what."""
    entries = decision.entries_of("https://www.tenant{}-of-{}.example", size)
    site = partial(mock.patch.object, refresh, "current", decision.site_policy(entries))
    guard = OriginGuard(decision.empty)
    (stranger,) = decision.stranger(size)
    for name, app, origin, subprotocol in (
        (ANSWERED, guard, entries[-1], PREFLIGHT),
        (STRANGER, guard, stranger, PREFLIGHT),
        (REFUSED, guard, stranger, "prices.v1"),
        (PLAIN, guard, stranger, ""),
        (RAW, decision.Refusal(decision.empty), stranger, ""),
    ):
        scope = decision.scope_of(origin)
        if subprotocol:
            scope["subprotocols"] = [subprotocol]
            scope["headers"].append((SUBPROTOCOL_HEADER, subprotocol.encode()))
        call = partial(handshake, app)
        yield Contender(name, size, call, [scope], awaited=True, around=site)


def handshake(app: Application, scope: Scope) -> Awaitable[None]:
    """Run a handshake through, with a server that is always ready."""
    return app(scope, decision.connecting, decision.sending)
