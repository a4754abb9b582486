"""
The targets: each a function of octets that raises where package and model disagree.
"""

from __future__ import annotations

from importlib import import_module

from tests.fuzz.run import Target

# In the order of what they cost.
CORE = ("origins", "patterns", "scopes", "credentials", "decisions")
NAMES = (*CORE, "guard", "settings")


def load(name: str) -> Target:
    """Import a target; not before it is wanted, since some need Django set up."""
    target: Target = import_module(f"{__name__}.{name}").target
    return target
