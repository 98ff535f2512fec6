"""A span as it is exported, whatever it is written in."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

# https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto: enum SpanKind.
INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3

BATCH_ID: Final = "inference.batch.id"
"""The attribute that the spans of a call that was shared, and of the requests that shared it, have alike."""

Attribute: TypeAlias = tuple[str, str | int]


class Link(NamedTuple):
    """Another span that belongs to this one, in any trace. ``batch_id``: what both have in common."""

    trace_id: int
    span_id: int
    batch_id: str


class FinishedSpan(NamedTuple):
    """A span: ``parent_id`` 0 for none, which ``is_remote`` if it is a client's; times in nanoseconds since 1970.

    Its attributes are ``common``, which are likely to be those of other spans too and so are encoded once, and ``own``.
    """

    name: str
    kind: int
    trace_id: int
    span_id: int
    parent_id: int
    is_remote: bool
    state: str
    started_ns: int
    ended_ns: int
    common: tuple[Attribute, ...] = ()
    own: Sequence[Attribute] = ()
    links: Sequence[Link] = ()
    is_error: bool = False

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """All of them."""
        return (*self.common, *self.own)

    @property
    def flags(self) -> int:
        """The field of that name: sampled, and whether the parent is remote."""
        return 0x301 if self.is_remote else 0x101


class Sink(Protocol):
    """Where spans go. ``name`` is for the log."""

    name: str

    def encode(self, span: FinishedSpan) -> bytes:
        """``span`` as ``write`` takes it."""

    def write(self, spans: Sequence[bytes]) -> str | None:
        """Write encoded ``spans``; None, or why they are lost. It may take its time."""

    def close(self) -> None:
        """Nothing more is written."""
