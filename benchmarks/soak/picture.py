"""
The picture of a soak, as SVG: a small panel for each thing measured, over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.rounds import number

from .flat import Series

_COLUMNS: Final = 3
_WIDTH: Final = 260
_HEIGHT: Final = 170
_LEFT: Final = 52
_TOP: Final = 70
_PLOT: Final = (190, 92)
# Okabe and Ito's colours, as in the other pictures, each with a dash of its own.
_STYLES: Final = (
    ("#0072b2", "none"),
    ("#d55e00", "6 3"),
    ("#000000", "1 3"),
    ("#009e73", "9 3 2 3"),
    ("#cc79a7", "3 2"),
)


def draw(title: str, panels: Sequence[tuple[str, Sequence[Series]]]) -> str:
    """Draw panels, each with a heading and its lines, as an SVG document."""
    rows = -(-len(panels) // _COLUMNS)
    names = list(dict.fromkeys(one.who for _, lines in panels for one in lines))
    styles = {who: _STYLES[index % len(_STYLES)] for index, who in enumerate(names)}
    width, height = _COLUMNS * _WIDTH + 20, _TOP + rows * _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'role="img" font-family="sans-serif" font-size="11" fill="#222">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for index, (who, (colour, dash)) in enumerate(styles.items()):
        x = 16 + 150 * index
        parts.append(_line([(x, 44), (x + 26, 44)], colour, dash))
        parts.append(f'<text x="{x + 32}" y="48">{escape(who)}</text>')
    last = max(p[0] for _, lines in panels for one in lines for p in one.points)
    for index, (heading, lines) in enumerate(panels):
        row, column = divmod(index, _COLUMNS)
        x, y = _LEFT + column * _WIDTH, _TOP + 24 + row * _HEIGHT
        parts += _panel(x, y, heading, lines, last, styles)
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    left: float,
    top: float,
    heading: str,
    lines: Sequence[Series],
    last: float,
    styles: dict[str, tuple[str, str]],
) -> list[str]:
    wide, high = _PLOT
    # From zero on, or a few bytes would look like a mountain.
    most = max((p[1] for one in lines for p in one.points), default=0.0) * 1.1 or 1.0
    unit, seconds = ("min", 60) if last > 180 else ("s", 1)
    parts = [
        f'<text x="{left}" y="{top - 8}" font-weight="bold">{escape(heading)}</text>',
        f'<rect x="{left}" y="{top}" width="{wide}" height="{high}" fill="none" '
        'stroke="#999"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        at = top + high * (1 - share / 1.1)
        text = number(most / 1.1 * share) if share else "0"
        parts.append(
            f'<text x="{left - 5}" y="{at + 4:.1f}" text-anchor="end">{text}</text>'
        )
    for share in (0.0, 1.0):
        text = f"{last * share / seconds:.0f} {unit}"
        at = left + wide * share
        parts.append(
            f'<text x="{at:.1f}" y="{top + high + 15}" text-anchor="middle">{text}'
            "</text>"
        )
    for one in lines:
        # More points than a panel is wide cannot be told apart: of those in one place
        # the highest is drawn, so that no peak is lost.
        size = -(-len(one.points) // wide) or 1
        points = [
            (left + wide * x / last, top + high * (1 - y / most))
            for x, y in (
                max(one.points[start : start + size], key=lambda point: point[1])
                for start in range(0, len(one.points), size)
            )
        ]
        parts.append(_line(points, *styles[one.who]))
    return parts


def _line(points: Sequence[tuple[float, float]], colour: str, dash: str) -> str:
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{corners}" fill="none" stroke="{colour}" '
        f'stroke-width="1.8" stroke-dasharray="{dash}"/>'
    )
