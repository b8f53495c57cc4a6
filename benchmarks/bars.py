"""Horizontal bars on a logarithmic scale as SVG, written without a plotting library. Pure."""

import math
from collections.abc import Mapping
from html import escape
from typing import Final

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 760, 250, 90, 24, 44
_OURS: Final = "#0072b2"
_THEIRS: Final = "#999999"


def bar_plot(title: str, bars: Mapping[str, float], *, ours: frozenset[str] = frozenset()) -> str:
    """An SVG of one bar for each of `bars`, from the power of ten below the least of them; those of `ours` in colour."""
    shown = {name: value for name, value in bars.items() if value > 0}
    low = math.floor(math.log10(min(shown.values()))) if shown else 0
    high = max(math.ceil(math.log10(max(shown.values()))), low + 1) if shown else 1
    wide, height = _WIDTH - _LEFT - _RIGHT, _TOP + _ROW * len(shown) + 30

    def across(value: float) -> float:
        return _LEFT + (math.log10(value) - low) / (high - low) * wide

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
            'font-size="12">'
        ),
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="16" y="24" font-size="15">{escape(title)}</text>',
    ]
    for power in range(low, high + 1):
        x = across(10**power)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{height - 24}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{10.0**power:g}</text>')
    for number, (name, value) in enumerate(shown.items()):
        y, end = _TOP + _ROW * number, max(across(value), _LEFT + 1.0)
        colour = _OURS if name in ours else _THEIRS
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{y + 3}" width="{end - _LEFT:.1f}" height="{_ROW - 7}" fill="{colour}"/>')
        parts.append(f'<text x="{end + 6:.1f}" y="{y + 15}">{value:.4g}</text>')
    return "\n".join([*parts, "</svg>", ""])
