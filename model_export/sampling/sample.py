"""A request that the user gave: what it asks, and where it was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from model_export.errors import ExportError
from model_export.saved_model import PREDICT_METHOD, Inputs, Signature

DEFAULT_SIGNATURE = "serving_default"
Signatures = Mapping[str, Signature]


class SampleError(ExportError):
    """A sample that does not fit. Its text says which file and line, which input, what was expected and what came."""


@dataclass(frozen=True)
class Sample:
    """Inputs of one signature. `place` says where they came from; `record` is the PredictionLog that held them, if one did.

    `method` is how the record asks: PREDICT_METHOD, CLASSIFY_METHOD or REGRESS_METHOD.
    """

    signature: Signature
    inputs: Inputs
    place: str
    record: Any = None
    method: str = PREDICT_METHOD


class Unbound(Protocol):
    """A sample as it was read, before the model's signatures are known."""

    def bind(self, signatures: Signatures) -> Sequence[Sample]:
        """Return what it asks of these signatures. Raises SampleError where it does not fit one."""


def find(signatures: Signatures, name: str, place: str) -> Signature:
    """Return the signature. Raises SampleError, naming those there are, for a name that is none."""
    if name not in signatures:
        raise SampleError(f"{place}: the model has no signature {name}; there are: {', '.join(signatures) or 'none'}")
    return signatures[name]


def require_inputs(signature: Signature, given: Sequence[str], place: str) -> None:
    """Raise SampleError unless exactly the signature's inputs are given."""
    expected = [tensor.name for tensor in signature.inputs]
    missing = [f"input {name!r} is missing" for name in expected if name not in given]
    unknown = [f"{name!r} is no input" for name in given if name not in expected]
    if missing or unknown:
        takes = f"signature {signature.name} takes {', '.join(expected) or 'no input'}"
        raise SampleError(f"{place}: {', '.join([*missing, *unknown])}; {takes}")
