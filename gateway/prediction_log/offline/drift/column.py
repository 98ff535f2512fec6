"""A column of an exported table, as drift is looked for in it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Values:
    """The values of a column where there are any.

    ``kind``: ``float`` (float64, with NaN), ``integer`` (int64 or uint64; booleans are 0 and 1) or ``text`` (a list).
    """

    kind: Literal["float", "integer", "text"]
    values: "npt.NDArray[Any] | Sequence[str | bytes]"

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def numbers(self) -> "npt.NDArray[np.float64]":
        """The values that are numbers, as float64."""
        found = np.asarray(self.values, np.float64)
        return found[~np.isnan(found)]

    @cached_property
    def counts(self) -> Mapping[Any, int]:
        """How often each value is there; NaN does not count."""
        if self.kind == "text":
            return Counter(self.values)
        values, counts = np.unique(np.asarray(self.values) if self.kind == "integer" else self.numbers, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))

    @property
    def nan(self) -> int:
        """How many are NaN."""
        return len(self) - len(self.numbers) if self.kind == "float" else 0
