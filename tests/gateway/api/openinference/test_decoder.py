"""An inference request is decoded in one step, or looked at member by member: both give the same, and neither is lenient."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.openinference import decoder, form
from gateway.api.openinference.request import InferRequest
from gateway.codec.json_text import parse_json
from gateway.codec.large_json import NumberBlock
from gateway.codec.problems import Problems
from gateway.errors import InvalidArgument
from gateway.inference import dtypes
from tests.gateway.api import bodies
from tests.gateway.api.openinference.test_properties import DOCUMENTS, VALUES
from tests.gateway.api.signatures import signature

X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5]}
BINARY = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
TEXT = {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["a", "b:c"]}

COMMON = {
    "JSON": {"inputs": [X]},
    "nested": {"inputs": [X | {"data": [[1, 2.5]]}]},
    "strings": {"inputs": [TEXT]},
    "quotes in strings": {"inputs": [TEXT | {"data": ['say "a"', "b"]}]},
    "b64": {"inputs": [TEXT | {"data": [{"b64": "aGk="}, "b"]}]},
    "tritonclient": {
        "id": "7",
        "parameters": {"sequence_id": 1, "binary_data_output": True},
        "inputs": [BINARY],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
    },
    "KServe": {"id": "7", "model_name": "m", "parameters": None, "inputs": [BINARY | {"data": None}]},
    "MLServer": {"inputs": [X | {"parameters": {"content_type": "np", "headers": {"a": ["b"]}}}], "outputs": []},
    "large": {"id": "7", "inputs": [X | {"shape": [1000], "data": list(range(1000))}], "parameters": {"a": 1}},
}


@pytest.mark.parametrize("document", COMMON.values(), ids=COMMON.keys())
def test_what_clients_send_is_decoded_in_one_step(document):
    for text in (json.dumps(document), json.dumps(document, separators=(",", ":")), json.dumps(document, indent=1)):
        assert decoder.decode_request(text.encode()) is not None


def test_a_large_list_of_numbers_is_decoded_as_a_block():
    (given,) = decoder.decode_request(json.dumps(COMMON["large"]).encode())["inputs"]
    assert isinstance(given["data"], NumberBlock)


LENIENT = {
    "a second document": '{"inputs": []} {"inputs": []}',
    "a byte order mark": '\ufeff{"inputs": []}',
    "a repeated member": '{"inputs": [], "inputs": []}',
    "a repeated member by an escape": '{"id": "a", "i\\u0064": "a", "inputs": []}',
    "a repeated parameter": '{"inputs": [], "parameters": {"a": 1, "a": 1}}',
    "a repeated parameter deep inside": '{"inputs": [], "parameters": {"a": [{"b": {"c": 1, "c": 1}}]}}',
    "a repeated parameter beside a backslash": '{"inputs": [], "parameters": {"a": "\\\\", "a": "\\\\"}}',
    "a repeated member of an input": '{"inputs": [{"name": "x", "name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}',
    "a repeated b64": '{"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": [{"b64": "", "b64": ""}]}]}',
    "an unknown member": '{"inputs": [], "input": []}',
    "an unknown member of an input": '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1], "dims": 1}]}',
    "an unknown member of an output": '{"inputs": [], "outputs": [{"name": "x", "data": []}]}',
    "NaN in a parameter": '{"inputs": [], "parameters": {"a": NaN}}',
    "an infinite parameter": '{"inputs": [], "parameters": {"a": [{"b": -Infinity}]}}',
    "a number too large in a parameter": '{"inputs": [], "parameters": {"a": 1e400}}',
    "a lone surrogate": '{"inputs": [], "id": "\\ud800"}',
    "a lone low surrogate": '{"inputs": [], "parameters": {"a": "\\ude00"}}',
    "a shape that wraps": '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [0, 4611686018427387904, 4], "data": []}]}',
    "a float for a size": '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1.0], "data": [1]}]}',
    "an extension that is not served": '{"inputs": [], "outputs": [{"name": "y", "parameters": {"classification": 1}}]}',
}


@pytest.mark.parametrize("gap", ["", f"[{', '.join(['1'] * 1000)}]"], ids=["small", "large"])
@pytest.mark.parametrize("text", LENIENT.values(), ids=LENIENT.keys())
def test_nothing_that_is_not_strict_is_accepted(text, gap):
    if gap:
        given = f'{{"name": "g", "datatype": "FP32", "shape": [1000], "data": {gap}}}'
        text = text.replace('"inputs": []', f'"inputs": [{given}]').replace('"inputs": [{', f'"inputs": [{given}, {{', 1)
    assert decoder.decode_request(text.encode()) is None
    try:
        document = parse_json(text.encode(), strict=True)
    except InvalidArgument:
        return
    assert is_refused(document)


def read_by_the_form(document):
    """What the form makes of a request, with NumberBlocks or without; None if it has a problem."""
    problems = Problems()
    members = form.read_members(form.REQUEST, document, (), problems)
    for item in members.get("inputs", ()):
        form.read_members(form.INPUT, item, (), problems)
    for item in members.get("outputs") or ():
        form.read_members(form.OUTPUT, item, (), problems)
    return None if problems.count else document


def is_refused(document):
    """Whether the form refuses the document, or no tensor can be made of one of its elements."""
    read = read_by_the_form(document)
    return read is None or any(isinstance(item, dict) and type(item) is not dict for item in read["inputs"][-1]["data"])


def plain(value):
    """``value`` with a double for an integer beyond 64 bits, which both readers round in the same way at last."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if type(value) is int and not -(2**63) <= value < 2**64 else value


