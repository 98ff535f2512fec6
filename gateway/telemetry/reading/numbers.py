"""The numbers of the metrics at one moment, in columns that keep their places from one reading to the next."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


class Key(NamedTuple):
    """One number: its ``name``, as /metrics has it, and the values of its labels, in the order of the labels' names."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """``values[i]`` is the number of ``keys[i]``, NaN for a gauge that nothing shows any more.

    The keys of a later reading of the same reader begin with those of an earlier one. Buckets of histograms count what is in
    each of them, not what is below.
    """

    keys: Sequence[Key]
    values: Values


class Reader(Protocol):
    """Reads the numbers of some names."""

    def read(self) -> Reading:
        """The numbers now. For one thread at a time."""


def no_numbers() -> Reading:
    """A reading without any."""
    return Reading((), np.empty(0))


Names = Collection[str]
"""Names of numbers, as /metrics has them, such as ``gateway_request_seconds_bucket``."""
