"""Bodies of arrays: npy and npz, in and out, without trust in what they say of themselves."""

import asyncio
import io
import struct
import threading
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import arrays
from gateway.api.arrays import NPY, NPZ
from gateway.api.body import Bodies
from gateway.api.memory import LARGE_BYTES, Memory
from gateway.call import Call
from gateway.codec.npy import decode_npy, encode_npy
from gateway.codec.npz import pack_npz, unpack_npz
from gateway.codec.raw_tensor import Unreadable
from gateway.deadline import Deadline
from gateway.errors import InvalidArgument, PayloadTooLarge, Unavailable, Unimplemented
from gateway.inference import dtypes
from tests.event_loop import on_loop
from tests.gateway.api.arrays import bits, objects, tensors
from tests.gateway.api.signatures import signature

LIMIT = 100_000
MOST = LARGE_BYTES  # bytes of arrays that are large
NOT_IN_NUL = st.binary(max_size=6).map(lambda data: data.rstrip(b"\0"))


def saved(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def zipped(arrays, save=np.savez):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def header(text, version=(1, 0)):
    """An npy file with such a header and no data."""
    data = text.encode("latin-1")
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(data)) + data


def described(descr="<f4", order="False", shape="(1, 2)"):
    return f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n"


def read(body, model, mimetype=NPY, *, is_example=False, limit=LIMIT):
    return arrays.read_arrays(body, mimetype, limit, is_example, model)


def call(**headers):
    return Call("POST", "/predict", "", headers, b"", complete_s=0.0)


def outcome(call):
    """What ``call`` gives, or None and what it was refused with."""
    try:
        return call(), None
    except Unreadable as refused:
        return None, refused


def refusal(*arguments, **options):
    with pytest.raises(InvalidArgument) as refused:
        read(*arguments, **options)
    return refused.value


# npy.


@given(tensors(dtypes.DTYPES, elements=NOT_IN_NUL))
def test_a_tensor_survives_the_way_out_and_in(typed):
    dtype, array = typed
    assert bits(decode_npy(encode_npy("y", array), dtype)) == bits(array)


@given(tensors([dtype for dtype in dtypes.DTYPES if dtype not in (dtypes.STRING, dtypes.BFLOAT16)]), st.booleans())
def test_what_numpy_saves_is_read_and_what_is_written_numpy_loads(typed, is_fortran):
    dtype, array = typed
    assert bits(decode_npy(saved(np.asarray(array, order="F" if is_fortran else "C")), dtype)) == bits(array)
    assert bits(np.load(io.BytesIO(encode_npy("y", array)), allow_pickle=False)) == bits(array)


@given(tensors([dtypes.BFLOAT16]))
def test_bfloat16_is_what_numpy_makes_of_it(typed):
    _, array = typed
    assert saved(array) == encode_npy("y", array)
    assert bits(np.load(io.BytesIO(encode_npy("y", array))).view(array.dtype)) == bits(array)


@pytest.mark.parametrize("dtype", [dtypes.FLOAT, dtypes.INT64, dtypes.UINT16, dtypes.COMPLEX64], ids=str)
def test_the_other_byte_order_is_turned(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype.numpy)
    assert bits(decode_npy(saved(array.astype(array.dtype.newbyteorder(">"))), dtype)) == bits(array)


def test_version_2_is_read():
    array = np.arange(3, dtype=np.int32)
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(2, 0))
    assert bits(decode_npy(file.getvalue(), dtypes.INT32)) == bits(array)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["S", "U"])
def test_strings_are_bytes_or_text(order, kind):
    array = np.array([["a", "bcd"], ["", "e"]]).astype(f"{order}{kind}3")
    expected = objects([b"a", b"bcd", b"", b"e"], (2, 2))
    assert bits(decode_npy(saved(array), dtypes.STRING)) == bits(expected)


def test_text_is_utf8():
    assert decode_npy(saved(np.array(["caf\u00e9", "\U0001f600"])), dtypes.STRING).tolist() == [
        "caf\u00e9".encode(),
        "\U0001f600".encode(),
    ]


@pytest.mark.parametrize("point", [0x110000, 0xD800, 0xFFFFFFFF])
def test_a_code_point_that_is_none_is_refused(point):
    body = header(described("<U1", shape="(1,)")) + struct.pack("<I", point)
    with pytest.raises(Unreadable, match="code point"):
        decode_npy(body, dtypes.STRING)


