"""/v1/...: TensorFlow Serving's REST dialect, through the whole application."""

import grpc
import numpy as np
import pytest

from gateway.backend.stubs import DataType
from tests.gateway.fake_serving import END, Version, signature
from tests.waiting import wait_for


def test_row_format_is_answered_with_predictions(client):
    response = client.post("/v1/models/m:predict", {"instances": [[1, 2], [3, 4]]})
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.json == {"predictions": [[2.0, 4.0], [6.0, 8.0]]}


def test_columnar_format_is_answered_with_outputs(client):
    assert client.post("/v1/models/m:predict", {"inputs": [[1, 2]]}).json == {"outputs": [[2.0, 4.0]]}


@pytest.mark.parametrize(
    "path", ["/v1/models/m:predict", "/v1/models/m/versions/1:predict", "/v1/models/m/labels/stable:predict"]
)
def test_the_answer_says_which_version_gave_it(client, path):
    client.fake.models["m"][1].run = lambda inputs: {"y": inputs["x"] + 1}
    client.fake.labels["m", "stable"] = 1
    response = client.post(path, {"instances": [[1, 2]]})
    assert response.json == {"predictions": [[2.0, 3.0]]}
    assert response.headers["X-Model-Version"] == "1"


def test_a_shape_that_does_not_fit_is_forwarded_and_answered(client):
    assert client.post("/v1/models/m:predict", {"instances": [1.0, 2.0, 5.0]}).json == {"predictions": [2.0, 4.0, 10.0]}


def test_when_the_model_then_refuses_the_answer_holds_its_words_and_the_expected_shape(client):
    client.fake.failures = [(grpc.StatusCode.INVALID_ARGUMENT, "Matrix size-incompatible: In[0]: [1,3]")]
    response = client.post("/v1/models/m:predict", {"instances": [[1, 2, 3]]})
    assert response.status_code == 400
    assert response.json["error"] == (
        "Matrix size-incompatible: In[0]: [1,3]\n/instances: expected float[-1,2], got shape [1, 3]"
    )


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/models/nope:predict", 404, "Servable not found for request: Latest(nope)"),
        ("/v1/models/m/versions/9:predict", 404, "Servable not found for request: Specific(m, 9)"),
        ("/v1/models/m/labels/nope:predict", 400, "Unrecognized servable version label: nope"),
        ("/v1/models/m:PREDICT", 400, "Malformed request: POST /v1/models/m:PREDICT"),
        ("/v1/models/m/versions/99999999999999999999:predict", 400, "Failed to convert version"),
        ("/v1/models/m:classify", 501, "gRPC"),
    ],
)
def test_what_is_not_there_is_named(client, path, status, error):
    response = client.post(path, {"instances": [[1, 2]]})
    assert response.status_code == status
    assert set(response.json) == {"error"}
    assert error in response.json["error"]


def test_an_unknown_signature_is_refused_with_those_there_are(client):
    response = client.post("/v1/models/m:predict", {"signature_name": "nope", "instances": [[1, 2]]})
    assert response.status_code == 400
    assert response.json["error"].startswith('Serving signature name: "nope" not found in signature def')
    assert "serving_default" in response.json["error"]


def test_bad_json_wins_over_an_unknown_model(client):
    response = client.post("/v1/models/nope:predict", "{bad json")
    assert response.status_code == 400
    assert response.json["error"].startswith("JSON Parse error")


def test_an_unknown_model_wins_over_missing_instances(client):
    assert client.post("/v1/models/nope:predict", {}).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_malformed(client, method):
    response = client.http.open("/v1/models/m", method=method)
    assert response.status_code == 400
    assert response.json == {"error": f"Malformed request: {method} /v1/models/m"}


@pytest.mark.parametrize("path", ["/v1/", "/v1/models/m/", "/v1/models/debug/model_name", "/v1//models/m"])
def test_a_path_that_is_none_is_malformed_and_not_redirected(client, path):
    response = client.get(path)
    assert response.status_code == 400
    assert response.json == {"error": f"Malformed request: GET {path}"}


def test_query_strings_are_ignored(client):
    assert client.post("/v1/models/m:predict?x=1", {"instances": [[1, 2]]}).status_code == 200


def test_escapes_in_a_name_are_decoded(client):
    client.fake.models["a/b:c"] = {1: Version()}
    assert client.get("/v1/models/a%2Fb%3Ac").status_code == 200


def test_status_lists_every_version_newest_first_with_its_error(client):
    client.fake.models["m"][2] = Version(state=END, error_code=3, error_message="broken")
    assert client.get("/v1/models/m").json == {
        "model_version_status": [
            {"version": "2", "state": "END", "status": {"error_code": "INVALID_ARGUMENT", "error_message": "broken"}},
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        ]
    }


def test_status_of_an_unknown_model_is_404(client):
    response = client.get("/v1/models/nope")
    assert (response.status_code, response.json) == (404, {"error": "Could not find any versions of model nope"})


def test_metadata_is_that_of_the_rest_port(client):
    response = client.get("/v1/models/m/metadata")
    assert response.headers["X-Model-Version"] == "1"
    document = response.json
    assert document["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    assert list(document["metadata"]["signature_def"]["signature_def"]) == ["serving_default"]


def test_the_models_are_listed(client):
    client.fake.models["m"][2] = Version(state=END, error_code=3, error_message="broken")
    wait_for(lambda: client.get("/v1/models").json["models"][0]["problems"])
    assert client.get("/v1/models").json == {
        "models": [
            {
                "name": "m",
                "ready": True,
                "versions": [{"version": "2", "state": "END"}, {"version": "1", "state": "AVAILABLE"}],
                "problems": ["version 2 failed: INVALID_ARGUMENT: broken"],
            }
        ]
    }


def test_a_version_with_another_signature_is_used_as_soon_as_it_answers(make_client):
    """The catalog has not seen version 2 when the first request for it comes."""
    client = make_client(catalog_poll_ms=60_000)
    assert client.post("/v1/models/m:predict", {"instances": [[1, 2]]}).headers["X-Model-Version"] == "1"
    integers = signature({"n": (DataType.DT_INT64, [-1])}, {"y": (DataType.DT_INT64, [-1])})
    client.fake.models["m"][2] = Version(lambda inputs: {"y": inputs["n"]}, {"serving_default": integers})
    response = client.post("/v1/models/m:predict", {"instances": [{"n": 9007199254740993}]})
    assert (response.status_code, response.headers["X-Model-Version"]) == (200, "2")
    assert response.json == {"predictions": [9007199254740993]}


def test_a_request_that_fits_both_versions_is_built_for_the_one_that_answers(make_client):
    client = make_client(catalog_poll_ms=60_000)
    client.post("/v1/models/m:predict", {"instances": [[1, 2]]})
    integers = signature({"x": (DataType.DT_INT32, [-1, 2])}, {"y": (DataType.DT_INT32, [-1, 2])})
    seen = []

    def run(inputs):
        seen.append(inputs["x"].dtype)
        return {"y": inputs["x"]}

    client.fake.models["m"][2] = Version(run, {"serving_default": integers})
    assert client.post("/v1/models/m:predict", {"instances": [[1, 2]]}).json == {"predictions": [[1, 2]]}
    assert seen[-1] == np.int32
