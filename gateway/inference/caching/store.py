"""The answers that are kept: for each model at most so many and so long, and over all models at most so many bytes.

When the bytes are used up, the model that holds the most gives up the answer that it was not asked for the longest: a model
with large answers cannot drive out the others. For one event loop.
"""

import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy.typing as npt
from cachetools import TTLCache

from gateway.inference.caching.key import TensorsKey, key_bytes
from gateway.inference.signature import Prediction, ServedModel
from gateway.telemetry import metrics

# The version as the catalog's own value of it, the signature's name, the wanted outputs, the inputs. The version goes by the
# identity of that value: a version that leaves and comes back under its old number is another one.
CacheKey: TypeAlias = tuple[int, str, tuple[str, ...], TensorsKey]

# No answer takes more than this share of all bytes: a few such would empty the cache.
_LARGEST_SHARE = 8

# What an answer takes besides its contents: keys, links, the array and dict objects. Measured with tracemalloc.
_ENTRY_BYTES = 800
_TENSOR_BYTES = 250


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """What is kept for one model: ``entries`` answers, each for ``seconds``."""

    entries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer and the version that gave it, held so that no other value takes its identity; ``size`` in bytes."""

    prediction: Prediction
    served: ServedModel
    size: int


class _Entries(TTLCache[CacheKey, _Kept]):
    """The answers of one model, and its metrics."""

    def __init__(self, model: str, limits: CacheLimits, max_bytes: int, timer: Callable[[], float]) -> None:
        super().__init__(max_bytes, limits.seconds, timer, getsizeof=attrgetter("size"))
        self.most_entries = limits.entries
        self._entries = metrics.CACHE_ENTRIES.labels(model)
        self._bytes = metrics.CACHE_BYTES.labels(model)
        self._evictions = {reason: metrics.CACHE_EVICTIONS.labels(model, reason) for reason in ("entries", "bytes")}

    def evict(self, reason: str) -> int:
        """Give up the answer that was not asked for the longest, and return its bytes."""
        try:
            _, kept = self.popitem()
        except KeyError:  # the last one has expired since it was looked at
            return 0
        self._evictions[reason].inc()
        return kept.size

    def measure(self) -> None:
        """Show what is held now."""
        self._entries.set(len(self))
        self._bytes.set(self.currsize)


class CacheStore:
    """Keeps the answers of the models that ``limits`` names in ``max_bytes``."""

    def __init__(self, limits: Mapping[str, CacheLimits], max_bytes: int, timer: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._models = {model: _Entries(model, limit, max_bytes, timer) for model, limit in limits.items()}
        self._most_held = 0  # bytes: what has expired since they were counted is among them

    @property
    def models(self) -> Collection[str]:
        """The models whose answers are kept."""
        return self._models.keys()

    @property
    def bytes_held(self) -> int:
        """What the answers of all models take. Where there are many models, it takes long to count."""
        return int(sum(entries.currsize for entries in self._models.values()))

    def get(self, key: CacheKey, model: str) -> Prediction | None:
        """The answer that is kept under ``key``."""
        try:
            return self._models[model][key].prediction
        except KeyError:
            return None

    def keep(self, key: CacheKey, served: ServedModel, prediction: Prediction) -> Prediction:
        """Keep an answer of ``served``, unless it is too large or one is kept under ``key``; it is returned read-only."""
        entries, size = self._models[served.name], _entry_bytes(key, prediction)
        if size > self._max_bytes // _LARGEST_SHARE:
            return read_only_prediction(prediction)
        prediction = read_only_prediction(prediction, own=True)
        if key in entries:
            return prediction
        if len(entries) >= entries.most_entries:
            self._most_held -= entries.evict("entries")
        if self._most_held + size > self._max_bytes:
            self._make_room(size)
        entries[key] = _Kept(prediction, served, size)
        self._most_held += size
        entries.measure()
        return prediction

    def drop_shared(self, model: str) -> None:
        """Give up the answers of a model that were cut from batches, if any of the model's are kept."""
        entries = self._models.get(model)
        if entries is None:
            return
        for key in [key for key, kept in entries.items() if kept.prediction.is_shared]:
            dropped = entries.pop(key, None)
            self._most_held -= 0 if dropped is None else dropped.size
        entries.measure()

    def _make_room(self, size: int) -> None:
        while (held := self.bytes_held) + size > self._max_bytes:
            largest = max(self._models.values(), key=attrgetter("currsize"))
            largest.evict("bytes")
            largest.measure()
        self._most_held = held


def read_only_prediction(prediction: Prediction, *, own: bool = False) -> Prediction:
    """The prediction with outputs that none of its readers can change; ``own``: in memory that is theirs alone.

    A row of a batch is a view on the whole batch, which must not live as long as an answer is kept.
    """
    outputs = {name: array.copy() if own else array.view() for name, array in prediction.outputs.items()}
    for array in outputs.values():
        array.flags.writeable = False
    return replace(prediction, outputs=MappingProxyType(outputs))


def _entry_bytes(key: CacheKey, prediction: Prediction) -> int:
    tensors = len(key[-1]) + len(prediction.outputs)
    contents = key_bytes(key[-1]) + sum(map(_content_size, prediction.outputs.values()))
    return _ENTRY_BYTES + tensors * _TENSOR_BYTES + contents


def _content_size(array: "npt.NDArray[Any]") -> int:
    strings = sum(map(sys.getsizeof, array.ravel().tolist())) if array.dtype.hasobject else 0
    return array.nbytes + strings
