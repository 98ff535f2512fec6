"""What a refusal of /predict says beside its problems, which name what is wrong and where.

More is said of a body that another service takes, of one that is no JSON object, and of what has no form in JSON.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final

from gateway.api.advice import worked_example
from gateway.api.advice.advisor import Advisor, Refused, foreign_bytes, foreign_object, signature_for_file
from gateway.api.advice.foreign_body import ForeignBody
from gateway.api.json_body import JsonBody
from gateway.api.samples.model import DocumentedModel, has_form, has_strict_form
from gateway.codec.elements import Array
from gateway.errors import GatewayError
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

_ARRAYS: Final = "npy and npz have every dtype"


async def unread(advisor: Advisor, refused: Refused, data: bytes) -> GatewayError:
    """The body ``data`` is no JSON."""
    return await _explained(advisor, refused, foreign_bytes(refused.call, data))


async def unfit(advisor: Advisor, refused: Refused, sent: JsonBody[dict[str, Array]]) -> GatewayError:
    """The JSON ``sent`` does not fit."""
    if not isinstance(sent.document, dict):
        return await _explained(advisor, refused, foreign_bytes(refused.call, sent.data))
    foreign = foreign_object(refused.call, sent.document, sent.data)
    known = await advisor.known(refused.call, refused.model)
    names = {spec.name for spec in known.default.inputs} if known and known.default else set()
    if foreign is None or names & sent.document.keys():
        return refused.error
    return await _explained(advisor, refused, foreign)


async def without_form(advisor: Advisor, refused: Refused) -> GatewayError:
    """A tensor has no form in JSON."""
    return await advisor.explained(refused, DEFAULT_SIGNATURE, None, _arrays)


async def unknown(advisor: Advisor, refused: Refused) -> GatewayError:
    """The model has no default signature."""
    return await _explained(advisor, refused, None)


async def _explained(advisor: Advisor, refused: Refused, foreign: ForeignBody | None) -> GatewayError:
    return await advisor.explained(refused, DEFAULT_SIGNATURE, foreign, partial(_lines, foreign=foreign))


def _lines(known: DocumentedModel, signature: Signature, *, foreign: ForeignBody | None) -> Iterator[str]:
    if signature.name != DEFAULT_SIGNATURE:
        yield f"/predict is for the signature {DEFAULT_SIGNATURE}; any other can be called under /v1"
        yield worked_example.predict_program(known, signature)
        return
    if not has_form(signature, has_strict_form):
        yield from _arrays(known, signature)
        return
    if foreign is not None and foreign.is_file and signature_for_file(known, signature) is signature:
        yield worked_example.file(known, signature, _path(known), "")
    yield worked_example.simple(known, signature)


def _arrays(known: DocumentedModel, signature: Signature) -> Iterator[str]:
    if signature.name == DEFAULT_SIGNATURE and not has_form(signature, has_strict_form):
        yield _ARRAYS
        yield worked_example.arrays(known, signature, _path(known), is_example=True)


def _path(known: DocumentedModel) -> str:
    return f"/predict/{known.in_path}"
