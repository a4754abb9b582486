"""
All hostile cases, in the order and under the headings of their table.
"""

from __future__ import annotations

from typing import Final

from . import headers, origins, requests, resources
from .case import Case

GROUPS: Final = {
    "Request lines": requests.REQUEST_LINES,
    "The upgrade": requests.UPGRADES,
    "Where a request ends": requests.FRAMING,
    "The header Origin": origins.LINES,
    "Values of Origin": origins.VALUES,
    "Other headers": headers.OTHERS,
    "Paths": resources.PATHS,
    "Too much": resources.SIZES,
    "Too slow, or gone": resources.PACES,
}

CASES: Final[dict[str, Case]] = {
    case.name: case for group in GROUPS.values() for case in group
}
