"""The nodes of a graph that a signature runs, those inside of functions included. Read from the graph, without running it."""

from collections.abc import Iterable, Iterator

from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from model_export.saved_model import Signature


def nodes_behind(graph: meta_graph_pb2.MetaGraphDef, signature: Signature) -> Iterator[node_def_pb2.NodeDef]:
    """Yield each node that the signature's outputs need, and all nodes of the functions that these call, at any depth."""
    nodes = {node.name: node for node in graph.graph_def.node}
    functions = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    yield from _with_called(_reached([tensor.tensor for tensor in signature.outputs], nodes), functions)


def _reached(outputs: Iterable[str], nodes: dict[str, node_def_pb2.NodeDef]) -> Iterator[node_def_pb2.NodeDef]:
    """Yield the nodes that the outputs need, through data and control inputs."""
    waiting, seen = list(outputs), set()
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in seen:
            seen.add(name)
            waiting.extend(nodes[name].input)
            yield nodes[name]


def _with_called(
    nodes: Iterable[node_def_pb2.NodeDef], functions: dict[str, Iterable[node_def_pb2.NodeDef]]
) -> Iterator[node_def_pb2.NodeDef]:
    """Yield the nodes and all nodes of the functions that they call, at any depth."""
    waiting, seen = list(nodes), set()
    while waiting:
        node = waiting.pop()
        yield node
        for called in _called(node):
            if called in functions and called not in seen:
                seen.add(called)
                waiting.extend(functions[called])


def _called(node: node_def_pb2.NodeDef) -> Iterator[str]:
    yield node.op  # TF1 calls a function by using its name as the op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)
