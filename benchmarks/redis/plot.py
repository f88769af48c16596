"""A bar chart as SVG: rates on a logarithmic scale, one row for each contender, faena marked."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, log10
from xml.sax.saxutils import escape

_WIDTH, _LABEL, _ROW, _HEAD, _FOOT, _RIGHT = 760, 130, 24, 54, 34, 80
_OURS, _FLOOR, _OTHERS, _INK, _GRID = "#b3421e", "#8a8f98", "#4c78a8", "#24292f", "#d0d7de"


def bar_chart(title: str, unit: str, figures: Mapping[str, float], subject: str) -> str:
    """Return the chart; the highest figure stands at the top."""
    rows = sorted(figures.items(), key=lambda row: -row[1])
    low, high = floor(log10(min(figures.values()))), ceil(log10(max(figures.values())))
    height = _HEAD + _ROW * len(rows) + _FOOT
    across = _WIDTH - _LABEL - _RIGHT

    def x_of(value: float) -> float:
        return _LABEL + across * (log10(value) - low) / max(1, high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="15" font-weight="600">{escape(title)}</text>',
        f'<text x="12" y="40" fill="#57606a">{escape(unit)}; logarithmic scale</text>',
    ]
    bottom = height - _FOOT
    for power in range(low, high + 1):
        x = x_of(10.0**power)
        parts.append(f'<line x1="{x:.1f}" y1="{_HEAD - 6}" x2="{x:.1f}" y2="{bottom}" stroke="{_GRID}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" fill="#57606a">{10**power:,}</text>')
    for number, (name, value) in enumerate(rows):
        y = _HEAD + _ROW * number
        color = _OURS if name == subject else _FLOOR if name.startswith("floor") else _OTHERS
        weight = ' font-weight="600"' if name == subject else ""
        parts += [
            f'<text x="{_LABEL - 8}" y="{y + 15}" text-anchor="end"{weight}>{escape(name)}</text>',
            f'<rect x="{_LABEL}" y="{y + 3}" width="{max(1.0, x_of(value) - _LABEL):.1f}" height="{_ROW - 8}" '
            f'fill="{color}"/>',
            f'<text x="{x_of(value) + 6:.1f}" y="{y + 15}"{weight}>{value:,.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
