"""'inputs', the columnar format of :predict: the one tensor of the model, or an object of all its tensors."""

from collections.abc import Mapping
from typing import Any

from gateway.api.tensor_field import InvalidTensors, load
from gateway.api.tfserving import wording
from gateway.codec import b64
from gateway.codec.elements import Array, element
from gateway.codec.problems import Problems, json_pointer
from gateway.errors import GatewayError, InvalidArgument, Unimplemented
from gateway.inference.signature import Signature

KEY = "inputs"


def to_tensors(inputs: Any, signature: Signature) -> dict[str, Array]:
    """The tensors by input name. Names that the signature does not have are ignored, as upstream does.

    Raises InvalidArgument (upstream's text for its first problem, then every problem), or Unimplemented for a dtype that has no
    JSON form.
    """
    if b64.is_object(inputs):
        return _load(inputs, signature, prefix=f"/{KEY}", drop="")
    if len(signature.inputs) > 1:
        raise InvalidArgument(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map"
        )
    name = signature.inputs[0].name
    return _load({name: inputs}, signature, prefix=f"/{KEY}", drop=json_pointer((name,)))


def _load(tensors: Mapping[str, Any], signature: Signature, prefix: str, drop: str) -> dict[str, Array]:
    try:
        return load(signature, tensors, strict=False)
    except InvalidTensors as invalid:
        first = _first_refusal(tensors, signature)
        if isinstance(first, Unimplemented):
            raise first from None
        problems = Problems()
        problems.extend(invalid.problems(), lambda inner: prefix + inner.removeprefix(drop))
        raise problems.invalid_argument(first.message) from None


def _first_refusal(tensors: Mapping[str, Any], signature: Signature) -> GatewayError:
    for spec in signature.inputs:
        if spec.name not in tensors:
            return InvalidArgument(f"Missing named input: {spec.name} in '{KEY}' object.")
        problem = wording.of_tensor(tensors[spec.name], element(spec.dtype, strict=False))
        if problem:
            return problem
    return InvalidArgument(f"'{KEY}' does not fit the signature")
