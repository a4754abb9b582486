"""
What an operator manages: trusted origins, tokens, and the denials to decide about.

Nothing here compares origins or decides.
"""

from .batches import batches
from .denied import DeniedHandshake, reason_choices
from .text import printable, readable
from .token import ConnectionToken, Disconnection
from .trusted import (
    TrustedOrigin,
    TrustedOriginVersion,
    announce_change,
    install_triggers,
    validate_pattern,
)
from .words import translated

__all__ = [
    "ConnectionToken",
    "DeniedHandshake",
    "Disconnection",
    "TrustedOrigin",
    "TrustedOriginVersion",
    "announce_change",
    "batches",
    "install_triggers",
    "printable",
    "readable",
    "reason_choices",
    "translated",
    "validate_pattern",
]
