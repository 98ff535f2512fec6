"""The operations of /v1 that tell about models: the list, the status and the metadata."""

from typing import Final

from gateway.api.docs.json_schema import TEXT, Json, array, record
from gateway.api.docs.responses import answer, refusals

_STATES: Final = {"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]}
_VERSION: Final = record({"version": TEXT, "state": _STATES, "status": record({"error_code": TEXT, "error_message": TEXT})})
_STATUSES: Final = record({"model_version_status": array(_VERSION)})
_SIGNATURES: Final = {"type": "object", "additionalProperties": {"type": "object"}}
_METADATA: Final = record(
    {
        "model_spec": record({"name": TEXT, "signature_name": TEXT, "version": TEXT}),
        "metadata": record({"signature_def": record({"signature_def": _SIGNATURES})}),
    }
)
_LISTED: Final = record(
    {
        "name": TEXT,
        "ready": {"type": "boolean"},
        "versions": array(record({"version": TEXT, "state": _STATES})),
        "problems": array(TEXT),
        "not_joined": array(TEXT),
    }
)
_LIST: Final = record({"models": array(_LISTED)})


def listing() -> Json:
    """Every model."""
    responses = {"200": answer("What is served, and what is wrong", _LIST)} | refusals("tfserving", asks_backend=False)
    return {"summary": "Every model", "responses": responses}


def status() -> Json:
    """The versions of one model."""
    responses = {"200": answer("The state of each version", _STATUSES)} | refusals("tfserving", asks_backend=True)
    return {"summary": "Status", "responses": responses}


def metadata() -> Json:
    """The signatures of one version."""
    ok = answer("The signatures", _METADATA, has_version=True)
    return {"summary": "Metadata", "responses": {"200": ok} | refusals("tfserving", asks_backend=True)}