def test_an_array_is_not_copied():
    body = saved(np.arange(1000, dtype=np.float32))
    array = decode_npy(body, dtypes.FLOAT)
    assert np.shares_memory(array, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "npy file of version 1.0 or 2.0, got 0 bytes"),
        (b"\x93NUMPY", "npy file"),
        (b"PK\3\4", "npy file"),
        (header(described(), (3, 0)), "npy file"),
        (header(described())[:40], "header"),
        (header(" " * 5000), "header of at most 4096 bytes, got one of 5000 bytes"),
        (header(""), "plain descr"),
        (header("{}"), "plain descr"),
        (header("__import__('os')"), "plain descr"),
        (header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), "plain descr"),
        (header(described(order="1")), "plain descr"),
        (header(described(shape="(-1,)")), "plain descr"),
        (header(described(shape="[1]")), "plain descr"),
        (header(described(shape="(1.5,)")), "plain descr"),
        (header(described(shape=f"({'9' * 20},)")), "plain descr"),
        (header(described(shape=f"({'1, ' * 65})")), "at most 64 sizes"),
        (header(described(shape=f"({2**62}, {2**62})")), "576460752303423488"),
        (header(described(shape=f"(0, {2**62})")), "576460752303423488"),
        (header(described(shape=f"({2**40},)")), f"{2**42} bytes for <f4"),
        (header(described()), "expected 8 bytes for <f4 [1, 2] after the header, got 0 bytes"),
        (header(described()) + b"1" * 9, "got 9 bytes"),
        (header(described("<f8")) + b"1" * 16, "npy dtype <f4 for float, got <f8"),
        (header(described("<i4")) + b"1" * 8, "npy dtype <f4 for float, got <i4"),
        (header(described("|O")), "got |O"),
        (header(described("<M8[ns]")), "got <M8[ns]"),
        (header(described("f4,f4")), "got f4,f4"),
        (header(described("<f3")), "got <f3"),
        (header(described("|S0", shape="(1000000000,)")), "got |S0"),
        (header(described("<U999999999")), "got <U999999999"),
        (saved(np.array([{"a": 1}], dtype=object)), "got |O"),
    ],
)
def test_what_is_no_such_array_is_refused_before_memory_is_taken(body, words):
    with pytest.raises(Unreadable) as refused:
        decode_npy(body, dtypes.FLOAT)
    assert words in str(refused.value)


def test_the_wrong_kind_of_strings_is_refused():
    for array in (np.array([1.0]), np.array(["a"], dtype=object)):
        with pytest.raises(Unreadable, match="S or U"):
            decode_npy(saved(array), dtypes.STRING)
    with pytest.raises(Unreadable, match="for string"):
        decode_npy(header(described("|S0", shape="(5,)")), dtypes.STRING)


def test_a_bool_is_0_or_1():
    with pytest.raises(Unreadable, match="0 or 1"):
        decode_npy(header(described("|b1", shape="(2,)")) + b"\1\2", dtypes.BOOL)


def test_bfloat16_of_the_other_byte_order_cannot_be_told_and_is_refused():
    with pytest.raises(Unreadable, match="bfloat16"):
        decode_npy(header(described(">V2")) + b"1234", dtypes.BFLOAT16)


@pytest.mark.parametrize("items", [[b"a\0"], [b"\0"], [b"x" * 2**20, *[b""] * 2**10]], ids=["NUL", "only NUL", "one long"])
def test_strings_that_npy_cannot_hold_are_refused(items):
    with pytest.raises(Unimplemented, match="the output y holds strings that npy cannot"):
        encode_npy("y", objects(items, (len(items),)))


@given(st.binary(max_size=300), st.sampled_from(dtypes.DTYPES))
def test_any_bytes_are_read_or_refused(data, dtype):
    for body in (data, b"\x93NUMPY\1\0" + data, header(described(shape="(2,)")) + data):
        array, refused = outcome(lambda body=body: decode_npy(body, dtype))
        assert array.dtype == dtype.numpy if refused is None else len(str(refused)) < 500


@given(st.data())
def test_a_good_file_with_some_bytes_changed_is_read_or_refused(data):
    body = bytearray(saved(np.arange(6, dtype=np.float32).reshape(2, 3)))
    for place in data.draw(st.lists(st.integers(0, 80), min_size=1, max_size=4)):
        body[place] = data.draw(st.integers(0, 255))
    array, refused = outcome(lambda: decode_npy(bytes(body), dtypes.FLOAT))
    assert array.size == 6 if refused is None else len(str(refused)) < 500


# npz.


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "deflated"])
def test_what_numpy_saves_is_unpacked_and_what_is_packed_numpy_loads(save):
    arrays = {"a": np.arange(3), "b/c": np.zeros((2, 2)), "file": np.array(True)}
    files = dict(unpack_npz(zipped({"a": arrays["a"], "b/c": arrays["b/c"]}, save), LIMIT))
    assert files == {name: saved(arrays[name]) for name in ("a", "b/c")}
    with np.load(io.BytesIO(pack_npz({name: saved(array) for name, array in arrays.items()}))) as loaded:
        assert {name: bits(loaded[name]) for name in loaded} == {name: bits(array) for name, array in arrays.items()}


