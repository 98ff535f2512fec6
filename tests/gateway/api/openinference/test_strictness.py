"""What /v2 refuses although it could guess what is meant: each with its place, what was expected and what came."""

import json

import pytest

from gateway.api.openinference.form import HEADER_LENGTH, wants_only_ready
from gateway.errors import InvalidArgument
from tests.gateway.api.openinference.test_routes import BINARY_X, FOUR, INFER, X, post_binary, problems

GIVEN = '{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}'
GOOD = f'{{"inputs": [{GIVEN}]}}'
WIDE = GOOD.replace("[1, 2", "[1, " + " " * 2100 + "2")


def with_member(**members):
    return {"inputs": [X]} | members


def with_input(**members):
    return {"inputs": [X | members]}


def with_output(**members):
    return {"inputs": [X], "outputs": [{"name": "y"} | members]}


BEHIND = {
    "a word": (GOOD.encode() + b" x", '"x"'),
    "a bracket": (GOOD.encode() + b"}", '"}"'),
    "a second document": (GOOD.encode() + b"\n{ }", '"{ }"'),
    "NUL": (GOOD.encode() + b"\0", r'"\u0000"'),
    "bytes that are no text": (GOOD.encode() + b"\xff\xfe", '"\ufffd\ufffd"'),
    "a word behind a large body": (WIDE.encode() + b" x", '"x"'),
    "binary data": (json.dumps({"inputs": [BINARY_X]}).encode() + b"\0\0\x80?" * 4, r'"\u0000\u0000'),
}


@pytest.mark.parametrize(("body", "got"), BEHIND.values(), ids=BEHIND.keys())
def test_nothing_follows_the_json_but_what_a_header_announces(client, body, got):
    response = client.post(INFER, body)
    assert problems(response) == ["(body)"]
    header = f"the header {HEADER_LENGTH} with the length of the JSON"
    assert f"expected nothing after the JSON document (or, before binary data, {header}), got {got}" in response.json["error"]


def test_a_byte_order_mark_is_no_json(client):
    response = client.post(INFER, b"\xef\xbb\xbf" + GOOD.encode())
    assert problems(response) == ["(body)"]
    assert "got a byte order mark" in response.json["error"]


REPEATED = [
    (f'{{"inputs": [{GIVEN}], "inputs": []}}', "/inputs"),
    (f'{{"id": "a", "id": "a", "inputs": [{GIVEN}]}}', "/id"),
    (f'{{"id": "a", "\\u0069d": "a", "inputs": [{GIVEN}]}}', "/id"),
    (WIDE.replace("{", '{"id": "a", "id": "a", ', 1), "/id"),
    (GOOD.replace('"name"', '"name": "x", "name"'), "/inputs/0/name"),
    (GOOD.replace("4]", '4], "data": []'), "/inputs/0/data"),
    (WIDE.replace("4]", '4], "data": []'), "/inputs/0/data"),
    (GOOD.replace("]}]}", ']}], "outputs": [{"name": "y", "name": "y"}]}'), "/outputs/0/name"),
    (GOOD.replace("{", '{"parameters": {"a": 1, "a": 1}, ', 1), "/parameters/a"),
    (GOOD.replace("{", '{"parameters": {"a": [0, {"b": {"c": 1, "c": 1}}]}, ', 1), "/parameters/a/1/b/c"),
    (WIDE.replace("{", '{"parameters": {"a": [0, {"b": {"c": 1, "c": 1}}]}, ', 1), "/parameters/a/1/b/c"),
    (GOOD.replace('"data"', '"parameters": {"a": {"b": 1, "b": 2}}, "data"'), "/inputs/0/parameters/a/b"),
]


@pytest.mark.parametrize(("body", "place"), REPEATED, ids=range(len(REPEATED)))
def test_no_member_is_there_twice_wherever_it_stands(client, body, place):
    response = client.post(INFER, body)
    assert problems(response) == [place], response.text
    assert f"{place}: expected each member once, got a repeated name" in response.json["error"]
    assert "Predict" not in client.fake.calls


