"""The versions of the model whose rollouts are measured, and their right answers by NumPy; importing it loads no TensorFlow.

Ten floats in, one out, through a hidden layer of 32, as the model `dense`: the weights of all versions are the same.
"""

from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.contender import Floats
from benchmarks.workload import FEATURES, WEIGHTS, Workload

STABLE, EQUAL, FAILS, SLOW, DIFFERS = 1, 2, 3, 4, 5
FAILS_BELOW: Final = -4.0
"""FAILS fails at every row whose first feature is below: 30 % of those that are drawn, -10 to 10."""
SLOWER_S: Final = 0.05
DIFFERS_BY: Final = 1e-3

HIDDEN: Final = 32
INPUT: Final = "features"
OUTPUT: Final = "prediction"


def weights() -> dict[str, Floats]:
    """The weights of every version, by `workload.WEIGHTS`."""
    rng = np.random.default_rng(13)
    shapes = ((FEATURES, HIDDEN), (HIDDEN,), (HIDDEN, 1), (1,))
    return {name: rng.normal(scale=0.3, size=shape).astype(np.float32) for name, shape in zip(WEIGHTS, shapes, strict=True)}


def workloads(model: str, folder: Path) -> dict[int, Workload]:
    """What is asked of ``model`` and what each version should answer. ``folder`` holds the versions."""
    return {version: _workload(model, folder, version) for version in (STABLE, EQUAL, FAILS, SLOW, DIFFERS)}


def _workload(model: str, folder: Path, version: int) -> Workload:
    hidden, hidden_bias, last, last_bias = weights().values()
    more = DIFFERS_BY if version == DIFFERS else 0.0

    def expect(rows: Floats) -> Floats:
        answer: Floats = (np.maximum(rows @ hidden + hidden_bias, 0) @ last + last_bias)[:, 0] + np.float32(more)
        return answer

    return Workload(model, folder / str(version), _draw, expect)


def _draw(rng: np.random.Generator, rows: int) -> Floats:
    return rng.uniform(-10, 10, (rows, FEATURES)).astype(np.float32)
