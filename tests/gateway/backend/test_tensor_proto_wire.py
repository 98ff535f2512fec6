"""Long typed fields are read from the wire: the same numbers as one by one, wherever the members have a fixed width."""

import numpy as np
import pytest

from gateway.backend import tensor_proto
from gateway.backend.stubs import DataType, TensorProto
from gateway.backend.tensor_proto import decode_tensor, encode_tensor
from gateway.backend.wire import packed_field

FIELDS = {"float_val": np.float32, "double_val": np.float64, "scomplex_val": np.float32, "dcomplex_val": np.float64}
ENUMS = dict(zip(FIELDS, (DataType.DT_FLOAT, DataType.DT_DOUBLE, DataType.DT_COMPLEX64, DataType.DT_COMPLEX128), strict=True))


def proto(field, values, size):
    made = TensorProto(dtype=ENUMS[field], version_number=300)
    made.tensor_shape.dim.add(size=size, name="rows")
    getattr(made, field).extend(values)
    return made


def test_the_fields_of_fixed_width_are_those_that_are_read_from_the_wire():
    assert set(FIELDS) == set(tensor_proto._FIXED_WIDTH)


@pytest.mark.parametrize("count", [30, 32, 34, 1000])
@pytest.mark.parametrize("field", FIELDS)
def test_long_and_short_fields_hold_the_same_numbers(field, count):
    values = np.random.default_rng(3).normal(size=count).astype(FIELDS[field])
    values[:3] = np.nan, np.inf, -0.0
    size = count // 2 if "complex" in field else count
    decoded = decode_tensor(proto(field, values.tolist(), size))
    assert decoded.shape == (size,)
    assert decoded.tobytes() == values.tobytes()


@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize(("field", "tag"), [("float_val", 5), ("scomplex_val", 9)])
def test_a_signalling_nan_keeps_its_bits(field, tag, count):
    sent = np.full(count, 0x7F810000, np.uint32).tobytes()
    message = proto(field, [], count if field == "float_val" else count // 2)
    message.MergeFromString(bytes([tag << 3 | 2, len(sent) & 127 | 128, len(sent) >> 7]) + sent)
    assert decode_tensor(message).tobytes() == sent


@pytest.mark.parametrize("field", FIELDS)
def test_a_long_field_repeats_its_last_value_where_the_shape_is_longer(field):
    decoded = decode_tensor(proto(field, [1.0] * 98 + [2.0, 3.0], 200))
    last = 2 + 3j if "complex" in field else 3
    assert (decoded[-1], decoded[110]) == (last, last)
    assert decoded.dtype == tensor_proto._BY_ENUM[ENUMS[field]].dtype.numpy


def test_other_fields_are_passed_over():
    message = TensorProto(dtype=DataType.DT_FLOAT, version_number=2**31 - 1, string_val=[b"x" * 300], int64_val=[-1] * 40)
    message.float_val.extend([1.5] * 40)
    number = TensorProto.DESCRIPTOR.fields_by_name["float_val"].number
    assert bytes(packed_field(message.SerializeToString(), number)) == np.full(40, 1.5, np.float32).tobytes()
    assert not packed_field(TensorProto(dtype=1).SerializeToString(), number)


def test_fixed_fields_are_passed_over_and_groups_are_none_of_proto3():
    assert bytes(packed_field(b"\x09" + b"8bytes!!" + b"\x15" + b"4byt" + b"\x1a\x01a", 3)) == b"a"
    with pytest.raises(ValueError, match="wire type 3"):
        packed_field(b"\x0b", 1)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_a_tensor_is_encoded_in_place_as_it_is_encoded_apart(shape):
    for array in (np.zeros(shape, np.float32), np.full(shape, b"a", dtype=object)):
        made = TensorProto()
        assert encode_tensor(array, made) is made
        assert made == encode_tensor(array)