def test_an_element_has_no_member_twice(client):
    response = client.post(INFER, GOOD.replace("4]", '{"b64": "", "b64": ""}]'))
    assert problems(response) == ["/inputs/0/data/3"]
    assert 'got an object with "b64" more than once' in response.json["error"]


MEMBERS = "only the members id, model_name, parameters, inputs, outputs"
INPUT_MEMBERS = "only the members name, datatype, shape, parameters, data"
UNKNOWN = [
    (with_member(input=[]), "/input", f"{MEMBERS} (the nearest is inputs)"),
    (with_member(q=[]), "/q", MEMBERS),
    (with_member(model_version="2"), "/model_version", f"{MEMBERS} (the nearest is model_name)"),
    (WIDE.replace("{", '{"Id": "7", ', 1), "/Id", f"{MEMBERS} (the nearest is id)"),
    (with_input(dtype="FP32"), "/inputs/0/dtype", f"{INPUT_MEMBERS} (the nearest is datatype)"),
    (with_input(binary_data_size=16), "/inputs/0/binary_data_size", INPUT_MEMBERS),
    (with_output(data=[]), "/outputs/0/data", "only the members name, parameters"),
]


@pytest.mark.parametrize(("document", "place", "expected"), UNKNOWN, ids=[place for _, place, _ in UNKNOWN])
def test_a_member_that_the_protocol_does_not_have_is_told_with_the_nearest_that_it_has(client, document, place, expected):
    response = client.post(INFER, document)
    assert response.json["error"].splitlines()[1:] == [f"{place}: expected {expected}, got an unknown name"]
    assert "Predict" not in client.fake.calls


NON_FINITE = [
    (GOOD.replace("{", '{"parameters": {"a": {"b": NaN}}, ', 1), "/parameters/a/b", "a number that JSON has, got NaN"),
    (WIDE.replace("{", '{"parameters": {"a": -Infinity}, ', 1), "/parameters/a", "a number that JSON has, got -Infinity"),
    (
        GOOD.replace('"data"', '"parameters": {"a": [Inf]}, "data"'),
        "/inputs/0/parameters/a/0",
        "a number that JSON has, got Inf",
    ),
    (GOOD.replace("{", '{"model_name": NaN, ', 1), "/model_name", "a string, got NaN"),
    (GOOD.replace("4]", "NaN]"), "/inputs/0/data/3", "finite float32 number, got NaN"),
    (WIDE.replace("4]", "NaN]"), "/inputs/0/data/3", "finite float32 number, got NaN"),
]


@pytest.mark.parametrize(("body", "place", "words"), NON_FINITE, ids=[f"{words} at {place}" for _, place, words in NON_FINITE])
def test_a_number_that_json_does_not_have_is_refused_wherever_it_stands(client, body, place, words):
    response = client.post(INFER, body)
    assert problems(response) == [place], response.text
    assert f"{place}: expected {words}" in response.json["error"]


def test_all_of_it_is_told_at_once_and_within_bounds(client):
    document = with_member(input=1, output=2, parameters={"binary_data_output": 1}) | {
        "inputs": [X | {"dims": 1, "shape": [1]}]
    }
    places = ["/parameters/binary_data_output", "/input", "/output", "/inputs/0/dims", "/inputs/0/shape", "/inputs/0/data"]
    assert problems(client.post(INFER, document)) == places
    response = client.post(INFER, with_member(**{f"m{number}": 1 for number in range(50_000)}))
    assert len(problems(response)) == 21
    assert len(response.data) < 5000


def test_a_large_or_a_deep_parameter_is_looked_through(client):
    large = GOOD.replace("{", '{"parameters": {"a": [' + "1.5," * 200_000 + 'NaN, ""]}, ', 1)
    assert problems(client.post(INFER, large)) == ["/parameters/a/200000"]
    deep = GOOD.replace("{", '{"parameters": {"a": ' + "[" * 500 + "Infinity" + "]" * 500 + "}, ", 1)
    assert problems(client.post(INFER, deep)) == ["/parameters/a" + "/0" * 500]


