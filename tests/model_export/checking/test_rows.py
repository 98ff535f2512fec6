"""Rows alone and together: the comparison itself, and what a publication finds, keeps and tells."""

import json
from itertools import count, cycle

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from model_export.checking import finding, joining
from model_export.checking.description import describe
from model_export.checking.rows import difference
from model_export.errors import ExportError
from model_export.publishing.release import release
from model_export.sampling import sample_file
from model_export.saved_model import PREDICT_METHOD, Signature, Tensor
from model_export.sources.writers import writer_for
from tests.model_export import hard_models, made_models

HARD = hard_models.__name__


@pytest.fixture
def publish(tmp_path):
    return lambda source: release(tmp_path / "models", "mine", writer_for(str(source)), lambda step: None)


def compared(dtype, alone, together):
    members = [{"y": np.array([value], dtype)} for value in alone]
    return difference(members, [1] * len(members), {"y": np.array(together, dtype)})


class TestDifference:
    @pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.bool_, np.int64, ml_dtypes.int4])
    def test_whole_numbers_must_be_equal(self, dtype):
        assert compared(dtype, [1, 0, 1], [1, 0, 1]) == ""
        assert compared(dtype, [1, 0, 1], [1, 0, 0]) == "output y: row 3 of 3 differs from the same row alone"

    def test_strings_must_be_equal(self):
        assert compared(object, [b"a", b"b"], [b"a", b"b"]) == ""
        assert compared(object, [b"a", b"b"], [b"a", b"B"]) == "output y: row 2 of 2 differs from the same row alone"

    @pytest.mark.parametrize(
        ("dtype", "rtol"),
        [(np.float32, 1e-5), (np.float64, 1e-12), (np.float16, 1e-2), (ml_dtypes.bfloat16, 1e-2), (np.complex64, 1e-5)],
    )
    def test_floats_may_differ_by_a_share_of_the_largest_value(self, dtype, rtol):
        """The largest is 1000, so that much more is allowed to the ones beside it."""
        assert compared(dtype, [1000.0, 1.0], [1000.0, 1.0 + 400 * rtol]) == ""
        assert "row 2 of 2 differs by" in compared(dtype, [1000.0, 1.0], [1000.0, 1.0 + 4000 * rtol])

    def test_zeros_must_be_zeros(self):
        assert "differs by 1e-30" in compared(np.float64, [0.0, 0.0], [0.0, 1e-30])

    def test_nan_equals_nan_and_infinities_of_one_sign_are_equal(self):
        special = [np.nan, np.inf, -np.inf]
        assert compared(np.float32, special, special) == ""
        for changed in ([0.0, np.inf, -np.inf], [np.nan, 1e30, -np.inf], [np.nan, np.inf, np.inf]):
            assert "differs by inf" in compared(np.float32, special, changed)

    def test_the_difference_and_its_row_are_told(self):
        assert compared(np.float32, [1, 2, 3], [1, 2.25, 3]) == "output y: row 2 of 3 differs by 0.25 from the same row alone"

    def test_members_of_several_rows_are_cut_apart_by_their_rows(self):
        members = [{"y": np.array([1, 2])}, {"y": np.array([3])}]
        assert difference(members, [2, 1], {"y": np.array([1, 2, 3])}) == ""
        assert "row 3 of 3" in difference(members, [2, 1], {"y": np.array([1, 2, 4])})
        assert "row 1 of 3" in difference(members, [2, 1], {"y": np.array([1, 0, 3])})

    @pytest.mark.parametrize(
        ("alone", "together"),
        [([[1], [2]], [1, 2, 3]), ([[1], [2]], [1]), ([[1], [2]], []), ([[1, 1], [2]], [1, 2]), ([[], [2]], [1, 2])],
    )
    def test_an_output_without_a_row_for_each_row_is_told_even_where_sizes_coincide(self, alone, together):
        members = [{"y": np.array(value, np.int64)} for value in alone]
        assert difference(members, [1, 1], {"y": np.array(together)}) == "output y: not one row for each input row"

    def test_a_scalar_has_no_rows(self):
        assert difference([{"y": np.array(1)}], [1], {"y": np.array(1)}) == "output y: not one row for each input row"

    def test_another_inner_shape_is_a_difference(self):
        told = difference([{"y": np.zeros((1, 2))}, {"y": np.zeros((1, 3))}], [1, 1], {"y": np.zeros((2, 3))})
        assert told == "output y: row 1 of 2 has shape [1,3] together, which differs from [1,2] of the same row alone"


NOT_JOINED = ": requests will not be joined"


@pytest.mark.parametrize(
    "function", ["twice", "of_unknown_rank", "upper", "embedding", "half_softmax", "inverse", "probabilities", "sound"]
)
def test_independent_rows_are_found_to_be(publish, function):
    assert publish(f"{HARD}:{function}").verdict.findings == {
        "serving_default": finding.Finding(True, "rows are independent"),
    }


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("found", "output found: not one row for each input row"),
        ("labelled", "output labels has a fixed dimension 0"),
        ("constant_of_one_row", "output labels: not one row for each input row"),
        ("constant_of_two_rows", "output labels: not one row for each input row"),
        ("distinct", "output y: not one row for each input row"),
        ("rows_in_eights", "output y: not one row for each input row"),
        ("mean_of_all", "output y is declared as a scalar"),
        ("fixed_batch", "input x has a fixed dimension 0"),
        ("without_inputs", "it takes no input"),
        ("sparse_parts", "input dense_shape has a fixed dimension 0"),
        ("ragged_by_splits", "the inputs differ in their numbers of rows"),
        ("only_as_a_scalar", "input n is taken as a scalar"),
        ("dropout", "output y: the same request alone got two different answers"),
    ],
)
def test_what_keeps_requests_from_being_joined_is_told(publish, function, told):
    [found] = publish(f"{HARD}:{function}").verdict.findings.values()

    assert found == finding.Finding(False, told + NOT_JOINED)


