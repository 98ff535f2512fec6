"""Parts of the requests, and steps, as an operator writes them: ``20%``, and ``1%:10m,10%:10m,50%:manual``.

A part has at most two decimals of a percent, and is a whole number of millionths here.
"""

import re
from itertools import pairwise
from typing import Final

from gateway.durations import parse_duration
from gateway.rollout.plan import WHOLE, Step

DEFAULT_STEPS: Final = "1%:10m,10%:10m,50%:10m"
DEFAULT_BAKE_S: Final = 300
"""Of a step that names no time."""

MOST_STEPS: Final = 50
MOST_BAKE_S: Final = 30 * 86_400

_SHARE: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?\s?%")
_PERCENT: Final = WHOLE // 100
_MANUAL: Final = "manual"
_INSTEAD: Final = (
    "`rollout abort` sends every request to the old version",
    "`rollout promote` sends every request to the new one",
)


def parse_share(text: str) -> int:
    """The millionths that ``text`` means, such as 200,000 for ``20%``; from 0 % to 100 %. Raises ValueError."""
    parts = _SHARE.fullmatch(text.strip())
    share = int(parts[1]) * _PERCENT + int((parts[2] or "").ljust(2, "0")) * _PERCENT // 100 if parts else WHOLE + 1
    if share > WHOLE:
        raise ValueError(f"expected a part from 0% to 100% with at most two decimals, such as 20% or 0.05%, got {text!r}")
    return share


def parse_weight(text: str) -> int:
    """The millionths of a part that is more than 0 % and less than 100 %. Raises ValueError."""
    share = parse_share(text)
    if not 0 < share < WHOLE:
        raise ValueError(f"expected a part over 0% and below 100%, such as 12.5%, got {text!r}: {_INSTEAD[share > 0]}")
    return share


def share_text(share: int) -> str:
    """``share`` millionths for a person: ``10 %``, ``0.05 %``."""
    whole, rest = divmod(share, _PERCENT)
    decimals = f".{rest:04d}".rstrip("0") if rest else ""
    return f"{whole}{decimals} %"


def parse_steps(text: str) -> tuple[Step, ...]:
    """The steps that ``text`` means: ``WEIGHT[:TIME][:manual]``, with commas between them.

    A step without a time takes 5 minutes; a manual one may have none, and then only waits for ``rollout step``. Weights rise,
    from 0 % or more to less than 100 %: the promotion comes after the last step. Raises ValueError.
    """
    steps = tuple(_step(part.strip()) for part in text.split(","))
    if len(steps) > MOST_STEPS:
        raise ValueError(f"expected at most {MOST_STEPS} steps, got {len(steps)}")
    for before, after in pairwise(steps):
        if after.weight <= before.weight:
            raise ValueError(
                f"expected weights that rise with each step, got {share_text(after.weight)} after {share_text(before.weight)}"
            )
    if steps[-1].weight == WHOLE:
        raise ValueError("expected steps of less than 100%, got 100%: the promotion comes after the last step by itself")
    if steps[-1].weight == 0:
        raise ValueError(f"expected a step of more than 0%, got {text!r}: no caller would get the new version")
    return steps


def steps_text(steps: tuple[Step, ...]) -> str:
    """The steps as an operator would write them."""
    return ",".join(_step_text(step) for step in steps)


def duration_text(seconds: int) -> str:
    """A length of time as an operator would write it, in its largest whole unit: ``90s``, ``10m``."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _step_text(step: Step) -> str:
    time = [duration_text(step.bake_s)] if step.bake_s or not step.is_manual else []
    return ":".join([share_text(step.weight).replace(" ", ""), *time, *([_MANUAL] if step.is_manual else [])])


def _step(text: str) -> Step:
    weight, *rest = text.split(":")
    is_manual = rest[-1:] == [_MANUAL]
    times = rest[:-1] if is_manual else rest
    if len(times) > 1:
        raise ValueError(f"expected a step such as 10%:10m, 10%:manual or 10%:10m:manual, got {text!r}")
    bake_s = _bake_s(times[0], text) if times else 0 if is_manual else DEFAULT_BAKE_S
    return Step(parse_share(weight), bake_s, is_manual)


def _bake_s(text: str, step: str) -> int:
    seconds = parse_duration(text)
    if seconds is None or seconds > MOST_BAKE_S:
        raise ValueError(f"expected a time from 0s to 30d after the weight, such as 90s or 10m, got {text!r} in {step!r}")
    return seconds
