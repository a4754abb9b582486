"""
What a run leaves: a report as JSON, and pictures, each where the command line says.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results"


def add_output(
    parser: ArgumentParser, option: str, name: str, what: str, metavar: str = "FILE"
) -> None:
    """Add an option that says where to write something, by default among the results."""
    default = RESULTS / name
    shown = default.relative_to(RESULTS.parents[1])
    parser.add_argument(
        option,
        type=Path,
        default=default,
        metavar=metavar,
        help=f"where to write {what} (default: {shown})",
    )


def document(report: dict[str, Any]) -> str:
    """Return a report as JSON, one row a line, so that two compare well."""
    members = []
    for name, value in report.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in value)
            text = f"[\n{rows}\n]"
        else:
            text = json.dumps(value, ensure_ascii=False)
        members.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def write(path: Path, text: str) -> None:
    """Write a file, and the folder that it belongs into."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
