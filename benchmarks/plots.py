"""Plots as SVG, written without a plotting library. Pure."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#7a5195")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 760, 420, 70, 50, 40, 210


def line_plot(title: str, across: str, up: str, xs: Sequence[float], lines: Mapping[str, Sequence[float]]) -> str:
    """An SVG of one line for each of `lines`, all over `xs`; the vertical axis begins at 0."""
    most = max((y for ys in lines.values() for y in ys), default=0.0) or 1.0
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    first, last = min(xs), max(xs)
    span = (last - first) or 1.0

    def place(x: float, y: float) -> str:
        return f"{_LEFT + (x - first) / span * wide:.1f},{_TOP + high - y / most * high:.1f}"

    parts = _frame(title, across, up, most)
    for x in (first, (first + last) / 2, last):
        at = place(x, 0).split(",")[0]
        parts.append(f'<text x="{at}" y="{_TOP + high + 18}" text-anchor="middle">{x:.4g}</text>')
    for number, (name, ys) in enumerate(lines.items()):
        colour, dash = COLOURS[number % len(COLOURS)], "" if number < len(COLOURS) else ' stroke-dasharray="4 3"'
        points = " ".join(place(x, y) for x, y in zip(xs, ys, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts += _legend(number, name, colour, dash)
    return "\n".join([*parts, "</svg>", ""])


def bar_plot(title: str, up: str, groups: Sequence[str], bars: Mapping[str, Sequence[float]]) -> str:
    """An SVG of groups of bars, one of each of `bars` in each group; the vertical axis begins at 0."""
    most = max((y for ys in bars.values() for y in ys), default=0.0) or 1.0
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    parts = _frame(title, "", up, most)
    room = wide / max(len(groups), 1)
    width = 0.8 * room / max(len(bars), 1)
    for at, group in enumerate(groups):
        middle = _LEFT + (at + 0.5) * room
        # Neighbours' names stand on two lines, so that long ones do not run into each other.
        parts.append(
            f'<text x="{middle:.1f}" y="{_TOP + high + 16 + 14 * (at % 2)}" text-anchor="middle" font-size="10">'
            f"{escape(group)}</text>"
        )
    for number, (name, ys) in enumerate(bars.items()):
        colour = COLOURS[number % len(COLOURS)]
        for at, y in enumerate(ys):
            left, tall = _LEFT + at * room + 0.1 * room + number * width, y / most * high
            parts.append(
                f'<rect x="{left:.1f}" y="{_TOP + high - tall:.1f}" width="{width:.1f}" height="{tall:.1f}" '
                f'fill="{colour}"/>'
            )
        parts += _legend(number, name, colour, "")
    return "\n".join([*parts, "</svg>", ""])


def _frame(title: str, across: str, up: str, most: float) -> list[str]:
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
            'font-size="12">'
        ),
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>',
        f'<text x="{_LEFT + wide / 2:.0f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(16,{_TOP + high / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    for step in range(5):
        at = f"{_TOP + high - step / 4 * high:.1f}"
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + wide}" y1="{at}" y2="{at}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at}" text-anchor="end" dy="4">{most * step / 4:.4g}</text>')
    return parts


def _legend(number: int, name: str, colour: str, dash: str) -> list[str]:
    row, left = _TOP + 12 + 18 * number, _WIDTH - _RIGHT + 14
    return [
        f'<line x1="{left}" x2="{left + 20}" y1="{row}" y2="{row}" stroke="{colour}" stroke-width="2"{dash}/>',
        f'<text x="{left + 26}" y="{row}" dy="4">{escape(name)}</text>',
    ]