def test_a_request_has_no_more_tensors_than_any_model(client):
    response = client.post(INFER, {"inputs": [X] * 10_001, "outputs": [{"name": "y"}] * 10_001})
    assert problems(response) == ["/inputs", "/outputs"]
    assert "/inputs: expected a list of up to 10000 tensors, got list of 10001" in response.json["error"]


@pytest.mark.parametrize("behind", [b" ", b"x", b"{}"])
def test_the_json_before_binary_data_is_one_document_too(client, behind):
    header = json.dumps({"inputs": [BINARY_X]}).encode() + behind
    response = client.http.post(INFER, data=header + FOUR.tobytes(), headers={HEADER_LENGTH: str(len(header))})
    if behind.isspace():
        assert response.status_code == 200
        return
    assert response.status_code == 400
    assert f'(body): expected nothing after the JSON document, got "{behind.decode()}"' in response.json["error"]
    assert HEADER_LENGTH not in response.json["error"]


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00"', '"\\udc00\\ud800"'])
def test_a_surrogate_without_its_other_half_is_no_text(client, text):
    response = client.post(INFER, GOOD.replace("{", f'{{"parameters": {{"a": {text}}}, ', 1))
    assert response.status_code == 400
    assert "The surrogate pair in string is invalid" in response.json["error"]


NULLS = [{"id": None}, {"model_name": None}, {"parameters": None}, {"outputs": None}]


@pytest.mark.parametrize("members", NULLS, ids=str)
def test_an_optional_member_may_be_null(client, members):
    assert client.post(INFER, with_member(**members)).status_code == 200


def test_optional_members_of_tensors_may_be_null(client):
    assert client.post(INFER, with_input(parameters=None)).status_code == 200
    assert client.post(INFER, with_output(parameters=None)).status_code == 200
    assert client.post(INFER, with_output(parameters={"binary_data": None})).status_code == 200
    assert post_binary(client, {"inputs": [BINARY_X | {"data": None}]}, FOUR.tobytes()).status_code == 200


def test_parameters_are_free_at_the_request_the_inputs_and_the_outputs(client):
    free = {"priority": 1, "deep": {"a": [None, {"b": 1.5}]}, "": ""}
    document = {"inputs": [X | {"parameters": free}], "outputs": [{"name": "y", "parameters": free}], "parameters": free}
    assert client.post(INFER, document).status_code == 200
    # It has a meaning for a tensor only.
    assert client.post(INFER, with_member(parameters=free | {"classification": 1})).status_code == 200
    assert problems(client.post(INFER, with_output(parameters={"classification": None}))) == [
        "/outputs/0/parameters/classification"
    ]


def test_what_kserves_client_repeats_of_the_path_is_allowed(client):
    assert client.post(INFER, with_member(id="7", model_name="m")).status_code == 200


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"redy": true}', "/redy"),
        ({"ready": 1}, "/ready"),
        ('{"ready": true, "ready": false}', "/ready"),
    ],
)
def test_the_index_of_models_takes_no_unknown_repeated_or_wrong_member(client, body, place):
    assert problems(client.post("/v2/repository/index", body)) == [place]


@pytest.mark.parametrize("body", ['{"ready": true} {}', b'\xef\xbb\xbf{"ready": true}'])
def test_the_index_of_models_takes_one_document_and_nothing_beside_it(client, body):
    assert client.post("/v2/repository/index", body).status_code == 400


@pytest.mark.parametrize(
    ("body", "answer"), [(b"", False), (b"{}", False), (b'{"ready": null}', False), (b'{"ready": true} ', True)]
)
def test_a_request_for_the_index_may_ask_for_what_is_ready(body, answer):
    assert wants_only_ready(body) is answer


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"ready": true} {}', "(body)"),
        (b'\xef\xbb\xbf{"ready": true}', "(body)"),
        (b'{"ready": true, "ready": false}', "/ready"),
        (b'{"ready": true, "name": "m"}', "/name"),
        (b'{"ready": NaN}', "/ready"),
        (b"[]", "(body)"),
    ],
)
def test_a_request_for_the_index_is_one_object_of_its_form(body, place):
    with pytest.raises(InvalidArgument) as refusal:
        wants_only_ready(body)
    assert [problem.pointer or "(body)" for problem in refusal.value.problems] == [place]
