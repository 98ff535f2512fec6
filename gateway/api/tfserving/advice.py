"""What a refusal under /v1 says after TensorFlow Serving's words, which stay as they are and come first."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from gateway.api import advice, foreign_body, requests, worked_example
from gateway.api.advice import Advisor
from gateway.api.docs.model import DocumentedModel, has_compatible_form
from gateway.api.foreign_body import ForeignBody
from gateway.api.openinference import datatypes
from gateway.api.request_body import RequestBody
from gateway.api.schemas import PredictBody
from gateway.api.tfserving import columns, rows
from gateway.errors import GatewayError, OutOfRange
from gateway.inference import hints
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, Signature, Tensors, TensorSpec

ExampleVerb: TypeAlias = Literal["classify", "regress"]

_NOT_FINITE: Final = "npy has such numbers, which the header Accept: application/x-npy asks for"
_INSTEAD: Final = f'send "{columns.KEY}" instead of "{rows.KEY}"'


def predict_unread(advisor: Advisor, error: GatewayError, model: ModelRef, data: bytes) -> GatewayError:
    """For :predict: the body ``data`` is no JSON object."""
    foreign = advice.foreign_bytes(data)
    return advisor.explained(error, model, DEFAULT_SIGNATURE, foreign, partial(_predict_lines, foreign=foreign))


def predict_misread(
    advisor: Advisor, error: GatewayError, model: ModelRef, name: str, sent: RequestBody[PredictBody]
) -> GatewayError:
    """For :predict: no tensors for the signature ``name`` can be made of ``sent``, a JSON object."""
    foreign = advice.foreign_object(sent.document, sent.data)
    if foreign is not None and foreign.route == foreign_body.V1:
        foreign = None
    foreign = foreign or foreign_body.misspelt(sent.document)
    return advisor.explained(error, model, name, foreign, partial(_predict_lines, is_row=rows.KEY in sent.document))


def predict_unfit(advisor: Advisor, error: GatewayError, model: ModelRef, name: str, *, is_row: bool) -> GatewayError:
    """For :predict: there is no signature ``name``, or the model refuses tensors that do not fit it."""
    return advisor.explained(error, model, name, None, partial(_predict_lines, is_row=is_row))


def predict_unanswered(
    advisor: Advisor, error: GatewayError, model: ModelRef, name: str, outputs: Tensors, *, is_row: bool
) -> GatewayError:
    """For :predict: the model's ``outputs`` have no form in the JSON of such an answer."""
    if isinstance(error, OutOfRange):
        lines = partial(_array_lines, reason=_NOT_FINITE)
        return advisor.explained(error, model, name, None, lines)
    sizes = {array.shape[:1] for array in outputs.values()}
    if is_row and (len(sizes) > 1 or () in sizes):
        return advisor.explained(error, model, name, None, partial(_column_lines, outputs=outputs))
    return advisor.explained(error, model, name, None, _dtype_lines)


def examples_misread(
    advisor: Advisor, error: GatewayError, model: ModelRef, verb: ExampleVerb, data: bytes, *, document: Any
) -> GatewayError:
    """For ``verb``: the body ``data``, which is ``document`` if it is JSON, has no examples."""
    foreign = advice.foreign_object(document, data) if isinstance(document, dict) else advice.foreign_bytes(data)
    if foreign is not None and foreign.route == foreign_body.CLASSIFY:
        foreign = None
    return advisor.explained(error, model, DEFAULT_SIGNATURE, foreign, partial(_example_lines, verb=verb))


def examples_unfit(advisor: Advisor, error: GatewayError, model: ModelRef, verb: ExampleVerb) -> GatewayError:
    """For ``verb``: the model refuses the examples."""
    return advisor.explained(error, model, DEFAULT_SIGNATURE, None, partial(_example_lines, verb=verb))


def _predict_lines(
    known: DocumentedModel, signature: Signature, *, foreign: ForeignBody | None = None, is_row: bool = False
) -> Iterator[str]:
    bare = [spec for spec in signature.inputs if spec.shape == ()]
    if is_row and bare:
        yield f"{hints.tensors(bare)}: one value for all rows; {_INSTEAD}"
    without_form = [spec for spec in (*signature.inputs, *signature.outputs) if not has_compatible_form(spec.dtype)]
    if without_form:
        yield _elsewhere(without_form)
    yield f"{hints.cut(signature.name)} takes {hints.tensors(signature.inputs)}"
    of_file = advice.signature_for_file(known, signature) if foreign is not None and foreign.is_file else None
    if of_file is not None:
        yield worked_example.file(of_file, requests.raw_path(), rows.KEY)
    yield worked_example.predict(known, signature, requests.raw_path())


def _column_lines(known: DocumentedModel, signature: Signature, *, outputs: Tensors) -> Iterator[str]:
    rows = requests.current().trace.rows
    without = [spec for spec in signature.outputs if not outputs[spec.name].ndim or len(outputs[spec.name]) != rows]
    yield f"{hints.tensors(without or signature.outputs)}: not one row for each instance; {_INSTEAD}"
    yield worked_example.predict(known, signature, requests.raw_path(), by_columns=True)


def _dtype_lines(known: DocumentedModel, signature: Signature) -> Iterator[str]:
    without_form = [spec for spec in signature.outputs if not has_compatible_form(spec.dtype)]
    if without_form:
        yield _elsewhere(without_form)
        yield worked_example.predict(known, signature, requests.raw_path())


def _array_lines(known: DocumentedModel, signature: Signature, *, reason: str) -> Iterator[str]:
    yield reason
    yield worked_example.arrays(known, signature, requests.raw_path())


def _example_lines(known: DocumentedModel, signature: Signature, *, verb: ExampleVerb) -> Iterator[str]:
    suited = [other for other in known.signatures if other in known.of_method(verb) or hints.takes_examples(other, verb)]
    if suited:
        yield worked_example.examples(known, suited[0], verb)
        return
    yield f"{hints.cut(known.name)} has no signature for :{verb}; {hints.cut(signature.name)} is for :predict"
    yield worked_example.predict_program(known, signature)


def _elsewhere(specs: list[TensorSpec]) -> str:
    or_v2 = " or /v2" if all(datatypes.is_supported(spec.dtype) for spec in specs) else ""
    return f"no form in TensorFlow Serving's JSON: {hints.tensors(specs)}; use npy (application/x-npy){or_v2}"
