"""tf.Examples and what a model makes of them: the values of Classify and Regress that every layer shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.inference.dtypes import STRING
from gateway.inference.signature import Tensors

Kind: TypeAlias = Literal["bytes", "float", "int64"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of an example: a list of values of one ``kind`` (None: the list is empty, and of no kind).

    The values are ``bytes``, floats that a float32 can hold, or integers of 64 bits.
    """

    kind: Kind | None
    values: Sequence[Any]


Example: TypeAlias = Mapping[str, Feature]


@dataclass(frozen=True, slots=True)
class Examples:
    """What a Classify or Regress call is asked about. The features of ``context``, if there is one, belong to every example."""

    examples: Sequence[Example]
    context: Example | None = None


@dataclass(frozen=True, slots=True)
class Classifications:
    """What a classifier answered: for each example its (label, score) pairs. Scores are float32; no label is an empty one."""

    model: str
    version: int
    rows: Sequence[Sequence[tuple[str, float]]]

    def tensors(self) -> Tensors:
        """The same as ``classes`` string[examples,classes] and ``scores`` float32; none if the examples have not as many."""
        counts = {len(row) for row in self.rows}
        if len(counts) != 1:
            return {}
        classes = np.array([[label.encode() for label, _ in row] for row in self.rows], STRING.numpy)
        return {"classes": classes, "scores": np.array([[score for _, score in row] for row in self.rows], np.float32)}


@dataclass(frozen=True, slots=True)
class Regressions:
    """What a regressor answered: one float32 for each example."""

    model: str
    version: int
    values: npt.NDArray[Any]

    def tensors(self) -> Tensors:
        """The same as ``outputs`` float32[examples]."""
        return {"outputs": self.values}