def members(request):
    """All that a request holds, whatever the order of its members."""
    return json.dumps(plain(request), sort_keys=True)


TEXTS = st.text(max_size=3)
FREE = st.dictionaries(TEXTS, VALUES, max_size=2)
DATA = st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False)) | st.lists(TEXTS | st.just({"b64": "aGk="}))
GOOD_INPUT = {"name": TEXTS, "datatype": TEXTS, "shape": st.lists(st.integers(0, 9), max_size=3)}
GOOD = st.fixed_dictionaries(
    {"inputs": st.lists(st.fixed_dictionaries(GOOD_INPUT, optional={"data": DATA, "parameters": FREE}), max_size=3)},
    optional={
        "id": TEXTS,
        "model_name": TEXTS,
        "parameters": FREE,
        "outputs": st.lists(st.fixed_dictionaries({"name": TEXTS}, optional={"parameters": FREE}), max_size=2),
    },
)


@given(GOOD | DOCUMENTS, st.data())
def test_what_is_decoded_in_one_step_has_the_form_and_the_same_members(document, data):
    text = data.draw(bodies.as_bytes(data.draw(bodies.damaged(json.dumps(document)))))
    decoded = decoder.decode_request(text)
    if decoded is not None:
        assert members(decoded) == members(read_by_the_form(parse_json(text, strict=True)))


@given(GOOD)
def test_what_has_no_quote_in_a_string_is_decoded_in_one_step(document):
    assert read_by_the_form(document) is not None
    text = json.dumps(document, ensure_ascii=False)
    if "\\" not in text:
        assert members(decoder.decode_request(text.encode())) == members(document)


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "{", "[" * 100_000, '{"inputs": ' + "[" * 5000 + "]" * 5000 + "}"])
def test_what_is_no_request_is_left_to_the_form(text):
    assert decoder.decode_request(text.encode()) is None


def test_a_number_beyond_64_bits_becomes_the_same_tensor_in_both_ways():
    model = signature(x=(dtypes.DOUBLE, (1,)))
    given = '{"name": "x", "datatype": "FP64", "shape": [1], "data": [123456789012345678901234567890]}'
    texts = [f'{{"id": {name}, "inputs": [{given}]}}'.encode() for name in ('"a"', r'"\\\""')]
    assert [decoder.decode_request(text) is None for text in texts] == [False, True]
    decoded, read = [InferRequest(text, None).tensors(model)["x"] for text in texts]
    assert decoded.tobytes() == read.tobytes()
