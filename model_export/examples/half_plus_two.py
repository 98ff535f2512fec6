"""The example `half_plus_two`: the signatures of TensorFlow Serving's example of that name, in a TF1 graph.

TF2's exporter writes predict signatures only; classify and regress need SignatureDefs made by hand, as upstream's
servables/tensorflow/testdata/saved_model_half_plus_two.py makes them. `regress_x2_to_y3` takes the float tensor itself, as
upstream's does: it answers to Predict, while Regress, which feeds serialized examples, refuses it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from model_export import request_examples
from model_export.saved_model import CLASSIFY_METHOD, PREDICT_METHOD, REGRESS_METHOD, SERVING_TAG

v1 = tf.compat.v1


def write(folder: Path, report: Callable[[str], None]) -> None:
    """Write the SavedModel into an empty folder."""
    with tf.Graph().as_default(), v1.Session() as session:
        signatures = _build_graph()
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [SERVING_TAG], signature_def_map=signatures)
        builder.save()
    request_examples.write(
        folder,
        [
            request_examples.example("1, 2 and 5", {"x": np.array([1, 2, 5], np.float32)}),
            request_examples.example("x2 from -1 to 1", {"inputs": np.array([[-1], [0], [1]], np.float32)}, "regress_x2_to_y3"),
        ],
    )


def _build_graph() -> dict[str, Any]:
    examples = v1.placeholder(tf.string, name="tf_example")
    features = {
        "x": tf.io.FixedLenFeature([1], tf.float32),
        "x2": tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0]),
    }
    parsed = v1.io.parse_example(examples, features)
    x, x2 = (_column(parsed[name], name) for name in ("x", "x2"))
    slope, two, three = (_variable(name, value) for name, value in (("a", 0.5), ("b", 2.0), ("c", 3.0)))
    y = tf.add(slope * x, two, name="y")
    y2 = tf.add(slope * x, three, name="y2")
    y3 = tf.add(slope * x2, three, name="y3")
    return {
        "serving_default": _signature(PREDICT_METHOD, {"x": x}, {"y": y}),
        "regress_x_to_y": _signature(REGRESS_METHOD, {"inputs": examples}, {"outputs": y}),
        "regress_x_to_y2": _signature(REGRESS_METHOD, {"inputs": examples}, {"outputs": y2}),
        "regress_x2_to_y3": _signature(REGRESS_METHOD, {"inputs": x2}, {"outputs": y3}),
        "classify_x_to_y": _signature(CLASSIFY_METHOD, {"inputs": examples}, {"scores": y}),
    }


def _column(parsed: tf.Tensor, name: str) -> tf.Tensor:
    column = tf.identity(parsed, name=name)
    column.set_shape([None, 1])  # a declaration only: a session still takes other shapes, as upstream's example does
    return column


def _variable(name: str, value: float) -> tf.Variable:
    return v1.get_variable(name, initializer=value, use_resource=True)


def _signature(method: str, inputs: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]) -> Any:
    build_info = v1.saved_model.build_tensor_info
    return v1.saved_model.build_signature_def(
        {name: build_info(tensor) for name, tensor in inputs.items()},
        {name: build_info(tensor) for name, tensor in outputs.items()},
        method,
    )
