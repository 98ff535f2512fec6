"""What a refusal under /v1 says after TensorFlow Serving's words, which stay as they are and come first."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from gateway.api.advice import foreign_body, worked_example
from gateway.api.advice.advisor import Advisor, Lines, Refused, signature_for_file
from gateway.api.advice.foreign_body import ForeignBody, foreign_bytes, foreign_object
from gateway.api.json_body import JsonBody
from gateway.api.samples.model import DocumentedModel, has_compatible_form
from gateway.api.tfserving import columns, rows
from gateway.api.tfserving.body import PredictBody
from gateway.codec.datatypes import has_datatype
from gateway.errors import GatewayError, OutOfRange
from gateway.inference import suggestions
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, Tensors, TensorSpec

ExampleVerb: TypeAlias = Literal["classify", "regress"]

_NOT_FINITE: Final = "npy has such numbers, which the header Accept: application/x-npy asks for"
_INSTEAD: Final = f'send "{columns.KEY}" instead of "{rows.KEY}"'


async def predict_unread(advisor: Advisor, refused: Refused, data: bytes) -> GatewayError:
    """For :predict: the body ``data`` is no JSON object."""
    foreign = foreign_bytes(data, refused.call.media_type)
    lines = partial(_predict_lines, path=refused.call.path, foreign=foreign)
    return await advisor.explained(refused, DEFAULT_SIGNATURE, foreign, lines)


async def predict_misread(advisor: Advisor, refused: Refused, name: str, sent: JsonBody[PredictBody]) -> GatewayError:
    """For :predict: no tensors for the signature ``name`` can be made of ``sent``, a JSON object."""
    foreign = foreign_object(sent.document, sent.data, refused.call.media_type)
    if foreign is None or foreign is foreign_body.TFSERVING:
        foreign = foreign_body.misspelt_key(sent.document)
    lines = partial(_predict_lines, path=refused.call.path, is_row=rows.KEY in sent.document)
    return await advisor.explained(refused, name, foreign, lines)


async def predict_unfit(advisor: Advisor, refused: Refused, name: str, *, is_row: bool) -> GatewayError:
    """For :predict: there is no signature ``name``, or the model refuses tensors that do not fit it."""
    lines = partial(_predict_lines, path=refused.call.path, is_row=is_row)
    return await advisor.explained(refused, name, None, lines)


async def predict_unanswered(advisor: Advisor, refused: Refused, name: str, outputs: Tensors, *, is_row: bool) -> GatewayError:
    """For :predict: the model's ``outputs`` have no form in the JSON of such an answer."""
    path, trace = refused.call.path, refused.call.trace
    if isinstance(refused.error, OutOfRange):
        lines: Lines = partial(_array_lines, path=path, reason=_NOT_FINITE)
        return await advisor.explained(refused, name, None, lines)
    sizes = {array.shape[:1] for array in outputs.values()}
    if is_row and (len(sizes) > 1 or () in sizes):
        lines = partial(_column_lines, path=path, outputs=outputs, count=trace.rows if trace else None)
        return await advisor.explained(refused, name, None, lines)
    return await advisor.explained(refused, name, None, partial(_dtype_lines, path=path))


async def examples_misread(
    advisor: Advisor, refused: Refused, verb: ExampleVerb, data: bytes, *, document: Any
) -> GatewayError:
    """For ``verb``: the body ``data``, which is ``document`` if it is JSON, has no examples."""
    is_object = isinstance(document, dict)
    media_type = refused.call.media_type
    foreign = foreign_object(document, data, media_type) if is_object else foreign_bytes(data, media_type)
    if foreign is foreign_body.EXAMPLES:
        foreign = None
    return await advisor.explained(refused, DEFAULT_SIGNATURE, foreign, partial(_example_lines, verb=verb))


async def examples_unfit(advisor: Advisor, refused: Refused, verb: ExampleVerb) -> GatewayError:
    """For ``verb``: the model refuses the examples."""
    return await advisor.explained(refused, DEFAULT_SIGNATURE, None, partial(_example_lines, verb=verb))


def _predict_lines(
    known: DocumentedModel,
    signature: Signature,
    *,
    path: str,
    foreign: ForeignBody | None = None,
    is_row: bool = False,
) -> Iterator[str]:
    bare = [spec for spec in signature.inputs if spec.shape == ()]
    if is_row and bare:
        yield f"{suggestions.listed_tensors(bare)}: one value for all rows; {_INSTEAD}"
    without_form = [spec for spec in (*signature.inputs, *signature.outputs) if not has_compatible_form(spec.dtype)]
    if without_form:
        yield _elsewhere(without_form)
    yield f"{suggestions.short_name(signature.name)} takes {suggestions.listed_tensors(signature.inputs)}"
    of_file = signature_for_file(known, signature) if foreign is not None and foreign.is_file else None
    if of_file is not None:
        yield worked_example.file_example(known, of_file, path, rows.KEY)
    yield worked_example.predict_example(known, signature, path)


def _column_lines(
    known: DocumentedModel, signature: Signature, *, path: str, outputs: Tensors, count: int | None
) -> Iterator[str]:
    without = [spec for spec in signature.outputs if not outputs[spec.name].ndim or len(outputs[spec.name]) != count]
    yield f"{suggestions.listed_tensors(without or signature.outputs)}: not one row for each instance; {_INSTEAD}"
    yield worked_example.predict_example(known, signature, path, by_columns=True)


def _dtype_lines(known: DocumentedModel, signature: Signature, *, path: str) -> Iterator[str]:
    without_form = [spec for spec in signature.outputs if not has_compatible_form(spec.dtype)]
    if without_form:
        yield _elsewhere(without_form)
        yield worked_example.predict_example(known, signature, path)


def _array_lines(known: DocumentedModel, signature: Signature, *, path: str, reason: str) -> Iterator[str]:
    yield reason
    yield worked_example.arrays_example(known, signature, path)


def _example_lines(known: DocumentedModel, signature: Signature, *, verb: ExampleVerb) -> Iterator[str]:
    suited = [other for other in known.signatures if other in known.of_method(verb) or suggestions.takes_examples(other, verb)]
    if suited:
        yield worked_example.tf_example(known, suited[0], verb)
        return
    of_model, of_signature = suggestions.short_name(known.name), suggestions.short_name(signature.name)
    yield f"{of_model} has no signature for :{verb}; {of_signature} is for :predict"
    yield worked_example.predict_program(known, signature)


def _elsewhere(specs: list[TensorSpec]) -> str:
    or_v2 = " or /v2" if all(has_datatype(spec.dtype) for spec in specs) else ""
    return f"no form in TensorFlow Serving's JSON: {suggestions.listed_tensors(specs)}; use npy (application/x-npy){or_v2}"
