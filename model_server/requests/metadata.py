"""GetModelMetadata and GetModelStatus, as functions from request to reply (upstream's get_model_*_impl.cc)."""

from collections.abc import Mapping
from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from model_server.session.servable import Servable
from model_server.status import invalid_argument, not_found
from model_server.versions.history import History, VersionState

_SIGNATURES = "signature_def"


def check_metadata_request(request: Any) -> None:
    """Refuse a request for no metadata, or for metadata that there is not; the model is looked up after this."""
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for name in request.metadata_field:
        if name != _SIGNATURES:
            raise invalid_argument(f"Metadata field {name} is not supported")


def metadata(servable: Servable, model: str) -> Any:
    """Every signature of a version."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = model
    response.model_spec.version.value = servable.version
    response.metadata[_SIGNATURES].Pack(_signature_map(servable.definitions))
    return response


def model_status(history: History, request: Any) -> Any:
    """What became of one version, or of all that were ever known, newest first. A label is ignored."""
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    if spec.HasField("version"):
        entry = history.get(spec.name, spec.version.value)
        if entry is None:
            raise not_found(f"Could not find version {spec.version.value} of model {spec.name}")
        return _statuses([entry])
    entries = history.versions(spec.name)
    if not entries:
        raise not_found(f"Could not find any versions of model {spec.name}")
    return _statuses(entries)


def _signature_map(definitions: Mapping[str, Any]) -> Any:
    made = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in definitions.items():
        made.signature_def[name].CopyFrom(definition)
    return made


def _statuses(entries: list[VersionState]) -> Any:
    response = get_model_status_pb2.GetModelStatusResponse()
    for entry in entries:
        status = response.model_version_status.add(version=entry.version, state=int(entry.state))
        status.status.SetInParent()
        if entry.error:
            status.status.error_code = entry.error.number
            status.status.error_message = entry.error.message
    return response
