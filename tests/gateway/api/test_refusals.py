"""A refusal is the same to the last word whatever is known of the model and however large the body is."""

import json
import re

import pytest

from gateway.backend.stubs import DataType
from tests.gateway.api.bodies import WIDE
from tests.gateway.fake_serving import Version, signature

V1, SIMPLE, V2 = "/v1/models/{}:predict", "/predict/{}", "/v2/models/{}/infer"
GOOD = {
    V1: '{"instances": [[1, 2]]}',
    SIMPLE: '{"data": [1, 2]}',
    V2: '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}',
}
LISTS = [
    *("[[1, ~2], [3]]", "[[1, ~2], [3, null]]", '[[1, ~"2"]]', "[[1, ~true]]", "[[1, ~2], 3]", "[[1, ~2]", "[[1, ~2.]]"),
    *("[[1, ~]]", "[[1, ~1e400]]", "[[1, ~2]]]", "[[1, ~2]] x", "{}", "null", "[]", "[[[1, ~2]], [[1]]]", "[[1, ~{}]]"),
    *("[[1, ~NaN]]", "[1, ~[2]]", "[[1, ~2, 3]]", "[[1, ~18446744073709551616]]", "[[[1, ~2]]]", "1"),
]
BODIES = {
    V1: [
        *(f'{{"{key}": {text}}}' for key in ("instances", "inputs") for text in LISTS),
        *("[[1, ~2]]", '{"instances": [[1, ~2]], "inputs": [[1, ~2]]}', '{"signature_name": 1, "instances": [[1, ~2]]}'),
        *('{"instances": [{"x": [1, ~2]}, {"y": [1, ~2]}]}', '{"inputs": {"y": [[1, ~2]]}}', '{"other": [[1, ~2]]}'),
        *('{"signature_name": "other", "instances": [[1, ~2]]}', "null", "{", "", "nothing"),
    ],
    SIMPLE: [
        *(f'{{"data": {text}}}' for text in LISTS),
        *("[[1, ~2]]", '{"x": [1, ~2], "data": [1, ~2]}', '{"y": [1, ~2]}', "null"),
        *('{"x": [1, ~2], "x": [1, ~2]}', '{"data": 1, "data": [1, ~2]}', '{"data": [1, ~2], "data": 1}'),
    ],
    V2: [
        *(f'{{"inputs": [{{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": {text}}}]}}' for text in LISTS),
        '{"inputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1, ~2]}]}',
        '{"inputs": [{"name": "x", "datatype": "INT8", "shape": [2], "data": [1, ~2]}]}',
        '{"inputs": [{"name": "x", "shape": [1, ~2], "data": [1, 2], "parameters": {"binary_data_size": 4}}]}',
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1, ~2], "parameters": {"binary_data_size": 4}}]}',
        *('{"inputs": [[1, ~2]]}', "[[1, ~2]]", '{"id": [1, ~2], "inputs": []}', '{"inputs": [1, ~2]}'),
    ],
}
CASES = [(route, body) for route, bodies in BODIES.items() for body in bodies]


def refusal(client, route, body, model="m"):
    response = client.post(route.format(model), body)
    return response.status_code, re.sub(r"offset: \d+", "offset", response.text), response.headers.get("X-Model-Version")


def test_refusals_depend_neither_on_size_nor_on_what_is_known(client):
    before = [refusal(client, route, body.replace("~", "")) for route, body in CASES]
    for route, body in GOOD.items():
        assert client.post(route.format("m"), body).status_code == 200
    known = [refusal(client, route, body.replace("~", "")) for route, body in CASES]
    large = [refusal(client, route, body.replace("~", WIDE)) for route, body in CASES]
    for case, *seen in zip(CASES, before, known, large, strict=True):
        assert seen[0] == seen[1] == seen[2], case
    assert sum(status == 400 for status, *_ in before) > 50


@pytest.mark.parametrize("gap", ["", WIDE], ids=["small", "large"])
@pytest.mark.parametrize("route", GOOD)
def test_what_is_no_json_is_told_before_the_model_is_looked_for(client, route, gap):
    body = GOOD[route].replace("1, 2]", f"1, {gap}2.]")
    status, text, version = refusal(client, route, body, "unheard-of")
    assert (status, version) == (400, None)
    assert "JSON Parse error" in text
    assert refusal(client, route, GOOD[route].replace("1, 2]", f"1, {gap}2]"), "unheard-of")[0] == 404


def test_a_body_is_read_again_when_the_model_has_another_signature(client):
    for route, body in GOOD.items():
        assert client.post(route.format("m"), body).status_code == 200
    wider = signature({"x": (DataType.DT_FLOAT, [-1, 3])}, {"y": (DataType.DT_FLOAT, [-1, 3])})
    client.fake.models["m"] = {2: Version(signatures={"serving_default": wider})}
    for route, body in GOOD.items():
        longer = body.replace("1, 2]", "1, 2, 3]").replace('"shape": [1, 2, 3]', '"shape": [1, 3]')
        response = client.post(route.format("m"), longer)
        assert (response.status_code, response.headers["X-Model-Version"]) == (200, "2"), response.text
        assert "6.0" in json.dumps(response.json)
