"""A refusal never stands alone: after its own words it says what there is instead, with an example that works as it is."""

import json
import re
import shlex

import numpy as np
import pytest

from gateway.backend.stubs import DataType
from tests.gateway.fake_serving import Version, signature

FLOAT, STRING, HALF, COMPLEX = DataType.DT_FLOAT, DataType.DT_STRING, DataType.DT_HALF, DataType.DT_COMPLEX64
ROWS = {"x": (FLOAT, [-1, 2])}
ANSWER = {"y": (FLOAT, [-1])}
PREDICT, INFER, SIMPLE = "/v1/models/{}:predict", "/v2/models/{}/infer", "/predict/{}"


def zeros(outputs):
    """What runs a model with these outputs: as many rows as the first input has, and 1 for any other free size."""

    def run(inputs):
        rows = max((len(array) for array in inputs.values() if array.ndim), default=1)
        return {name: array(dtype, sizes, rows) for name, (dtype, sizes) in outputs.items()}

    return run


def array(dtype, sizes, rows):
    shape = [rows if index == 0 and size < 0 else abs(size) for index, size in enumerate(sizes)]
    numpy = {FLOAT: np.float32, HALF: np.float16, COMPLEX: np.complex64, STRING: object}[dtype]
    return np.full(shape, b"a", object) if dtype == STRING else np.zeros(shape, numpy)


MODELS = {
    "plain": (ROWS, ANSWER),
    "two": ({"a": (FLOAT, [-1]), "b": (FLOAT, [-1])}, ANSWER),
    "bare": ({"x": (FLOAT, [-1, 2]), "k": (FLOAT, [])}, ANSWER),
    "labelled": (ROWS, {"labels": (STRING, [2]), "scores": (FLOAT, [-1, 2])}),
    "total": (ROWS, {"total": (FLOAT, [])}),
    "half": (ROWS, {"y": (HALF, [-1])}),
    "halves": ({"x": (HALF, [-1, 2])}, ANSWER),
    "complex": (ROWS, {"y": (COMPLEX, [-1])}),
    "complexes": ({"x": (COMPLEX, [-1, 2])}, ANSWER),
    "text": ({"s": (STRING, [-1])}, ANSWER),
    "large": ({"image": (FLOAT, [-1, 64, 64, 3])}, ANSWER),
}


@pytest.fixture
def models(client):
    for name, (inputs, outputs) in MODELS.items():
        client.fake.models[name] = {1: Version(zeros(outputs), {"serving_default": signature(inputs, outputs)})}
    client.fake.models["named"] = {1: Version(zeros(ANSWER), {"other": signature(ROWS, ANSWER)})}
    return client


def message(response):
    return response.json.get("message") or response.json["error"]


def example(response) -> str:
    return re.search(r"^For example[^{c]*(?:\(.*?\))?: (.*)$", message(response), re.MULTILINE)[1]


def answer_to(client, route, text):
    """What the example ``text`` is answered: a body for ``route``, or a curl of a JSON body."""
    if text.startswith("{"):
        return client.post(route, text)
    words = shlex.split(text)
    assert words[0] == "curl"
    headers = dict(words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H")
    body = words[words.index("-d") + 1]
    return client.post(words[-1].removeprefix("http://localhost"), body, headers=headers)


# Bodies that :predict refuses for every model, and TensorFlow Serving's words for it.
REFUSED = {
    "no body": ("", "JSON Parse error: The document is empty"),
    "no JSON": ("{", "JSON Parse error"),
    "a bare list": ("[1, 2]", "JSON Value: [1, 2] Is not object"),
    "a bare number": ("1.5", "JSON Value: 1.5 Is not object"),
    "no key": ("{}", "Missing 'inputs' or 'instances' key"),
    "the key of another service": ('{"features": [1, 2]}', "Missing 'inputs' or 'instances' key"),
    "a signature only": ('{"signature_name": "serving_default"}', "Missing 'inputs' or 'instances' key"),
    "both keys": ('{"instances": [1], "inputs": [1]}', 'JSON Value: {\n    "instances": [1],'),
    "no instances": ('{"instances": []}', 'JSON Value: {\n    "instances": []\n} No values'),
    "an object of instances": ('{"instances": {}}', 'JSON Value: {\n    "instances": {}\n} Expecting'),
    "an unknown input": ('{"instances": [{"nope": 1}]}', "Failed to process element: 0 key: nope"),
    "a missing input": ('{"inputs": {"nope": 1}}', "Missing named input"),
    "an unknown signature": ('{"signature_name": "nope", "instances": [1]}', 'Serving signature name: "nope" not found'),
}


@pytest.mark.parametrize("model", ["plain", "two", "bare", "labelled", "total", "half", "halves", "complex", "text", "named"])
@pytest.mark.parametrize("refused", REFUSED)
def test_after_upstreams_words_comes_an_example_that_works_for_the_model(models, model, refused):
    body, words = REFUSED[refused]
    route = PREDICT.format(model)
    response = models.post(route, body.replace("serving_default", "other") if model == "named" else body)
    assert response.status_code == 400
    if not (model == "named" and "serving_default" in message(response)):
        assert message(response).startswith(words)
    assert answer_to(models, route, example(response)).status_code == 200, message(response)


def test_a_model_without_a_default_signature_gets_an_example_that_names_another(models):
    response = models.post(PREDICT.format("named"), {"instances": [[1, 2]]})
    assert json.loads(example(response)) == {"signature_name": "other", "instances": [[1.0, 1.0]]}
    for route in (INFER, SIMPLE):
        response = models.post(route.format("named"), {"x": [1, 2]})
        assert answer_to(models, route.format("named"), example(response)).status_code == 200


@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_several_inputs_as_a_list_are_answered_with_their_names(models, key):
    response = models.post(PREDICT.format("two"), {key: [[1, 2]]})
    assert "takes a (float[-1]), b (float[-1])" in message(response)
    assert json.loads(example(response)) == {"instances": [{"a": 1.0, "b": 1.0}]}


def test_a_scalar_beside_rows_is_answered_with_columns(models):
    response = models.post(PREDICT.format("bare"), {"instances": [[1, 2]]})
    assert 'k (float[]): one value for all rows; send "inputs" instead of "instances"' in message(response)
    assert json.loads(example(response)) == {"inputs": {"k": 1.0, "x": [[1.0, 1.0]]}}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("labelled", r"Tensor name: \w+ has inconsistent batch size: \d expecting: \d\nlabels \(string\[2\]\): not one"),
        ("total", r"Tensor name: total has no shape information \ntotal \(float\[\]\)"),
    ],
)
def test_rows_of_an_output_that_has_none_are_answered_with_columns(models, model, words):
    response = models.post(PREDICT.format(model), {"instances": [[1, 2]]})
    assert response.status_code == 400
    assert re.match(words, message(response))
    assert 'not one row for each instance; send "inputs" instead of "instances"' in message(response)
    assert list(json.loads(example(response))) == ["inputs"]
    assert answer_to(models, PREDICT.format(model), example(response)).status_code == 200


