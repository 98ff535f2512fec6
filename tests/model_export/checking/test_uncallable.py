"""Signatures that no client can ever call: refused with the remedy, and told in one line by `show`."""

import json

import pytest
import tensorflow as tf

from model_export.errors import ExportError
from model_export.publishing.release import release
from model_export.sources.writers import writer_for
from tests.model_export import hard_models

HARD = hard_models.__name__
v1 = tf.compat.v1


def save_tf1(folder, make) -> str:
    """Save what `make` returns, inputs and outputs of `serving_default`, and return where."""
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, outputs = make()
        infos = [{name: v1.saved_model.build_tensor_info(t) for name, t in part.items()} for part in (inputs, outputs)]
        definition = v1.saved_model.build_signature_def(*infos, "tensorflow/serving/predict")
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map={"serving_default": definition})
        builder.save()
    return str(folder)


def keyed():
    key, x = v1.placeholder(tf.string, [None], name="key"), v1.placeholder(tf.float32, [None, 1], name="x")
    return {"key": key, "x": x}, {"key": key, "y": x * 2.0}


def keyed_under_another_name():
    key = v1.placeholder(tf.string, [None], name="key")
    return {"key": key}, {"id": key}


def two_names():
    x = v1.placeholder(tf.float32, [None], name="x")
    return {"a": x, "b": x}, {"y": x + 1}


def sparse_placeholder():
    x = v1.sparse_placeholder(tf.float32, [None, 4], name="x")
    return {"x": x}, {"y": tf.sparse.reduce_sum(x, 1)}


TF1 = [keyed, keyed_under_another_name, two_names, sparse_placeholder]
REMEDIES = {
    "keyed": "key is both an input and an output: in the model's code, return tf.identity(key) instead of key",
    "keyed_under_another_name": "output id is the input key itself: in the model's code, return tf.identity(key)",
    "two_names": "inputs a and b are two names for one tensor (x:0), which can be fed only once: keep one of the names",
    "sparse_placeholder": "input x is a sparse tensor, which no server can take: take indices, values and dense_shape",
    "ragged_output": "output tokens is a ragged tensor, which no server can return: return its values and row_splits",
    "sparse_output": "output cells is a sparse tensor, which no server can return: return indices, values and dense_shape",
    "variant_output": "output data is a variant, which no request or answer can hold",
    "resource_input": "input x is a resource, which no request or answer can hold",
    "python_function": "it calls a Python function (tf.py_function, tf.numpy_function), which no server has",
    "python_function_in_a_map": "it calls a Python function (tf.py_function, tf.numpy_function), which no server has",
}


def version_folder(root):
    folder = root / "models" / "by_hand" / "1"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def source(request, tmp_path):
    """The path of a TF1 model, or the function that makes a TF2 model, by its name in REMEDIES."""
    made = {make.__name__: make for make in TF1}.get(request.param)
    return save_tf1(tmp_path / "saved", made) if made else f"{HARD}:{request.param}"


@pytest.mark.parametrize(("source", "remedy"), REMEDIES.items(), indirect=["source"], ids=REMEDIES)
def test_is_refused_with_what_to_do(tmp_path, source, remedy):
    with pytest.raises(ExportError) as refusal:
        release(tmp_path / "models", "mine", writer_for(source), lambda step: None)

    assert str(refusal.value).startswith(f"signature serving_default can never be called: {remedy}")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "models" / "mine").exists()


@pytest.mark.parametrize(("source", "remedy"), REMEDIES.items(), indirect=["source"], ids=REMEDIES)
def test_is_shown_in_one_line_where_it_lies_in_the_models_folder(invoke, tmp_path, source, remedy):
    """A server loads such a model, so its owner has to find out why no request succeeds."""
    writer_for(source)(version_folder(tmp_path))
    shown = invoke("show", "by_hand")
    described = json.loads(invoke("show", "by_hand", "--json").stdout)

    assert (shown.exit_code, shown.exception) == (0, None)
    [line] = [line for line in shown.stdout.splitlines() if "can never be called" in line]
    assert line.startswith(f"signature serving_default: can never be called: {remedy}")
    assert remedy in described["rows"]["serving_default"]["text"]
    assert described["signatures"]["serving_default"]["outputs"]


def test_the_table_says_of_what_kind_a_tensor_is(invoke, tmp_path):
    writer_for(f"{HARD}:ragged_output")(version_folder(tmp_path))
    rows = [line.split() for line in invoke("show", "by_hand").stdout.splitlines()]
    as_json = json.loads(invoke("show", "by_hand", "--json").stdout)["signatures"]["serving_default"]

    assert as_json["outputs"]["tokens"] == {"dtype": "string", "shape": [-1, -1], "kind": "ragged"}
    assert ["out", "tokens", "string", "ragged", "[-1,-1]"] in rows


def test_one_such_signature_among_others_is_named(tmp_path):
    with pytest.raises(ExportError, match=r"^signature serving_default can never be called: output tokens is a ragged tensor"):
        release(tmp_path / "models", "mine", writer_for(f"{HARD}:one_signature_of_two_is_ragged"), lambda step: None)


def test_a_tensor_that_passes_through_a_function_of_tf2_may_be_called(tmp_path):
    """tf.function puts an operation between an input and an output that is the same."""
    module = tf.Module()
    module.f = tf.function(lambda x: {"x": x}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    tf.saved_model.save(module, str(tmp_path / "own"), signatures=module.f)

    assert release(tmp_path / "models", "mine", writer_for(str(tmp_path / "own")), lambda step: None).verdict.answered
