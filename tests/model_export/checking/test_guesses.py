"""Valid models that few inputs suit are published: guesses are many, and a failed guess is no verdict."""

from itertools import repeat

import numpy as np
import pytest
import tensorflow as tf

from model_export.checking import joining
from model_export.checking.answers import answer_to_guesses
from model_export.checking.guesses import guesses
from model_export.errors import ExportError
from model_export.publishing import warmup
from model_export.publishing.release import release
from model_export.saved_model import PREDICT_METHOD, Signature, Tensor
from model_export.sources.writers import writer_for
from model_export.versions import in_service
from tests.model_export import hard_models

HARD = hard_models.__name__


@pytest.fixture
def publish(tmp_path):
    return lambda source: release(tmp_path / "models", "mine", writer_for(str(source)), lambda step: None)


@pytest.mark.parametrize(
    "function",
    [
        "inverse",
        "solve",
        "cholesky_of_any_size",
        "probabilities",
        "increasing",
        "rows_in_pairs",
        "rows_in_eights",
        "inner_size_of_7",
        "two_inner_sizes",
        "image_and_text",
        "sound",
        "sparse_parts",
        "two_sparse_tensors",
        "sparse_spec",
        "ragged_by_splits",
        "ragged_by_splits_without_names",
        "ragged_twice",
        "ragged_by_rowids",
        "ragged_by_lengths",
        "ragged_spec",
    ],
)
def test_some_guess_suits_and_becomes_the_warm_up(publish, function):
    released = publish(f"{HARD}:{function}")

    assert released.verdict.warnings == ()
    [record] = [log.record for log in warmup.read(released.version.path)]
    [answered] = released.verdict.answered
    assert set(record.predict_log.request.inputs) == set(answered.inputs)


@pytest.mark.parametrize("function", ["sparse_parts", "ragged_by_splits", "ragged_spec"])
def test_parts_that_are_guessed_hold_a_value(publish, function):
    [answered] = publish(f"{HARD}:{function}").verdict.answered

    assert answered.outputs["y"].tolist() == [1.0]


def test_a_model_that_no_guess_suits_is_published_with_a_warning_and_without_a_warm_up(publish, tmp_path):
    released = publish(f"{HARD}:only_one_number")

    [warning] = released.verdict.warnings
    assert "serving_default gets no warm-up: no guess suited it (" in warning
    assert "assertion failed" in warning
    assert "--sample" in warning
    assert in_service(tmp_path / "models" / "mine") == [released.version]
    assert warmup.read(released.version.path) == []


def test_a_failure_that_no_input_would_change_is_refused(publish, tmp_path):
    """Keras 3 gives its variables a second handle here, which comes up without a value in a session."""
    module = tf.Module()
    module.network = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(1)])
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    function = tf.function(lambda x: {"y": module.network(x)}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "own"), signatures=function)

    with pytest.raises(ExportError, match=r"fails whatever it is sent: .*has no value.*model\.export") as refusal:
        publish(tmp_path / "own")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "models" / "mine").exists()


def test_guesses_differ_and_have_the_declared_dtypes_ranks_and_sizes():
    tensors = (
        Tensor("ids", "ids:0", tf.int64, (None, 2)),
        Tensor("image", "image:0", tf.uint8, (None, None, 3)),
        Tensor("text", "text:0", tf.string, (None,)),
        Tensor("flag", "flag:0", tf.bool, ()),
    )
    made = list(guesses(Signature("s", PREDICT_METHOD, tensors, ()), (b"a", b"b")))

    assert len(made) > 50
    assert len({tuple((a.shape, a.tobytes() if a.dtype != object else str(a)) for a in i.values()) for i in made}) == len(made)
    for inputs in made:
        assert [inputs[t.name].dtype for t in tensors] == [np.int64, np.uint8, object, bool]
        assert [inputs[t.name].ndim for t in tensors] == [2, 3, 1, 0]
        assert (inputs["ids"].shape[1], inputs["image"].shape[2]) == (2, 3)


def test_guesses_vary_rows_and_free_sizes():
    made = list(guesses(Signature("s", PREDICT_METHOD, (Tensor("x", "x:0", tf.float32, (None, None)),), ()), (b"",)))

    assert {inputs["x"].shape[0] for inputs in made} >= {1, 2, 3, 4, 5, 8, 16}
    assert {inputs["x"].shape[1] for inputs in made} >= {1, 2, 3, 7, 32, 224}
    assert any(np.array_equal(inputs["x"], np.eye(3)) for inputs in made)


def test_a_signature_without_inputs_is_guessed_once():
    assert list(guesses(Signature("s", PREDICT_METHOD, (), ()), (b"",))) == [{}]


class TestTakesTooLong:
    """A loop that ends for few inputs must not hold up the publication for each of hundreds of guesses."""

    SIGNATURE = Signature("s", PREDICT_METHOD, (Tensor("x", "x:0", tf.float32, (None,)),), ())

    @staticmethod
    def too_long(inputs):
        raise tf.errors.DeadlineExceededError(None, None, "too long")

    def test_a_guess_ends_the_guessing(self):
        warnings = []

        assert answer_to_guesses(self.SIGNATURE, self.too_long, repeat({"x": np.ones(1)}), warnings.append) == []
        assert "too long" in warnings[0]

    def test_a_variation_ends_the_comparison(self):
        calls = []

        def call(inputs):
            calls.append(inputs)
            return self.too_long(inputs)

        found = joining.examine(self.SIGNATURE, call, [({"x": np.ones(1)}, {"y": np.ones(1)})], repeat({"x": np.ones(1)}))
        assert found.independent is None
        assert len(calls) == 1
