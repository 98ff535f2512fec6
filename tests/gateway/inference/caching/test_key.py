"""Two requests have one key exactly when their tensors are the same, bit for bit."""

import asyncio

import numpy as np
import pytest

from gateway.inference import dtypes
from gateway.inference.caching.key import EXACT_BYTES, LARGE_BYTES, key_bytes, tensors_key, tensors_key_beside
from tests.event_loop import CountingThreads, on_loop

SMALL, LARGE = 3, 3000
WITH_ARRAYS = [dtype for dtype in dtypes.DTYPES if dtype.numpy is not None]


def tensor(dtype, size):
    if dtype is dtypes.STRING:
        return np.array([b"%d" % number for number in range(size)], object)
    return np.arange(size).astype(dtype.numpy)


def key(array):
    return tensors_key({"x": array})


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("dtype", WITH_ARRAYS, ids=str)
def test_equal_tensors_have_one_key_whatever_their_memory_layout(dtype, size):
    array = tensor(dtype, size)
    spread = np.repeat(array, 2)[::2]
    turned = np.asfortranarray(array.reshape(-1, 3)) if size % 3 == 0 else array
    assert key(array) == key(array.copy()) == key(spread)
    assert hash(key(array)) == hash(key(spread))
    assert key(turned) == key(array.reshape(turned.shape))


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("dtype", WITH_ARRAYS, ids=str)
def test_one_member_more_or_less_or_otherwise_is_another_key(dtype, size):
    array = tensor(dtype, size)
    changed = array.copy()
    changed[-1] = array[0]
    keys = {key(array), key(changed), key(array[:-1]), key(array.reshape(1, -1)), key(array.reshape(-1, 1))}
    assert len(keys) == 5


def test_the_same_bytes_as_another_dtype_are_another_key():
    zeros = [np.zeros(64 // dtype.numpy.itemsize, dtype.numpy) for dtype in WITH_ARRAYS if dtype is not dtypes.STRING]
    same_shape = [array.reshape(1, -1)[:, :0] for array in zeros]
    assert len({key(array) for array in zeros}) == len(zeros)
    assert len({key(array) for array in same_shape}) == len(zeros)


@pytest.mark.parametrize("size", [1, LARGE])
def test_zeros_and_nans_of_other_bits_are_other_keys(size):
    bits = [0x00000000, 0x80000000, 0x7FC00000, 0x7FC00001, 0xFFC00000]
    assert len({key(np.full(size, number, np.uint32).view(np.float32)) for number in bits}) == len(bits)


def test_a_nan_is_found_again():
    assert key(np.array([np.nan], np.float32)) == key(np.array([np.nan], np.float32))


@pytest.mark.parametrize("filler", [b"", b"x" * 2000])
def test_strings_that_are_one_when_joined_are_not_one_key(filler):
    texts = [(b"a", b"bc"), (b"ab", b"c"), (b"abc", b""), (b"", b"abc"), (b"a\0", b"bc"), (b"A", b"bc")]
    assert len({key(np.array([*text, filler], object)) for text in texts}) == len(texts)


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_a_shape_without_members_still_counts(size):
    assert key(np.zeros((0, size), np.float32)) != key(np.zeros((0, size + 1), np.float32))


def test_names_count_and_their_order_does_not():
    a, b = np.zeros(1, np.float32), np.ones(1, np.float32)
    assert tensors_key({"a": a, "b": b}) == tensors_key({"b": b, "a": a})
    assert len({tensors_key(inputs) for inputs in ({"a": a, "b": b}, {"a": b, "b": a}, {"a": a}, {"b": a}, {})}) == 5


@pytest.mark.parametrize("dtype", WITH_ARRAYS, ids=str)
def test_a_key_keeps_no_tensor_alive_and_stays_small(dtype):
    array = tensor(dtype, LARGE)
    before = key(array)
    array[0] = array[1]
    assert key(array) != before
    assert key_bytes(before) <= EXACT_BYTES


def test_a_key_knows_its_bytes():
    assert key_bytes(tensors_key({"a": np.zeros(5, np.float32), "b": np.array([b"abc", b""], object)})) == 23


HALF = LARGE_BYTES // 2
AS_LARGE_AS_MAY_BE = {
    "numbers": {"a": np.zeros(HALF, np.uint8), "b": np.zeros(HALF // 4, np.float32)},
    "strings": {"a": np.array([b"x" * HALF, b"y" * (HALF - 16)], object)},
    "many strings": {"a": np.array([b""] * (LARGE_BYTES // 8), object)},
}


@pytest.mark.parametrize("inputs", AS_LARGE_AS_MAY_BE.values(), ids=AS_LARGE_AS_MAY_BE)
@on_loop
async def test_only_large_tensors_are_read_beside_the_event_loop(inputs):
    threads = CountingThreads(1)
    asyncio.get_running_loop().set_default_executor(threads)
    assert await tensors_key_beside(inputs) == tensors_key(inputs)
    assert threads.asked == 0
    larger = inputs | {"c": np.zeros(1, np.uint8)}
    assert await tensors_key_beside(larger) == tensors_key(larger)
    assert threads.asked == 1
