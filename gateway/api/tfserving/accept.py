"""Decoded :predict bodies that fit -> tensors; None for all others, which ``body`` accepts too, or explains.

Whatever is accepted here ``body`` accepts, as the same tensors. A document may hold NumberBlocks.
"""

from typing import Any

import numpy as np

from gateway.api.tfserving import columns, rows
from gateway.api.tfserving.body import SIGNATURE_KEY, PredictBody, names_signature
from gateway.codec import b64
from gateway.codec.elements import Array, element
from gateway.codec.nested_lists import complete, to_array
from gateway.codec.number_block import NumberBlock
from gateway.inference.signature import Signature, TensorSpec


def predict(document: Any, signature: Signature) -> PredictBody | None:
    """The tensors of a :predict body in row or columnar format, or None."""
    if not names_signature(document) or not signature.inputs:
        return None
    key, *others = [name for name in document if name != SIGNATURE_KEY] or [""]
    if others:
        return None
    if key == rows.KEY:
        tensors = _rows(document[key], signature.inputs)
        return None if tensors is None else PredictBody(row=True, tensors=tensors)
    tensors = _columns(document[key], signature.inputs) if key == columns.KEY else None
    return None if tensors is None else PredictBody(row=False, tensors=tensors)


def _rows(instances: Any, specs: tuple[TensorSpec, ...]) -> dict[str, Array] | None:
    if isinstance(instances, NumberBlock):
        return complete([(specs[0].name, _tensor(instances, specs[0]))]) if len(specs) == 1 else None
    if not isinstance(instances, list) or not instances:
        return None
    if not _is_named(instances[0]):
        return complete([(specs[0].name, _tensor(instances, specs[0]))]) if len(specs) == 1 else None
    names = {spec.name for spec in specs}
    if not all(isinstance(instance, dict) and instance.keys() == names for instance in instances):
        return None
    return complete((spec.name, _column([instance[spec.name] for instance in instances], spec)) for spec in specs)


def _columns(inputs: Any, specs: tuple[TensorSpec, ...]) -> dict[str, Array] | None:
    if _is_named(inputs):
        return complete((spec.name, _tensor(inputs[spec.name], spec) if spec.name in inputs else None) for spec in specs)
    return complete([(specs[0].name, _tensor(inputs, specs[0]))]) if len(specs) == 1 else None


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not b64.is_b64(value)


def _tensor(value: Any, spec: TensorSpec) -> Array | None:
    return to_array(value, element(spec.dtype, strict=False))


def _column(values: list[Any], spec: TensorSpec) -> Array | None:
    """The tensor of the values of one input over all instances."""
    if not any(isinstance(value, NumberBlock) for value in values):
        return _tensor(values, spec)
    arrays = [array for array in (_tensor(value, spec) for value in values) if array is not None]
    if len(arrays) < len(values) or len({array.shape for array in arrays}) > 1:
        return None
    return arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)
