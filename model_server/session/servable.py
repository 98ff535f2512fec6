"""One loaded version of a model: its signatures, and a runner for its graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tensorflow.core.framework import types_pb2

from model_server.session.graph_session import Feeds, Runner, qualified
from model_server.tensors import Array

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Output:
    """One output of a signature: the name that clients use, the tensor's name, and its DataType number."""

    alias: str
    tensor: str
    dtype: int


@dataclass(frozen=True)
class Signature:
    """A SignatureDef, taken apart once: everything that a request needs, in sorted order of the aliases.

    ``fed_twice`` is the tensor that two inputs name; TensorFlow never runs such a signature.
    """

    name: str
    definition: Any
    inputs: Mapping[str, str]
    outputs: Mapping[str, Output]
    all_outputs: tuple[Output, ...]
    fed_twice: str | None = None

    @classmethod
    def compiled(cls, name: str, definition: Any, dtype_of: Callable[[str], int]) -> "Signature":
        """Take a SignatureDef apart; ``dtype_of`` knows the graph's tensors."""
        outputs = {alias: Output(alias, info.name, dtype_of(info.name)) for alias, info in sorted(definition.outputs.items())}
        inputs = {alias: info.name for alias, info in sorted(definition.inputs.items())}
        fed = [tensor for tensor in inputs.values() if dtype_of(tensor) != types_pb2.DT_INVALID]
        return cls(name, definition, inputs, outputs, tuple(outputs.values()), _first_repeated(fed))


def _first_repeated(tensors: Sequence[str]) -> str | None:
    """The first tensor, in sorted order, that is named more than once, as ``x`` and ``x:0`` name the same one."""
    names = sorted(map(qualified, tensors))
    return next((name for name, following in pairwise(names) if name == following), None)


@dataclass(frozen=True)
class Servable:
    """A version that can answer requests. Thread-safe: several requests run in it at the same time.

    ``definitions`` holds every SignatureDef of the graph; ``signatures`` those that can be run.
    """

    name: str
    version: int
    runner: Runner
    definitions: Mapping[str, Any]
    signatures: Mapping[str, Signature]
    free: Callable[[], None]

    def run(self, feeds: Feeds, fetches: Sequence[str], timeout_ms: int | None) -> list[Array]:
        """Run the graph; raises ServingError."""
        return self.runner.run(feeds, fetches, timeout_ms)

    def close(self) -> None:
        """Free the graph; nothing may run any more."""
        self.free()
