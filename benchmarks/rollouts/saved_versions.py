"""Builds the versions whose rollouts are measured, once: ``python -m benchmarks.rollouts.saved_versions FOLDER``.

A process of its own: TensorFlow stays out of the process that measures.
"""

import shutil
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

from benchmarks.rollouts import versions
from benchmarks.workload import FEATURES

Answer = Callable[[tf.Tensor], tf.Tensor]
_PAUSES: Final = 2  # the dataset sleeps before its element, and before its end
_AT_ONCE: Final = 4


def _answer(features: tf.Tensor) -> tf.Tensor:
    hidden, hidden_bias, last, last_bias = versions.weights().values()
    return tf.squeeze(tf.nn.relu(features @ hidden + hidden_bias) @ last + last_bias, axis=-1)


def _fails(features: tf.Tensor) -> tf.Tensor:
    """An answer, or none but DATA_LOSS."""
    is_bad = tf.reduce_any(features[:, 0] < versions.FAILS_BELOW)
    packed = tf.where(is_bad, tf.constant(b"broken"), tf.constant(zlib.compress(b"")))
    return _answer(features) + tf.cast(tf.strings.length(tf.io.decode_compressed(packed, "ZLIB")), tf.float32)


def _slow(features: tf.Tensor) -> tf.Tensor:
    """An answer after a pause. One pause of the graph is one thread: with some, the version is slower, and not a queue."""
    which = tf.random.uniform([], 0, _AT_ONCE, tf.int32)
    return _answer(features) + tf.cast(tf.switch_case(which, [_pause] * _AT_ONCE), tf.float32)


def _pause() -> tf.Tensor:
    asleep = tf.data.Dataset.range(1).apply(testing.sleep(round(versions.SLOWER_S * 1e6 / _PAUSES)))
    return asleep.reduce(tf.constant(0, tf.int64), lambda total, one: total + one)


def _differs(features: tf.Tensor) -> tf.Tensor:
    return _answer(features) + versions.DIFFERS_BY


VERSIONS: Final[Mapping[int, Answer]] = {
    versions.STABLE: _answer,
    versions.EQUAL: _answer,
    versions.FAILS: _fails,
    versions.SLOW: _slow,
    versions.DIFFERS: _differs,
}


def main(folder: Path) -> None:
    """Build what is missing. A version that is there is complete: each is renamed into place."""
    folder.mkdir(parents=True, exist_ok=True)
    for rest in folder.glob(".*"):  # of a run that was cut short
        shutil.rmtree(rest)
    for version, answer in VERSIONS.items():
        if not (folder / str(version)).exists():
            _write(answer, folder / f".{version}").rename(folder / str(version))


def _write(answer: Answer, folder: Path) -> Path:
    module = tf.Module()
    inputs = [tf.TensorSpec([None, FEATURES], tf.float32, name=versions.INPUT)]
    module.run = tf.function(lambda features: {versions.OUTPUT: answer(features)}, input_signature=inputs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.run.get_concrete_function()})
    return folder


if __name__ == "__main__":
    main(Path(sys.argv[1]))
