"""Decoded /predict bodies that fit -> tensors; None for all others, which ``body`` accepts too, or explains.

Whatever is accepted here ``body`` accepts, as the same tensors. A document may hold NumberBlocks.
"""

from typing import Any

import numpy as np

from gateway.api.simple.body import DATA_KEY
from gateway.api.tensor_field import example_dims
from gateway.codec.elements import Array, element
from gateway.codec.nested_lists import complete, to_array
from gateway.inference.signature import Signature, TensorSpec


def example(document: Any, signature: Signature) -> dict[str, Array] | None:
    """The tensors of a ``/predict`` body, or None."""
    specs = {spec.name: spec for spec in signature.inputs}
    # No Repeating, which is refused.
    if type(document) is not dict or not all(element(spec.dtype, strict=True).is_supported for spec in signature.inputs):
        return None
    if len(specs) == 1 and document.keys() == {DATA_KEY} and "" not in specs:
        document = {next(iter(specs)): document[DATA_KEY]}
    needed = {name for name, spec in specs.items() if not spec.has_default}
    if not needed <= document.keys() <= specs.keys():
        return None
    return complete((spec.name, _example(document[spec.name], spec)) for spec in signature.inputs if spec.name in document)


def _example(value: Any, spec: TensorSpec) -> Array | None:
    array = to_array(value, element(spec.dtype, strict=True), example_dims(spec))
    return array[np.newaxis] if array is not None and spec.has_free_batch else array
