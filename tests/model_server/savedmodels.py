"""The SavedModels that the tests serve, built with TensorFlow 1's builder so that every corner of a graph can be shaped."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

tf1 = tf.compat.v1
tf.get_logger().setLevel("ERROR")

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

Tensors = Mapping[str, Any]


def signature(inputs: Tensors, outputs: Tensors, method: str = PREDICT) -> Any:
    """A SignatureDef of tensors by alias."""
    info = tf1.saved_model.build_tensor_info
    return tf1.saved_model.build_signature_def(
        {alias: info(tensor) for alias, tensor in inputs.items()},
        {alias: info(tensor) for alias, tensor in outputs.items()},
        method,
    )


def save(directory: Path, build: Callable[[], Mapping[str, Any]]) -> Path:
    """Save the graph and the signatures that ``build`` makes."""
    with tf.Graph().as_default(), tf1.Session() as session:
        signatures = build()
        session.run(tf1.global_variables_initializer())
        builder = tf1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
    return directory


def half_plus(directory: Path, offset: float = 2.0) -> Path:
    """y = x / 2 + offset, as tensors and as examples, with the five signatures of upstream's half_plus_two."""

    def build() -> Mapping[str, Any]:
        half, plus = tf1.Variable(0.5, name="a"), tf1.Variable(offset, name="b")
        examples = tf1.placeholder(tf.string, [None], name="tf_example")
        features = {
            "x": tf.io.FixedLenFeature([1], tf.float32),
            "x2": tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0]),
        }
        parsed = tf.io.parse_example(examples, features)
        x = tf.identity(parsed["x"], name="x")
        y = tf.add(tf.multiply(half, x), plus, name="y")
        y2 = tf.add(tf.multiply(half, x), plus + 1.0, name="y2")
        y3 = tf.add(tf.multiply(half, parsed["x2"]), plus + 1.0, name="y3")
        return {
            "serving_default": signature({"x": x}, {"y": y}),
            "regress_x_to_y": signature({"inputs": examples}, {"outputs": y}, REGRESS),
            "regress_x_to_y2": signature({"inputs": examples}, {"outputs": y2}, REGRESS),
            "regress_x2_to_y3": signature({"inputs": examples}, {"outputs": y3}, REGRESS),
            "classify_x_to_y": signature({"inputs": examples}, {"scores": y}, CLASSIFY),
        }

    return save(directory, build)


def mixed(directory: Path) -> Path:
    """Two inputs of different dtypes with two outputs, a default, tensors that signatures name twice, and a long error."""

    def build() -> Mapping[str, Any]:
        number = tf1.placeholder(tf.int64, [None], name="number")
        text = tf1.placeholder(tf.string, [None], name="text")
        doubled, greeting = number * 2, tf.strings.join(["hello ", text])
        outputs = {"doubled": doubled, "greeting": greeting}
        with_default = signature({"number": number, "text": text}, outputs)
        with_default.defaults["text"].CopyFrom(tf.make_tensor_proto(["default"]))
        fed_by_two_names = signature({"a": number, "b": number}, {"doubled": doubled})
        fed_by_two_names.inputs["b"].name = "number"
        long_text = tf1.Assert(tf.constant(False), [tf.constant("x" * 5000)], summarize=9)
        with tf.control_dependencies([long_text]):
            failing = tf.identity(number)
        return {
            "serving_default": signature({"number": number, "text": text}, outputs),
            "with_default": with_default,
            "aliases": signature({"number": number}, {"a": doubled, "b": doubled}),
            "fed_twice": signature({"a": number, "b": number, "text": text}, outputs),
            "fed_by_two_names": fed_by_two_names,
            "fed_and_fetched": signature({"number": number}, {"number": number, "doubled": doubled}),
            "odd_method": signature({"number": number}, {"doubled": doubled}, "custom/method"),
            "scalar": signature({"number": number}, {"sum": tf.reduce_sum(number)}),
            "fails_at_length": signature({"number": number}, {"out": failing}),
        }

    return save(directory, build)


def echo(directory: Path, dtypes: Mapping[str, tf.DType]) -> Path:
    """A signature for each dtype that returns its input ``x`` as ``y``."""

    def build() -> Mapping[str, Any]:
        made = {}
        for name, dtype in dtypes.items():
            x = tf1.placeholder(dtype, name=f"x_{name}")
            made[name] = signature({"x": x}, {"y": tf.identity(x)})
        return made

    return save(directory, build)


def counter(directory: Path) -> Path:
    """State in a reference variable, as upstream's saved_model_counter: each ``increment`` adds one."""

    def build() -> Mapping[str, Any]:
        count = tf1.Variable(0.0, use_resource=False, name="count")
        nothing = tf1.placeholder_with_default(0.0, [], name="nothing")
        return {
            "increment": signature({"nothing": nothing}, {"output": tf1.assign_add(count, 1.0)}),
            "read": signature({"nothing": nothing}, {"output": tf1.identity(count)}),
        }

    return save(directory, build)


def rendezvous(directory: Path) -> Path:
    """``left`` and ``right`` hand each other their x through queues: neither can end before the other has begun.

    ``waiting`` counts what ``left`` has given and no ``right`` has taken.
    """

    def build() -> Mapping[str, Any]:
        zero = tf1.placeholder(tf.float32, [], name="zero")
        to_right = tf1.FIFOQueue(100, [tf.float32], [[]], shared_name="to_right")
        to_left = tf1.FIFOQueue(100, [tf.float32], [[]], shared_name="to_left")
        waiting = tf.cast(to_right.size(), tf.float32) + zero
        return {
            "left": _exchange(to_right, to_left, "l"),
            "right": _exchange(to_left, to_right, "r"),
            "waiting": signature({"x": zero}, {"y": waiting}),
        }

    return save(directory, build)


