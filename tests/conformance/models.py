"""Makes the SavedModels of the fixture F1 with TensorFlow: ``python -m tests.conformance.models FOLDER NAME...``.

They do what upstream's test models of the same names do, under the same signatures and tensor names.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tests.model_server.savedmodels import CLASSIFY, REGRESS, save, signature

tf1 = tf.compat.v1


def half_plus(folder: Path, offset: float = 2.0, has_x2_classifier: bool = False) -> None:
    """y = x / 2 + offset, of tensors and of examples with the features x and x2."""

    def build() -> Mapping[str, Any]:
        half, plus = tf1.Variable(0.5, name="a"), tf1.Variable(offset, name="b")
        examples = tf1.placeholder(tf.string, name="tf_example")
        parsed_x, parsed_x2 = tf.raw_ops.ParseExample(
            serialized=examples,
            names=tf.constant([], tf.string),
            sparse_keys=[],
            dense_keys=["x", "x2"],
            dense_defaults=[tf.constant([], tf.float32), tf.constant([0.0])],
            sparse_types=[],
            dense_shapes=[[1], [1]],
        ).dense_values
        x, x2 = tf.identity(parsed_x, name="x"), tf.identity(parsed_x2, name="x2")
        y = tf.identity(half * x + plus, name="y")
        y2 = tf.identity(half * x + plus + 1.0, name="y2")
        y3 = tf.identity(half * x2 + plus + 1.0, name="y3")
        signatures = {
            "serving_default": signature({"x": x}, {"y": y}),
            "regress_x_to_y": signature({"inputs": examples}, {"outputs": y}, REGRESS),
            "regress_x_to_y2": signature({"inputs": examples}, {"outputs": y2}, REGRESS),
            "regress_x2_to_y3": signature({"inputs": x2}, {"outputs": y3}, REGRESS),
            "classify_x_to_y": signature({"inputs": examples}, {"scores": y}, CLASSIFY),
        }
        if has_x2_classifier:
            signatures["classify_x2_to_y3"] = signature({"inputs": x2}, {"scores": y3}, CLASSIFY)
        return signatures

    save(folder, build)


def half_plus_three(folder: Path) -> None:
    """y = x / 2 + 3, of scalars and lists; its regressor is called as its method is."""

    def build() -> Mapping[str, Any]:
        examples = tf1.placeholder(tf.string, name="tf_example")
        parsed = tf1.parse_example(tf.reshape(examples, [-1]), {"x": tf1.FixedLenFeature([], tf.float32)})
        x = tf1.placeholder(tf.float32, name="x")
        y, regressed = tf.add(x * 0.5, 3.0, name="y"), tf.add(parsed["x"] * 0.5, 3.0, name="regressed")
        return {
            "serving_default": signature({"x": x}, {"y": y}),
            REGRESS: signature({"inputs": examples}, {"outputs": regressed}, REGRESS),
        }

    save(folder, build)


def counter(folder: Path) -> None:
    """A counter that requests change; none of its signatures is the default, and most take no input."""

    def build() -> Mapping[str, Any]:
        count = tf1.Variable(0.0, use_resource=False, name="counter")
        delta = tf1.placeholder(tf.float32, [], name="delta")
        return {
            "get_counter": signature({}, {"output": tf.identity(count)}),
            "incr_counter": signature({}, {"output": tf1.assign_add(count, 1.0)}),
            "incr_counter_by": signature({"delta": delta}, {"output": tf1.assign_add(count, delta)}),
            "reset_counter": signature({}, {"output": tf1.assign(count, 0.0)}),
        }

    save(folder, build)


def matrix(folder: Path) -> None:
    """y = x / 2 + 2, of 3x3 matrices."""

    def build() -> Mapping[str, Any]:
        x = tf1.placeholder(tf.float32, [None, 3, 3], name="x")
        return {"serving_default": signature({"x": x}, {"y": tf.add(x * 0.5, 2.0, name="y")})}

    save(folder, build)


def tf2(folder: Path) -> None:
    """y = x / 2 + 2 by a TensorFlow 2 export, whose default signature has a default value for x."""
    module = tf.Module()
    module.half, module.two, module.three = tf.Variable(0.5), tf.Variable(2.0), tf.Variable(3.0)
    default = tf.constant([0.0])
    examples, numbers = tf.TensorSpec([None], tf.string, name="inputs"), tf.TensorSpec([1], tf.float32, name="inputs")

    @tf.function(input_signature=[tf.TensorSpec([1], tf.float32, name="x")])
    def predict(x: Any = default) -> Any:
        return {"y": module.half * x + module.two}

    def of_examples(output: str, plus: Any) -> Any:
        def function(inputs: Any) -> Any:
            x = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]
            return {output: module.half * x + plus}

        return tf.function(function, input_signature=[examples])

    def of_numbers(output: str) -> Any:
        return tf.function(lambda inputs: {output: module.half * inputs + module.three}, input_signature=[numbers])

    signatures = {
        "serving_default": predict,
        "classify_x_to_y": of_examples("scores", module.two),
        "classify_x2_to_y3": of_numbers("scores"),
        "regress_x_to_y": of_examples("outputs", module.two),
        "regress_x_to_y2": of_examples("outputs", module.three),
        "regress_x2_to_y3": of_numbers("outputs"),
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)


def multi_io(folder: Path) -> None:
    """Several inputs and outputs, and the dtypes and shapes that REST treats in its own way."""
    rows, texts = tf.TensorSpec([None], tf.int32, name="a"), tf.TensorSpec([None], tf.string, name="b")

    def function(*specs: tf.TensorSpec) -> Callable[..., Any]:
        return tf.function(input_signature=specs)

    signatures = {
        "serving_default": function(rows, texts)(lambda a, b: {"doubled": 2 * a, "echo_bytes": tf.identity(b)}),
        "sizes": function(rows, texts)(lambda a, b: {"doubled": 2 * a, "total": tf.reduce_sum(a)}),
        "i8": function(tf.TensorSpec(None, tf.int8, name="a"))(lambda a: {"out": tf.identity(a)}),
        "half": function(tf.TensorSpec(None, tf.float32, name="a"))(lambda a: {"out": tf.cast(a, tf.float16)}),
        "text": function(tf.TensorSpec(None, tf.string, name="s"))(lambda s: {"out": tf.identity(s)}),
        "mm": function(tf.TensorSpec([None, 2], tf.float32, name="a"))(lambda a: {"out": a @ [[1.0, 2.0], [3.0, 4.0]]}),
    }
    tf.saved_model.save(tf.Module(), str(folder), signatures=signatures)


def two_versions(folder: Path) -> None:
    """The same model under two numbers."""
    for version in (123, 124):
        half_plus(folder.parent / f"{version:08}", has_x2_classifier=True)


# Name -> the version's folder, and what fills it.
MODELS: Mapping[str, tuple[str, Callable[[Path], None]]] = {
    "half_plus_two": ("00000123", half_plus),
    "half_plus_three": ("00000123", half_plus_three),
    "two_versions": ("00000124", two_versions),
    "counter": ("00000123", counter),
    "tf2": ("00000123", tf2),
    "matrix": ("1", matrix),
    "multi_io": ("1", multi_io),
}


def main(folder: Path, names: list[str]) -> None:
    unknown = sorted(set(names) - set(MODELS))
    if unknown:
        sys.exit(f"no recipe for the models {', '.join(unknown)}: give their SavedModels with MODELS=folder")
    for name in names:
        version, make = MODELS[name]
        make(folder / name / version)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
