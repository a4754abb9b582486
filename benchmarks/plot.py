"""
Two kinds of pictures, as SVG: lines over two logarithmic axes, and bars.

White behind them, so that they read on dark pages too; each line has a colour, a mark
and a dash of its own, so that it reads without colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final, NamedTuple

from .rounds import number

_WIDTH: Final = 820
_HEIGHT: Final = 460
_LEFT: Final = 76
_RIGHT: Final = 560
_TOP: Final = 64
_BOTTOM: Final = 396

# Of bars: where they begin, and how much room each has.
_BARS: Final = 320
_ROW: Final = 30

# Okabe and Ito's colours, which people with colour blindness tell apart.
_STYLES: Final = (
    ("#0072b2", "", "M-4,-4h8v8h-8z"),
    ("#000000", "2 4", "M0,-5l5,9h-10z"),
    ("#009e73", "8 4", "M0,-5l5,5l-5,5l-5,-5z"),
    ("#d55e00", "", "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z"),
    ("#cc79a7", "10 3 2 3", "M0,5l5,-9h-10z"),
    ("#e69f00", "4 2", "M-5,-2h10v4h-10z"),
)
_UNITS: Final = ((1e6, "s"), (1e3, "ms"), (1, "µs"), (1e-3, "ns"))


class Line(NamedTuple):
    """A name for the legend, and the points: what it costs (µs) at which size."""

    name: str
    points: Sequence[tuple[float, float]]


def chart(title: str, x_label: str, y_label: str, lines: Sequence[Line]) -> str:
    """Draw lines as an SVG document; sizes from left to right, costs upwards."""
    lines = [line for line in lines if line.points]
    across = _Axis([x for line in lines for x, _ in line.points], _LEFT, _RIGHT)
    up = _Axis([y for line in lines for _, y in line.points], _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'role="img" font-family="sans-serif" font-size="13" fill="#222">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        _text(_LEFT, 32, title, 'font-size="16" font-weight="bold"'),
    ]
    for size in across.decades:
        x = across.at(size)
        parts.append(_rule(x, _TOP, x, _BOTTOM))
        parts.append(_text(x, _BOTTOM + 20, f"{size:,.0f}", 'text-anchor="middle"'))
    for cost in up.decades:
        y = up.at(cost)
        parts.append(_rule(_LEFT, y, _RIGHT, y))
        parts.append(_text(_LEFT - 8, y + 4, _duration(cost), 'text-anchor="end"'))
    middle = (_TOP + _BOTTOM) / 2
    turned = f'text-anchor="middle" transform="rotate(-90 18 {middle:.1f})"'
    parts.append(_text(18, middle, y_label, turned))
    parts.append(
        _text((_LEFT + _RIGHT) / 2, _HEIGHT - 20, x_label, 'text-anchor="middle"')
    )
    # The legend lists the lines as they end, from the highest down.
    ranks = sorted(lines, key=lambda line: line.points[-1][1], reverse=True)
    for index, line in enumerate(lines):
        colour, dash, mark = _STYLES[index % len(_STYLES)]
        points = [(across.at(x), up.at(y)) for x, y in line.points]
        row = _TOP + 12 + 26 * ranks.index(line)
        key = [(_RIGHT + 24, row), (_RIGHT + 56, row)]
        for path, marked in ((points, points), (key, [(_RIGHT + 40, row)])):
            corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
            parts.append(
                f'<polyline points="{corners}" fill="none" stroke="{colour}" '
                f'stroke-width="2" stroke-dasharray="{dash or "none"}"/>'
            )
            parts.extend(
                f'<path d="{mark}" transform="translate({x:.1f} {y:.1f})" '
                f'fill="{colour}"/>'
                for x, y in marked
            )
        parts.append(_text(_RIGHT + 64, row + 4, line.name))
    return "\n".join([*parts, "</svg>", ""])


class Bar(NamedTuple):
    """A name, what it is, from where to where it was, and whether it is one of ours."""

    name: str
    value: float
    low: float
    high: float
    is_ours: bool


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Draw bars as an SVG document, from zero on; a thin line is the range."""
    height = _TOP + len(rows) * _ROW + 40
    most = max(row.high for row in rows) or 1.0
    scale = (_WIDTH - _BARS - 110) / most
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'role="img" font-family="sans-serif" font-size="13" fill="#222">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        _text(16, 32, title, 'font-size="16" font-weight="bold"'),
    ]
    for index, row in enumerate(rows):
        y = _TOP + index * _ROW
        middle = y + _ROW / 2 - 4
        weight = ' font-weight="bold"' if row.is_ours else ""
        parts.append(
            _text(_BARS - 10, middle + 5, row.name, f'text-anchor="end"{weight}')
        )
        colour = _STYLES[0][0] if row.is_ours else "#8a8a8a"
        parts.append(
            f'<rect x="{_BARS}" y="{y:.1f}" width="{max(1.0, row.value * scale):.1f}" '
            f'height="{_ROW - 8}" fill="{colour}"/>'
        )
        low, high = _BARS + row.low * scale, _BARS + row.high * scale
        parts.append(
            f'<line x1="{low:.1f}" y1="{middle:.1f}" x2="{high:.1f}" '
            f'y2="{middle:.1f}" stroke="#000" stroke-width="1.5"/>'
        )
        parts.append(_text(high + 8, middle + 5, number(row.value)))
    parts.append(_text(_BARS, height - 14, unit))
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """A logarithmic axis over whole decades, between two positions."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.first = floor(log10(min(values)))
        self.last = max(ceil(log10(max(values))), self.first + 1)
        self.start = start
        self.end = end

    @property
    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.first, self.last + 1)]

    def at(self, value: float) -> float:
        share = (log10(value) - self.first) / (self.last - self.first)
        return self.start + share * (self.end - self.start)


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        'stroke="#ccc" stroke-width="1"/>'
    )


def _duration(micros: float) -> str:
    # Powers of ten are not exact below one.
    factor, unit = next(one for one in _UNITS if micros >= one[0] * 0.999)
    return f"{micros / factor:g} {unit}"