def _exchange(give: Any, take: Any, name: str) -> Any:
    x = tf1.placeholder(tf.float32, [], name=name)
    with tf.control_dependencies([give.enqueue(x)]):
        return signature({"x": x}, {"y": take.dequeue()})


def gate(directory: Path) -> Path:
    """Creates the file ``<x>.started``, waits until the file ``x`` exists, and returns ``x`` as ``y``."""

    def build() -> Mapping[str, Any]:
        x = tf1.placeholder(tf.string, [], name="x")
        with tf.control_dependencies([tf.io.write_file(x + ".started", "")]):
            before = tf.size(tf.io.matching_files(x))
        found = tf1.while_loop(
            lambda count: tf.equal(count, 0), lambda count: tf.size(tf.io.matching_files(x)) + 0 * count, [before]
        )
        with tf.control_dependencies([found]):
            return {"serving_default": signature({"x": x}, {"y": tf.identity(x)})}

    return save(directory, build)


def odd_examples(directory: Path) -> Path:
    """Classify and regress signatures, each with one thing wrong, named after it."""

    def build() -> Mapping[str, Any]:
        examples = tf1.placeholder(tf.string, [None], name="examples")
        other = tf1.placeholder(tf.string, [None], name="other")
        rows = tf.shape(examples)[0]
        labels = tf.tile(tf.constant([["cat", "dog"]]), [rows, 1])
        scores = tf.tile(tf.constant([[0.25, 0.75]]), [rows, 1])
        values = tf.fill([rows], 1.5)
        ins = {"inputs": examples}

        def classifies(outputs: Tensors, inputs: Tensors = ins, method: str = CLASSIFY) -> Any:
            return signature(inputs, outputs, method)

        def regresses(outputs: Tensors, inputs: Tensors = ins, method: str = REGRESS) -> Any:
            return signature(inputs, outputs, method)

        return {
            "classify": classifies({"classes": labels, "scores": scores}),
            "classify_labels": classifies({"classes": labels}),
            "classify_two_inputs": classifies({"scores": scores}, {"inputs": examples, "more": other}),
            "classify_three_outputs": classifies({"classes": labels, "scores": scores, "more": scores}),
            "classify_input_key": classifies({"scores": scores}, {"x": examples}),
            "classify_output_keys": classifies({"x": scores}),
            "classify_rank": classifies({"scores": values}),
            "classify_label_dtype": classifies({"classes": scores}),
            "classify_score_dtype": classifies({"scores": tf.cast(scores, tf.float64)}),
            "classify_label_rows": classifies({"classes": tf.constant([["a"]])}),
            "classify_score_rows": classifies({"scores": tf.constant([[0.5]])}),
            "classify_columns": classifies({"classes": labels, "scores": scores[:, :1]}),
            "classify_method": classifies({"scores": scores}, method=PREDICT),
            "regress": regresses({"outputs": values}),
            "regress_column": regresses({"outputs": values[:, tf.newaxis]}),
            "regress_two_inputs": regresses({"outputs": values}, {"inputs": examples, "more": other}),
            "regress_two_outputs": regresses({"outputs": values, "more": values}),
            "regress_input_key": regresses({"outputs": values}, {"x": examples}),
            "regress_output_key": regresses({"x": values}),
            "regress_shape": regresses({"outputs": scores}),
            "regress_rows": regresses({"outputs": tf.constant([1.0])}),
            "regress_dtype": regresses({"outputs": tf.cast(values, tf.float64)}),
            "regress_method": regresses({"outputs": values}, method=PREDICT),
            "regress_other_input": regresses({"outputs": tf.fill([tf.shape(other)[0]], 1.0)}, {"inputs": other}),
        }

    return save(directory, build)


def tf2_examples(directory: Path) -> Path:
    """Signatures on tf.Examples as TensorFlow 2 exports them, each with an input tensor of its own; one takes numbers."""
    module = tf.Module()

    def of_examples(output: str, function: Callable[[Any], Any]) -> Any:
        def parse_and_call(inputs: Any) -> Any:
            return {output: function(tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"])}

        return tf.function(parse_and_call, input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])

    numbers = [tf.TensorSpec([None], tf.float32, name="inputs")]
    signatures = {
        "regress": of_examples("outputs", lambda x: x / 2.0 + 2.0),
        "classify": of_examples("scores", lambda x: 2.0 * x),
        "regress_numbers": tf.function(lambda inputs: {"outputs": inputs}, input_signature=numbers),
    }
    tf.saved_model.save(module, str(directory), signatures=signatures)
    return directory


def matrix(directory: Path) -> Path:
    """y = x @ [[1], [1]] + number of rows that ran together, to see batches; also a plain copy of variable length."""

    def build() -> Mapping[str, Any]:
        x = tf1.placeholder(tf.float32, [None, None], name="x")
        rows = tf.fill([tf.shape(x)[0]], tf.shape(x)[0])
        columns = tf.fill([tf.shape(x)[0]], tf.shape(x)[1])
        return {
            "serving_default": signature({"x": x}, {"sum": tf.reduce_sum(x, 1), "rows": rows, "columns": columns}),
            "scalar": signature({"x": x}, {"sum": tf.reduce_sum(x)}),
            "one_row": signature({"x": x}, {"first": x[:1]}),
        }

    return save(directory, build)


def broken(directory: Path, name: str = "saved_model.pb") -> Path:
    """A directory with a saved_model.pb that is none."""
    directory.mkdir(parents=True)
    (directory / name).write_bytes(b"not a graph")
    return directory
