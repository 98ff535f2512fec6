"""A picture of how many pods there are over time, as SVG: a panel for each of some rules, all on the same scales."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Line = Sequence[tuple[float, float]]
"""Pairs of a time in seconds and a number of pods, which stays until the next pair."""

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP, _FOOT = 860, 100, 60, 40, 30, 34, 30
_FONT: Final = 'font-family="sans-serif" font-size="13" fill="#333"'
_TICKS: Final = 8


def pods_svg(title: str, panels: Mapping[str, tuple[Line, Line]]) -> str:
    """The picture: a panel for each pair of lines, of what there is and, behind it in grey, of what is needed."""
    lines = [line for pair in panels.values() for line in pair]
    scales = _Scales(lines[0][-1][0], max(pods for line in lines for _, pods in line))
    height = _TOP + len(panels) * (_PANEL + _GAP) + _FOOT
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{title}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" {_FONT} font-weight="bold">{title}</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="20" {_FONT} text-anchor="end">grey: what the load needs at the target</text>',
    ]
    for number, (name, pair) in enumerate(panels.items()):
        drawn += _panel(name, *pair, scales, _TOP + (number + 1) * (_PANEL + _GAP))
    for tick in range(_TICKS + 1):
        at_s = scales.end_s * tick / _TICKS
        place = f'x="{scales.x(at_s):.1f}" y="{height - 10}" text-anchor="middle"'
        drawn.append(f"<text {place} {_FONT}>{round(at_s / 60)} min</text>")
    return "\n".join([*drawn, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Scales:
    """Those of every panel: seconds from left to right, and pods from the bottom of the panel."""

    end_s: float
    most: float

    def x(self, at_s: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at_s / self.end_s

    def points(self, values: Line, bottom: float) -> str:
        return " ".join(f"{self.x(at_s):.1f},{bottom - _PANEL * pods / self.most:.1f}" for at_s, pods in _steps(values))


def _panel(name: str, line: Line, needed: Line, scales: _Scales, bottom: float) -> list[str]:
    beside = f'x="{_LEFT - 8}" text-anchor="end" {_FONT}'
    return [
        f'<text x="{_LEFT}" y="{bottom - _PANEL - 8}" {_FONT}>{name}</text>',
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}" stroke="#bbb"/>',
        f'<text {beside} y="{bottom}">0</text>',
        f'<text {beside} y="{bottom - _PANEL + 10}">{scales.most:.0f}</text>',
        f'<polyline points="{scales.points(needed, bottom)}" fill="none" stroke="#999" stroke-width="2"/>',
        f'<polyline points="{scales.points(line, bottom)}" fill="none" stroke="#06c" stroke-width="2"/>',
    ]


def _steps(values: Line) -> list[tuple[float, float]]:
    """The corners of a line that stays level until the next value, without those in the middle of a level piece."""
    corners = [values[0]]
    for at_s, pods in values[1:]:
        if pods != corners[-1][1]:
            corners += [(at_s, corners[-1][1]), (at_s, pods)]
    return [*corners, (values[-1][0], corners[-1][1])]
