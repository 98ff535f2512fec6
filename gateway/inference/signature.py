"""The frozen values that every layer shares: which model is meant, and what it takes and gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy.typing as npt

from gateway.inference.dtypes import DType

DEFAULT_SIGNATURE = "serving_default"

Tensors: TypeAlias = Mapping[str, npt.NDArray[Any]]  # by input or output name


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The model that a request names: its latest version, a version by number, or a version by label (never both).

    ``lane``: requests of different lanes never share a call, though they mean the same version. Clients cannot name one.
    """

    name: str
    version: int | None = None
    label: str | None = None
    lane: str = ""

    @property
    def of_any_lane(self) -> "ModelRef":
        """The same without its lane, which says nothing about what is served."""
        return ModelRef(self.name, self.version, self.label) if self.lane else self


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named tensor of a signature. ``shape`` has None for a free dimension and is None itself when the rank is unknown.

    ``has_default``: the signature holds a value for it, so that a Predict call may leave it out. ``composite``: it is no plain
    tensor but a ``ragged``, ``sparse`` or other ``composite`` one, which no call can send or fetch; empty: it is plain.
    """

    name: str
    dtype: DType
    shape: tuple[int | None, ...] | None
    has_default: bool = False
    composite: str = ""

    @property
    def has_free_batch(self) -> bool:
        """Whether dimension 0 exists and is free, so that examples can be stacked along it."""
        return bool(self.shape) and self.shape[0] is None  # type: ignore[index]

    @property
    def may_count_rows(self) -> bool:
        """Whether dimension 0 may count independent rows: it is free, or the rank is unknown. A composite tensor has none."""
        return not self.composite and (self.shape is None or self.has_free_batch)

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of this shape is one that the declaration allows."""
        if self.shape is None:
            return True
        if len(shape) != len(self.shape):
            return False
        for want, size in zip(self.shape, shape, strict=True):  # noqa: SIM110 - each request comes through here
            if want is not None and want != size:
                return False
        return True

    def __str__(self) -> str:
        if self.composite:
            return f"{self.composite} tensor"
        if self.shape is None:
            return f"{self.dtype} of any rank"
        return f"{self.dtype}[{','.join('-1' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """One SignatureDef: ``inputs`` and ``outputs`` sorted by name. It is hashable, as the key of what is made from it.

    ``method`` is the SignatureDef's method_name (``tensorflow/serving/predict``, ``.../classify``, ``.../regress``).
    ``not_joinable``: why the declaration forbids that requests share a call; None when it does not. ``is_plain``: no tensor of
    it is a composite one.
    """

    name: str
    method: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    not_joinable: str | None = field(init=False, repr=False, compare=False)
    is_plain: bool = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Each request asks for these.
        object.__setattr__(self, "not_joinable", _not_joinable(self.inputs, self.outputs))
        object.__setattr__(self, "is_plain", not any(spec.composite for spec in (*self.inputs, *self.outputs)))
        object.__setattr__(self, "_hash", hash((self.name, self.method, self.inputs, self.outputs)))

    def __hash__(self) -> int:
        return self._hash


def _not_joinable(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> str | None:
    """The first tensor whose declaration has no free dimension 0, in words."""
    for kind, specs in (("input", inputs), ("output", outputs)):
        if not specs:
            return f"it has no {kind}s"
        for spec in specs:
            if not spec.may_count_rows:
                why = f"it is a {spec}" if spec.composite else f"dimension 0 of {spec} is not free"
                return f"{kind} {spec.name}: {why}"
    return None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One version of a model that answers requests, with its signatures by name."""

    name: str
    version: int
    signatures: Mapping[str, Signature] = field(hash=False)

    @property
    def called_signatures(self) -> tuple[Signature, ...]:
        """The signatures that clients call, the default one first; TensorFlow's internal ones are left out."""
        named = [signature for name, signature in sorted(self.signatures.items()) if not name.startswith("__")]
        return tuple(sorted(named, key=lambda signature: signature.name != DEFAULT_SIGNATURE))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered: its output tensors by name, and which version and signature gave them.

    ``queue_s``: seconds that the request waited for its batch. ``batch_rows``: how many rows the call had of which the outputs
    are some, when several requests shared it; 0: they did not.
    """

    model: str
    version: int
    signature: str
    outputs: Tensors
    queue_s: float = 0.0
    batch_rows: int = 0

    @property
    def is_shared(self) -> bool:
        """Whether the outputs are some rows of a call that several requests shared."""
        return self.batch_rows > 0