def test_a_zip_bomb_is_not_inflated_beyond_the_limit():
    body = zipped({"x": np.zeros(10_000_000, np.float32)}, np.savez_compressed)
    assert len(body) < LIMIT
    with pytest.raises(PayloadTooLarge, match=f"inflate to more than the limit of {LIMIT} bytes"):
        list(unpack_npz(body, LIMIT))


def test_the_limit_is_for_all_files_together():
    body = zipped({name: np.zeros(10_000, np.float32) for name in "abc"}, np.savez_compressed)
    with pytest.raises(PayloadTooLarge, match=f"more than the limit of {LIMIT} bytes"):
        list(unpack_npz(body, LIMIT))
    assert len(list(unpack_npz(body, 2 * LIMIT))) == 3


def archive(method=zipfile.ZIP_STORED, comment=b"", count=1):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        made.comment = comment
        for index in range(count):
            made.writestr(f"{index}.npy", b"data")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "got 0 bytes"),
        (b"PK\5\6", "got 4 bytes"),
        (archive()[:-1], "zip archive"),
        (archive(comment=b"x"), "without a comment"),
        (archive(count=2000), "zip archive"),
        (archive(zipfile.ZIP_BZIP2), "compressed or encrypted otherwise"),
        (archive(zipfile.ZIP_LZMA), "compressed or encrypted otherwise"),
        (archive().replace(b"data", b"date"), "one that is broken"),
    ],
    ids=["empty", "short", "cut", "comment", "many files", "bzip2", "lzma", "checksum"],
)
def test_an_archive_that_is_not_as_it_should_be_is_refused(body, words):
    with pytest.raises(Unreadable) as refused:
        list(unpack_npz(body, LIMIT))
    assert words in str(refused.value)


@given(st.data())
def test_an_archive_with_some_bytes_changed_is_unpacked_or_refused(data):
    body = bytearray(zipped({"x": np.arange(3)}, np.savez_compressed))
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[place] = data.draw(st.integers(0, 255))
    files, refused = outcome(lambda: list(unpack_npz(bytes(body), LIMIT)))
    assert len(files) <= 1 if refused is None else len(str(refused)) < 500


