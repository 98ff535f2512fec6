"""The check before a publication: the model loads the way a server loads it, and its signatures answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from model_export import samples
from model_export.errors import ExportError, first_line
from model_export.example_features import dense_features, make_example
from model_export.saved_model import Signature, loaded, read_meta_graph, signatures_of

_TIMEOUT_MS = 60_000


@dataclass(frozen=True)
class Answered:
    """A signature with inputs that it accepted and the outputs that it gave, by alias."""

    signature: Signature
    inputs: samples.Inputs
    outputs: dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Verdict:
    """What a check found: every signature, those that answered, and why some could not be tried."""

    signatures: tuple[Signature, ...]
    answered: tuple[Answered, ...]
    warnings: tuple[str, ...]


def check(path: Path) -> Verdict:
    """Load the SavedModel directory and call each signature with inputs made from its declaration.

    Raises ExportError if it does not load, has no signature, or fails in a signature whose inputs are numbers of a known
    shape. A signature that takes strings (or sizes) that cannot be guessed is named in the warnings instead, and so is an
    input that the graph takes in another dtype than declared: servers go by the graph.
    """
    graph = read_meta_graph(path)
    signatures = signatures_of(graph)
    if not signatures:
        raise ExportError("the model has no signatures, so there is nothing to call; export it with serving_default")
    strings = samples.likely_strings(make_example(dense_features(graph)))
    warnings: list[str] = []
    with loaded(path) as session:
        answered = [_try(session, signature, strings, warnings.append) for signature in signatures]
    return Verdict(signatures, tuple(answer for answer in answered if answer), tuple(warnings))


def _try(
    session: tf.compat.v1.Session, declared: Signature, strings: tuple[bytes, ...], warn: Callable[[str], None]
) -> Answered | None:
    """Return what the signature answered to the first inputs that it accepted; warn if there were none."""
    if not all(tensor.tensor for tensor in (*declared.inputs, *declared.outputs)):
        warn(f"signature {declared.name} was not tried: it has sparse or composite tensors")
        return None
    signature = _as_in_graph(session.graph, declared, warn)
    reason = ""
    for inputs in samples.candidates(signature, strings):
        try:
            outputs = run(session, signature, inputs)
        except (tf.errors.OpError, ValueError, TypeError) as error:
            reason = reason or first_line(error)
        else:
            return Answered(signature, inputs, outputs)
    if samples.is_numeric(signature) and not samples.has_free_inner_shape(signature):
        raise ExportError(f"signature {signature.name} fails with inputs of its own dtype and shape: {reason}")
    warn(f"signature {signature.name} was not tried: no valid input could be guessed ({reason})")
    return None


def _as_in_graph(graph: tf.Graph, declared: Signature, warn: Callable[[str], None]) -> Signature:
    """Return the signature with the dtypes of the graph's own placeholders, and their shapes where none was declared."""
    inputs = []
    for tensor in declared.inputs:
        try:
            placeholder = graph.get_tensor_by_name(tensor.tensor)
        except (KeyError, ValueError) as error:
            raise ExportError(f"signature {declared.name}: the graph has no tensor {tensor.tensor}") from error
        # Old exporters left the shape out, which reads as a scalar's.
        shape = tensor.shape or _shape(placeholder)
        inputs.append(replace(tensor, dtype=placeholder.dtype.base_dtype, shape=shape))
        if inputs[-1].dtype != tensor.dtype.base_dtype:
            actual = inputs[-1].dtype_name
            warn(f"signature {declared.name} declares {tensor.name} as {tensor.dtype_name}, but the graph takes {actual}")
    return replace(declared, inputs=tuple(inputs))


def _shape(tensor: tf.Tensor) -> tuple[int | None, ...] | None:
    return None if tensor.shape.rank is None else tuple(tensor.shape.as_list())


def run(session: tf.compat.v1.Session, signature: Signature, inputs: samples.Inputs) -> dict[str, npt.NDArray[np.generic]]:
    """Call one signature with raw feeds, as a server does: declared shapes bind nobody. Inputs and outputs go by alias.

    Raises KeyError for a missing input and else what TensorFlow raises; UnicodeDecodeError stands for errors whose text
    quotes bytes that are no UTF-8, as for a garbled tf.Example.
    """
    options = config_pb2.CallableOptions(
        feed=[tensor.tensor for tensor in signature.inputs],
        fetch=[tensor.tensor for tensor in signature.outputs],
        run_options=config_pb2.RunOptions(timeout_in_ms=_TIMEOUT_MS),
    )
    values = [inputs[tensor.name] for tensor in signature.inputs]
    # Session.run would refuse shapes that a server takes. Private, hence the pinned TensorFlow; test_examples.py covers it.
    outputs = session._make_callable_from_options(options)(*values)
    return {tensor.name: np.asarray(value) for tensor, value in zip(signature.outputs, outputs, strict=True)}
