"""TensorProto <-> numpy, compared with TensorFlow's own decoder for every dtype."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from model_server import tensors
from tests.model_server.serving import Client

DTYPES = [pytest.param(number, id=tensors.dtype_name(number)) for number in tensors.LAYOUTS]
NOT_TENSORS = {types_pb2.DT_INVALID, types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT}


def proto(dtype: int, shape: tuple[int, ...] = (), **fields: Any) -> tensor_pb2.TensorProto:
    return tensor_pb2.TensorProto(dtype=dtype, tensor_shape={"dim": [{"size": size} for size in shape]}, **fields)


def by_tensorflow(message: tensor_pb2.TensorProto) -> Any:
    return tf.io.parse_tensor(message.SerializeToString(), tf.dtypes.as_dtype(message.dtype)).numpy()


def same(ours: Any, theirs: Any) -> bool:
    theirs = np.asarray(theirs, object) if isinstance(theirs, bytes) else np.asarray(theirs)
    if ours.dtype == object:
        return ours.shape == theirs.shape and ours.tolist() == theirs.tolist()
    if ours.dtype.name in ("int2", "uint2", "int4", "uint4"):  # whose upper bits in memory mean nothing
        ours, theirs = ours.astype(np.int32), theirs.astype(np.int32)
    return ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


def wire_values(dtype: int, count: int) -> dict[str, Any]:
    """``count`` elements in the typed field of ``dtype``; integers beyond the range of the narrow ones."""
    field = tensors.LAYOUTS[dtype].field
    if field == "string_val":
        return {field: [b"text %d" % i for i in range(count)]}
    if field == "float8_val":
        return {field: bytes(range(60, 60 + count))}
    if field == "half_val":
        return {field: [0x3C00 + 7 * i for i in range(count)]}
    if field == "bool_val":
        return {field: [i % 2 == 0 for i in range(count)]}
    per_element = 2 if field in ("scomplex_val", "dcomplex_val") else 1
    numbers = [1 + i for i in range(count * per_element)]
    if dtype in (types_pb2.DT_INT8, types_pb2.DT_UINT8, types_pb2.DT_INT16, types_pb2.DT_UINT16):
        numbers = [300, -1, 70000, -129, 255, 65536][:count]
    return {field: numbers}


def test_every_dtype_that_can_be_sent_has_a_layout():
    known = {number for number in types_pb2.DataType.values() if number < 100}
    assert known - NOT_TENSORS == tensors.LAYOUTS.keys()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("count", "shape"), [(6, (2, 3)), (2, (2, 3)), (0, (2, 3)), (6, (2,)), (1, ()), (0, ()), (3, (0, 4))])
def test_typed_fields_decode_as_in_tensorflow(dtype: int, count: int, shape: tuple[int, ...]):
    """Exact, too few (the last one repeats), none (zeros), too many (ignored), scalars, and empty tensors."""
    message = proto(dtype, shape, **wire_values(dtype, count))
    assert same(tensors.decode(message), by_tensorflow(message))


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.id not in ("DT_INT2", "DT_UINT2", "DT_INT4", "DT_UINT4")])
def test_tensor_content_decodes_as_in_tensorflow(dtype: int):
    values = tensors.decode(proto(dtype, (3,), **wire_values(dtype, 3)))
    message = tensor_pb2.TensorProto()
    tensors.encode_content(values, dtype, message)
    assert message.tensor_content
    assert same(tensors.decode(message), by_tensorflow(message))
    assert same(tensors.decode(message), values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (5,), (1, 2, 2), (0,), (0, 3)])
def test_typed_replies_are_read_back_by_tensorflow(dtype: int, shape: tuple[int, ...]):
    count = int(np.prod(shape))
    values = _as_fetched(tensors.decode(proto(dtype, shape, **wire_values(dtype, count))))
    message = tensor_pb2.TensorProto()
    tensors.encode(values, dtype, message)
    assert message.tensor_content == b""
    assert message.HasField("tensor_shape")
    assert same(tensors.decode(message), by_tensorflow(message))
    assert same(_as_fetched(tensors.decode(message)), values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_goes_through_a_server_and_back(client: Client, dtype: int):
    sent = proto(dtype, (2, 2), **wire_values(dtype, 4))
    reply = client.predict("echo", {"x": sent}, signature=tensors.dtype_name(dtype)).outputs["y"]
    assert reply.dtype == dtype
    assert reply.tensor_content == b""
    assert same(tensors.decode(reply), by_tensorflow(sent))


def test_narrow_integers_wrap():
    assert tensors.decode(proto(types_pb2.DT_INT8, (1,), int_val=[300])).tolist() == [44]


def test_unknown_rank_counts_as_a_scalar():
    message = tensor_pb2.TensorProto(dtype="DT_FLOAT", float_val=[5], tensor_shape={"unknown_rank": True})
    assert same(tensors.decode(message), by_tensorflow(message))
    assert tensors.decode(message).shape == ()


BAD = {
    "no dtype": proto(0, (1,), float_val=[1]),
    "reference dtype": proto(types_pb2.DT_FLOAT_REF, (1,), float_val=[1]),
    "content too short": proto(types_pb2.DT_FLOAT, (1,), tensor_content=b"abc"),
    "content too long": proto(types_pb2.DT_INT64, (1,), tensor_content=b"0123456789"),
    "boolean of 2": proto(types_pb2.DT_BOOL, (1,), tensor_content=b"\x02"),
    "string lengths truncated": proto(types_pb2.DT_STRING, (2,), tensor_content=b"\x01"),
    "string lengths do not add up": proto(types_pb2.DT_STRING, (1,), tensor_content=b"\x01ab"),
    "string length without end": proto(types_pb2.DT_STRING, (1,), tensor_content=b"\xff" * 9),
    "negative dimension": proto(types_pb2.DT_FLOAT, (-1,)),
    "more elements than numbers can count": proto(types_pb2.DT_FLOAT, (1 << 40, 1 << 40), float_val=[1]),
}


@pytest.mark.parametrize("message", BAD.values(), ids=BAD.keys())
def test_what_is_no_tensor_is_refused_as_in_tensorflow(message: tensor_pb2.TensorProto):
    with pytest.raises(ValueError, match=r"."):
        tensors.decode(message)
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        tf.io.parse_tensor(message.SerializeToString(), message.dtype)


def _as_fetched(values: Any) -> Any:
    """Quantized tensors come out of a session as plain integers."""
    return values.view(values.dtype[0]) if values.dtype.names else values


def test_a_small_message_cannot_ask_for_all_memory():
    with pytest.raises(ValueError, match="68719476736 elements of float32 from 1 values"):
        tensors.decode(proto(types_pb2.DT_FLOAT, (1 << 36,), float_val=[1]))
