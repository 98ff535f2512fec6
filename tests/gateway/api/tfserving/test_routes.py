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
        "Matrix size-incompatible: In[0]: [1,3]\n/instances: expected float[-1,2], got shape [1, 3]\n"
        'serving_default takes x (float[-1,2])\nFor example: {"instances": [[1.0, 1.0]]}'
    )


def test_when_the_model_refuses_what_fits_its_signature_the_answer_says_so(client):
    client.fake.failures = [(grpc.StatusCode.INVALID_ARGUMENT, "Input is not invertible.")]
    assert client.post("/v1/models/m:predict", {"instances": [[1, 2]]}).json == {
        "error": "Input is not invertible.\nThe request fits x (float[-1,2]): the model itself refused these values"
    }


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/models/nope:predict", 404, "Servable not found for request: Latest(nope). Served are: m"),
        ("/v1/models/m/versions/9:predict", 404, "Servable not found for request: Specific(m, 9). m has the versions: 1"),
        ("/v1/models/m/labels/nope:predict", 400, "Unrecognized servable version label: nope. m has the versions: 1"),
        ("/v1/models/nope/labels/nope:predict", 400, "Unrecognized servable version label: nope. Served are: m"),
        ("/v1/models/m:PREDICT", 400, "Malformed request: POST /v1/models/m:PREDICT"),
        ("/v1/models/m/versions/99999999999999999999:predict", 400, "Failed to convert version"),
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
    told = "/v1/models/m takes GET; a prediction is POST /v1/models/m:predict"
    assert response.json == {"error": f"Malformed request: {method} /v1/models/m\n{told}"}


@pytest.mark.parametrize("path", ["/v1/", "/v1/models/m/", "/v1/models/debug/model_name", "/v1//models/m"])
def test_a_path_that_is_none_is_malformed_and_not_redirected(client, path):
    response = client.get(path)
    assert response.status_code == 400
    assert response.json["error"].startswith(f"Malformed request: GET {path}\nthe routes are GET /v1/models,")


def test_a_verb_that_is_asked_for_by_another_method_says_which_it_takes(client):
    told = {"error": "Malformed request: GET /v1/models/m:predict\n/v1/models/m:predict takes POST"}
    assert client.get("/v1/models/m:predict").json == told


@pytest.mark.parametrize("verb", ["predict", "classify"])
def test_an_encoding_that_is_not_undone_is_named(client, verb):
    response = client.post(f"/v1/models/m:{verb}", b"\x1b\x0f\x00", headers={"Content-Encoding": "br"})
    assert response.status_code == 400
    assert response.json["error"].startswith("JSON Parse error")
    assert "The body looks like br, as its Content-Encoding says: only gzip is undone under /v1" in response.json["error"]


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
    assert response.status_code == 404
    assert response.json == {"error": "Could not find any versions of model nope. Served are: m"}


