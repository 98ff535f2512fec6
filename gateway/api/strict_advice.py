"""What a refusal of /predict or of the Open Inference Protocol says beside its problems.

Those name what is wrong and where. More is said of a body that another service takes, of one that is no JSON object, and of
what has no form in JSON.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from gateway.api import advice, worked_example
from gateway.api.advice import Advisor
from gateway.api.docs.model import DocumentedModel, are_supported, has_strict_form
from gateway.api.foreign_body import ForeignBody
from gateway.api.openinference import datatypes
from gateway.api.request_body import RequestBody
from gateway.api.tfserving import columns
from gateway.codec.elements import Array
from gateway.errors import GatewayError
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, Signature

_ARRAYS: Final = "npy and npz have every dtype"


def simple_unread(advisor: Advisor, error: GatewayError, model: ModelRef, data: bytes) -> GatewayError:
    """For /predict: the body ``data`` is no JSON."""
    return _simple(advisor, error, model, advice.foreign_bytes(data))


def simple_unfit(advisor: Advisor, error: GatewayError, model: ModelRef, sent: RequestBody[dict[str, Array]]) -> GatewayError:
    """For /predict: the JSON ``sent`` does not fit."""
    if not isinstance(sent.document, dict):
        return _simple(advisor, error, model, advice.foreign_bytes(sent.data))
    foreign = advice.foreign_object(sent.document, sent.data)
    known = advisor.known(model)
    names = {spec.name for spec in known.default.inputs} if known and known.default else set()
    return error if foreign is None or names & sent.document.keys() else _simple(advisor, error, model, foreign)


def simple_without_form(advisor: Advisor, error: GatewayError, model: ModelRef) -> GatewayError:
    """For /predict: a tensor has no form in JSON."""
    return advisor.explained(error, model, DEFAULT_SIGNATURE, None, _simple_arrays)


def simple_unknown(advisor: Advisor, error: GatewayError, model: ModelRef) -> GatewayError:
    """For /predict: the model has no default signature."""
    return _simple(advisor, error, model, None)


def infer_unread(advisor: Advisor, error: GatewayError, model: ModelRef, data: bytes) -> GatewayError:
    """For the Open Inference Protocol: the body ``data`` is no JSON object."""
    return _infer(advisor, error, model, DEFAULT_SIGNATURE, advice.foreign_bytes(data))


def infer_unfit(
    advisor: Advisor, error: GatewayError, model: ModelRef, name: str, document: Any, *, data: bytes
) -> GatewayError:
    """For the Open Inference Protocol: the JSON object ``document`` (None: raw data) does not fit the signature ``name``.

    ``data``: the whole body.
    """
    inputs = {} if document is None else document.get(columns.KEY)
    if document is None or (isinstance(inputs, list) and inputs and all(isinstance(item, dict) for item in inputs)):
        return error
    return _infer(advisor, error, model, name, None if inputs == [] else advice.foreign_object(document, data))


def infer_without_form(advisor: Advisor, error: GatewayError, model: ModelRef, name: str) -> GatewayError:
    """For the Open Inference Protocol: a tensor has no datatype."""
    return advisor.explained(error, model, name, None, _infer_arrays)


def infer_unknown(advisor: Advisor, error: GatewayError, model: ModelRef) -> GatewayError:
    """For the Open Inference Protocol: there is no signature of the name that was asked for."""
    return _infer(advisor, error, model, DEFAULT_SIGNATURE, None)


def _simple(advisor: Advisor, error: GatewayError, model: ModelRef, foreign: ForeignBody | None) -> GatewayError:
    return advisor.explained(error, model, DEFAULT_SIGNATURE, foreign, partial(_simple_lines, foreign=foreign))


def _infer(advisor: Advisor, error: GatewayError, model: ModelRef, name: str, foreign: ForeignBody | None) -> GatewayError:
    return advisor.explained(error, model, name, foreign, partial(_infer_lines, foreign=foreign))


def _simple_lines(known: DocumentedModel, signature: Signature, *, foreign: ForeignBody | None) -> Iterator[str]:
    if signature.name != DEFAULT_SIGNATURE:
        yield f"/predict is for the signature {DEFAULT_SIGNATURE}; any other can be called under /v1"
        yield worked_example.predict_program(known, signature)
        return
    if not are_supported((*signature.inputs, *signature.outputs), has_strict_form):
        yield from _simple_arrays(known, signature)
        return
    if foreign is not None and foreign.is_file and advice.signature_for_file(known, signature) is signature:
        yield worked_example.file(signature, _simple_path(known), "")
    yield worked_example.simple(known, signature)


def _infer_lines(known: DocumentedModel, signature: Signature, *, foreign: ForeignBody | None) -> Iterator[str]:
    if not are_supported((*signature.inputs, *signature.outputs), datatypes.is_supported):
        yield from _infer_arrays(known, signature)
        return
    is_file = foreign is not None and foreign.is_file and advice.signature_for_file(known, signature) is signature
    if is_file and signature.name == DEFAULT_SIGNATURE:
        yield worked_example.raw_file(f"/v2/models/{known.in_path}/infer")
    yield worked_example.infer(known, signature)


def _simple_arrays(known: DocumentedModel, signature: Signature) -> Iterator[str]:
    if signature.name == DEFAULT_SIGNATURE and not are_supported((*signature.inputs, *signature.outputs), has_strict_form):
        yield _ARRAYS
        yield worked_example.arrays(known, signature, _simple_path(known), is_example=True)


def _infer_arrays(known: DocumentedModel, signature: Signature) -> Iterator[str]:
    if not are_supported((*signature.inputs, *signature.outputs), datatypes.is_supported):
        yield f"{_ARRAYS}, under /v1"
        yield worked_example.arrays(known, signature, f"/v1/models/{known.in_path}:predict")


def _simple_path(known: DocumentedModel) -> str:
    return f"/predict/{known.in_path}"
