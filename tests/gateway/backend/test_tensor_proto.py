"""Tensors survive the way through TensorProto, in either encoding and for every dtype."""

import numpy as np
import pytest

from gateway.backend import tensor_proto
from gateway.backend.replies import signature_from_proto
from gateway.backend.stubs import DataType, SignatureDef, TensorProto
from gateway.backend.tensor_proto import decode_tensor, encode_tensor
from gateway.errors import Internal
from gateway.inference import dtypes

NUMERIC = [dtype for dtype in dtypes.DTYPES if dtype is not dtypes.STRING]


def values(dtype: dtypes.DType, shape: tuple[int, ...]) -> np.ndarray:
    numbers = np.random.default_rng(7).integers(0, 100, size=shape)
    return numbers.astype(dtype.numpy)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("dtype", NUMERIC, ids=str)
def test_every_numeric_dtype_comes_back_bit_for_bit(dtype, shape):
    array = values(dtype, shape)
    back = decode_tensor(encode_tensor(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (2, 2)], ids=str)
def test_strings_come_back_as_bytes(shape):
    array = np.full(shape, b"\xff\x00text", dtype=object)
    back = decode_tensor(encode_tensor(array))
    assert back.shape == shape
    assert back.ravel().tolist() == array.ravel().tolist()


def test_an_array_that_is_not_contiguous_is_encoded_in_row_major_order():
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert np.array_equal(decode_tensor(encode_tensor(array)), array)


def typed(dtype: int, shape: list[int], **fields: list) -> TensorProto:
    proto = TensorProto(dtype=dtype, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        (typed(DataType.DT_FLOAT, [3], float_val=[1.5, 2.5, 3.5]), np.array([1.5, 2.5, 3.5], np.float32)),
        (typed(DataType.DT_DOUBLE, [1], double_val=[0.1]), np.array([0.1])),
        (typed(DataType.DT_HALF, [1], half_val=[0x3E00]), np.array([1.5], np.float16)),
        (typed(DataType.DT_BFLOAT16, [1], half_val=[0x3FC0]), np.array([1.5], dtypes.BFLOAT16.numpy)),
        (typed(DataType.DT_INT8, [2], int_val=[300, -1]), np.array([44, -1], np.int8)),
        (typed(DataType.DT_INT16, [1], int_val=[70000]), np.array([4464], np.int16)),
        (typed(DataType.DT_INT32, [1], int_val=[-7]), np.array([-7], np.int32)),
        (typed(DataType.DT_UINT8, [1], int_val=[257]), np.array([1], np.uint8)),
        (typed(DataType.DT_UINT16, [1], int_val=[65535]), np.array([65535], np.uint16)),
        (typed(DataType.DT_INT64, [1], int64_val=[-(2**63)]), np.array([-(2**63)], np.int64)),
        (typed(DataType.DT_UINT32, [1], uint32_val=[2**32 - 1]), np.array([2**32 - 1], np.uint32)),
        (typed(DataType.DT_UINT64, [1], uint64_val=[2**64 - 1]), np.array([2**64 - 1], np.uint64)),
        (typed(DataType.DT_BOOL, [2], bool_val=[True, False]), np.array([True, False])),
        (typed(DataType.DT_COMPLEX64, [1], scomplex_val=[1.0, -2.0]), np.array([1 - 2j], np.complex64)),
        (typed(DataType.DT_COMPLEX128, [1], dcomplex_val=[1.0, -2.0]), np.array([1 - 2j])),
        (typed(DataType.DT_STRING, [1], string_val=[b"a"]), np.array([b"a"], object)),
    ],
    ids=lambda value: DataType.Name(value.dtype) if isinstance(value, TensorProto) else "",
)
def test_the_typed_field_of_every_dtype_is_read(proto, expected):
    array = decode_tensor(proto)
    assert array.dtype == expected.dtype
    assert array.tolist() == expected.tolist()


def test_the_table_of_typed_fields_covers_every_dtype():
    assert {row.dtype for row in tensor_proto._TABLE} == set(dtypes.DTYPES)


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        (typed(DataType.DT_FLOAT, [4], float_val=[1, 2]), [1, 2, 2, 2]),
        (typed(DataType.DT_FLOAT, [2], float_val=[]), [0, 0]),
        (typed(DataType.DT_FLOAT, [1], float_val=[1, 2, 3]), [1]),
        (typed(DataType.DT_STRING, [3], string_val=[b"a"]), [b"a", b"a", b"a"]),
        (typed(DataType.DT_STRING, [2], string_val=[]), [b"", b""]),
    ],
    ids=["last value repeats", "none means zeros", "surplus ignored", "strings repeat", "none means empty strings"],
)
def test_a_short_or_long_value_list_is_read_as_tensorflow_reads_it(proto, expected):
    assert decode_tensor(proto).tolist() == expected


def test_content_that_does_not_fill_the_shape_is_an_internal_error():
    proto = typed(DataType.DT_FLOAT, [3])
    proto.tensor_content = b"\0" * 8
    with pytest.raises(Internal, match="8 bytes for float"):
        decode_tensor(proto)


def test_a_dtype_without_array_form_is_named():
    with pytest.raises(Internal, match="resource"):
        decode_tensor(TensorProto(dtype=DataType.DT_RESOURCE))


def test_a_numpy_dtype_without_tensor_form_is_named():
    with pytest.raises(Internal, match="datetime64"):
        encode_tensor(np.zeros(1, "datetime64[s]"))


def test_a_signature_keeps_names_dtypes_shapes_and_defaults():
    proto = SignatureDef(method_name="tensorflow/serving/predict")
    proto.inputs["b"].dtype = DataType.DT_INT64
    proto.inputs["b"].tensor_shape.dim.add(size=-1)
    proto.inputs["b"].tensor_shape.dim.add(size=3)
    proto.inputs["a"].dtype = DataType.DT_RESOURCE
    proto.inputs["a"].tensor_shape.unknown_rank = True
    proto.outputs["y"].dtype = DataType.DT_HALF
    proto.defaults["b"].dtype = DataType.DT_INT64
    signature = signature_from_proto("s", proto)
    a, b = signature.inputs
    assert (a.name, a.dtype.name, a.dtype.numpy, a.shape, a.has_default) == ("a", "resource", None, None, False)
    assert (b.name, b.dtype, b.shape, b.has_default) == ("b", dtypes.INT64, (None, 3), True)
    assert (signature.outputs[0].dtype, signature.outputs[0].shape) == (dtypes.HALF, ())
    assert str(b) == "int64[-1,3]"


def test_an_unknown_enum_number_has_a_name_too():
    assert tensor_proto.dtype_name(9999) == "unknown dtype enum (9999)"
