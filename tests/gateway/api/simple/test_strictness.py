"""What /predict refuses although it could guess what is meant: each with its place, what was expected and what came."""

import io

import numpy as np
import pytest

from tests.gateway.api.bodies import WIDE

GOOD = b'{"x": [1, 2]}'
LARGE = f'{{"x": [1, {WIDE}2]}}'.encode()

BEHIND = {
    "a word": (b" x", '"x"'),
    "a bracket": (b"}", '"}"'),
    "a second document": (b' {"x": [1, 2]}', r'"{\"x\": [1, 2]}"'),
    "the next line": (b"\n[3, 4]\n", '"[3, 4]"'),
    "NUL": (b"\0", r'"\u0000"'),
    "bytes that are no text": (b"\xff\xfe", '"\ufffd\ufffd"'),
}


def only_problem(response):
    assert response.status_code == 400, response.text
    (problem,) = response.json["details"]
    return problem


@pytest.mark.parametrize("is_known", [False, True], ids=["first request", "known signature"])
@pytest.mark.parametrize("body", [GOOD, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("behind", "got"), BEHIND.values(), ids=BEHIND.keys())
def test_nothing_follows_the_example(client, body, behind, got, is_known):
    if is_known:
        assert client.post("/predict/m", body + b"\r\n ").status_code == 200
    calls = client.fake.calls.count("Predict")
    response = client.post("/predict/m", body + behind)
    assert only_problem(response) == {"pointer": "", "expected": "nothing after the JSON document", "got": got}
    assert "(body): expected nothing after the JSON document" in response.json["message"]
    assert client.fake.calls.count("Predict") == calls


@pytest.mark.parametrize("is_known", [False, True], ids=["first request", "known signature"])
@pytest.mark.parametrize("body", [GOOD, LARGE], ids=["small", "large"])
def test_a_byte_order_mark_is_no_json(client, body, is_known):
    if is_known:
        assert client.post("/predict/m", body).status_code == 200
    response = client.post("/predict/m", b"\xef\xbb\xbf" + body)
    assert only_problem(response) == {"pointer": "", "expected": "JSON without a byte order mark", "got": "a byte order mark"}


def test_one_line_for_each_example_is_told_how_to_send_them(client):
    response = client.post("/predict/m", GOOD + b"\n" + GOOD)
    assert response.status_code == 400
    assert "JSON lines" in response.json["message"]


@pytest.mark.parametrize("token", ["NaN", "-Infinity"])
def test_a_number_that_json_does_not_have_is_refused_wherever_it_stands(client, token):
    problem = only_problem(client.post("/predict/m", f'{{"x": [1, {token}]}}'))
    assert (problem["pointer"], problem["got"]) == ("/x/1", token)
    problem = only_problem(client.post("/predict/m", f'{{"x": [1, 2], "y": {token}}}'))
    assert problem["pointer"] == "/y"


@pytest.mark.parametrize("escape", ["\\ud800", "\\udc00", "\\udc00\\ud800"])
def test_a_surrogate_without_its_other_half_is_no_text(client, escape):
    response = client.post("/predict/m", f'{{"x{escape}": [1, 2]}}')
    assert response.status_code == 400
    assert "The surrogate pair in string is invalid" in response.json["message"]


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize(("save", "kind"), [(np.save, "npy"), (np.savez, "npz")])
def test_arrays_stand_alone_in_their_body_too(client, save, kind, place):
    file = io.BytesIO()
    save(file, **({"arr": np.array([1, 2], np.float32)} if kind == "npy" else {"x": np.array([1, 2], np.float32)}))
    headers = {"Content-Type": f"application/x-{kind}"}
    assert client.http.post("/predict/m", data=file.getvalue(), headers=headers).status_code == 200
    body = b"?" + file.getvalue() if place == "before" else file.getvalue() + b"?"
    assert only_problem(client.http.post("/predict/m", data=body, headers=headers))["pointer"] == ""


@pytest.mark.parametrize("body", [b'{"instances": [[1, 2]]} x', b'\xef\xbb\xbf{"instances": [[1, 2]], "instances": 1}'])
def test_the_compatible_dialect_still_takes_what_tensorflow_serving_takes(client, body):
    assert client.post("/v1/models/m:predict", body).json == {"predictions": [[2.0, 4.0]]}
