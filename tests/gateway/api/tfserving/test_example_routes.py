""":classify and :regress through the whole application."""

import json

import grpc
import pytest

from gateway.backend.stubs import DataType
from tests.gateway.fake_serving import Version, signature

EXAMPLES = {"inputs": (DataType.DT_STRING, [-1])}
CLASSIFIER = signature(EXAMPLES, {"classes": (DataType.DT_STRING, [-1, 2]), "scores": (DataType.DT_FLOAT, [-1, 2])})
REGRESSOR = signature(EXAMPLES, {"outputs": (DataType.DT_FLOAT, [-1])})
NUMBERS = signature({"x": (DataType.DT_FLOAT, [-1, 1])}, {"y": (DataType.DT_FLOAT, [-1, 1])})
SIGNATURES = {"serving_default": NUMBERS, "best": CLASSIFIER, "value": REGRESSOR}


@pytest.fixture
def seen(client):
    """The Input messages that the model server got."""
    inputs = []

    def classify(request):
        inputs.append(request)
        return [[("null", 0.1), ("dog", float("nan"))]]

    def regress(request):
        inputs.append(request)
        return [1 / 3, float("inf")]

    client.fake.models["e"] = {7: Version(signatures=SIGNATURES, classify=classify, regress=regress)}
    return inputs


def test_a_classifier_answers_with_labels_and_scores(client, seen):
    response = client.post("/v1/models/e:classify", {"signature_name": "best", "examples": [{"x": 1.5}]})
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert response.data == b'{"results":[[["null",0.1],["dog",NaN]]]}'
    assert response.headers["X-Model-Version"] == "7"


def test_a_regressor_answers_with_values_as_short_as_float32(client, seen):
    response = client.post("/v1/models/e/versions/7:regress", {"signature_name": "value", "examples": [{}, {}]})
    assert response.data == b'{"results":[0.33333334,Infinity]}'
    assert response.headers["X-Model-Version"] == "7"


def test_examples_arrive_as_they_were_sent(client, seen):
    body = b"""{"signature_name": "best", "examples": [
        {"float": [1.0, 2e0], "int": [1, true], "text": ["a", {"b64": "/w=="}], "none": []}, {}]}"""
    client.post("/v1/models/e:classify", body)
    first, second = seen[0].example_list.examples
    features = first.features.feature
    assert list(features["float"].float_list.value) == [1.0, 2.0]
    assert list(features["int"].int64_list.value) == [1, 1]
    assert list(features["text"].bytes_list.value) == [b"a", b"\xff"]
    assert features["none"].WhichOneof("kind") is None
    assert not second.features.feature


@pytest.mark.parametrize("context", [{}, {"q": "a"}])
def test_a_context_even_an_empty_one_makes_the_form_with_context(client, seen, context):
    client.post("/v1/models/e:regress", {"signature_name": "value", "context": context, "examples": [{"x": 1.0}]})
    assert seen[0].WhichOneof("kind") == "example_list_with_context"
    assert set(seen[0].example_list_with_context.context.features.feature) == set(context)
    assert len(seen[0].example_list_with_context.examples) == 1


def test_the_metrics_count_calls_and_examples(client, seen):
    client.fake.models["counted"] = client.fake.models.pop("e")
    client.post("/v1/models/counted:classify", {"signature_name": "best", "examples": [{}, {}, {}]})
    metrics = client.get("/metrics").text
    assert 'gateway_requests_total{model="counted",signature="best",status="200",version="7"} 1.0' in metrics
    assert 'gateway_rows_total{model="counted",signature="best",version="7"} 3.0' in metrics


@pytest.mark.parametrize("verb", ["predict", "classify"])
def test_a_signature_that_does_not_exist_makes_no_metric(client, seen, verb):
    client.fake.failures = [] if verb == "predict" else [(grpc.StatusCode.INVALID_ARGUMENT, "No signature was found")]
    client.post(f"/v1/models/e:{verb}", {"signature_name": "made-up", "examples": [{}]})
    assert "made-up" not in client.get("/metrics").text


def test_no_result_is_an_error_in_upstreams_words(client, seen):
    client.fake.models["e"][7].regress = lambda request: []
    response = client.post("/v1/models/e:regress", {"examples": [{}]})
    assert (response.status_code, response.json) == (400, {"error": "Cannot convert empty RegressionResults to JSON"})


@pytest.mark.parametrize(
    ("verb", "asked", "told"),
    [
        (
            "classify",
            "value",
            (
                'Expected classification signature outputs to contain at least one of "classes" or "scores".'
                " Signature was: inputs {\n  key: ...",
                'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was:'
                " value takes inputs (string[-1]) and gives outputs (float[-1]). For :classify there are: best",
            ),
        ),
        (
            "regress",
            "",
            (
                "No regression inputs found in SignatureDef: inputs {\n  key: ...",
                "No regression inputs found in SignatureDef: serving_default takes x (float[-1,1]) and gives y (float[-1,1])."
                " For :regress there are: value",
            ),
        ),
        ("regress", "nope", ("No signature was found", "found. Version 7 of e has: best, serving_default, value")),
        ("regress", "valeu", ("No signature was found", "found. Version 7 of e has: value, best, serving_default")),
        ("regress", "value", ("Data type: int64 but expected type: float", "for a float write 2.0, not 2")),
        ("regress", "value", ("Feature: x is required", "Feature: x is required")),
    ],
    ids=["wrong outputs", "wrong inputs", "unknown", "misspelt", "integer for float", "any other"],
)
def test_a_refusal_keeps_upstreams_words_and_says_what_there_is(client, seen, verb, asked, told):
    refusal, error = told
    client.fake.failures = [(grpc.StatusCode.INVALID_ARGUMENT, refusal)]
    response = client.post(f"/v1/models/e:{verb}", {"signature_name": asked, "examples": [{"x": 2}]})
    assert response.status_code == 400
    words, _, example = response.json["error"].partition("\nFor example")
    assert words.endswith(error)
    assert "{" not in words
    body = example.partition("): ")[2]
    assert client.post(f"/v1/models/e:{verb}", body).status_code == 200


@pytest.mark.parametrize(
    ("model", "body", "status"),
    [
        ("nope", "{", 400),
        ("nope", {"signature_name": 1, "examples": 1}, 400),
        ("nope", {"context": 1}, 400),
        ("nope", {"examples": []}, 400),
        ("nope", {"examples": [{}]}, 404),
    ],
    ids=["JSON", "signature", "context", "examples", "model"],
)
def test_the_body_is_checked_before_the_model(client, model, body, status):
    response = client.post(f"/v1/models/{model}:regress", body)
    assert response.status_code == status
    assert client.fake.calls.count("Regress") == 0


def test_an_answer_that_is_no_legal_json_follows_the_setting(make_client, config_file):
    client = make_client(model_config_file=config_file, non_finite="null")
    client.fake.models["m"][1].classify = lambda request: [[("a", float("inf"))]]
    response = client.post("/v1/models/m:classify", {"examples": [{}]})
    assert json.loads(response.data) == {"results": [[["a", None]]]}
