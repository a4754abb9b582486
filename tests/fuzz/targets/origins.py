"""
The Origin header: what is an origin, and how it is written.
"""

from __future__ import annotations

from tests.fuzz.choices import Choices, written
from tests.fuzz.disagreement import agree
from tests.fuzz.model.origins import read_origin
from wsorigin.origins import InvalidOrigin, Origin


def target(data: bytes) -> None:
    """Read a text as an origin; what is one is written in one way, and read back."""
    choices = Choices(data)
    value = written(choices)
    modelled = read_origin(value)
    try:
        origin = Origin.parse(value)
    except InvalidOrigin as exc:
        agree(value, "no origin", "no origin" if modelled is None else modelled)
        if choices.rarely():  # it takes longer than all the rest
            agree(value, str(exc).isprintable() and bool(exc.problem), True)
        return
    agree(value, origin.text, modelled and modelled.text)
    agree(value, origin.effective_port or 0, modelled and modelled.port)
    agree(value, Origin.parse(origin.text), origin)
