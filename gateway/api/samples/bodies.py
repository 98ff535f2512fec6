"""A sample body for each dialect, made from a signature.

A body that is too large to be read, or that is not answered in JSON, is left out where a function says so.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from gateway.api.samples import values
from gateway.api.samples.model import DocumentedModel, has_compatible_form, has_form, has_strict_form
from gateway.codec.datatypes import datatype_of, has_datatype
from gateway.inference.dtypes import DType
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

Json: TypeAlias = dict[str, Any]


def predict_bodies(signature: Signature) -> Json:
    """A body of :predict for each of its formats, by the format's key.

    ``instances`` is left out where the samples are no rows. Empty if a tensor has no form in TensorFlow Serving's JSON, or the
    bodies are too large.
    """
    if not _is_shown(signature, has_compatible_form):
        return {}
    made: Json = {}
    if has_rows(signature.inputs) and _answers_rows(signature) and not values.has_sparse_parts(signature):
        row = {spec.name: values.row_sample(signature, spec) for spec in signature.inputs}
        made["instances"] = signature_member(signature) | {"instances": [_only_or_all(row)] * values.sample_rows(signature)}
    return made | {"inputs": columns_body(signature)}


def columns_body(signature: Signature) -> Json:
    """A body of :predict by columns, however large it is, and even if its answer has no form in JSON."""
    tensors = {spec.name: values.whole_sample(signature, spec) for spec in signature.inputs}
    return signature_member(signature) | {"inputs": _only_or_all(tensors)}


def examples_body(model: DocumentedModel, signature: Signature) -> Json:
    """A body of :classify and :regress with one example, whose features are a guess."""
    features = values.sample_features([model.default] if model.default else model.signatures)
    return signature_member(signature) | {"examples": [features]}


def infer_body(signature: Signature) -> Json | None:
    """A body of the Open Inference Protocol; None if a tensor has no datatype there, or the body is too large."""
    if not _is_shown(signature, has_datatype):
        return None
    inputs = [
        {
            "name": spec.name,
            "datatype": datatype_of(spec.dtype),
            "shape": list(values.sample_shape(signature, spec)),
            "data": values.flat_sample(signature, spec),
        }
        for spec in signature.inputs
    ]
    named = signature_member(signature)
    return ({"parameters": named} if named else {}) | {"inputs": inputs}


def simple_body(signature: Signature) -> Json | None:
    """A body of /predict; None if a tensor has no form in its JSON, or the body is too large."""
    return one_example_body(signature) if _is_shown(signature, has_strict_form) else None


def one_example_body(signature: Signature) -> Json:
    """A body of /predict, however large it is, and even if its answer has no form in JSON."""
    return {
        spec.name: values.row_sample(signature, spec) if spec.has_free_batch else values.whole_sample(signature, spec)
        for spec in signature.inputs
    }


def signature_member(signature: Signature) -> Json:
    """The member that asks for ``signature``; nothing for the default signature."""
    return {} if signature.name == DEFAULT_SIGNATURE else {"signature_name": signature.name}


def has_rows(specs: tuple[TensorSpec, ...]) -> bool:
    """Whether every tensor has a dimension 0, and as many rows as the others."""
    counts = {spec.shape[0] for spec in specs if spec.shape} - {None}
    return all(spec.shape != () for spec in specs) and len(counts) < 2


def _answers_rows(signature: Signature) -> bool:
    """Whether the outputs for the samples can be answered by rows: each has a dimension 0, and all are equally long."""
    sizes = {spec.shape[0] or values.sample_rows(signature) for spec in signature.outputs if spec.shape}
    return all(spec.shape != () for spec in signature.outputs) and len(sizes) < 2


def _is_shown(signature: Signature, is_supported: Callable[[DType], bool]) -> bool:
    return values.is_printable(signature) and has_form(signature, is_supported)


def _only_or_all(members: Json) -> Any:
    return next(iter(members.values())) if len(members) == 1 else members