@pytest.mark.parametrize(
    ("route", "model", "sent"),
    [
        (PREDICT, "half", {"instances": [[1, 2]]}),
        (PREDICT, "complex", {"inputs": [[1, 2]]}),
        (SIMPLE, "complex", {"x": [1, 2]}),
        (INFER, "complex", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}),
        (PREDICT, "halves", {"inputs": [[1, 2]]}),
        (PREDICT, "halves", {"instances": [[1, 2]]}),
    ],
)
def test_a_dtype_without_json_is_answered_with_a_program_that_has_it(models, route, model, sent):
    response = models.post(route.format(model), sent)
    assert response.status_code in (400, 501)
    assert "npy" in message(response)
    assert example(response).startswith("curl ")
    assert answer_to(models, route, example(response)).status_code == 200


@pytest.mark.parametrize("route", [PREDICT, SIMPLE])
def test_a_complex_input_is_answered_with_a_program_that_saves_one(models, route):
    response = models.post(route.format("complexes"), {"inputs": [[1, 2]], "x": [1, 2]})
    made, _, sent = example(response).partition(" && ")
    words = shlex.split(made)
    assert words[:2] == ["python3", "-c"]
    compile(words[2], "example", "exec")
    assert "numpy.ones(" in words[2]
    assert "complex64" in words[2]
    assert "--data-binary @inputs.npy" in sent


def test_numbers_that_are_not_finite_are_answered_with_npy_where_they_are_refused(make_client, config_file):
    client = make_client(model_config_file=config_file, non_finite="error")
    client.fake.models["m"][1].run = lambda inputs: {"y": np.full_like(inputs["x"], np.inf)}
    response = client.post(PREDICT.format("m"), {"instances": [[1, 2]]})
    assert response.status_code == 400
    assert answer_to(client, PREDICT, example(response)).content_type == "application/x-npy"


def test_an_example_that_were_too_long_is_left_to_the_documentation(models):
    response = models.post(PREDICT.format("large"), {})
    assert "takes image (float[-1,64,64,3])" in message(response)
    assert message(response).endswith("Programs that work: GET /docs/models/large")
    assert models.get("/docs/models/large").status_code == 200


def test_a_refusal_is_bounded_whatever_the_signature(client):
    inputs = {f"{'n' * 5000}{number}": (FLOAT, [-1]) for number in range(300)}
    client.fake.models["wide"] = {1: Version(zeros(ANSWER), {"serving_default": signature(inputs, ANSWER)})}
    assert len(message(client.post(PREDICT.format("wide"), {}))) < 3000


@pytest.mark.parametrize("route", [PREDICT, SIMPLE, INFER])
def test_an_unknown_model_has_no_example_and_is_still_told_what_is_served(client, route):
    assert message(client.post(route.format("nope"), "{")).startswith("JSON Parse error")
    assert "For example" not in message(client.post(route.format("nope"), "{"))
    assert client.post(route.format("nope"), {"inputs": []}).status_code == 404
    assert message(client.post(route.format("nope"), {"inputs": []})).endswith("Served are: m")


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_a_body_for_predict_is_told_where_to_go_and_what_is_taken_here(client, verb):
    examples = {"inputs": (STRING, [-1])}
    outputs = {"scores": (FLOAT, [-1, 2])} if verb == "classify" else {"outputs": (FLOAT, [-1])}
    signatures = {"serving_default": signature(ROWS, ANSWER), "given": signature(examples, outputs)}
    client.fake.models["e"] = {1: Version(signatures=signatures)}
    route = f"/v1/models/e:{verb}"
    response = client.post(route, {"instances": [[1, 2]]})
    assert message(response).startswith('JSON Value: {\n    "instances": [[1, 2]]\n} When method is classify')
    assert "POST it to /v1/models/e:predict" in message(response)
    assert answer_to(client, route, example(response)).status_code == 200


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_a_model_without_a_signature_for_examples_says_what_it_has(models, verb):
    response = models.post(f"/v1/models/plain:{verb}", {})
    assert f"plain has no signature for :{verb}; serving_default is for :predict" in message(response)
    assert answer_to(models, PREDICT, example(response)).status_code == 200
