"""
The decision: any policy, any handshakes, one after the other.
"""

from __future__ import annotations

from tests.fuzz.choices import Choices
from tests.fuzz.disagreement import agree
from tests.fuzz.model.decision import decide
from tests.fuzz.situations import AUDIENCES, Situation, handshake, situation
from wsorigin.handshake import Handshake, read_headers


def target(data: bytes) -> None:
    """Decide as the model does, whatever was decided before, and by whichever way."""
    choices = Choices(data)
    here = situation(choices)
    for _ in range(1 + choices.number(3)):
        check(here, choices)


def check(here: Situation, choices: Choices) -> None:
    """Choose a handshake and compare what is said of it; then ask again."""
    seen, audience = handshake(choices, here.texts), choices.pick(AUDIENCES)
    answer = decide(here.entries, here.place, seen, audience)
    scope = {"headers": seen.headers, "scheme": seen.scheme}
    read = Handshake.from_scope(scope)
    decision = here.policy.decide(read, audience)
    about = (here.texts, here.place, seen, audience)
    agree(about, (decision.allowed, decision.credentials), answer[:2])
    agree(about, decision.reason in answer.reasons or decision.reason, True)
    headers = read_headers(scope, here.policy.site.read)
    for _ in range(2):  # the second time from memory
        shared, again = here.policy.answer(scope, headers, audience)
        agree(about, again, decision)
        agree(about, (shared.origin, shared.path), (read.origin, read.path))
    if choices.rarely():  # it takes longer than all the rest
        explanation = here.policy.explain(read, audience)
        agree(about, explanation.decision, decision)
        agree(about, str(explanation.nearest).isprintable(), True)
