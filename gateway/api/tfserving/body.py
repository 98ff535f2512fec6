"""Decoded bodies of :predict -> tensors. ``accept`` recognises the common body; ``load`` decides what is accepted.

The order of checks and the texts are those of ``FillPredictRequestFromJson`` in ``util/json_tensor.cc``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gateway.api.tfserving import columns, rows
from gateway.codec import b64
from gateway.codec.elements import Array, element
from gateway.codec.json_text import dump_json
from gateway.codec.large_json import NumberBlock
from gateway.codec.nested_lists import complete_tensors, lists_to_array
from gateway.codec.problems import cut_text
from gateway.errors import InvalidArgument
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

SIGNATURE_KEY: Final = "signature_name"
_NAME_LENGTH: Final = 500  # of a signature, in messages and logs; what is longer is no signature's name


@dataclass(frozen=True, slots=True)
class PredictBody:
    """A :predict body: its tensors by input name, and whether they came in row format, which the answer then has too."""

    row: bool
    tensors: dict[str, Array]


def names_signature(document: Any) -> bool:
    """Whether ``signature_name`` has a name for ``document``."""
    return isinstance(document, dict) and isinstance(document.get(SIGNATURE_KEY, ""), str)


def signature_name(document: Any) -> str:
    """The signature that a TensorFlow Serving body asks for; the default one where it names none. Raises InvalidArgument."""
    if not isinstance(document, dict):
        raise _unlike(document, "Is not object")
    name = document.get(SIGNATURE_KEY, "")
    if not isinstance(name, str):
        raise _unlike(document, f"not formatted correctly. '{SIGNATURE_KEY}' key must be a string value.")
    return cut_text(name, _NAME_LENGTH) or DEFAULT_SIGNATURE


def accept(document: Any, signature: Signature) -> PredictBody | None:
    """The tensors of a plainly good :predict body, or None. Whatever it accepts ``load`` accepts, as the same tensors.

    The document may hold NumberBlocks.
    """
    if not names_signature(document) or not signature.inputs:
        return None
    key, *others = [name for name in document if name != SIGNATURE_KEY] or [""]
    read = {rows.KEY: _rows, columns.KEY: _columns}.get(key)
    tensors = None if read is None or others else read(document[key], signature.inputs)
    return None if tensors is None else PredictBody(row=key == rows.KEY, tensors=tensors)


def load(document: Any, signature: Signature) -> PredictBody:
    """The tensors of a :predict body.

    Declared shapes are not checked, other keys are ignored, and a signature's default values are not used, as upstream does.
    Raises InvalidArgument, whose message begins with upstream's text and which lists every problem, or Unimplemented.
    """
    signature_name(document)
    if not signature.inputs:
        named = signature_name(document) if document.get(SIGNATURE_KEY) else "DEFAULT"
        raise InvalidArgument(f"Failed to get input map for signature: {named}")
    if rows.KEY in document:
        return PredictBody(row=True, tensors=rows.to_tensors(_instances(document), signature))
    if columns.KEY in document:
        return PredictBody(row=False, tensors=columns.to_tensors(document[columns.KEY], signature))
    raise InvalidArgument(f"Missing '{columns.KEY}' or '{rows.KEY}' key")


def _instances(document: Mapping[str, Any]) -> list[Any]:
    if columns.KEY in document:
        keys = f"'{columns.KEY}' or '{rows.KEY}' keys to exist "
        raise _unlike(document, f"Not formatted correctly expecting only one of {keys}")
    instances = document[rows.KEY]
    if not isinstance(instances, list):
        raise _unlike(document, f"Expecting '{rows.KEY}' to be an list/array")
    if not instances:
        raise _unlike(document, f"No values in '{rows.KEY}' array")
    return instances


def _unlike(document: Any, text: str) -> InvalidArgument:
    return InvalidArgument(f"JSON Value: {dump_json(document)} {text}")


def _rows(instances: Any, specs: tuple[TensorSpec, ...]) -> dict[str, Array] | None:
    is_list = isinstance(instances, list) and bool(instances)
    if isinstance(instances, NumberBlock) or (is_list and not b64.is_object(instances[0])):
        return _only(instances, specs)
    names = {spec.name for spec in specs}
    if not is_list or not all(isinstance(instance, dict) and instance.keys() == names for instance in instances):
        return None
    return complete_tensors((spec.name, _column([instance[spec.name] for instance in instances], spec)) for spec in specs)


def _columns(inputs: Any, specs: tuple[TensorSpec, ...]) -> dict[str, Array] | None:
    if b64.is_object(inputs):
        return complete_tensors(
            (spec.name, _tensor(inputs[spec.name], spec) if spec.name in inputs else None) for spec in specs
        )
    return _only(inputs, specs)


def _only(value: Any, specs: tuple[TensorSpec, ...]) -> dict[str, Array] | None:
    return complete_tensors([(specs[0].name, _tensor(value, specs[0]))]) if len(specs) == 1 else None


def _tensor(value: Any, spec: TensorSpec) -> Array | None:
    return lists_to_array(value, element(spec.dtype, strict=False))


def _column(values: list[Any], spec: TensorSpec) -> Array | None:
    """The tensor of the values of one input over all instances."""
    if not any(isinstance(value, NumberBlock) for value in values):
        return _tensor(values, spec)
    arrays = [array for array in (_tensor(value, spec) for value in values) if array is not None]
    if len(arrays) < len(values) or len({array.shape for array in arrays}) > 1:
        return None
    return arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)
