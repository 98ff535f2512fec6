"""What holds for every value: tensors survive the way out and in, and whatever is refused is explained."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.api.simple.body import load_example
from gateway.api.tfserving import wording
from gateway.api.tfserving.answer import predict_answer
from gateway.api.tfserving.body import load_predict_body as load_predict
from gateway.codec.elements import element, encode_elements, fits_element
from gateway.codec.json_text import parse_json
from gateway.codec.nested_lists import find_list_problems, lists_to_array
from gateway.errors import InvalidArgument
from gateway.inference import dtypes
from tests.gateway.api.bodies import dump_simple
from tests.gateway.api.signatures import signature

NO_FORM = (dtypes.COMPLEX64, dtypes.COMPLEX128)
NO_COMPATIBLE_FORM = (*NO_FORM, dtypes.HALF, dtypes.BFLOAT16, dtypes.UINT16)
COMPATIBLE = [dtype for dtype in dtypes.DTYPES if dtype not in NO_COMPATIBLE_FORM]
STRICT = [dtype for dtype in dtypes.DTYPES if dtype not in NO_FORM]


@st.composite
def tensors(draw, among, *, finite=False):
    dtype = draw(st.sampled_from(among))
    shape = (
        draw(st.integers(1, 3)),
        *draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3)),
        *draw(st.sampled_from([(), (0,)])),
    )
    return dtype, draw(arrays_of(dtype, shape, finite))


def arrays_of(dtype, shape, finite):
    if dtype == dtypes.STRING:
        return st.lists(st.binary(max_size=5), min_size=math.prod(shape), max_size=math.prod(shape)).map(
            lambda items: _objects(items, shape)
        )
    if dtype == dtypes.BFLOAT16:
        floats = st.floats(-(2.0**120), 2.0**120, width=32)
        return hnp.arrays(np.float32, shape, elements=floats).map(lambda array: array.astype(dtype.numpy))
    if finite and dtype.numpy.kind == "f":
        floats = st.floats(width=8 * dtype.numpy.itemsize, allow_nan=False, allow_infinity=False)
        return hnp.arrays(dtype.numpy, shape, elements=floats)
    return hnp.arrays(dtype.numpy, shape)


def _objects(items, shape):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)


def assert_same(tensor, expected):
    assert tensor.dtype == expected.dtype
    assert tensor.shape == expected.shape
    assert str(tensor.tolist()) == str(expected.tolist())


@given(tensors(COMPATIBLE), st.booleans())
def test_a_tensor_survives_the_way_out_and_in(typed, is_row):
    dtype, tensor = typed
    answer = parse_json(predict_answer({"x": tensor}, is_row))
    body = {"instances": answer["predictions"]} if is_row else {"inputs": answer["outputs"]}
    assert_same(load_predict(body, signature(x=(dtype, None))).tensors["x"], tensor)


@given(st.lists(tensors(COMPATIBLE), min_size=2, max_size=3), st.booleans())
def test_named_tensors_survive_the_way_out_and_in(typed, is_row):
    outputs = {f"t{index}": tensor[:1] if is_row else tensor for index, (_, tensor) in enumerate(typed)}
    answer = parse_json(predict_answer(outputs, is_row))
    body = {"instances": answer["predictions"]} if is_row else {"inputs": answer["outputs"]}
    model = signature(**{f"t{index}": (dtype, None) for index, (dtype, _) in enumerate(typed)})
    loaded = load_predict(body, model).tensors
    for name, tensor in outputs.items():
        assert_same(loaded[name], tensor)


@given(tensors(STRICT, finite=True))
def test_an_example_survives_the_way_out_and_in(typed):
    dtype, tensor = typed
    example = tensor[:1]
    body = parse_json(b'{"data": ' + dump_simple({"x": example.reshape(example.shape[1:])}) + b"}")
    assert_same(load_example(body, signature(x=(dtype, (None, *example.shape[1:]))))["x"], example)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-300, 300)
    | st.sampled_from([65519.99, 65520, 65520.0, 3.4028235677973362e38, 3.4028235677973366e38, 3.3961775292304601e38, 1e308])
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=3)
    | st.just({"b64": "aGk="})
    | st.just({"b64": "a"})
    | st.just({"c": 1})
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=12)
KINDS = st.sampled_from([element(dtype, strict) for dtype in dtypes.DTYPES for strict in (True, False)])
DIMS = st.none() | st.lists(st.none() | st.integers(0, 3), max_size=3).map(tuple)


@given(SCALARS, KINDS)
def test_an_element_is_encoded_exactly_if_it_fits(value, kind):
    encoded = encode_elements([value], kind)
    assert (encoded is not None) == fits_element(value, kind)
    if encoded is not None and kind.limit is not None:
        assert np.isfinite(encoded).all()


@given(VALUES, KINDS, DIMS)
def test_a_value_has_problems_exactly_if_it_is_no_tensor(value, kind, dims):
    array = lists_to_array(value, kind, dims)
    problems = find_list_problems(value, kind, dims)
    assert (array is None) == (problems.count > 0)
    assert all(resolves(problem.pointer, value) for problem in problems.kept)
    if dims is None:
        assert (array is None) == (wording.tensor_refusal(value, kind) is not None)
    elif array is not None:
        assert array.ndim == len(dims)
        assert all(size in (None, got) for size, got in zip(dims, array.shape, strict=True))


def resolves(pointer, value):
    for step in pointer.split("/")[1:]:
        value = value[int(step)]
    return True


@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3) | VALUES, min_size=1, max_size=3))
@pytest.mark.parametrize(
    "model", [signature(a=(dtypes.INT32, None)), signature(a=(dtypes.STRING, None), b=(dtypes.FLOAT, None))], ids=["one", "two"]
)
def test_instances_become_tensors_or_an_explanation(model, instances):
    tensors, refused = outcome(lambda: load_predict({"instances": instances}, model).tensors)
    if refused is None:
        assert {len(tensor) for tensor in tensors.values()} == {len(instances)}
    else:
        assert_explained(refused)


@given(st.dictionaries(st.sampled_from("abc") | st.just("data"), VALUES, max_size=3) | VALUES)
def test_any_document_is_loaded_or_explained(document):
    model = signature(a=(dtypes.INT32, (None, 2)), b=(dtypes.FLOAT, None, True))
    for load in (lambda: load_example(document, model), lambda: load_predict({"inputs": document}, model)):
        _, refused = outcome(load)
        if refused is not None:
            assert_explained(refused)


def outcome(load):
    try:
        return load(), None
    except InvalidArgument as refused:
        return None, refused


def assert_explained(refused):
    if "multiple input tensors" not in refused.message:
        assert refused.problems
        assert "does not fit the signature" not in refused.message, "upstream's text is always found"
