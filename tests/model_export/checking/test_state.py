"""Which signatures change what a model holds."""

import pytest
import tensorflow as tf

from model_export.checking.state import changes_state
from model_export.saved_model import PREDICT_METHOD, read_meta_graph, signatures_of

v1 = tf.compat.v1


def changing(path) -> set[str]:
    graph = read_meta_graph(path)
    return {signature.name for signature in signatures_of(graph) if changes_state(graph, signature)}


@pytest.mark.parametrize("name", ["half_plus_two", "dense", "digits", "basket"])
def test_no_example_changes_when_it_is_called(built, name):
    """Their variables are assigned to by initializers, which no output needs."""
    assert changing(built / name / "1") == set()


def test_a_write_behind_a_control_input_is_found_and_a_reader_beside_it_is_not_blamed(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        count = v1.get_variable("count", initializer=0, use_resource=False)
        with tf.control_dependencies([v1.assign_add(count, 1)]):
            bumped = tf.constant(1) + 1
        signatures = {"bump": _signature(bumped), "read": _signature(count + 0)}
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(tmp_path / "m"))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()

    assert changing(tmp_path / "m") == {"bump"}


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_write_inside_functions_at_any_depth_is_found(tmp_path, depth):
    module = tf.Module()
    module.count = tf.Variable(0)
    function = tf.function(lambda: module.count.assign_add(1), autograph=False)
    for _ in range(depth):
        function = tf.function(lambda inner=function: tf.cond(module.count < 9, inner, inner), autograph=False)
    signatures = {"bump": tf.function(lambda: {"count": function()}, input_signature=[])}
    signatures["read"] = tf.function(lambda: {"count": module.count + 0}, input_signature=[])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=signatures)

    assert changing(tmp_path / "m") == {"bump"}


def test_an_insertion_into_a_table_is_a_change_and_a_lookup_is_none(tmp_path):
    module = tf.Module()
    module.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, default_value=-1)

    def insert(key: tf.Tensor) -> dict[str, tf.Tensor]:
        module.table.insert(key, tf.ones_like(key, dtype=tf.int64))
        return {"key": tf.identity(key)}

    keys = tf.TensorSpec([None], tf.string, name="key")
    signatures = {
        "insert": tf.function(insert, input_signature=[keys]),
        "find": tf.function(lambda key: {"value": module.table.lookup(key)}, input_signature=[keys]),
    }
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=signatures)

    assert changing(tmp_path / "m") == {"insert"}


def _signature(output: tf.Tensor):
    info = v1.saved_model.build_tensor_info(output)
    return v1.saved_model.build_signature_def({}, {"output": info}, PREDICT_METHOD)
