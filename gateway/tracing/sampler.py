"""Which traces are recorded, decided when a request begins: OpenTelemetry's own samplers, as numbers."""

from typing import Final, NamedTuple

from gateway.telemetry.traceparent import Parent

_LOW_BITS: Final = (1 << 64) - 1


class Sampler(NamedTuple):
    """``ratio``: the part of the traces that is recorded. ``follows_parent``: a client that has decided decides."""

    ratio: float = 1.0
    follows_parent: bool = True

    def is_sampled(self, trace_id: int, parent: Parent | None) -> bool:
        """Whether the trace is recorded: by the low 64 bits of its id, as in every OpenTelemetry SDK."""
        if parent is not None and self.follows_parent:
            return parent.is_sampled
        return trace_id & _LOW_BITS < self.ratio * (_LOW_BITS + 1)
