"""The routes of SageMaker's and Vertex AI's contracts answer as the routes of which they are other names."""

import io
import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from openapi_spec_validator import validate

from gateway.app import close, create_app
from gateway.settings import settings_from_environment
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.conftest import Client
from tests.gateway.fake_serving import END, Version, serving
from tests.waiting import wait_for

SAGEMAKER = {"GATEWAY_CONTAINER_CONTRACT": "sagemaker"}
VERTEX = {
    "GATEWAY_CONTAINER_CONTRACT": "vertex",
    "AIP_HTTP_PORT": "8080",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/7/deployedModels/9",
    "AIP_PREDICT_ROUTE": "/v1/endpoints/7/deployedModels/9:predict",
}
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
ROWS = {"instances": [[1, 2], [3, 4]]}


@pytest.fixture
def make_contained(fake, config_file):
    """Makes a client of an app with such an environment; waits until its one model answers."""
    apps = []
    with serving(fake) as port:

        def make(environment: dict[str, str]) -> Client:
            own = {"GATEWAY_SERVING_TARGET": f"127.0.0.1:{port}", "GATEWAY_CATALOG_POLL_MS": "50"}
            own |= {"GATEWAY_MODEL_CONFIG_FILE": str(config_file)}
            app = create_app(settings_from_environment(own | environment))
            apps.append(app)
            client = Client(app, fake)
            wait_for(lambda: client.get("/readyz").status_code == 200)
            return client

        yield make
        for app in apps:
            close(app)


@pytest.fixture
def sagemaker(make_contained):
    return make_contained(SAGEMAKER)


def same(one, other) -> None:
    assert (one.status_code, one.data, one.content_type) == (other.status_code, other.data, other.content_type)


def test_an_invocation_is_a_prediction_of_the_only_model(sagemaker):
    response = sagemaker.post("/invocations", ROWS, content_type="application/json")
    assert (response.status_code, response.json) == (200, {"predictions": [[2.0, 4.0], [6.0, 8.0]]})
    assert response.headers["X-Model-Version"] == "1"
    same(response, sagemaker.post("/v1/models/m:predict", ROWS))


def test_ping_says_what_readyz_says(sagemaker):
    same(sagemaker.get("/ping"), sagemaker.get("/readyz"))
    assert sagemaker.get("/ping").status_code == 200
    sagemaker.fake.models["m"][1].state = END
    wait_for(lambda: sagemaker.get("/ping").status_code == 503)
    assert sagemaker.get("/ping").json["reasons"]


@pytest.mark.parametrize(
    ("attributes", "path"),
    [
        ("tfs-model-name=other", "/v1/models/other:predict"),
        ("tfs-model-name=other,tfs-model-version=1", "/v1/models/other/versions/1:predict"),
        ("tfs-model-version=4", "/v1/models/m/versions/4:predict"),
        ("tfs-model-name=absent", "/v1/models/absent:predict"),
    ],
)
def test_the_custom_attributes_say_the_model_and_the_version(sagemaker, attributes, path):
    sagemaker.fake.models["other"] = {1: Version(lambda inputs: {"y": inputs["x"] + 1}), 2: Version()}
    response = sagemaker.post("/invocations", ROWS, headers={ATTRIBUTES: attributes})
    same(response, sagemaker.post(path, ROWS))


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_the_custom_attributes_say_the_method(sagemaker, method):
    document = {"examples": [{"a": 1.0, "b": 2.0}]}
    response = sagemaker.post("/invocations", document, headers={ATTRIBUTES: f"tfs-method={method}"})
    assert response.status_code == 200
    same(response, sagemaker.post(f"/v1/models/m:{method}", document))


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_rows_for_a_method_that_takes_examples_are_told_the_attribute_that_predicts(sagemaker, method):
    response = sagemaker.post("/invocations", ROWS, headers={ATTRIBUTES: f"tfs-method={method}"})
    assert response.status_code == 400
    assert "say tfs-method=predict, or leave tfs-method out" in response.json["error"]
    assert "POST it to" not in response.json["error"]
    assert "POST it to /v1/models/m:predict" in sagemaker.post(f"/v1/models/m:{method}", ROWS).json["error"]


