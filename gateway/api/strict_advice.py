"""What a refusal of /predict or of the Open Inference Protocol says beside its problems.

Those name what is wrong and where. More is said of a body that another service takes, of one that is no JSON object, and of
what has no form in JSON.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from gateway.api import advice, worked_example
from gateway.api.advice import Advisor, Refused
from gateway.api.foreign_body import ForeignBody
from gateway.api.json_body import JsonBody
from gateway.api.samples.model import DocumentedModel, are_supported, has_strict_form
from gateway.api.tfserving import columns
from gateway.codec import datatypes
from gateway.codec.elements import Array
from gateway.errors import GatewayError
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

_ARRAYS: Final = "npy and npz have every dtype"


async def simple_unread(advisor: Advisor, refused: Refused, data: bytes) -> GatewayError:
    """For /predict: the body ``data`` is no JSON."""
    return await _simple(advisor, refused, advice.foreign_bytes(refused.call, data))


async def simple_unfit(advisor: Advisor, refused: Refused, sent: JsonBody[dict[str, Array]]) -> GatewayError:
    """For /predict: the JSON ``sent`` does not fit."""
    if not isinstance(sent.document, dict):
        return await _simple(advisor, refused, advice.foreign_bytes(refused.call, sent.data))
    foreign = advice.foreign_object(refused.call, sent.document, sent.data)
    known = await advisor.known(refused.call, refused.model)
    names = {spec.name for spec in known.default.inputs} if known and known.default else set()
    if foreign is None or names & sent.document.keys():
        return refused.error
    return await _simple(advisor, refused, foreign)


async def simple_without_form(advisor: Advisor, refused: Refused) -> GatewayError:
    """For /predict: a tensor has no form in JSON."""
    return await advisor.explained(refused, DEFAULT_SIGNATURE, None, _simple_arrays)


async def simple_unknown(advisor: Advisor, refused: Refused) -> GatewayError:
    """For /predict: the model has no default signature."""
    return await _simple(advisor, refused, None)


async def infer_unread(advisor: Advisor, refused: Refused, data: bytes) -> GatewayError:
    """For the Open Inference Protocol: the body ``data`` is no JSON object."""
    return await _infer(advisor, refused, DEFAULT_SIGNATURE, advice.foreign_bytes(refused.call, data))


async def infer_unfit(advisor: Advisor, refused: Refused, name: str, document: Any, data: bytes) -> GatewayError:
    """For the Open Inference Protocol: the JSON object ``document`` (None: raw data) does not fit the signature ``name``.

    ``data``: the whole body.
    """
    inputs = {} if document is None else document.get(columns.KEY)
    if document is None or (isinstance(inputs, list) and inputs and all(isinstance(item, dict) for item in inputs)):
        return refused.error
    foreign = None if inputs == [] else advice.foreign_object(refused.call, document, data)
    return await _infer(advisor, refused, name, foreign)


async def infer_without_form(advisor: Advisor, refused: Refused, name: str) -> GatewayError:
    """For the Open Inference Protocol: a tensor has no datatype."""
    return await advisor.explained(refused, name, None, _infer_arrays)


async def infer_unknown(advisor: Advisor, refused: Refused) -> GatewayError:
    """For the Open Inference Protocol: there is no signature of the name that was asked for."""
    return await _infer(advisor, refused, DEFAULT_SIGNATURE, None)


async def _simple(advisor: Advisor, refused: Refused, foreign: ForeignBody | None) -> GatewayError:
    return await advisor.explained(refused, DEFAULT_SIGNATURE, foreign, partial(_simple_lines, foreign=foreign))


async def _infer(advisor: Advisor, refused: Refused, name: str, foreign: ForeignBody | None) -> GatewayError:
    return await advisor.explained(refused, name, foreign, partial(_infer_lines, foreign=foreign))


def _simple_lines(known: DocumentedModel, signature: Signature, *, foreign: ForeignBody | None) -> Iterator[str]:
    if signature.name != DEFAULT_SIGNATURE:
        yield f"/predict is for the signature {DEFAULT_SIGNATURE}; any other can be called under /v1"
        yield worked_example.predict_program(known, signature)
        return
    if not are_supported((*signature.inputs, *signature.outputs), has_strict_form):
        yield from _simple_arrays(known, signature)
        return
    if foreign is not None and foreign.is_file and advice.signature_for_file(known, signature) is signature:
        yield worked_example.file(known, signature, _simple_path(known), "")
    yield worked_example.simple(known, signature)


def _infer_lines(known: DocumentedModel, signature: Signature, *, foreign: ForeignBody | None) -> Iterator[str]:
    if not are_supported((*signature.inputs, *signature.outputs), datatypes.is_supported):
        yield from _infer_arrays(known, signature)
        return
    is_file = foreign is not None and foreign.is_file and advice.signature_for_file(known, signature) is signature
    if is_file and signature.name == DEFAULT_SIGNATURE:
        yield worked_example.raw_file(known, f"/v2/models/{known.in_path}/infer")
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
