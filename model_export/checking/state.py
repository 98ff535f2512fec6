"""Whether a signature changes what the model holds: variables, tables, queues. Read from the graph, without running it.

Such a signature (a training step, a counter) must not be replayed as a warm-up: every load would start from another state.
"""

import re

from tensorflow.core.protobuf import meta_graph_pb2

from model_export.checking.graph_nodes import nodes_behind
from model_export.saved_model import Signature

# Not the pure ScatterNd and TensorScatter*, nor random generators, whose state nobody asks for.
_CHANGING_OPS = re.compile(
    r"Assign.*|(Resource)?(Sparse)?Apply[A-Z].*|ResourceScatter.*|Scatter(Nd)?(Add|Sub|Mul|Div|Min|Max|Update)"
    r"|(Resource)?CountUpTo|LookupTable(Insert|Remove)(V2)?|QueueEnqueue.*"
)


def changes_state(graph: meta_graph_pb2.MetaGraphDef, signature: Signature) -> bool:
    """Whether computing the signature's outputs runs an op that writes to a variable, a table or a queue."""
    return any(_CHANGING_OPS.fullmatch(node.op) for node in nodes_behind(graph, signature))
