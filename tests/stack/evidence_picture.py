"""A picture of the evidence of a rollout over time, as SVG: ln E of all metrics together, and the canary's weight below it."""

from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT, _LEFT, _TOP, _SPLIT, _BOTTOM = 860, 420, 70, 40, 270, 385
_FONT = 'font-family="sans-serif" font-size="13" fill="#333"'
_LEAST_TOP = 6.0  # of the scale of ln E, so that the bound is in the picture


@dataclass(frozen=True)
class Sample:
    """What was known at ``at_s``, in seconds: ln E, and the part of the requests that the canary gets."""

    at_s: float
    log_e: float
    weight: float


def evidence_svg(title: str, samples: Sequence[Sample], bound: float) -> str:
    """The picture; ``bound``: the ln E at which the version is taken back."""
    begin_s = samples[0].at_s
    end_s = max(samples[-1].at_s - begin_s, 1.0)
    high = max(_LEAST_TOP, 1.1 * max(sample.log_e for sample in samples))
    low = min(0.0, *(sample.log_e for sample in samples))

    def x(at_s: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 30) * at_s / end_s

    def y(log_e: float) -> float:
        return _SPLIT - (_SPLIT - _TOP) * (log_e - low) / (high - low)

    def weight_y(weight: float) -> float:
        return _BOTTOM - 70 * weight / max(sample.weight for sample in samples if sample.weight or sample is samples[0])

    evidence = " ".join(f"{x(sample.at_s - begin_s):.1f},{y(sample.log_e):.1f}" for sample in samples)
    weights = _steps([(x(sample.at_s - begin_s), weight_y(sample.weight)) for sample in samples])
    ticks = [round(end_s * part / 4) for part in range(5)]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" {_FONT} font-weight="bold">{title}</text>',
        f'<line x1="{_LEFT}" x2="{_WIDTH - 30}" y1="{y(bound):.1f}" y2="{y(bound):.1f}" stroke="#c00" stroke-dasharray="6 4"/>',
        f'<text x="{_LEFT + 6}" y="{y(bound) - 6:.1f}" {_FONT}>taken back at ln E = {bound:.2f}</text>',
        f'<line x1="{_LEFT}" x2="{_WIDTH - 30}" y1="{y(0.0):.1f}" y2="{y(0.0):.1f}" stroke="#bbb"/>',
        f'<polyline points="{evidence}" fill="none" stroke="#06c" stroke-width="2.5"/>',
        f'<polyline points="{weights}" fill="none" stroke="#080" stroke-width="2.5"/>',
        f'<text x="10" y="{y(0.0) + 4:.1f}" {_FONT}>ln E = 0</text>',
        f'<text x="10" y="{_TOP + 10}" {_FONT}>{high:.0f}</text>',
        f'<text x="10" y="{_BOTTOM - 40}" {_FONT}>weight</text>',
        *(f'<text x="{x(tick) - 8:.1f}" y="{_HEIGHT - 12}" {_FONT}>{tick} s</text>' for tick in ticks),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _steps(points: Sequence[tuple[float, float]]) -> str:
    """A line that stays level until the next point."""
    drawn = [points[0]]
    for x, y in points[1:]:
        drawn += [(x, drawn[-1][1]), (x, y)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
