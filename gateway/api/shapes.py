"""Where the shapes of tensors depart from what a signature declares."""

from collections.abc import Sequence

from gateway.errors import Problem
from gateway.inference.signature import Signature, Tensors


def fits(shape: Sequence[int], declared: Sequence[int | None] | None) -> bool:
    """Whether a tensor's shape is one that the declaration allows; None in it is a free dimension, None for it a free rank."""
    if declared is None:
        return True
    return len(shape) == len(declared) and all(want in (None, size) for size, want in zip(shape, declared, strict=True))


def mismatches(signature: Signature, tensors: Tensors, row: bool) -> tuple[Problem, ...]:
    """One problem for each tensor of a TensorFlow Serving :predict body whose shape does not fit its declaration."""
    return tuple(
        Problem(_pointer(spec.name, signature, row), str(spec), f"shape {list(tensors[spec.name].shape)}")
        for spec in signature.inputs
        if spec.name in tensors and not fits(tensors[spec.name].shape, spec.shape)
    )


def _pointer(name: str, signature: Signature, row: bool) -> str:
    place = "/instances" if row else "/inputs"
    if len(signature.inputs) == 1:
        return place
    escaped = name.replace("~", "~0").replace("/", "~1")
    return f"{place}/*/{escaped}" if row else f"{place}/{escaped}"
