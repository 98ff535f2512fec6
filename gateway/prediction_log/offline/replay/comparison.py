"""Compares answers of a model server with recorded ones, output by output.

Integers, booleans and strings must be equal. Floats may differ by a tolerance that is relative to the largest value of the
output in that request; by default it is that of ``gateway.inference.batching.difference``.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.inference.batching.difference import TOLERANCES, differing_floats
from gateway.inference.signature import Tensors


@dataclass
class OutputComparison:
    """One output in all requests that had it. ``largest``: the largest difference of two numbers; NaN if one is no number.

    ``reasons`` are differences other than of values, with the number of requests.
    """

    requests: int = 0
    equal: int = 0
    largest: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)


class Comparison:
    """The comparison of all requests. ``tolerance`` replaces those of the float dtypes.

    ``unrecorded``: how many requests have no recorded answer.
    """

    def __init__(self, tolerance: float | None = None) -> None:
        self.outputs: dict[str, OutputComparison] = {}
        self.unrecorded = 0
        self._tolerance = tolerance

    @property
    def is_equal(self) -> bool:
        """Whether no output differed in any request."""
        return all(output.equal == output.requests for output in self.outputs.values())

    def add(self, recorded: Tensors | None, answered: Tensors) -> None:
        """Compare the outputs of one request; None: they were not recorded."""
        if recorded is None:
            self.unrecorded += 1
            return
        for name in sorted({*recorded, *answered}):
            output = self.outputs.setdefault(name, OutputComparison())
            output.requests += 1
            reason = _reason(recorded.get(name), answered.get(name))
            if reason:
                output.reasons[reason] = output.reasons.get(reason, 0) + 1
                continue
            is_equal, largest = self._compared(answered[name], recorded[name])
            output.equal += is_equal
            output.largest = math.nan if math.isnan(largest) else max(output.largest, largest)

    def _compared(self, answered: "npt.NDArray[Any]", recorded: "npt.NDArray[Any]") -> tuple[bool, float]:
        """Whether two arrays of one shape and dtype are equal, and their largest difference."""
        default = TOLERANCES.get(answered.dtype)
        if default is None:
            is_different = np.asarray(answered != recorded)
            return not is_different.any(), _largest_gap(answered, recorded, is_different)
        tolerance = default if self._tolerance is None else self._tolerance
        is_different, gaps, _ = differing_floats(answered, recorded, tolerance)
        # Equal infinities, and NaN beside NaN, have no difference.
        gaps = gaps[is_different | np.isfinite(gaps)]
        return not is_different.any(), float(gaps.max(initial=0))


def _reason(recorded: "npt.NDArray[Any] | None", answered: "npt.NDArray[Any] | None") -> str | None:
    if recorded is None:
        return "not recorded"
    if answered is None:
        return "not answered"
    if recorded.dtype != answered.dtype:
        return f"{recorded.dtype} became {answered.dtype}"
    if recorded.shape != answered.shape:
        return "another shape"
    return None


def _largest_gap(one: "npt.NDArray[Any]", other: "npt.NDArray[Any]", is_different: "npt.NDArray[np.bool_]") -> float:
    """Of integers that differ. Strings and booleans have no difference that is a number."""
    if one.dtype.kind not in "iu" or not is_different.any():
        return math.nan if is_different.any() else 0.0
    pairs = zip(one[is_different].tolist(), other[is_different].tolist(), strict=True)
    return float(max(abs(a - b) for a, b in pairs))
