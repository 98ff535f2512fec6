"""What a refusal of the Open Inference Protocol says beside its problems, which name what is wrong and where.

More is said of a body that another service takes, of one that is no JSON object, and of what has no datatype.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from gateway.api.advice import worked_example
from gateway.api.advice.advisor import Advisor, Refused
from gateway.api.advice.foreign_body import ForeignBody, foreign_bytes, foreign_object
from gateway.api.samples.bodies import infer_body
from gateway.api.samples.model import DocumentedModel, has_form, takes_one_string
from gateway.codec.datatypes import has_datatype
from gateway.errors import GatewayError, InvalidArgument, Unimplemented
from gateway.inference import suggestions
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature
from gateway.telemetry.trace import Trace

_ARRAYS: Final = "npy and npz have every dtype, under /v1"


async def unread_request(advisor: Advisor, refused: Refused, data: bytes) -> GatewayError:
    """The refusal of the body ``data``, which is no JSON object."""
    return await _explained(advisor, refused, DEFAULT_SIGNATURE, foreign_bytes(data, refused.call.media_type))


async def unfit_request(advisor: Advisor, refused: Refused, trace: Trace, document: Any, data: bytes) -> GatewayError:
    """The refusal of the body ``data``, which is the JSON object ``document`` (None: raw data), by a version that is known."""
    if not trace.is_known:
        return await _explained(advisor, refused, DEFAULT_SIGNATURE, None)
    if isinstance(refused.error, Unimplemented):
        return await advisor.explained(refused, trace.signature, None, _arrays)
    inputs = None if document is None else document.get("inputs")
    if isinstance(refused.error, InvalidArgument) and trace.build_s:  # the tensors were made, and went to the model
        return await advisor.explained(refused, trace.signature, None, _fitting)
    if document is None or (isinstance(inputs, list) and inputs and all(isinstance(item, dict) for item in inputs)):
        return refused.error
    foreign = None if "inputs" in document and not inputs else foreign_object(document, data, refused.call.media_type)
    return await _explained(advisor, refused, trace.signature, foreign)


async def _explained(advisor: Advisor, refused: Refused, name: str, foreign: ForeignBody | None) -> GatewayError:
    return await advisor.explained(refused, name, foreign, partial(_lines, foreign=foreign))


def _lines(known: DocumentedModel, signature: Signature, *, foreign: ForeignBody | None) -> Iterator[str]:
    if not has_form(signature, has_datatype):
        yield from _arrays(known, signature)
        return
    is_file = foreign is not None and foreign.is_file and takes_one_string(signature)
    if is_file and signature.name == DEFAULT_SIGNATURE:
        yield worked_example.raw_file_example(known, f"/v2/models/{known.in_path}/infer")
    yield worked_example.body_example(known, signature, infer_body(signature))


def _fitting(known: DocumentedModel, signature: Signature) -> Iterator[str]:
    yield f"The request fits {suggestions.listed_tensors(signature.inputs)}: the model itself refused these values"


def _arrays(known: DocumentedModel, signature: Signature) -> Iterator[str]:
    if not has_form(signature, has_datatype):
        yield _ARRAYS
        yield worked_example.arrays_example(known, signature, f"/v1/models/{known.in_path}:predict")
