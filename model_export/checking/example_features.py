"""The tf.Example that a graph parses, found in the graph itself: its ParseExample nodes and the constants they read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

Nodes = dict[str, node_def_pb2.NodeDef]


@dataclass(frozen=True)
class Feature:
    """A dense feature that a graph reads: `size` values of `dtype` (float32, int64 or string)."""

    name: str
    dtype: tf.DType
    size: int


def dense_features(graph: meta_graph_pb2.MetaGraphDef) -> tuple[Feature, ...]:
    """Return each dense feature that some ParseExample node of the graph, or of its functions, reads; by name."""
    found = {}
    for nodes in _scopes(graph):
        for node in nodes.values():
            found.update({feature.name: feature for feature in _features(node, nodes)})
    return tuple(found[name] for name in sorted(found))


def make_example(features: tuple[Feature, ...]) -> bytes:
    """Return a serialized tf.Example with every feature filled: 1 for numbers, `text` for strings."""
    example = tf.train.Example()
    for feature in features:
        value = example.features.feature[feature.name]
        if feature.dtype == tf.string:
            value.bytes_list.value.extend([b"text"] * feature.size)
        elif feature.dtype == tf.int64:
            value.int64_list.value.extend([1] * feature.size)
        else:
            value.float_list.value.extend([1.0] * feature.size)
    return bytes(example.SerializeToString())


def _scopes(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Nodes]:
    yield {node.name: node for node in graph.graph_def.node}
    for function in graph.graph_def.library.function:
        yield {node.name: node for node in function.node_def}


def _features(node: node_def_pb2.NodeDef, nodes: Nodes) -> Iterator[Feature]:
    keys = _dense_keys(node, nodes)
    dtypes, shapes = node.attr["Tdense"].list.type, node.attr["dense_shapes"].list.shape
    for key, dtype, shape in zip(keys, dtypes, shapes, strict=False):
        dims = [max(dim.size, 1) for dim in shape.dim]
        yield Feature(key, tf.dtypes.as_dtype(dtype), int(np.prod(dims, dtype=np.int64)))


def _dense_keys(node: node_def_pb2.NodeDef, nodes: Nodes) -> list[str]:
    if node.op == "ParseExampleV2":  # serialized, names, sparse_keys, dense_keys, ragged_keys, dense_defaults...
        return _strings(node.input[3], nodes)
    if node.op == "ParseExample":  # serialized, names, Nsparse sparse_keys, Ndense dense_keys, dense_defaults...
        first = 2 + node.attr["Nsparse"].i
        return [key for name in node.input[first : first + node.attr["Ndense"].i] for key in _strings(name, nodes)]
    if node.op == "ParseSingleExample":
        return [key.decode() for key in node.attr["dense_keys"].list.s]
    return []


def _strings(tensor: str, nodes: Nodes) -> list[str]:
    constant = nodes.get(tensor.partition(":")[0])
    if constant is None or constant.op != "Const":
        return []
    return [key.decode() for key in tf.make_ndarray(constant.attr["value"].tensor).ravel()]