def test_metadata_is_that_of_the_rest_port(client):
    response = client.get("/v1/models/m/metadata")
    assert response.headers["X-Model-Version"] == "1"
    document = response.json
    assert document["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    assert list(document["metadata"]["signature_def"]["signature_def"]) == ["serving_default"]


def test_the_list_says_which_signatures_are_never_joined_and_why(make_client, config_file):
    client = make_client(model_config_file=config_file, batch_off="off*")
    labels = signature(
        {"x": (DataType.DT_FLOAT, [-1, 2])}, {"y": (DataType.DT_FLOAT, [-1, 2]), "labels": (DataType.DT_STRING, [2])}
    )
    lost = Version(lambda inputs: {"y": inputs["x"][1:]})
    client.fake.models |= {
        "labels": {3: Version(signatures={"serving_default": labels})},
        "off": {1: Version()},
        "lost": {2: lost},
    }
    for name in ("labels", "off", "lost"):
        assert client.post(f"/v1/models/{name}:predict", {"inputs": [[1, 2]]}).status_code == 200
    listed = {model["name"]: model["not_joined"] for model in client.get("/v1/models").json["models"]}
    assert listed == {
        "m": [],
        "labels": ["version 3, signature serving_default: output labels: dimension 0 of string[2] is not free"],
        "lost": ["version 2, signature serving_default: output y: not one row for each input row"],
        "off": ["version 1, signature serving_default: GATEWAY_BATCH_OFF names the model"],
    }


def test_without_batches_the_list_says_so(make_client, config_file):
    client = make_client(model_config_file=config_file, batch_max_rows=0)
    assert client.get("/v1/models").json["models"][0]["not_joined"] == [
        "version 1, signature serving_default: GATEWAY_BATCH_MAX_ROWS is 0"
    ]


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
                "not_joined": [],
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


def test_an_unknown_trace_method_is_refused_in_json(client):
    response = client.http.open("/v1/models/m", method="TRACE")
    assert (response.status_code, list(response.json)) == (501, ["error"])


def test_head_is_refused_without_a_body(client):
    response = client.http.head("/v1/models/m")
    assert (response.status_code, response.data) == (400, b"")


def test_strings_pass_through_whatever_their_bytes(client):
    texts = signature({"s": (DataType.DT_STRING, [-1])}, {"t_bytes": (DataType.DT_STRING, [-1])})
    client.fake.models["texts"] = {1: Version(lambda inputs: {"t_bytes": inputs["s"]}, {"serving_default": texts})}
    response = client.post("/v1/models/texts:predict", b'{"instances": ["\xff", "ok"]}')
    assert response.json == {"predictions": [{"b64": "/w=="}, {"b64": "b2s="}]}


@pytest.mark.parametrize(
    "body",
    [
        b'{"signature_name": "\xff", "instances": [[1, 2]]}',
        b'{"instances": ["\xff"]}',
        b'{"instances": [{"\xff": 1}]}',
        b'{"instances": [{"x": ["\xff", 1]}]}',
        b'"\xff"',
    ],
    ids=["signature", "element", "name", "element of an object", "top level"],
)
def test_a_refusal_that_quotes_raw_bytes_is_valid_json(client, body):
    response = client.post("/v1/models/m:predict", body)
    assert response.status_code == 400
    assert response.json["error"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("tokens", (200, b'{"predictions":[1.0,NaN,-Infinity]}')),
        ("null", (200, b'{"predictions":[1.0,null,null]}')),
        ("error", (400, b'{"error":"2 of the 3 numbers in y are not finite, which JSON cannot tell\\nnpy has such numbers')),
    ],
)
def test_the_setting_chooses_how_numbers_that_are_not_finite_are_written(make_client, config_file, choice, expected):
    client = make_client(model_config_file=config_file, non_finite=choice)
    response = client.post("/v1/models/m:predict", '{"instances": [0.5, NaN, -Infinity]}')
    assert (response.status_code, response.data[: len(expected[1])]) == expected


@pytest.mark.parametrize("verb", ["predict", "classify", "regress"])
def test_a_hostile_signature_name_is_neither_echoed_whole_nor_logged_whole(client, verb):
    document = {"signature_name": "s" * 100_000, "instances": [[1, 2]], "examples": [{}]}
    client.fake.failures = [] if verb == "predict" else [(grpc.StatusCode.INVALID_ARGUMENT, "No signature was found")]
    response = client.post(f"/v1/models/m:{verb}", document)
    assert response.status_code == 400
    assert len(response.json["error"]) < 1000
    assert "serving_default" in response.json["error"]


def test_an_unknown_label_is_answered_with_those_of_the_config_file(make_client, tmp_path):
    path = tmp_path / "models.config"
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "next" value: 2 }'
    path.write_text(f'model_config_list {{ config {{ name: "m" base_path: "/m" model_platform: "tensorflow" {labels} }} }}')
    response = make_client(model_config_file=path).get("/v1/models/m/labels/sable/metadata")
    assert response.json["error"].endswith("m has the versions: 1; labels in the server's config: next, stable")


def test_what_there_is_is_told_from_memory(client):
    client.get("/v1/models/nope/metadata")
    client.fake.calls.clear()
    assert "Served are: m" in client.get("/v1/models/nope/metadata").json["error"]
    assert client.fake.calls.count("GetModelMetadata") == 1
