"""The model server's replies about its models -> the values of ``inference``, and the JSON that REST clients know."""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.backend import stubs, tensor_proto
from gateway.errors import Unavailable
from gateway.inference.signature import ServedModel, Signature, TensorSpec
from gateway.inference.status import ModelStatus, VersionStatus

_COMPOSITES: Final = {"RAGGED_TENSOR_SPEC": "ragged", "SPARSE_TENSOR_SPEC": "sparse"}


def model_status(name: str, response: stubs.GetModelStatusResponse) -> ModelStatus:
    """The status of the model ``name`` that a GetModelStatus reply holds."""
    entries = sorted(response.model_version_status, key=lambda entry: entry.version, reverse=True)
    versions = (
        VersionStatus(
            entry.version,
            _enum_name(entry, "state", entry.state),
            _enum_name(entry.status, "error_code", entry.status.error_code),
            entry.status.error_message,
        )
        for entry in entries
    )
    return ModelStatus(name, tuple(versions))


def served_model(response: stubs.GetModelMetadataResponse) -> ServedModel:
    """The version that a GetModelMetadata reply is about. Raises Unavailable when it holds no signatures."""
    protos = _signature_defs(response).signature_def
    signatures = {name: signature_from_proto(name, proto) for name, proto in protos.items()}
    return ServedModel(response.model_spec.name, response.model_spec.version.value, signatures)


def metadata_json(response: stubs.GetModelMetadataResponse) -> dict[str, Any]:
    """The JSON of TensorFlow Serving's metadata route, its signatures and tensors by name. Raises as ``served_model``."""
    signatures = _json(_signature_defs(response))
    # protobuf has them in an order that differs from worker to worker.
    signatures["signature_def"] = {
        name: definition | {side: dict(sorted(definition[side].items())) for side in ("inputs", "outputs")}
        for name, definition in sorted(signatures["signature_def"].items())
    }
    return {"model_spec": _json(response.model_spec), "metadata": {"signature_def": signatures}}


def signature_from_proto(name: str, proto: stubs.SignatureDef) -> Signature:
    """The Signature that a SignatureDef declares.

    A dtype without an array form keeps its name and has no numpy dtype. A TensorInfo that is not one dense tensor (``encoding``
    in tensorflow/core/protobuf/meta_graph.proto) is a composite.
    """
    defaults = getattr(proto, "defaults", {})
    return Signature(name, proto.method_name, _specs(proto.inputs, defaults), _specs(proto.outputs, {}))


def _specs(tensors: Mapping[str, stubs.TensorInfo], defaults: Mapping[str, stubs.TensorProto]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name, tensor_proto.dtype_of_enum(info.dtype), _shape(info), name in defaults, _composite(info))
        for name, info in sorted(tensors.items())
    )


def _composite(info: stubs.TensorInfo) -> str:
    encoding = info.WhichOneof("encoding")
    if encoding == "composite_tensor":
        type_spec = info.composite_tensor.type_spec
        return _COMPOSITES.get(type_spec.TypeSpecClass.Name(type_spec.type_spec_class), "composite")
    return "sparse" if encoding == "coo_sparse" else ""


def _shape(info: stubs.TensorInfo) -> tuple[int | None, ...] | None:
    if info.tensor_shape.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)


def _signature_defs(response: stubs.GetModelMetadataResponse) -> stubs.SignatureDefMap:
    signatures = stubs.SignatureDefMap()
    if not response.metadata["signature_def"].Unpack(signatures):
        raise Unavailable("the model server's metadata holds no signatures")
    return signatures


def _enum_name(message: Message, field: str, number: int) -> str:
    """The name of an enum's value; the number itself if these messages do not know it."""
    known = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return str(number) if known is None else known.name


def _json(message: Any) -> dict[str, Any]:
    """Proto3 JSON as the REST port prints it: original field names, defaults included."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