def test_arrays_are_taken_and_given(sagemaker):
    array = np.array([[1, 2]], np.float32)
    file = io.BytesIO()
    np.save(file, array)
    npy = "application/x-npy"
    response = sagemaker.post("/invocations", file.getvalue(), content_type=npy, headers={"Accept": npy})
    assert response.content_type == npy
    np.testing.assert_array_equal(np.load(io.BytesIO(response.data)), array * 2)


@pytest.mark.parametrize("media_type", ["text/csv", "application/jsonlines", "application/jsons; charset=utf-8"])
def test_other_forms_of_sagemakers_container_are_refused_by_name(sagemaker, media_type):
    response = sagemaker.post("/invocations", "1,2", content_type=media_type)
    got = media_type.partition(";")[0]
    expected = f"Content-Type: expected application/json, application/x-npy or application/x-npz, got {got}"
    assert (response.status_code, response.json) == (400, {"error": expected})


def test_a_refusal_has_the_form_of_tensorflow_serving(sagemaker):
    response = sagemaker.post("/invocations", {"instances": [["a", 2]]})
    assert response.status_code == 400
    assert list(response.json) == ["error"]
    same(response, sagemaker.post("/v1/models/m:predict", {"instances": [["a", 2]]}))
    misspelled = sagemaker.post("/invocations", ROWS, headers={ATTRIBUTES: "tfs-metod=regress"})
    assert misspelled.status_code == 400
    assert "tfs-metod" in misspelled.json["error"]


@pytest.mark.parametrize(
    ("contract", "advice"),
    [
        (SAGEMAKER, f"say which model: tfs-model-name in {ATTRIBUTES}, or set GATEWAY_PREDICT_MODEL; served are: m, n"),
        (VERTEX, "say which model: set GATEWAY_PREDICT_MODEL; served are: m, n"),
    ],
    ids=["sagemaker", "vertex"],
)
def test_a_request_that_could_mean_two_models_is_told_how_to_say_which(make_contained, fake, config_file, contract, advice):
    fake.models["n"] = {1: Version(lambda inputs: {"y": inputs["x"] + 1})}
    entries = [f'config {{ name: "{name}" base_path: "/{name}" model_platform: "tensorflow" }}' for name in ("m", "n")]
    config_file.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    route = contract.get("AIP_PREDICT_ROUTE", "/invocations")
    response = make_contained(contract).post(route, ROWS)
    assert (response.status_code, response.json) == (404, {"error": advice})
    response = make_contained(contract | {"GATEWAY_PREDICT_MODEL": "n"}).post(route, ROWS)
    assert response.json == {"predictions": [[2.0, 3.0], [4.0, 5.0]]}


@pytest.mark.parametrize("contract", [SAGEMAKER, VERTEX], ids=["sagemaker", "vertex"])
def test_without_the_contract_its_routes_are_not_there(make_contained, contract):
    client = make_contained(contract | {"GATEWAY_CONTAINER_CONTRACT": "off"})
    assert client.get("/ping").status_code == 404
    assert client.post("/invocations", ROWS).status_code == 404
    assert client.get(VERTEX["AIP_HEALTH_ROUTE"]).status_code == 400


def test_vertex_asks_its_own_routes(make_contained):
    client = make_contained(VERTEX)
    same(client.get(VERTEX["AIP_HEALTH_ROUTE"]), client.get("/readyz"))
    for parameters in ({}, {"parameters": None}, {"parameters": {"threshold": 0.5}}):
        response = client.post(VERTEX["AIP_PREDICT_ROUTE"], ROWS | parameters, content_type="application/json")
        assert (response.status_code, response.json) == (200, {"predictions": [[2.0, 4.0], [6.0, 8.0]]})
    assert client.get("/v1/models/m").status_code == 200, "the rest of /v1 is there"


