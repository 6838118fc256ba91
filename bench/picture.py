"""A bar chart as SVG: groups of horizontal bars on a logarithmic scale. No library, no fonts, no scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 900, 230, 70, 70, 30
BAR, GAP = 11, 14
COLOURS = ("#12507b", "#4f9bcf", "#b5b5b5", "#d9822b", "#8a8a3c", "#a2557f")


def bars(groups: Mapping[str, Mapping[str, float]], series: Sequence[str], title: str) -> str:
    """One group for each key of `groups`, one bar for each of `series` it has a value for, in that order."""
    values = [value for group in groups.values() for value in group.values()]
    low = math.floor(math.log10(min(values, default=1.0)))
    high = max(math.ceil(math.log10(max(values, default=10.0))), low + 1)

    def at(value: float) -> float:
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    body: list[str] = []
    top = float(TOP)
    for name, group in groups.items():
        present = [one for one in series if one in group]
        height = max(len(present), 1) * BAR
        body.append(_text(LEFT - 8, top + height / 2 + 4, name, anchor="end"))
        if not present:
            body.append(_text(LEFT + 4, top + 9, "no figures", colour="#777777"))
        for row, one in enumerate(present):
            y = top + row * BAR
            body.append(
                f'<rect x="{LEFT}" y="{y:.0f}" width="{max(at(group[one]) - LEFT, 1):.1f}" height="{BAR - 2}" '
                f'fill="{_colour(series, one)}"><title>{escape(f"{name}: {one} {group[one]:g} ms")}</title></rect>'
            )
            body.append(_text(at(group[one]) + 4, y + BAR - 3, _figures(group[one]), size=9))
        top += height + GAP
    grid = [_grid(at(10.0**power), top, 10.0**power) for power in range(low, high + 1)]
    full = top + BOTTOM
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {full:.0f}" role="img" '
        'font-family="Helvetica, Arial, sans-serif">',
        f"<title>{escape(title)}</title>", f'<rect width="{WIDTH}" height="{full:.0f}" fill="#ffffff"/>',
        _text(16, 24, title, size=14), *_legend(series), *grid, *body, "</svg>", "",
    ])


def _legend(series: Sequence[str]) -> list[str]:
    parts = []
    for at, name in enumerate(series):
        x = 16 + at * 140
        parts.append(f'<rect x="{x}" y="38" width="12" height="12" fill="{_colour(series, name)}"/>')
        parts.append(_text(x + 17, 48, name))
    return parts


def _grid(x: float, bottom: float, value: float) -> str:
    line = f'<path d="M{x:.1f} {TOP - 8} V{bottom:.0f}" stroke="#dddddd"/>'
    return line + _text(x, bottom + 16, f"{value:g}", anchor="middle")


def _figures(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _colour(series: Sequence[str], name: str) -> str:
    return COLOURS[series.index(name) % len(COLOURS)]


def _text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", colour: str = "#1b2b3a") -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'
