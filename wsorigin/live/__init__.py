"""
Live connections: what opened a socket also ends it.

``connection`` is one socket, ``claims`` is what it rests upon, ``watcher`` looks after
those of an event loop, ``hints`` tells other processes where to look. A hint makes it
fast; the watcher's own looks make it true.
"""

from .claims import NOTHING, Claim, claim_for
from .connection import Connection, Terms, shared_terms
from .hints import Hint, Process, has_shared_layer
from .watcher import Watcher, open_connections, processes, watch, watcher

__all__ = [
    "NOTHING",
    "Claim",
    "Connection",
    "Hint",
    "Process",
    "Terms",
    "Watcher",
    "claim_for",
    "has_shared_layer",
    "open_connections",
    "processes",
    "shared_terms",
    "watch",
    "watcher",
]
