"""What the model server says of its models -> the values of ``inference``, and the JSON that REST clients know."""

from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format

from gateway.backend import tensor_proto
from gateway.backend.stubs import GetModelMetadataResponse, ModelVersionStatus, SignatureDefMap
from gateway.errors import Unavailable
from gateway.inference.signature import ServedModel
from gateway.inference.status import VersionStatus


def versions(entries: Iterable[ModelVersionStatus]) -> tuple[VersionStatus, ...]:
    """The entries of a GetModelStatus reply, newest first."""
    return tuple(_version(entry) for entry in sorted(entries, key=lambda entry: entry.version, reverse=True))


def served_model(response: GetModelMetadataResponse) -> ServedModel:
    """The version that a GetModelMetadata reply is about. Raises Unavailable when it holds no signatures."""
    protos = _signature_defs(response).signature_def
    signatures = {name: tensor_proto.signature_from_proto(name, proto) for name, proto in protos.items()}
    return ServedModel(response.model_spec.name, response.model_spec.version.value, signatures)


def metadata_json(response: GetModelMetadataResponse) -> dict[str, Any]:
    """The JSON of TensorFlow Serving's metadata route, its signatures and tensors by name. Raises as ``served_model``."""
    signatures = _json(_signature_defs(response))
    # protobuf has them in an order that differs from worker to worker.
    signatures["signature_def"] = {
        name: definition | {side: dict(sorted(definition[side].items())) for side in ("inputs", "outputs")}
        for name, definition in sorted(signatures["signature_def"].items())
    }
    return {"model_spec": _json(response.model_spec), "metadata": {"signature_def": signatures}}


def _version(entry: ModelVersionStatus) -> VersionStatus:
    as_json = _json(entry)
    error = as_json["status"]
    return VersionStatus(entry.version, as_json["state"], error["error_code"], error["error_message"])


def _signature_defs(response: GetModelMetadataResponse) -> SignatureDefMap:
    signatures = SignatureDefMap()
    if not response.metadata["signature_def"].Unpack(signatures):
        raise Unavailable("the model server's metadata holds no signatures")
    return signatures


def _json(message: Any) -> dict[str, Any]:
    """Proto3 JSON as the REST port prints it: original field names, defaults included."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
