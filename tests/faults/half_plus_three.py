"""Writes a SavedModel like half_plus_two that adds 3: `python -m tests.faults.half_plus_three FOLDER`."""

import sys

import tensorflow as tf


def write(folder: str) -> None:
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 1], name="x")
        y = tf.add(0.5 * x, 3.0, name="y")
        builder = tf.compat.v1.saved_model.Builder(folder)
        signature = tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()


if __name__ == "__main__":
    write(sys.argv[1])