def test_a_route_that_the_gateway_has_too_is_the_platforms(make_contained):
    client = make_contained(VERTEX | {"AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/predict"})
    assert client.post("/predict", ROWS).json == {"predictions": [[2.0, 4.0], [6.0, 8.0]]}
    assert client.post("/predict/m", {"x": [1, 2]}).json["prediction"] == [2.0, 4.0]
    same(client.get("/health"), client.get("/readyz"))
    assert client.post("/health", {}).status_code == 405


def test_a_wrong_method_is_told_the_right_one(sagemaker):
    response = sagemaker.get("/invocations")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert "GET" in sagemaker.post("/ping", {}).headers["Allow"]


def test_keys_and_limits_hold_as_for_the_route_itself(make_contained, tmp_path):
    text, key = make_key("one", scopes=("predict",), models=("m",), limits="2/min")
    looks, looking = make_key("looks", scopes=("metadata",))
    write(tmp_path / "keys.jsonl", key, looking)
    client = make_contained(SAGEMAKER | {"GATEWAY_KEYS_FILE": str(tmp_path / "keys.jsonl")})
    assert client.get("/ping").status_code == 200

    def status(token: str | None, path: str = "/invocations", **headers: str) -> tuple[int, list[str]]:
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        response = client.post(path, ROWS, headers=headers)
        return response.status_code, list(response.json)

    assert status(None) == (401, ["error"])
    assert status(looks) == (403, ["error"])
    assert status(text, **{ATTRIBUTES: "tfs-model-name=other"}) == (403, ["error"])
    assert status(text) == (200, ["predictions"])
    assert status(text, "/v1/models/m:predict") == (200, ["predictions"])
    assert status(text) == (429, ["error"]), "both routes count for one limit"


def test_an_invocation_is_logged_and_counted_as_a_prediction_of_its_model(make_contained, tmp_path):
    address = tmp_path / "log.db"
    client = make_contained(SAGEMAKER | {"GATEWAY_PREDICTION_LOG": f"sqlite:///{address}"})

    def counted() -> float:
        start = 'gateway_requests_total{model="m",signature="serving_default",status="200",version="1"}'
        return sum(float(line.split()[-1]) for line in client.get("/metrics").text.splitlines() if line.startswith(start))

    before = counted()
    assert client.post("/invocations", ROWS, headers={"X-Request-Id": "mine"}).status_code == 200
    assert counted() == before + 1

    def rows() -> list[tuple]:
        with closing(sqlite3.connect(address)) as log:
            return log.execute("SELECT request_id, dialect, model, status FROM predictions").fetchall()

    assert wait_for(rows) == [("mine", "tfserving", "m", 200)]


@pytest.mark.parametrize("contract", [SAGEMAKER, VERTEX, VERTEX | {"AIP_PREDICT_ROUTE": "/predict"}])
def test_the_routes_are_documented_when_they_are_there(make_contained, contract):
    document = make_contained(contract).get("/openapi.json").json
    validate(document)
    health, predict = ("/ping", "/invocations") if contract is SAGEMAKER else (
        contract["AIP_HEALTH_ROUTE"], contract["AIP_PREDICT_ROUTE"],
    )  # fmt: skip
    assert document["paths"][health]["get"]["operationId"] == "containerHealth"
    operation = document["paths"][predict]["post"]
    assert operation["operationId"] == "containerPredict"
    assert operation["responses"].keys() == document["paths"]["/v1/models/{model}:predict"]["post"]["responses"].keys()
    names = [parameter.get("name") for parameter in operation.get("parameters", [])]
    assert names == ([ATTRIBUTES] if contract is SAGEMAKER else [])
    off = json.dumps(make_contained(contract | {"GATEWAY_CONTAINER_CONTRACT": "off"}).get("/openapi.json").json)
    assert "containerPredict" not in off
