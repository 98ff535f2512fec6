"""Signatures that no client can ever call, whatever it sends, told from the declaration and the graph alone."""

from collections import defaultdict
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from model_export.checking.graph_nodes import nodes_behind
from model_export.saved_model import COMPOSITE, PLAIN, RAGGED, SPARSE, UNTYPED, Signature, Tensor

# Session runs Python functions only in the process that made them; tensorflow_model_server does not know these ops at all.
_PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}

_KINDS = {
    SPARSE: ("a sparse tensor", "indices, values and dense_shape, each as a tensor of its own"),
    RAGGED: ("a ragged tensor", "its values and row_splits, each as a tensor of its own"),
    COMPOSITE: ("a composite tensor", "its parts, each as a tensor of its own"),
    UNTYPED: ("declared without a tensor or a dtype", "a plain tensor"),
}


def why_uncallable(graph: meta_graph_pb2.MetaGraphDef, signature: Signature) -> str:
    """Return why a server refuses every call of the signature and what to do, in one line; empty if it may be called.

    The rules are TensorFlow's own: a session feeds and fetches plain tensors, feeds each tensor once, and does not fetch what
    is fed (direct_session.cc); resources and variants do not travel (tensor.cc).
    """
    return next(_reasons(graph, signature), "")


def _reasons(graph: meta_graph_pb2.MetaGraphDef, signature: Signature) -> Iterator[str]:
    for direction, verb, tensors in (("input", "take", signature.inputs), ("output", "return", signature.outputs)):
        for tensor in tensors:
            yield from _unsendable(direction, verb, tensor)
    yield from _fed_twice(signature)
    yield from _fed_and_fetched(signature)
    yield from _python(graph, signature)


def _unsendable(direction: str, verb: str, tensor: Tensor) -> Iterator[str]:
    if tensor.kind != PLAIN:
        what, instead = _KINDS[tensor.kind]
        yield f"{direction} {tensor.name} is {what}, which no server can {verb}: {verb} {instead}"
    elif tensor.dtype.base_dtype in (tf.resource, tf.variant):
        yield f"{direction} {tensor.name} is a {tensor.dtype_name}, which no request or answer can hold: {verb} plain tensors"


def _fed_twice(signature: Signature) -> Iterator[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for tensor in signature.inputs:
        names[tensor.tensor].append(tensor.name)
    for tensor_name, aliases in names.items():
        if len(aliases) > 1:
            yield (
                f"inputs {' and '.join(aliases)} are two names for one tensor ({tensor_name}), which can be fed only once:"
                " keep one of the names, or give each a placeholder of its own"
            )


def _fed_and_fetched(signature: Signature) -> Iterator[str]:
    inputs = {tensor.tensor: tensor.name for tensor in signature.inputs}
    for output in signature.outputs:
        name = inputs.get(output.tensor)
        if name is None:
            continue
        remedy = f"in the model's code, return tf.identity({name}) instead of {name}"
        if name == output.name:
            yield f"{name} is both an input and an output: {remedy}"
        else:
            yield f"output {output.name} is the input {name} itself: {remedy}"


def _python(graph: meta_graph_pb2.MetaGraphDef, signature: Signature) -> Iterator[str]:
    if any(node.op in _PYTHON_OPS for node in nodes_behind(graph, signature)):
        yield "it calls a Python function (tf.py_function, tf.numpy_function), which no server has: use TensorFlow ops"
