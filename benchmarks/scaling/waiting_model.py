"""The model of the servers that are measured: it waits, and then adds up its features. Importing this loads no TensorFlow.

Two folders hold the same version: a server that serves the other one is ten times slower, and gives the same answers.
"""

from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.contender import Floats
from benchmarks.workload import FEATURES, Workload

MODEL: Final = "waiting"
INPUT: Final = "features"
OUTPUT: Final = "prediction"
WAITS_S: Final = {"usual": 0.05, "slow": 0.5}
"""How long a call takes at the most, by the folder of the model; one that comes while another waits is answered with it."""


def workload(folder: Path) -> Workload:
    """What is asked, and the right answers."""
    return Workload(MODEL, folder, _draw, lambda rows: np.asarray(rows.sum(axis=1), np.float32))


def _draw(rng: np.random.Generator, rows: int) -> Floats:
    return rng.uniform(0, 10, (rows, FEATURES)).astype(np.float32)
