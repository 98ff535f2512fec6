"""What a refusal under /v1 says after TensorFlow Serving's words, which stay as they are and come first."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from gateway.api.advice import foreign_body, worked_example
from gateway.api.advice.advisor import Advisor, Refused, signature_for_file
from gateway.api.advice.foreign_body import ForeignBody, foreign_bytes, foreign_object
from gateway.api.json_body import JsonBody
from gateway.api.samples.model import DocumentedModel, has_compatible_form
from gateway.api.tfserving import columns, rows
from gateway.api.tfserving.body import PredictBody, PredictDocument
from gateway.call import Call
from gateway.codec.datatypes import has_datatype
from gateway.codec.problems import cut_text, json_pointer
from gateway.errors import GatewayError, InvalidArgument, OutOfRange, Problem
from gateway.inference import suggestions
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, Signature, Tensors, TensorSpec
from gateway.telemetry.trace import Trace

ExampleVerb: TypeAlias = Literal["classify", "regress"]

_AS_GZIP: Final = "only gzip is undone under /v1; send the JSON as it is, or as gzip"
_BY_ATTRIBUTE: Final = "say tfs-method=predict, or leave tfs-method out"
_INSTEAD: Final = f'send "{columns.KEY}" instead of "{rows.KEY}"'


async def predict_unread(advisor: Advisor, refused: Refused, data: bytes) -> GatewayError:
    """For :predict: the body ``data`` is no JSON object."""
    foreign = _foreign_bytes(data, refused.call)
    lines = partial(_predict_lines, path=refused.call.dialect_path, foreign=foreign)
    return await advisor.explained(refused, DEFAULT_SIGNATURE, foreign, lines)


async def predict_unfit(
    advisor: Advisor, refused: Refused, trace: Trace, document: PredictDocument, sent: JsonBody[PredictBody] | None
) -> GatewayError:
    """For :predict: the signature, the tensors or the model does not take the body ``document`` (``sent``; None: arrays).

    What the catalog refuses says already what there is instead.
    """
    error, is_row, foreign = refused.error, document.is_row, None
    if document.signature is not None and document.body is not None:
        if not isinstance(error, InvalidArgument):
            return error
        problems = _mismatches(document.signature, document.body)
        error = InvalidArgument("\n".join([error.message, *map(str, problems)]), problems)
        if not problems:
            fitting = suggestions.listed_tensors(document.signature.inputs)
            return suggestions.with_lines(error, [f"The request fits {fitting}: the model itself refused these values"])
    if trace.version is None or sent is None:
        return error
    if document.body is None and trace.is_known:
        is_row = rows.KEY in sent.document
        foreign = foreign_object(sent.document, sent.data, refused.call.media_type)
        if foreign is None or foreign is foreign_body.TFSERVING:
            foreign = foreign_body.misspelt_key(sent.document)
    by_version = Refused(refused.call, error, ModelRef(trace.model, trace.version))
    lines = partial(_predict_lines, path=refused.call.dialect_path, is_row=is_row)
    return await advisor.explained(by_version, trace.signature, foreign, lines)


async def predict_unanswered(advisor: Advisor, refused: Refused, name: str, outputs: Tensors, *, is_row: bool) -> GatewayError:
    """For :predict: the model's ``outputs`` have no form in the JSON of such an answer."""
    path, trace = refused.call.dialect_path, refused.call.trace
    if isinstance(refused.error, OutOfRange):
        return await advisor.explained(refused, name, None, partial(_array_lines, path=path))
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
    call = refused.call
    foreign = foreign_object(document, data, call.media_type) if is_object else _foreign_bytes(data, call)
    if foreign is foreign_body.EXAMPLES:
        foreign = None
    elif foreign is foreign_body.TFSERVING and call.answered_as:
        # Only SageMaker's attributes ask for a verb on another path, and its clients reach no other path.
        foreign = replace(foreign, remedy=_BY_ATTRIBUTE)
    return await advisor.explained(refused, DEFAULT_SIGNATURE, foreign, partial(_example_lines, verb=verb))


async def examples_unfit(advisor: Advisor, refused: Refused, verb: ExampleVerb) -> GatewayError:
    """For ``verb``: the model refuses the examples."""
    return await advisor.explained(refused, DEFAULT_SIGNATURE, None, partial(_example_lines, verb=verb))


def _foreign_bytes(data: bytes, call: Call) -> ForeignBody | None:
    """What ``data``, the body of ``call`` and no JSON, looks like. Upstream ignores every Content-Encoding but gzip."""
    encoding = call.headers.get("content-encoding", "identity")
    if "gzip" in encoding.lower() or encoding.lower() == "identity":
        return foreign_bytes(data, call.media_type)
    return ForeignBody(f"{cut_text(encoding, 40)}, as its Content-Encoding says", _AS_GZIP)


def _mismatches(signature: Signature, body: PredictBody) -> tuple[Problem, ...]:
    """One problem for each tensor that was forwarded although its shape does not fit its declaration."""
    place = [rows.KEY, "*"] if body.row else [columns.KEY]
    is_only = len(signature.inputs) == 1
    return tuple(
        Problem(
            json_pointer(place[:1] if is_only else [*place, spec.name]),
            str(spec),
            f"shape {list(body.tensors[spec.name].shape)}",
        )
        for spec in signature.inputs
        if spec.name in body.tensors and not spec.fits(body.tensors[spec.name].shape)
    )


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


def _array_lines(known: DocumentedModel, signature: Signature, *, path: str) -> Iterator[str]:
    yield "npy has such numbers, which the header Accept: application/x-npy asks for"
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
