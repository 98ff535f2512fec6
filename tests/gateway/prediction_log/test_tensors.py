"""Tensors survive the log with their dtypes, shapes and bits; of large ones there is a summary."""

import math
from hashlib import blake2b

import ml_dtypes
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.inference.dtypes import DTYPES, STRING
from gateway.prediction_log import tensors
from gateway.prediction_log.tensors import Summarised

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
NUMBERS = [dtype for dtype in DTYPES if dtype != STRING and dtype.numpy is not None]


def strings(members, shape=None):
    array = np.empty(len(members), object)
    array[:] = members
    return array.reshape(shape or (len(members),))


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@given(data=st.data())
def test_every_dtype_comes_back_bit_by_bit(dtype, data):
    shape = data.draw(SHAPES)
    count = math.prod(shape)
    bits = data.draw(st.binary(min_size=count * dtype.numpy.itemsize, max_size=count * dtype.numpy.itemsize))
    if dtype.name == "bool":
        bits = bytes(byte & 1 for byte in bits)
    array = np.frombuffer(bits, dtype.numpy).reshape(shape)
    back = tensors.decode(tensors.encode({"x": array}, whole=True))["x"]
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, shape, bits)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_strings_come_back(members):
    array = strings(members, (1, len(members)))
    back = tensors.decode(tensors.encode({"text": array}, whole=True))["text"]
    assert (back.dtype, back.shape, back.ravel().tolist()) == (np.dtype(object), (1, len(members)), members)


def test_the_form_is_the_documented_one():
    both = {"x": np.array([[1, 258]], np.int16), "text": strings([b"a", b"\xff"])}
    assert msgspec.msgpack.decode(tensors.encode(both, whole=False)) == {
        "x": ["int16", [1, 2], b"\x01\x00\x02\x01"],
        "text": ["string", [2], [b"a", b"\xff"]],
    }


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a.astype(">f4"), lambda a: np.repeat(a, 2, 1)[:, ::2]])
def test_memory_layout_and_byte_order_change_nothing(layout):
    plain = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert tensors.encode({"x": layout(plain)}, whole=True) == tensors.encode({"x": plain}, whole=True)
    assert tensors.digest({"x": layout(plain)}) == tensors.digest({"x": plain})


def test_longlong_is_int64():
    assert tensors.encode({"x": np.array([1], np.longlong)}, whole=True) == tensors.encode(
        {"x": np.array([1], np.int64)}, whole=True
    )


def test_the_digest_is_blake2b_over_the_form_in_the_order_of_the_names():
    a, b = np.array([1.5], np.float32), np.array([2], np.int64)
    form = {"a": ("float", (1,), a.tobytes()), "b": ("int64", (1,), b.tobytes())}
    expected = blake2b(msgspec.msgpack.encode(form), digest_size=16).digest()
    assert tensors.digest({"b": b, "a": a}) == tensors.digest({"a": a, "b": b}) == expected


@pytest.mark.parametrize("count", [0, 1, 15, 16, 300])
def test_the_digest_is_that_of_the_form_whatever_the_number_of_tensors_and_however_they_lie_in_memory(count):
    plain = np.arange(6, dtype=np.float32).reshape(2, 3)
    layouts = (plain, np.asfortranarray(plain), plain.astype(">f4"))
    many = {f"x{number}": layouts[number % 3] for number in reversed(range(count))}
    form = tensors.encode_small(many)
    assert form == tensors.encode(many, whole=True)
    assert tensors.digest(many) == tensors.digest_of_form(form)


@pytest.mark.parametrize(
    "other",
    [
        {"x": np.array([[1, 2]], np.int32)},
        {"x": np.array([1, 2], np.int64)},
        {"y": np.array([1, 2], np.int32)},
        {"x": np.array([2, 1], np.int32)},
        {"x": np.array([1, 2], np.int32), "y": np.array([], np.int32)},
    ],
    ids=["shape", "dtype", "name", "values", "one more"],
)
def test_other_tensors_have_another_digest(other):
    assert tensors.digest(other) != tensors.digest({"x": np.array([1, 2], np.int32)})


def test_strings_that_join_to_the_same_bytes_have_different_digests():
    assert tensors.digest({"x": strings([b"a", b"bc"])}) != tensors.digest({"x": strings([b"ab", b"c"])})


@pytest.mark.parametrize(
    ("array", "is_small"),
    [
        (np.zeros(64), True),
        (np.zeros(65), False),
        (np.zeros((0, 1000)), True),
        (strings([b"x" * 4096]), True),
        (strings([b"x" * 4097]), False),
        (strings([b""] * 65), False),
    ],
    ids=["64", "65", "none", "a string of 4 KiB", "a longer string", "65 strings"],
)
def test_what_counts_as_small(array, is_small):
    back = tensors.decode(tensors.encode({"x": array}, whole=False))["x"]
    assert isinstance(back, Summarised) == (not is_small)
    small = tensors.encode_small({"x": array})
    assert small == (tensors.encode({"x": array}, whole=True) if is_small else None)


def test_a_summary_keeps_dtype_and_shape():
    back = tensors.decode(tensors.encode({"image": np.ones((1, 28, 28), np.uint8)}, whole=False))["image"]
    assert back == Summarised("uint8", (1, 28, 28), tensors.Summary(1.0, 0.0, 1.0, 1.0, 0))


@pytest.mark.parametrize("dtype", [dtype for dtype in NUMBERS if dtype.numpy.kind != "c"], ids=str)
def test_a_summary_says_what_numpy_says(dtype):
    # Several blocks, the last one not full.
    array = np.random.default_rng(3).uniform(0, 100, 150_001).astype(dtype.numpy)
    wide = array.astype(np.float64)
    found = tensors.summary(array)
    assert (found.mean, found.std) == pytest.approx((wide.mean(), wide.std()))
    assert (found.min, found.max, found.nan) == (wide.min(), wide.max(), 0)


def test_a_summary_counts_nan_apart():
    array = np.array([np.nan, 1, 3, np.nan], np.float32)
    assert tensors.summary(array) == tensors.Summary(2.0, 1.0, 1.0, 3.0, 2)
    assert tensors.summary(np.full(3, np.nan, ml_dtypes.bfloat16)) == tensors.Summary(None, None, None, None, 3)


def test_a_summary_of_infinities_is_no_error():
    found = tensors.summary(np.array([np.inf, -np.inf, 1.0]))
    assert (found.min, found.max, found.nan) == (-np.inf, np.inf, 0)


def test_a_summary_of_complex_numbers_and_strings_is_one_of_sizes():
    assert tensors.summary(np.array([3 + 4j, 0j], np.complex64)) == tensors.Summary(2.5, 2.5, 0.0, 5.0, 0)
    assert tensors.summary(strings([b"abcd", b""])) == tensors.Summary(2.0, 2.0, 0.0, 4.0, 0)


def test_a_row_of_a_shared_call_does_not_keep_the_whole_call_in_memory():
    call = np.zeros((1000, 100))
    row = tensors.owned({"x": call[3:4]})["x"]
    assert row.base is None
    assert tensors.owned({"x": call})["x"] is call


def test_bytes_that_are_no_tensors_are_refused():
    with pytest.raises(ValueError, match="object"):
        tensors.decode(b"\x01")
