"""'inputs', the columnar format of :predict: the one tensor of the model, or an object of all its tensors."""

from collections.abc import Sequence
from functools import partial
from operator import add
from typing import Any

from gateway.api.tfserving import wording
from gateway.codec import b64
from gateway.codec.elements import Array, element
from gateway.codec.nested_lists import complete, find_problems, to_array
from gateway.codec.problems import MISSING, Problems, pointer
from gateway.errors import GatewayError, InvalidArgument, Unimplemented
from gateway.inference.signature import TensorSpec

KEY = "inputs"


def only_tensor(value: Any, specs: Sequence[TensorSpec]) -> dict[str, Array] | None:
    """``value`` as the tensor of the only one of ``specs``, by its name; None if there are more, or if it is none."""
    return complete([(specs[0].name, to_tensor(value, specs[0]))]) if len(specs) == 1 else None


def to_tensor(value: Any, spec: TensorSpec) -> Array | None:
    """``value`` as a tensor of the dtype of ``spec`` and of any shape; None if it is none."""
    return to_array(value, element(spec.dtype, strict=False))


def column_tensors(inputs: Any, specs: Sequence[TensorSpec]) -> dict[str, Array] | None:
    """The tensors by input name; None if anything is wrong. Names that the signature does not have are ignored."""
    if not b64.is_object(inputs):
        return only_tensor(inputs, specs)
    return complete((spec.name, to_tensor(inputs.get(spec.name, MISSING), spec)) for spec in specs)


def column_refusal(inputs: Any, specs: Sequence[TensorSpec]) -> GatewayError:
    """Why there are no tensors: upstream's text for its first problem, then every problem."""
    is_named = b64.is_object(inputs)
    if not is_named and len(specs) > 1:
        return InvalidArgument(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map"
        )
    problems = Problems()
    first: GatewayError | None = None
    for spec in specs:
        value, kind = inputs.get(spec.name, MISSING) if is_named else inputs, element(spec.dtype, strict=False)
        place = pointer((KEY, spec.name) if is_named else (KEY,))
        problems.extend(find_problems(value, kind), partial(add, place))
        if value is MISSING:
            first = first or InvalidArgument(f"Missing named input: {spec.name} in '{KEY}' object.")
        first = first or wording.tensor_refusal(value, kind)
    if isinstance(first, Unimplemented):
        return first
    return problems.invalid_argument(first.message if first else f"'{KEY}' does not fit the signature")
