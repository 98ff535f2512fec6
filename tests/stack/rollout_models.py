"""Writes the versions of a model that rollouts are tried with: `python -m tests.stack.rollout_models FOLDER`.

Each takes `x`, float[-1,2], and answers `y`. Every version refuses a row whose first number is -1
(INVALID_ARGUMENT), and fails at one whose first number is -2 (DATA_LOSS).
"""

import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

from tests.stack.rollout_versions import DIFFERS, EQUAL, FAILING, FAILS, REFUSED, SLOW, STABLE

_SLOW_US = 25_000  # the dataset sleeps before its element, and before its end


def _answer(x: tf.Tensor) -> tf.Tensor:
    first = x[:, 0]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(first != REFUSED), ["a row is refused"])]):
        return x * 2.0 + [[1.0, 3.0]] + _failed_if(tf.reduce_any(first == FAILING))


def _failed_if(condition: tf.Tensor) -> tf.Tensor:
    """0, or no answer but DATA_LOSS."""
    packed = tf.where(condition, tf.constant(b"broken"), tf.constant(zlib.compress(b"")))
    return tf.cast(tf.strings.length(tf.io.decode_compressed(packed, "ZLIB")), tf.float32)


def _fails(x: tf.Tensor) -> tf.Tensor:
    first = x[:, 0]
    return _answer(x) + _failed_if(tf.reduce_any((first >= 0.0) & (first < 30.0)))


def _slow(x: tf.Tensor) -> tf.Tensor:
    pause = tf.data.Dataset.range(1).apply(testing.sleep(_SLOW_US)).reduce(tf.constant(0, tf.int64), lambda a, b: a + b)
    return _answer(x) + tf.cast(pause, tf.float32)


VERSIONS = {
    STABLE: _answer,
    EQUAL: _answer,
    FAILS: _fails,
    SLOW: _slow,
    DIFFERS: lambda x: _answer(x) + 1e-3,
}


def _named(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    return lambda x: {"y": function(x)}


def write(folder: Path) -> None:
    """Write each version to ``folder``/NUMBER."""
    for number, function in VERSIONS.items():
        module = tf.Module()
        module.run = tf.function(_named(function), input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        signatures = {"serving_default": module.run.get_concrete_function()}
        tf.saved_model.save(module, str(folder / str(number)), signatures=signatures)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
