"""GetModelMetadata and GetModelStatus over a real socket."""

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from model_server.versions.history import State
from tests.model_server.serving import AVAILABLE, END, Client, refused

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


def test_metadata_holds_every_signature_and_the_version(client: Client):
    reply = client.metadata("half")
    assert (reply.model_spec.name, reply.model_spec.version.value, reply.model_spec.signature_name) == ("half", 123, "")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert list(reply.metadata) == ["signature_def"]
    assert reply.metadata["signature_def"].Unpack(signatures)
    assert sorted(signatures.signature_def) == [
        "classify_x_to_y",
        "regress_x2_to_y3",
        "regress_x_to_y",
        "regress_x_to_y2",
        "serving_default",
    ]
    x = signatures.signature_def["serving_default"].inputs["x"]
    assert (x.name, x.dtype, [dim.size for dim in x.tensor_shape.dim]) == ("x:0", 1, [-1, 1])


def test_metadata_shows_defaults(client: Client):
    signatures = get_model_metadata_pb2.SignatureDefMap()
    client.metadata("mixed").metadata["signature_def"].Unpack(signatures)
    assert list(signatures.signature_def["with_default"].defaults) == ["text"]


@pytest.mark.parametrize(("spec", "version"), [({"version": 1}, 1), ({"label": "stable"}, 1), ({}, 2)])
def test_metadata_of_a_chosen_version(client: Client, spec: dict[str, object], version: int):
    assert client.metadata("versions", **spec).model_spec.version.value == version


def test_metadata_checks_come_in_order(client: Client):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    with refused(INVALID, "Missing ModelSpec"):
        client.prediction.GetModelMetadata(request)
    with refused(INVALID, "GetModelMetadataRequest must specify at least one metadata_field"):
        client.metadata("nope", fields=())
    with refused(INVALID, "Metadata field nope is not supported"):
        client.metadata("nope", fields=("signature_def", "nope"))
    with refused(INVALID, "ModelSpec has no name specified."):
        client.metadata("")
    with refused(NOT_FOUND, "Servable not found for request: Latest(nope)"):
        client.metadata("nope")
    with refused(NOT_FOUND, "Servable not found for request: Specific(half, 5)"):
        client.metadata("half", version=5)
    with refused(INVALID, "Unrecognized servable version label: nope"):
        client.metadata("half", label="nope")


def test_status_lists_versions_newest_first(client: Client):
    entries = client.status("versions").model_version_status
    assert [(entry.version, entry.state, entry.status.error_code) for entry in entries] == [
        (2, AVAILABLE, 0),
        (1, AVAILABLE, 0),
    ]
    assert all(entry.HasField("status") for entry in entries)


def test_status_of_one_version(client: Client):
    assert [entry.version for entry in client.status("versions", 1).model_version_status] == [1]


def test_status_ignores_labels(client: Client):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "versions"
    request.model_spec.version_label = "nope"
    assert len(client.model.GetModelStatus(request).model_version_status) == 2


def test_status_of_a_version_that_could_not_be_loaded(client: Client):
    (entry,) = client.status("broken").model_version_status
    assert (entry.version, entry.state) == (1, END)
    assert entry.status.error_code != 0
    assert "saved_model.pb" in entry.status.error_message


def test_status_without_model_spec(client: Client):
    with refused(INVALID, "Missing ModelSpec"):
        client.model.GetModelStatus(get_model_status_pb2.GetModelStatusRequest())


def test_status_of_an_unknown_version(client: Client):
    with refused(NOT_FOUND, "Could not find version 9 of model half"):
        client.status("half", 9)


@pytest.mark.parametrize("model", ["nope", "absent"])
def test_status_of_a_model_without_versions(client: Client, model: str):
    with refused(NOT_FOUND, f"Could not find any versions of model {model}"):
        client.status(model)


def test_a_failed_or_absent_model_leaves_the_others_alone(client: Client):
    assert client.predict("half", {"x": np.float32([2])}).outputs["y"].float_val[0] == 3.0


def test_states_are_those_of_the_protocol():
    states = get_model_status_pb2.ModelVersionStatus.State.items()
    assert {state.name: state.value for state in State} == {name: number for name, number in states if number}
