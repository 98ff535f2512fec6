"""Writes two versions of a model for comparisons: `python -m tests.console.compared_models FOLDER`.

Signatures: ``serving_default`` takes ``x`` and answers ``y``, float[-1,2] both; ``kinds`` takes an input of each dtype that
JSON has, of which ``count`` and ``word`` come back, beside ``scores``; ``fixed`` has no free dimension; ``image`` takes more
elements than an export has columns for.
"""

import sys
from pathlib import Path

import tensorflow as tf

from tests.console.compared_versions import (
    BROKEN_IN_NEW,
    NEW,
    NEW_CLASS,
    NOT_A_NUMBER,
    OLD,
    ONE_MORE,
    ONLY_NEW_NOT_A_NUMBER,
    PLANTED,
)

NUMBERS = {
    "f32": tf.float32,
    "f64": tf.float64,
    "i8": tf.int8,
    "i16": tf.int16,
    "i32": tf.int32,
    "u8": tf.uint8,
    "u32": tf.uint32,
    "u64": tf.uint64,
    "on": tf.bool,
}


def _spec(name: str, dtype: tf.DType, *shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype, name=name)


def _where(x: tf.Tensor, first: float, value: float) -> tf.Tensor:
    return tf.where(x[:, :1] == first, value, 0.0)


def _answer(x: tf.Tensor, is_new: bool) -> tf.Tensor:
    y = x * 2.0 + [[1.0, 3.0]] + _where(x, NOT_A_NUMBER, float("nan"))
    if not is_new:
        return y
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x[:, 0] != BROKEN_IN_NEW), ["the new version is broken"])]):
        planted = tf.concat([_where(x, PLANTED, 1e-3), tf.zeros_like(x[:, 1:])], axis=1)
        return y + planted + _where(x, ONLY_NEW_NOT_A_NUMBER, float("nan"))


def _scores(x: tf.Tensor, is_new: bool) -> tf.Tensor:
    changed = _where(x, NEW_CLASS, 1.0 if is_new else 0.0)
    return tf.concat([0.25 + 0.0 * changed, 0.5 + 0.0 * changed, 0.25 + changed], axis=1)


def _signatures(is_new: bool) -> dict:
    x = _spec("x", tf.float32, None, 2)
    numbers = [_spec(name, dtype, None) for name, dtype in NUMBERS.items()]

    @tf.function(input_signature=[x])
    def default(x):
        return {"y": _answer(x, is_new)}

    @tf.function(input_signature=[x, _spec("count", tf.int64, None), _spec("word", tf.string, None), *numbers])
    def kinds(x, count, word, *numbers):
        total = tf.add_n([tf.cast(number, tf.float64) for number in numbers])
        more = tf.where(count == ONE_MORE, tf.constant(int(is_new), tf.int64), tf.constant(0, tf.int64))
        return {"count": count + more, "word": word, "total": total, "scores": _scores(x, is_new)}

    @tf.function(input_signature=[_spec("a", tf.float32, 2), _spec("b", tf.float32)])
    def fixed(a, b):
        return {"sum": a + b + float(is_new) * 1e-3}

    @tf.function(input_signature=[_spec("image", tf.float32, None, 12, 12)])
    def image(image):
        return {"mean": tf.reduce_mean(image, axis=[1, 2]) + tf.where(image[:, 0, 0] == PLANTED, float(is_new), 0.0)}

    return {"serving_default": default, "kinds": kinds, "fixed": fixed, "image": image}


def write(folder: Path) -> None:
    """Write each version to ``folder``/NUMBER."""
    for number in (OLD, NEW):
        module = tf.Module()
        functions = _signatures(number == NEW)
        module.functions = list(functions.values())
        signatures = {name: function.get_concrete_function() for name, function in functions.items()}
        tf.saved_model.save(module, str(folder / str(number)), signatures=signatures)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
