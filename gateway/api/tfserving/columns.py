"""'inputs', the columnar format of :predict: the one tensor of the model, or an object of all its tensors."""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import add
from typing import Any

from gateway.api.tensor_field import InvalidTensors, load_tensors
from gateway.api.tfserving import wording
from gateway.codec import b64
from gateway.codec.elements import Array, element
from gateway.codec.nested_lists import find_list_problems
from gateway.codec.problems import MISSING, Problems, json_pointer
from gateway.errors import GatewayError, InvalidArgument, Unimplemented
from gateway.inference.signature import Signature, TensorSpec

KEY = "inputs"


def named_tensors(values: Mapping[str, Any], signature: Signature) -> dict[str, Array] | None:
    """The tensors of JSON values by input name, as the schema of ``signature`` accepts them; None if it refuses them.

    Their shapes are not checked, and names that the signature does not have are ignored.
    """
    try:
        return load_tensors(signature, values, strict=False)
    except InvalidTensors:
        return None


def only_tensor(value: Any, signature: Signature) -> dict[str, Array] | None:
    """``value`` as the tensor of the only input, by its name; None if there are more inputs, or if it is refused."""
    return named_tensors({signature.inputs[0].name: value}, signature) if len(signature.inputs) == 1 else None


def column_tensors(inputs: Any, signature: Signature) -> dict[str, Array] | None:
    """The tensors by input name; None if anything is wrong. Names that the signature does not have are ignored."""
    return named_tensors(inputs, signature) if b64.is_object(inputs) else only_tensor(inputs, signature)


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
        place = json_pointer((KEY, spec.name) if is_named else (KEY,))
        problems.extend(find_list_problems(value, kind), partial(add, place))
        if value is MISSING:
            first = first or InvalidArgument(f"Missing named input: {spec.name} in '{KEY}' object.")
        first = first or wording.tensor_refusal(value, kind)
    if isinstance(first, Unimplemented):
        return first
    return problems.invalid_argument(first.message if first else f"'{KEY}' does not fit the signature")
