"""What counts as another answer."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.inference.dtypes import DTYPES, STRING
from gateway.rollout.outputs import compare
from gateway.rollout.plan import Tolerance

EXACT = {"*": Tolerance(0, 0)}
FLOATS = (np.float16, np.float32, np.float64, ml_dtypes.bfloat16, np.complex64, np.complex128)
INF, NAN = float("inf"), float("nan")


def one(stable, canary, tolerances=EXACT):
    return compare({"y": stable}, {"y": canary}, tolerances)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equal_answers_do_not_differ_whatever_the_dtype(dtype):
    value = np.array([[b"a", b"b"]], object) if dtype is STRING else np.ones((1, 2), dtype.numpy)
    assert one(value, value.copy()) is None


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_other_answers_differ_whatever_the_dtype(dtype):
    stable = np.array([[b"a", b"b"]], object) if dtype is STRING else np.ones((1, 2), dtype.numpy)
    canary = stable.copy()
    canary[0, 1] = b"c" if dtype is STRING else 0
    found = one(stable, canary)
    assert found is not None
    assert (found.output, found.how) == ("y", "1 of 2 values differ")


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
def test_floats_may_differ_within_the_tolerance(dtype):
    stable, canary = np.array([1.0, 2.0], dtype), np.array([1.0, 2.125], dtype)
    assert one(stable, canary, {"*": Tolerance(0, 0.125)}) is None
    assert one(stable, canary, {"*": Tolerance(0.0625, 0)}) is None
    assert one(stable, canary, {"*": Tolerance(0.06, 0.001)}) is not None


def test_the_relative_part_is_that_of_stable():
    assert one(np.array([100.0]), np.array([110.0]), {"*": Tolerance(0.1, 0)}) is None
    assert one(np.array([10.0]), np.array([11.1]), {"*": Tolerance(0.1, 0)}) is not None


@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.bool_])
def test_what_is_no_float_has_no_tolerance(dtype):
    assert one(np.array([1], dtype), np.array([0], dtype), {"*": Tolerance(10, 10)}) is not None


@pytest.mark.parametrize(
    ("stable", "canary", "differs"),
    [
        (NAN, NAN, False),
        (NAN, 1.0, True),
        (1.0, NAN, True),
        (INF, INF, False),
        (INF, -INF, True),
        (INF, 1.0, True),
        (1.0, INF, True),
        (NAN, INF, True),
        (0.0, -0.0, False),
    ],
)
def test_what_is_no_number_equals_only_itself(stable, canary, differs):
    found = one(np.array([stable]), np.array([canary]), {"*": Tolerance(0.1, 0.1)})
    assert (found is not None) is differs


@pytest.mark.filterwarnings("error")
def test_half_floats_whose_difference_no_half_float_can_hold_differ():
    assert one(np.array([60_000], np.float16), np.array([-60_000], np.float16)).gap == 120_000


def test_the_largest_gap_is_told():
    found = one(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 5.0]))
    assert (found.gap, found.stable, found.canary, found.how) == (2.0, "3.0", "5.0", "2 of 3 values differ")


def test_a_gap_within_a_large_tolerance_is_not_the_one_that_is_told():
    found = one(np.array([1000.0, 0.0]), np.array([1001.0, 0.5]), {"*": Tolerance(0.01, 0)})
    assert (found.gap, found.how) == (0.5, "1 of 2 values differ")


def test_integers_beyond_a_floats_precision_are_told_apart():
    found = one(np.array([2**63 - 1], np.int64), np.array([-(2**63)], np.int64))
    assert found.stable == str(2**63 - 1)
    assert one(np.array([2**53]), np.array([2**53 + 1])) is not None


def test_an_output_has_its_own_tolerance():
    stable, canary = {"a": np.array([1.0]), "b": np.array([1.0])}, {"a": np.array([1.5]), "b": np.array([1.5])}
    assert compare(stable, canary, {"*": Tolerance(0, 1)}) is None
    assert compare(stable, canary, {"b": Tolerance(0, 0), "*": Tolerance(0, 1)}).output == "b"


def test_missing_and_additional_outputs_differ():
    value = np.array([1.0])
    assert compare({"a": value, "b": value}, {"a": value}, EXACT).how == "the canary does not give it"
    assert compare({"a": value}, {"a": value, "b": value}, EXACT).how == "only the canary gives it"


def test_other_dtypes_and_shapes_differ():
    found = one(np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float64))
    assert (found.how, found.stable, found.canary) == ("the dtypes differ", "float32", "float64")
    found = one(np.zeros((2, 1)), np.zeros((1, 2)))
    assert (found.how, found.stable, found.canary) == ("the shapes differ", "[2, 1]", "[1, 2]")


@pytest.mark.parametrize(
    ("canary", "differs"),
    [([[0.1, 0.8, 0.1], [0.6, 0.3, 0.1]], False), ([[0.1, 0.4, 0.5], [0.7, 0.2, 0.1]], True)],
    ids=["same-class", "other-class"],
)
def test_whether_the_first_class_is_another_is_told_apart(canary, differs):
    stable = np.array([[0.1, 0.7, 0.2], [0.7, 0.2, 0.1]])
    assert one(stable, np.array(canary)).top1_differs is differs


@pytest.mark.parametrize("shape", [(), (3, 1), (0,)])
def test_there_is_no_first_class_without_several_values_in_a_row(shape):
    found = one(np.zeros(shape), np.ones(shape))
    assert found is None or found.top1_differs is None


def test_a_long_text_is_cut():
    found = one(np.array([b"x" * 500], object), np.array([b"\xff" * 500], object))
    assert len(found.stable) < 100
    assert len(found.canary) < 100


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_empty_answers_agree(shape):
    assert one(np.zeros(shape), np.zeros(shape)) is None


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=0), elements=st.floats(width=32)))
def test_every_float_answer_agrees_with_itself(value):
    assert one(value, value.copy()) is None


@given(
    arrays.arrays(np.float64, (4,), elements=st.floats(-1e6, 1e6)),
    arrays.arrays(np.float64, (4,), elements=st.floats(-1e6, 1e6)),
)
def test_the_rule_is_the_one_of_the_specification(stable, canary):
    tolerance = Tolerance(1e-3, 1e-6)
    agrees = all(abs(a - b) <= tolerance.atol + tolerance.rtol * abs(b) for a, b in zip(canary, stable, strict=True))
    assert (one(stable, canary, {"*": tolerance}) is None) is agrees
