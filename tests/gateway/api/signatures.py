"""Signatures for the tests of this folder."""

from gateway.inference.signature import Signature, TensorSpec


def signature(**inputs):
    """A signature whose inputs are given as ``name=(dtype, shape)``, or ``name=(dtype, shape, True)`` with a default value."""
    specs = tuple(TensorSpec(name, *declared) for name, declared in sorted(inputs.items()))
    return Signature("serving_default", "tensorflow/serving/predict", specs, ())
