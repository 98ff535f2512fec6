"""Plainly good bodies do take the fast ways: they cannot quietly stop to be used."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gateway.api.json_body import MOST_KNOWN, JsonBody, Known
from gateway.api.openinference.request import InferRequest
from gateway.api.simple.body import FORM as SIMPLE
from gateway.api.simple.body import accept_example, example_decoder
from gateway.api.tfserving import body as predict_body
from gateway.api.tfserving import typed_body
from gateway.api.tfserving.routes import FORM as PREDICT
from gateway.codec.json_text import parse_json
from gateway.codec.large_json import NumberBlock, parse_large_json, read_number_block
from gateway.errors import InvalidArgument
from gateway.inference import dtypes
from gateway.inference.signature import ModelRef
from tests.gateway.api import bodies
from tests.gateway.api.signatures import signature

NUMERIC = [dtype for dtype in bodies.WITH_FORM if dtype not in (dtypes.STRING, dtypes.BOOL)]
COMPATIBLE = [dtype for dtype in bodies.WITH_FORM if dtype not in (dtypes.HALF, dtypes.BFLOAT16, dtypes.UINT16)]
ELEMENT = {dtypes.STRING: '"a"', dtypes.BOOL: "true"}
X = signature(x=(dtypes.FLOAT, (None, 2)))
AB = signature(a=(dtypes.FLOAT, (None, 2)), b=(dtypes.INT32, (None,)))
IMAGE = signature(x=(dtypes.FLOAT, (None, 32, 32, 3)))
PIXELS = np.random.default_rng(2).random((1, 32, 32, 3)).astype(np.float32)


def count(value):
    """How many blocks there are in a decoded body."""
    if isinstance(value, dict | list):
        return sum(map(count, value.values() if isinstance(value, dict) else value))
    return int(isinstance(value, NumberBlock))


SMALL = [
    ('{"instances": [[1, 2.5]]}', X),
    ('{"instances": [[1, 2.5], [0, -1e3]]}', X),
    (' {"inputs": [[1, 2.5]]}\n', X),
    ('{"inputs": {"x": [[1, 2.5]]}}', X),
    ('{"instances": [{"x": [1, 2.5]}, {"x": [3, 4]}]}', X),
    ('{"instances": [{"a": [1, 2], "b": 7}, {"b": 8, "a": [3, 4]}]}', AB),
    ('{"inputs": {"b": [7, 8], "a": [[1, 2], [3, 4]]}}', AB),
    ('{"instances": ["a", {"b64": "aGk="}]}', signature(s=(dtypes.STRING, (None,)))),
    ('{"instances": [{"s": {"b64": "aGk="}}]}', signature(s=(dtypes.STRING, (None,)))),
    ('{"signature_name": "serving_default", "instances": [[1, 2.5]]}', X),
    ('{"inputs": {"a": [[1, 2]], "b": [7]}, "signature_name": ""}', AB),
    ('{"inputs": 5}', signature(x=(dtypes.INT64, ()))),
]
SIMPLE_SMALL = [
    ('{"data": [1, 2.5]}', X),
    ('{"x": [1, 2.5]}', X),
    ('{"a": [1, 2], "b": 7}', AB),
    ('{"data": {"b64": "aGk="}}', signature(s=(dtypes.STRING, (None,)))),
    ('{"data": [[1], [2]]}', signature(x=(dtypes.INT8, (None, None, 1)))),
]


@pytest.mark.parametrize(("text", "model"), SMALL)
def test_small_predict_bodies_are_decoded_by_their_signature(text, model):
    assert typed_body.predict_body_decoder(model)(text.encode()) is not None
    assert predict_body.accept_predict_body(parse_json(text.encode()), model) is not None


@pytest.mark.parametrize(("text", "model"), SIMPLE_SMALL)
def test_small_simple_bodies_are_decoded_by_their_signature(text, model):
    assert example_decoder(model)(text.encode()) is not None
    assert accept_example(parse_json(text.encode()), model) is not None


@pytest.mark.parametrize("dtype", COMPATIBLE, ids=str)
def test_every_dtype_with_a_form_has_a_decoder_for_predict(dtype):
    body = f'{{"instances": [[{ELEMENT.get(dtype, "1")}]]}}'.encode()
    assert typed_body.predict_body_decoder(signature(x=(dtype, (None, 1))))(body).tensors["x"].dtype == dtype.numpy


@pytest.mark.parametrize("dtype", bodies.WITH_FORM, ids=str)
def test_every_dtype_with_a_form_has_a_decoder_for_simple_bodies(dtype):
    body = f'{{"data": [{ELEMENT.get(dtype, "1")}]}}'.encode()
    assert example_decoder(signature(x=(dtype, (None, 1))))(body)["x"].dtype == dtype.numpy


LARGE = {
    "instances": {"instances": PIXELS.tolist()},
    "inputs": {"inputs": PIXELS.tolist()},
    "named inputs": {"inputs": {"x": PIXELS.tolist()}},
    "named instances": {"instances": [{"x": PIXELS[0].tolist()}]},
    "with a signature's name": {"signature_name": "serving_default", "instances": PIXELS.tolist()},
}


@pytest.mark.parametrize("dumps", [json.dumps, lambda document: json.dumps(document, separators=(",", ":"))])
@pytest.mark.parametrize("document", LARGE.values(), ids=LARGE.keys())
def test_a_large_tensor_of_a_predict_body_is_read_in_one_piece(document, dumps):
    hollowed = parse_large_json(dumps(document).encode(), raw_strings=True)
    assert count(hollowed) == 1
    assert np.array_equal(predict_body.accept_predict_body(hollowed, IMAGE).tensors["x"], PIXELS)


@pytest.mark.parametrize("name", ["data", "x"])
def test_a_large_example_is_read_in_one_piece(name):
    hollowed = parse_large_json(json.dumps({name: PIXELS[0].tolist()}).encode())
    assert np.array_equal(accept_example(hollowed, IMAGE)["x"], PIXELS)


@pytest.mark.parametrize("data", [PIXELS.tolist(), PIXELS.ravel().tolist()], ids=["nested", "flat"])
def test_the_data_of_an_inference_request_is_read_in_one_piece(data):
    described = {"name": "x", "datatype": "FP32", "shape": list(PIXELS.shape), "data": data}
    body = json.dumps({"id": "7", "inputs": [described], "outputs": []}).encode()
    assert count(parse_large_json(body)) == 1
    assert np.array_equal(InferRequest(body, None).tensors(IMAGE)["x"], PIXELS)


@pytest.mark.parametrize("dtype", NUMERIC, ids=str)
def test_every_dtype_of_numbers_is_read_in_one_piece(dtype):
    block = read_number_block(memoryview(b"[[1, 2], [3, 4]]"))
    model = signature(x=(dtype, (None, None, 2)))
    assert accept_example({"data": block}, model)["x"].dtype == dtype.numpy


def test_several_large_tensors_of_one_body_are_each_read_in_one_piece():
    rows = [{"a": list(range(1000)), "b": 1}, {"a": list(range(1000, 2000)), "b": 2}]
    hollowed = parse_large_json(json.dumps({"instances": rows}).encode())
    assert count(hollowed) == 2
    loaded = predict_body.accept_predict_body(hollowed, AB)
    assert loaded.tensors["a"].ravel().tolist() == list(range(2000))
    assert loaded.tensors["b"].tolist() == [1, 2]


BLOCKS = {
    "[1, 2]": (np.int64, (2,)),
    "[]": (np.int64, (0,)),
    "[[], []]": (np.int64, (2, 0)),
    "[[[]]]": (np.int64, (1, 1, 0)),
    "[[1], [2], [3]]": (np.int64, (3, 1)),
    "[[[1, 2], [3, 4]]]": (np.int64, (1, 2, 2)),
    "[1, 0.5]": (np.float64, (2,)),
    "[" * 16 + "7" + "]" * 16: (np.int64, (1,) * 16),
    "[1e2]": (np.float64, (1,)),
    "[18446744073709551615]": (np.uint64, (1,)),
    "[18446744073709551615, -1]": (np.float64, (2,)),
}
NO_BLOCKS = ["1", "{}", '"[1]"', "", "[", "[1,]", "[1 2]", "[1] [2]", "[[1], 2]", "[1, [2]]", "[[1], [2, 3]]", "[[1], []]"]
NO_BLOCKS += ["[[[1]], [[2], [3]]]", "[[[1], [2]], [[3, 4]]]", "[[1, 2], [3, [4]]]", "[[], [[]]]", "[true]", "[null]", '["1"]']
NO_BLOCKS += [
    "[{}]",
    "[NaN]",
    "[1e400]",
    "[18446744073709551616]",
    "[01]",
    "[[1, 2], [3, 4]",
    "[" * 2000 + "]" * 2000,
    "[" * 17 + "7" + "]" * 17,
]


@pytest.mark.parametrize(("text", "dtype", "shape"), [(text, *rest) for text, rest in BLOCKS.items()])
def test_an_even_block_has_its_shape_and_its_numbers(text, dtype, shape):
    block = read_number_block(memoryview(text.encode()))
    assert (block.values.dtype, block.shape) == (dtype, shape)
    assert block.values.tolist() == np.array(json.loads(text), dtype).ravel().tolist()


@pytest.mark.parametrize("text", NO_BLOCKS, ids=lambda text: text[:20])
def test_anything_else_is_no_block(text):
    assert read_number_block(memoryview(text.encode())) is None


HIDING = [
    b'{"instances": [%s], "instances": [1]}',
    b'{"instances": [1]} [%s]',
    b'{"instances": [1], [%s]: 2}',
    b'{"instances": [[%s], "x"]} ',
    b'{"instances": [%s]]}',
    b'{"a\\u0000": [%s]}',
    b'{"instances": [%s], "x": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"instances": [%s], "x": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
]


@pytest.mark.parametrize("body", HIDING)
def test_a_large_list_hides_nothing_of_the_body_that_it_stands_in(body):
    whole = body % b",".join([b"1.5"] * 2000)
    hollowed = parse_large_json(whole)
    assert hollowed is None or count(hollowed) == 1
    if hollowed is not None:
        (block,) = (member for member in hollowed.values() if isinstance(member, NumberBlock))
        assert parse_json(whole)["instances"] == block.values.tolist()


def test_of_a_thousand_models_each_decoder_is_made_once():
    made = []
    form = replace(PREDICT, typed=lambda signature: made.append(signature) or PREDICT.typed(signature))
    known, signatures = Known(form), [signature(**{f"x{number}": (dtypes.FLOAT, (None, 2))}) for number in range(1000)]
    misses = typed_body.predict_body_decoder.cache_info().misses
    for _ in range(3):
        for number, declared in enumerate(signatures):
            known.note(ModelRef(f"m{number}"), declared)
            typed_body.predict_body_decoder(declared)
    assert made == signatures
    assert typed_body.predict_body_decoder.cache_info().misses - misses == 1000


def test_of_more_models_than_are_known_the_first_are_forgotten():
    known, body = Known(PREDICT), b'{"instances": [[1, 2]]}'
    for number in range(MOST_KNOWN):
        known.note(ModelRef(f"m{number}"), X)
    known.note(ModelRef("m0"), replace(X))  # of another version, so that it is the newest
    for number in range(10):
        known.note(ModelRef(f"n{number}"), X)
    refs = [*(f"m{number}" for number in range(MOST_KNOWN)), *(f"n{number}" for number in range(10))]
    assert [name for name in refs if known.decode(ModelRef(name), body) is None] == [f"m{number}" for number in range(1, 11)]


def test_a_body_is_decoded_once_its_model_is_known():
    for form, body in ((PREDICT, b'{"instances": [[1, 2]]}'), (SIMPLE, b'{"data": [1, 2]}')):
        known = Known(form)
        assert JsonBody(known, ModelRef("m"), body).load(X) is not None
        assert known.decode(ModelRef("m"), body) is not None
        assert known.decode(ModelRef("m", 1), body) is None


@pytest.mark.parametrize("space", ["", " " * 3000], ids=["small", "large"])
def test_a_list_without_instances_is_refused_however_much_space_it_takes(space):
    with pytest.raises(InvalidArgument, match="No values in 'instances' array"):
        JsonBody(Known(PREDICT), ModelRef("m"), f'{{"instances": [{space}]}}'.encode()).load(X)
