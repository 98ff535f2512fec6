"""One loaded version of a model: its signatures, and a runner for its graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_server.session import Feeds, Runner
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
    """A SignatureDef, taken apart once: everything that a request needs, in sorted order of the aliases."""

    name: str
    definition: Any
    inputs: Mapping[str, str]
    outputs: Mapping[str, Output]
    all_outputs: tuple[Output, ...]

    @classmethod
    def compiled(cls, name: str, definition: Any, dtype_of: Callable[[str], int]) -> "Signature":
        """Take a SignatureDef apart; ``dtype_of`` knows the graph's tensors."""
        outputs = {alias: Output(alias, info.name, dtype_of(info.name)) for alias, info in sorted(definition.outputs.items())}
        inputs = {alias: info.name for alias, info in sorted(definition.inputs.items())}
        return cls(name, definition, inputs, outputs, tuple(outputs.values()))


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