def streamed(arrays):
    """An archive that was written to a pipe: the sizes of its files stand after them."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def tell(self):
            raise io.UnsupportedOperation

    file = Pipe()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("make", [zipped, streamed, lambda arrays: zipped(arrays, np.savez_compressed)])
def test_an_archive_is_its_files_and_nothing_else(make):
    body = make({"x": X, "name": X})
    assert len(list(unpack_npz(body, LIMIT))) == 2
    second = body.index(b"PK\3\4", 4)
    directory = body.index(b"PK\1\2")
    for place in (0, second, directory):
        outside = body[:place] + b"?" * 30 + body[place:]
        with pytest.raises(Unreadable, match=r"30 bytes that belong to none of them|one that is broken"):
            list(unpack_npz(outside, LIMIT))
    with pytest.raises(Unreadable, match="that do not end as one"):
        list(unpack_npz(body + b"?", LIMIT))


# Bodies for a signature.

ONE = signature(x=(dtypes.FLOAT, (None, 2)))
TWO = signature(name=(dtypes.STRING, (None,)), x=(dtypes.FLOAT, (None, 2)))
X = np.array([[1, 2], [3, 4]], np.float32)


def test_one_array_is_the_only_input():
    assert bits(read(saved(X), ONE)["x"]) == bits(X)


def test_named_arrays_are_the_inputs():
    arrays = read(zipped({"x": X, "name": np.array(["a", "b"])}), TWO, NPZ)
    assert bits(arrays["x"]) == bits(X)
    assert arrays["name"].tolist() == [b"a", b"b"]


def test_inputs_with_a_default_value_may_be_left_out():
    model = signature(k=(dtypes.INT32, (), True), x=(dtypes.FLOAT, (None, 2)))
    assert list(read(saved(X), model)) == ["x"]
    assert list(read(zipped({"x": X}), model, "application/zip")) == ["x"]


def test_an_example_is_given_its_batch_dimension():
    assert bits(read(saved(X[0]), ONE, is_example=True)["x"]) == bits(X[:1])
    error = refusal(saved(X), ONE, is_example=True)
    assert error.message == "1 problem: (body): expected an array of shape [2], got shape [2, 2]"


def test_whole_tensors_may_have_any_shape():
    assert read(saved(X[0]), ONE)["x"].shape == (2,)


def test_one_array_for_several_inputs_says_what_to_send():
    assert refusal(saved(X), TWO).message == f"{NPY} holds one array and the inputs are name, x: send {NPZ}, with their names"


def test_every_problem_of_an_archive_is_told_with_its_place():
    error = refusal(zipped({"x": X.astype(np.float64), "z": X}), TWO, NPZ)
    assert [(problem.pointer, problem.expected, problem.got) for problem in error.problems] == [
        ("/z", "only the inputs name, x", "an unknown name"),
        ("/name", "an array of string[-1]", "nothing"),
        ("/x", "npy dtype <f4 for float", "<f8"),
    ]


def test_an_archive_that_is_none_is_told():
    assert refusal(b"abc", TWO, NPZ).problems[0].pointer == ""


def test_a_name_that_is_there_twice_is_told():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("x.npy", saved(X))
        made.writestr("x", saved(X))
    assert [str(problem) for problem in refusal(file.getvalue(), ONE, NPZ).problems] == [
        "/x: expected each input once, got a repeated name"
    ]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", None),
        ("*/*", None),
        ("application/json", None),
        ("text/html", None),
        ("application/*", None),
        (NPY, NPY),
        (f"{NPZ}, */*;q=0.1", NPZ),
        (f"{NPY};q=0.5, application/json", None),
        ("application/zip", NPZ),
        (f"{NPY};q=0", None),
    ],
)
def test_arrays_are_only_for_those_who_prefer_them(accept, expected):
    answer = arrays.arrays_answer(call(accept=accept), {"y": X})
    assert (dict(answer.headers)["Content-Type"] if answer else None) == expected


@pytest.mark.parametrize("mimetype", ["", "application/json", "application/octet-stream", "text/plain"])
def test_other_bodies_are_none_of_arrays(mimetype):
    bodies = Bodies(None, LIMIT)
    assert asyncio.run(arrays.received_arrays(call(**{"content-type": mimetype}), bodies, is_example=False)) is None
    for known in (NPY, NPZ):
        assert asyncio.run(arrays.received_arrays(call(**{"content-type": known}), bodies, is_example=False))


def test_outputs_are_written():
    assert bits(np.load(io.BytesIO(arrays.write_arrays({"y": X}, NPY)))) == bits(X)
    with np.load(io.BytesIO(arrays.write_arrays({"y": X[0], "total": X}, NPZ))) as loaded:
        assert bits(loaded["y"]) == bits(X[0])
        assert bits(loaded["total"]) == bits(X)
    with pytest.raises(InvalidArgument, match="there are 2 outputs"):
        arrays.write_arrays({"y": X, "z": X}, NPY)


@pytest.mark.parametrize(
    ("mimetype", "sent", "dtype", "needs_share"),
    [
        (NPZ, zipped({"x": np.zeros(MOST // 8)}, np.savez_compressed), dtypes.DOUBLE, True),
        (NPZ, zipped({"x": np.full(MOST // 2, b"ab")}, np.savez_compressed), dtypes.STRING, True),
        (NPZ, zipped({"x": np.full(MOST // 2, b"ab")}), dtypes.STRING, True),
        (NPY, saved(np.full(MOST // 2, b"ab")), dtypes.STRING, True),
        (NPZ, zipped({"x": np.zeros(MOST // 8)}), dtypes.DOUBLE, False),
        (NPY, saved(np.zeros(MOST // 8)), dtypes.DOUBLE, False),
        (NPZ, zipped({"x": np.zeros(2)}, np.savez_compressed), dtypes.DOUBLE, False),
    ],
    ids=["packed numbers", "packed strings", "strings as npz", "strings as npy", "numbers as npz", "numbers as npy", "small"],
)
@on_loop
async def test_arrays_that_grow_wait_for_their_share_and_large_ones_are_made_in_a_thread(mimetype, sent, dtype, needs_share):
    memory = Memory(2 * MOST)
    other, ours = call(), call(**{"content-type": mimetype})
    other.deadline, ours.deadline, ours.body = Deadline.after(20), Deadline.after(0.05), sent
    held = await memory.hold(other, 2 * MOST)
    received = await arrays.received_arrays(ours, Bodies(memory, 2 * MOST), is_example=False)
    build = received.building(lambda signature: (received.load(signature), threading.current_thread()))
    model = signature(x=(dtype, (None,)))
    if needs_share:
        with pytest.raises(Unavailable):
            await build(model)
        ours.deadline = Deadline.after(20)
        held.give_back()
        received = await arrays.received_arrays(ours, Bodies(memory, 2 * MOST), is_example=False)
        build = received.building(lambda signature: (received.load(signature), threading.current_thread()))
    tensors, thread = await build(model)
    assert len(tensors["x"]) in {2, MOST // 8, MOST // 2}
    assert (thread is threading.current_thread()) == (len(tensors["x"]) == 2)
    assert len(ours.when_answered) == needs_share
    memory.close()
