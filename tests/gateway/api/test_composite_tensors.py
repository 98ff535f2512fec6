"""A ragged or sparse tensor in a signature, which no server can take or give: told in plain words, in every dialect."""

import numpy as np
import pytest

from gateway.backend.stubs import DataType, SignatureDef
from tests.gateway.fake_serving import FLOATS, Version
from tests.waiting import wait_for

PREDICT = {"instances": ["a b"]}
INFER = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["a b"]}]}
EXPORT_AGAIN = "as {} of their own, and export the model again"


def declared(side: str, kind: str) -> SignatureDef:
    """One string in, one integer out, and on one side a tensor ``c`` that is a composite."""
    proto = SignatureDef(method_name="tensorflow/serving/predict")
    for tensors, name, dtype in ((proto.inputs, "x", DataType.DT_STRING), (proto.outputs, "y", DataType.DT_INT64)):
        tensors[name].dtype, tensors[name].name = dtype, f"{name}:0"
        tensors[name].tensor_shape.dim.add(size=-1)
    composite = getattr(proto, side)["c"]
    if kind == "sparse":
        composite.dtype = DataType.DT_FLOAT
        composite.coo_sparse.values_tensor_name = "v:0"
    else:
        spec = composite.composite_tensor.type_spec
        spec.type_spec_class = {"ragged": spec.RAGGED_TENSOR_SPEC, "composite": spec.INDEXED_SLICES_SPEC}[kind]
    return proto


CASES = [
    (
        "outputs",
        "ragged",
        "the output c of serving_default is a ragged tensor, which a server cannot give: return its values and",
    ),
    ("outputs", "sparse", "the output c of serving_default is a sparse tensor, which a server cannot give: return its indices"),
    (
        "outputs",
        "composite",
        "the output c of serving_default is a composite tensor, which a server cannot give: return its parts",
    ),
    (
        "inputs",
        "ragged",
        "the input c of serving_default is a ragged tensor, which cannot be sent to a server: take its values",
    ),
    (
        "inputs",
        "sparse",
        "the input c of serving_default is a sparse tensor, which cannot be sent to a server: take its indices",
    ),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[1]} {case[0]}")
def composite(request, client):
    """A model whose default signature has a composite, its other one none; what is to be said; and the client."""
    side, kind, words = request.param
    signatures = {"serving_default": declared(side, kind), "plain": FLOATS}
    client.fake.models["c"] = {1: Version(signatures=signatures)}
    wait_for(lambda: client.get("/v1/models/c").status_code == 200)
    client.post("/v1/models/c:predict", {"signature_name": "plain", "instances": [[1, 2]]})  # now it is followed
    client.fake.calls.clear()
    return client, words


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/c:predict", PREDICT),
        ("/v1/models/c:predict", {"inputs": {"x": ["a"]}}),
        ("/v1/models/c:predict", {}),
        ("/predict/c", {"x": "a"}),
        ("/predict/c", {}),
        ("/v2/models/c/infer", INFER),
        ("/v2/models/c/infer", {}),
    ],
)
def test_it_is_refused_before_any_call_with_what_to_do(composite, path, body):
    client, words = composite
    response = client.post(path, body)
    message = response.json.get("message") or response.json["error"]
    assert response.status_code == 501
    assert message.startswith(words)
    assert "and export the model again" in message
    assert "Predict" not in client.fake.calls


def test_arrays_are_refused_too(composite):
    client, words = composite
    for path in ("/v1/models/c:predict", "/predict/c"):
        response = client.post(path, b"", content_type="application/x-npz")
        assert response.status_code == 501
        assert words in response.text


def test_the_metadata_of_the_open_inference_protocol_says_so_and_has_no_invalid_datatype(composite):
    client, words = composite
    response = client.get("/v2/models/c")
    assert (response.status_code, "INVALID" in response.text) == (501, False)
    assert response.json["error"].startswith(words)
    assert client.get("/v2/models/c?signature_name=plain").json["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
    ]


def test_the_other_signature_works_and_is_the_example(composite):
    client, _ = composite
    response = client.post("/v1/models/c:predict", PREDICT)
    body = response.json["error"].partition("For example: ")[2]
    assert body == '{"signature_name": "plain", "instances": [[1.0, 1.0]]}'
    assert client.post("/v1/models/c:predict", body).json == {"predictions": [[2.0, 2.0]]}
    infer = {"parameters": {"signature_name": "plain"}, "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2]}]}
    infer["inputs"][0]["data"] = [1, 2]
    assert client.post("/v2/models/c/infer", infer).json["outputs"][0]["data"] == [2.0, 4.0]


def test_the_documentation_says_why_and_has_no_example_of_it(composite):
    client, words = composite
    text = client.get("/docs/models/c").text
    assert f"# No example: {words}" in text
    assert "/predict/c" not in text
    assert '"signature_name": "plain"' in text
    assert client.get("/docs/models/c", headers={"Accept": "application/json"}).json["problems"][0].startswith(words)
    document = wait_for(lambda: (made := client.get("/openapi.json").json)["paths"].get("/v1/models/c:predict") and made)
    [tag] = [tag for tag in document["tags"] if tag["name"] == "c"]
    assert f"(cannot be called: {words}" in tag["description"]
    assert "/predict/c" not in document["paths"]
    bodies = document["paths"]["/v1/models/c:predict"]["post"]["requestBody"]["content"]["application/json"]
    assert list(bodies["examples"]) == ["plain.instances", "plain.inputs"]


def test_an_output_that_is_not_asked_for_stands_in_nobodys_way(client):
    proto = declared("outputs", "ragged")
    client.fake.models["c"] = {1: Version(lambda inputs: {"y": np.ones(1, np.int64)}, {"serving_default": proto})}
    assert client.post("/v2/models/c/infer", INFER | {"outputs": [{"name": "y"}]}).status_code == 200
    assert client.post("/v2/models/c/infer", INFER | {"outputs": [{"name": "c"}]}).status_code == 501


def test_a_model_of_nothing_else_says_so_to_a_body_that_is_none(client):
    client.fake.models["c"] = {1: Version(signatures={"serving_default": declared("outputs", "ragged")})}
    response = client.post("/v1/models/c:predict", "{")
    assert response.json["error"].startswith("JSON Parse error")
    assert "the output c of serving_default is a ragged tensor" in response.json["error"]
