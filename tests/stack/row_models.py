"""Writes SavedModels for tests of batches, each as version 1: `python -m tests.stack.row_models FOLDER`.

Each takes `x`, float[-1,2]. Only `plain` answers each row by itself.
"""

import sys
from pathlib import Path

import tensorflow as tf

X = tf.TensorSpec([None, 2], tf.float32, name="x")

MODELS = {
    "plain": lambda x: {"y": x * 2.0 + [[1.0, 3.0]]},
    "labelled": lambda x: {"scores": x, "labels": tf.constant(["cat", "dog"])},
    "found": lambda x: {"found": tf.boolean_mask(tf.reshape(x, [-1]), tf.reshape(x, [-1]) > 0.5)},
    "distinct": lambda x: {"distinct": tf.unique(tf.reshape(x, [-1]))[0]},
    "cumulative": lambda x: {"y": tf.cumsum(x, axis=0)},
    "normalising": lambda x: {"y": (x - tf.reduce_mean(x, 0)) / (tf.math.reduce_std(x, 0) + 1e-3)},
    # A constant that shape inference takes for something with rows.
    "constant": lambda x: {"y": x * 2.0, "c": tf.boolean_mask(tf.constant([7.0]), tf.constant([True]))},
    "dropout": lambda x: {"y": tf.nn.dropout(x + 1.0, 0.5)},
}


def write(folder: Path) -> None:
    for name, function in MODELS.items():
        module = tf.Module()
        module.run = tf.function(function, input_signature=[X])
        signatures = {"serving_default": module.run.get_concrete_function()}
        tf.saved_model.save(module, str(folder / name / "1"), signatures=signatures)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
