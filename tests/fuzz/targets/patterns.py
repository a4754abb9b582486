"""
Patterns: which texts are some, and how they are written.
"""

from __future__ import annotations

from tests.fuzz.choices import Choices, written
from tests.fuzz.disagreement import agree
from tests.fuzz.model.origins import read_origin
from tests.fuzz.model.patterns import Unknown, covers, read_pattern
from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import OriginPattern, normalisations


def target(data: bytes) -> None:
    """Read a text as a pattern; what is one is written in one way, and read back."""
    choices = Choices(data)
    text = written(choices)
    if choices.rarely():
        text = text.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        modelled = read_pattern(text)
        known = True
    except Unknown:
        modelled, known = None, False
    try:
        pattern = OriginPattern.parse(text)
    except InvalidOrigin as exc:
        agree(text, "refused", "refused" if modelled is None else modelled)
        if choices.rarely():  # it takes longer than all the rest
            agree(text, str(exc).isprintable() and bool(exc.problem), True)
        return
    canonical = str(pattern)
    if known:
        agree(text, canonical, modelled and modelled.text)
    agree(text, canonical.isascii(), True)
    agree(text, OriginPattern.parse(canonical), pattern)
    agree(text, bool(normalisations(text, pattern)) >= (text != canonical), True)
    agree(text, normalisations(canonical, pattern)[1:], [])
    example = pattern.example()
    read_back = read_pattern(canonical)
    origin = read_origin(str(example)) if example else None
    if read_back and origin:  # none where the name would be too long
        agree(text, covers(read_back, origin), True)
