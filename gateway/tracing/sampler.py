"""Which traces are recorded, decided when a request begins: OpenTelemetry's own samplers, as numbers."""

from dataclasses import dataclass, field
from typing import Final

from gateway.telemetry.traceparent import Parent

LOW_BITS: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Sampler:
    """``ratio``: the part of the traces that is recorded, those of whose ids the low 64 bits are below ``bound``.

    ``follows_parent``: a client that has decided decides.
    """

    ratio: float = 1.0
    follows_parent: bool = True
    bound: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Each request compares with it, and whole numbers are compared faster.
        object.__setattr__(self, "bound", round(self.ratio * (LOW_BITS + 1)))

    def is_sampled(self, trace_id: int, parent: Parent | None) -> bool:
        """Whether the trace is recorded: by the low 64 bits of its id, as in every OpenTelemetry SDK."""
        if parent is not None and self.follows_parent:
            return parent.is_sampled
        # ``Tracer.begin`` does the same, because a call for each request is dear.
        return trace_id & LOW_BITS < self.bound
