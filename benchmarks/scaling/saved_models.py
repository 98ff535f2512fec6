"""Builds the models that wait, once: ``python -m benchmarks.scaling.saved_models FOLDER``.

A process of its own: TensorFlow stays out of the process that measures.
"""

import shutil
import sys
from pathlib import Path
from typing import Final

import tensorflow as tf

from benchmarks.scaling.waiting_model import INPUT, OUTPUT, WAITS_S
from benchmarks.workload import FEATURES

_ROWS: Final = 100_000


def main(folder: Path) -> None:
    """Build what is missing. A version that is there is complete: each is renamed into place."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, wait_s in WAITS_S.items():
        building = folder / f".{name}"
        shutil.rmtree(building, ignore_errors=True)  # of a run that was cut short
        if not (folder / name).exists():
            _write(wait_s, building / "1")
            building.rename(folder / name)


def _write(wait_s: float, folder: Path) -> None:
    """The graph joins calls, and is told to wait for more rows than ever come: it waits without a thread, and without work."""
    joined = tf.nondifferentiable_batch_function(1, _ROWS, round(wait_s * 1e6))
    module = tf.Module()
    module.run = tf.function(
        lambda features: {OUTPUT: joined(_answer)(features)},
        input_signature=[tf.TensorSpec([None, FEATURES], tf.float32, name=INPUT)],
    )
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.run.get_concrete_function()})


def _answer(features: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(features, axis=-1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
