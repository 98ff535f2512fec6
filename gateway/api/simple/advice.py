"""What a refusal of /predict says beside its problems, which name what is wrong and where.

More is said of a body that another service takes, of one that is no JSON object, and of what has no form in JSON.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final

from gateway.api.advice import worked_example
from gateway.api.advice.advisor import Advisor, Refused
from gateway.api.advice.foreign_body import ForeignBody, foreign_bytes, foreign_object
from gateway.api.json_body import JsonBody
from gateway.api.samples.bodies import simple_body
from gateway.api.samples.model import DocumentedModel, has_form, has_strict_form, takes_one_string
from gateway.codec.elements import Array
from gateway.errors import GatewayError, Unimplemented
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

_ARRAYS: Final = "npy and npz have every dtype"


async def unread_body(advisor: Advisor, refused: Refused, data: bytes) -> GatewayError:
    """For the body ``data``, which is no JSON object."""
    return await _explained(advisor, refused, foreign_bytes(data, refused.call.media_type))


async def unfit_body(advisor: Advisor, refused: Refused, sent: JsonBody[dict[str, Array]]) -> GatewayError:
    """For ``sent``, which is JSON and does not fit."""
    if not isinstance(sent.document, dict):
        return await unread_body(advisor, refused, sent.data)
    foreign = foreign_object(sent.document, sent.data, refused.call.media_type)
    model = await advisor.documented(refused)
    names = {spec.name for spec in model.default.inputs} if model and model.default else set()
    if foreign is None or names & sent.document.keys():
        return refused.error
    return await _explained(advisor, refused, foreign)


async def unanswered(advisor: Advisor, refused: Refused) -> GatewayError:
    """For a tensor without a form in JSON (Unimplemented), or a model without a default signature."""
    if isinstance(refused.error, Unimplemented):
        return await advisor.explained(refused, DEFAULT_SIGNATURE, None, _array_lines)
    return await _explained(advisor, refused, None)


async def _explained(advisor: Advisor, refused: Refused, foreign: ForeignBody | None) -> GatewayError:
    return await advisor.explained(refused, DEFAULT_SIGNATURE, foreign, partial(_lines, foreign=foreign))


def _lines(model: DocumentedModel, signature: Signature, *, foreign: ForeignBody | None) -> Iterator[str]:
    if signature.name != DEFAULT_SIGNATURE:
        yield f"/predict is for the signature {DEFAULT_SIGNATURE}; any other can be called under /v1"
        yield worked_example.predict_program(model, signature)
    elif not has_form(signature, has_strict_form):
        yield from _array_lines(model, signature)
    else:
        if foreign is not None and foreign.is_file and takes_one_string(signature):
            yield worked_example.file_example(model, signature, f"/predict/{model.in_path}", "")
        yield worked_example.body_example(model, signature, simple_body(signature))


def _array_lines(model: DocumentedModel, signature: Signature) -> Iterator[str]:
    if signature.name == DEFAULT_SIGNATURE and not has_form(signature, has_strict_form):
        yield _ARRAYS
        yield worked_example.arrays_example(model, signature, f"/predict/{model.in_path}", is_example=True)