@pytest.mark.parametrize("function", ["cumulative_sum", "softmax_over_the_batch", "sorted_rows", "normalised_by_the_batch"])
def test_rows_that_change_with_their_company_are_told_with_the_difference(publish, function):
    [found] = publish(f"{HARD}:{function}").verdict.findings.values()

    assert found.independent is False
    assert found.text.startswith("output y: row ")
    assert " differs by " in found.text
    assert found.text.endswith(f" from the same row alone{NOT_JOINED}")


def test_what_could_not_be_compared_is_no_finding(publish):
    [found] = publish(f"{HARD}:only_one_number").verdict.findings.values()

    assert found == finding.Finding(None, "rows were not compared: no request is known that the signature answers")


def test_a_signature_that_changes_state_is_not_compared(publish, tmp_path):
    module = f"{made_models.__name__}:keeps_a_sum"
    [found] = publish(module).verdict.findings.values()

    assert found == finding.Finding(None, "rows were not compared: it changes the model's state")


class TestWitnesses:
    """A signature that answers what it was not made for in any way: what decides is what the user gave, or sound guesses."""

    SIGNATURE = Signature("s", PREDICT_METHOD, (Tensor("x", "x:0", tf.float32, (None,)),), ())

    @staticmethod
    def moody(calls):
        """Double each number; for what is not above 0 return NaN, then another number each time."""

        def call(inputs):
            calls.append(inputs["x"])
            return {"y": np.where(inputs["x"] > 0, inputs["x"] * 2, [np.nan, len(calls)][len(calls) % 2]).astype(np.float32)}

        return call

    @staticmethod
    def member(*numbers):
        x = np.array(numbers, np.float32)
        return {"x": x}, {"y": x * 2}

    def examined(self, call, answered, numbers=None):
        guesses = [{"x": np.array([number], np.float32)} for number in numbers or ()]
        return joining.examine(self.SIGNATURE, call, answered, guesses, given=numbers is None)

    def test_only_what_was_given_is_asked(self):
        calls = []
        assert self.examined(self.moody(calls), [self.member(1, 2), self.member(3)]) == finding.independent()
        assert set(np.concatenate(calls)) == {1, 2, 3}

    def test_one_single_row_is_joined_by_sound_guesses(self):
        assert self.examined(self.moody([]), [self.member(1)]) == finding.independent()

    def test_given_rows_that_get_two_answers_are_told(self):
        numbers = count(1.0)
        found = self.examined(lambda inputs: {"y": inputs["x"] * next(numbers)}, [self.member(1), self.member(2)])
        assert found.text == "output y: the same request alone got two different answers: requests will not be joined"

    @pytest.mark.parametrize("answers", [(np.nan, 1.0), (1.0, np.inf), (np.inf, -np.inf), (1.0, None), (None, 1.0)])
    def test_a_guess_without_a_finite_answer_decides_nothing(self, answers):
        turns = cycle(answers)

        def call(inputs):
            odd = next(turns) if np.any(inputs["x"] <= 0) else 0.0
            if odd is None:
                raise ValueError("refused")
            return {"y": np.where(inputs["x"] > 0, inputs["x"] * 2, odd)}

        found = self.examined(call, [self.member(1)], [5.0, -4.0, 6.0, -3.0])
        assert found == finding.independent()

    def test_matrices_that_were_given_decide_and_not_those_that_could_be_guessed(self, tmp_path):
        positive = np.array([[[2, 0], [0, 3]], [[2, 1], [1, 4]]], np.float64)
        np.savez(tmp_path / "sample.npz", m=positive)
        samples = sample_file.read(tmp_path / "sample.npz")
        write = writer_for(f"{HARD}:cholesky_of_any_size")
        [found] = release(tmp_path, "mine", write, lambda step: None, samples).verdict.findings.values()

        assert found == finding.independent()


def test_every_example_model_has_independent_rows(built):
    for name in ("half_plus_two", "dense", "digits", "basket"):
        assert {found.text for found in finding.read(built / name / "1").values()} == {"rows are independent"}


class TestKept:
    def test_the_finding_lies_beside_the_warm_up_file(self, publish):
        version = publish(f"{HARD}:found").version

        content = json.loads((version.path / "assets.extra" / "row_independence.json").read_text())
        text = "output found: not one row for each input row: requests will not be joined"
        assert content == {"signatures": {"serving_default": {"independent": False, "text": text}}}
        assert describe(version.path).findings == {"serving_default": finding.Finding(False, text)}

    def test_a_version_without_one_has_no_findings(self, tmp_path):
        assert finding.read(tmp_path) == {}

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"signatures": []}', '{"signatures": {"a": {}}}', "\udcff"])
    def test_a_damaged_file_is_told_and_the_rest_is_described(self, publish, content):
        version = publish(f"{HARD}:twice").version
        (version.path / finding.PATH).write_bytes(content.encode(errors="surrogateescape"))

        with pytest.raises(ExportError, match=r"row_independence\.json is damaged"):
            finding.read(version.path)
        described = describe(version.path)
        assert [signature.name for signature in described.signatures] == ["serving_default"]
        assert "is damaged" in described.warnings[0]
