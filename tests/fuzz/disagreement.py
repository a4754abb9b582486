"""
How a target says that the package and the model differ.
"""

from __future__ import annotations


class Disagreement(AssertionError):
    """The package says one thing, and the model another."""


def agree(about: object, said: object, modelled: object) -> None:
    """Raise Disagreement unless both say the same about something."""
    if said != modelled:
        raise Disagreement(f"{about!a}: said {said!a}, modelled {modelled!a}")
