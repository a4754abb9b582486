"""
The doctor: says what is wrong between a page and its WebSocket, and what to change.

`examine_statically` looks at the project, `examine` knocks at a URL. It changes nothing.
"""

from .finding import Finding, Severity
from .fronts import PROXIES
from .live import ForeignHost, examine
from .static import examine_statically
from .target import WrongQuestion

__all__ = [
    "PROXIES",
    "Finding",
    "ForeignHost",
    "Severity",
    "WrongQuestion",
    "examine",
    "examine_statically",
]
