"""Where the shapes of tensors depart from what a signature declares."""

from gateway.codec.problems import pointer
from gateway.errors import Problem
from gateway.inference.signature import Signature, Tensors


def mismatches(signature: Signature, tensors: Tensors, row: bool) -> tuple[Problem, ...]:
    """One problem for each tensor of a TensorFlow Serving :predict body whose shape does not fit its declaration."""
    return tuple(
        Problem(_place(spec.name, signature, row), str(spec), f"shape {list(tensors[spec.name].shape)}")
        for spec in signature.inputs
        if spec.name in tensors and not spec.fits(tensors[spec.name].shape)
    )


def _place(name: str, signature: Signature, row: bool) -> str:
    if len(signature.inputs) == 1:
        return pointer(["instances" if row else "inputs"])
    return pointer(["instances", "*", name] if row else ["inputs", name])
