"""
How text that a stranger chose is shown to people.
"""

from __future__ import annotations

import re


def readable(text: str) -> str:
    """Escape all but printable ASCII, so that nothing hides in what a stranger sent."""
    return re.sub(r"[^ -~]", lambda found: ascii(found[0])[1:-1], text)


def printable(text: str) -> str:
    """Escape what has no glyph of its own, such as a right-to-left override."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
