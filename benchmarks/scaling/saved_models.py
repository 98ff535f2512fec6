"""Builds the models that wait, once: ``python -m benchmarks.scaling.saved_models FOLDER``.

A process of its own: TensorFlow stays out of the process that measures.
"""

import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Final

import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

from benchmarks.scaling.waiting_model import INPUT, OUTPUT, WAITS_S
from benchmarks.workload import FEATURES

_PAUSES: Final = 2  # the dataset sleeps before its element, and before its end
_AT_ONCE: Final = 48


def _pause(wait_s: float) -> tf.Tensor:
    asleep = tf.data.Dataset.range(1).apply(testing.sleep(round(wait_s * 1e6 / _PAUSES)))
    return asleep.reduce(tf.constant(0, tf.int64), lambda total, one: total + one)


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
    """One pause of the graph is one thread. Calls take the pauses in turn, so that many calls do not wait for each other."""
    module = tf.Module()
    module.turn = tf.Variable(0, dtype=tf.int32, trainable=False)

    def answer(features: tf.Tensor) -> dict[str, tf.Tensor]:
        turn = tf.math.floormod(module.turn.assign_add(1), _AT_ONCE)
        pause = tf.switch_case(turn, [partial(_pause, wait_s)] * _AT_ONCE)
        return {OUTPUT: tf.reduce_sum(features, axis=-1) + tf.cast(pause, tf.float32)}

    module.run = tf.function(answer, input_signature=[tf.TensorSpec([None, FEATURES], tf.float32, name=INPUT)])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.run.get_concrete_function()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
