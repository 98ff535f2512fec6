"""Shared and lone answers are compared value by value; floats within what another order of summation may change."""

import ml_dtypes
import numpy as np
import pytest

from gateway.inference import dtypes
from gateway.inference.batching.difference import NOT_ROWS, TOLERANCES, first_difference

NAN, INF = np.nan, np.inf


def compare(shared, *alone):
    sizes = [len(part) if part.ndim else 1 for part in alone]
    found = first_difference({"y": shared}, [{"y": part} for part in alone], sizes)
    return found and found.how


def strings(*values):
    return np.array(values, object)


EQUAL = {
    "integers": (np.array([1, 2, 3]), np.array([1]), np.array([2, 3])),
    "strings": (strings(b"a", b"b"), strings(b"a"), strings(b"b")),
    "not a number": (np.float32([NAN, 1]), np.float32([NAN]), np.float32([1])),
    "infinities": (np.float32([INF, -INF]), np.float32([INF]), np.float32([-INF])),
    "small beside the largest value": (np.float32([1e-7, 1]), np.float32([0]), np.float32([1])),
    "no values in a row": (np.zeros((2, 0), np.float32), np.zeros((1, 0), np.float32), np.zeros((1, 0), np.float32)),
    "all zero": (np.float32([0, 0]), np.float32([0]), np.float32([-0.0])),
}


@pytest.mark.parametrize("arrays", EQUAL.values(), ids=EQUAL.keys())
def test_equal_answers_have_no_difference(arrays):
    assert compare(*arrays) is None


DIFFERENT = {
    "an integer": (
        (np.array([1, 2]), np.array([1]), np.array([3])),
        "row 2 of 2 in a shared call differs from the same row alone",
    ),
    "a large integer": ((np.array([2**53, 2**53 + 1]), np.array([2**53]), np.array([2**53])), "row 2 of 2"),
    "a string": ((strings(b"a", b"b"), strings(b"a"), strings(b"c")), "row 2 of 2"),
    "a boolean": ((np.array([True, True]), np.array([True]), np.array([False])), "row 2 of 2"),
    "a float": (
        (np.float32([1, 4]), np.float32([1]), np.float32([3.75])),
        "row 2 of 2 in a shared call differs by 0.25, where the largest value is 4, from the same row alone",
    ),
    "not a number in one": ((np.float32([1, NAN]), np.float32([1]), np.float32([1])), "row 2 of 2"),
    "an infinity of the other sign": ((np.float32([1, INF]), np.float32([1]), np.float32([-INF])), "row 2 of 2"),
    "an infinity and the largest number": ((np.float32([INF, 3e38]), np.float32([3e38]), np.float32([3e38])), "row 1 of 2"),
    "complex": ((np.complex64([1, 2j]), np.complex64([1]), np.complex64([2])), "row 2 of 2"),
    "too few rows": ((np.array([1]), np.array([1]), np.array([2])), NOT_ROWS),
    "no rows": ((np.array(3), np.array([1]), np.array([2])), NOT_ROWS),
    "the shape of a row": (
        (np.zeros((2, 3)), np.zeros((1, 2)), np.zeros((1, 3))),
        "a row has shape [3] in a shared call and [2] alone",
    ),
    "the dtype": (
        (np.zeros(2, np.int32), np.zeros(1, np.int64), np.zeros(1, np.int32)),
        "it is int32 in a shared call and int64 alone",
    ),
}


@pytest.mark.parametrize(("arrays", "how"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_a_difference_is_told(arrays, how):
    assert compare(*arrays).startswith(how)


def test_a_lone_answer_without_one_row_for_each_row_sent_is_a_difference():
    found = first_difference({"y": np.arange(2)}, [{"y": np.arange(2)}, {"y": np.arange(0)}], [1, 1])
    assert str(found) == f"output y: {NOT_ROWS}"


def test_an_output_that_comes_only_sometimes_is_a_difference():
    found = first_difference({"y": np.arange(2)}, [{"y": np.arange(1)}, {"z": np.arange(1)}], [1, 1])
    assert str(found) == "output y: is not always given"


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_each_float_dtype_has_a_tolerance_relative_to_the_largest_value(dtype):
    tolerance = TOLERANCES[dtype]
    largest = 100.0
    for factor, is_equal in ((0.5, True), (3, False)):
        lone = np.array([0.0, largest]).astype(dtype)
        shared = np.array([largest * tolerance * factor, largest]).astype(dtype)
        assert (compare(shared, lone[:1], lone[1:]) is None) == is_equal


def test_every_dtype_can_be_compared():
    for dtype in dtypes.DTYPES:
        array = strings(b"a", b"b") if dtype == dtypes.STRING else np.array([0, 1]).astype(dtype.numpy)
        assert compare(array, array[:1], array[1:]) is None
        assert "row 1 of 2" in compare(array[::-1], array[:1], array[1:])
    assert np.dtype(ml_dtypes.bfloat16) in TOLERANCES
