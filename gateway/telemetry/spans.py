"""The spans of requests and of calls of the model server, as a request itself notes them: ids, times, who belongs to what.

Nothing here is sent anywhere: ``gateway.tracing`` makes the spans that are exported of it, after the answer.
"""

import time
from collections.abc import Sequence
from random import getrandbits  # seeded anew in each process that is forked
from typing import Final, TypeAlias

from gateway.telemetry.traceparent import format_traceparent

OK: Final = "OK"


def new_span_id() -> int:
    """An id that no other span has: 64 bits, and not 0."""
    return getrandbits(64) or 1


class RequestSpan:
    """The span of one request.

    - ``span_id``: 0 while it is neither sampled nor kept, because nobody asks for it then.
    - ``parent_id``: of the client's span; 0: the trace begins here. ``state``: the client's ``tracestate``.
    - ``is_sampled``: it was decided at the beginning that the trace is recorded.
    - ``is_kept``: whether the span is exported; None while that is not decided.
    - ``calls``: of the model server, for this request or for several with it.
    """

    __slots__ = ("calls", "is_kept", "is_sampled", "parent_id", "span_id", "state", "trace_id")

    def __init__(self, trace_id: int, parent_id: int, is_sampled: bool, state: str = "") -> None:
        self.trace_id = trace_id
        self.span_id = new_span_id() if is_sampled else 0
        self.parent_id = parent_id
        self.is_sampled = is_sampled
        self.is_kept: bool | None = True if is_sampled else None
        self.state = state
        self.calls: tuple[CallSpan, ...] = ()

    def keep(self) -> None:
        """The span will be exported."""
        self.span_id = self.span_id or new_span_id()
        self.is_kept = True

    def discard(self) -> None:
        """The span is not exported."""
        self.is_kept = False
        self.forget_calls()

    def forget_calls(self) -> None:
        """Without its calls, which know it, the span is no cycle."""
        self.calls = ()


Spans: TypeAlias = tuple[RequestSpan, ...]
"""The spans of the requests that something is done for; none when there are no traces."""


class CallSpan:
    """The span of one call of the model server for ``members``, in the trace of the first one that is sampled.

    - ``method``: its full name. ``error``: the code of the error that it ended with, ``OK`` without one.
    - ``started_s``, ``ended_s`` (0.0 until then): in seconds of ``time.monotonic``.
    - ``owner``: the member in whose trace it is exported, once that is known.
    """

    __slots__ = ("ended_s", "error", "members", "method", "owner", "parent", "span_id", "started_s")

    def __init__(self, method: str, members: Sequence[RequestSpan]) -> None:
        self.method = method
        self.members = members
        self.parent = members[0]
        self.owner: RequestSpan | None = None
        self.span_id = new_span_id()
        self.error = OK
        self.ended_s = 0.0
        for member in members:
            member.calls += (self,)
            if member.is_sampled and not self.parent.is_sampled:
                self.parent = member
        self.started_s = time.monotonic()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What the call carries, so that the model server's spans belong to the trace."""
        parent = self.parent
        traceparent = format_traceparent(parent.trace_id, self.span_id, is_sampled=parent.is_sampled)
        if not parent.state:
            return (("traceparent", traceparent),)
        return (("traceparent", traceparent), ("tracestate", parent.state))

    def end(self, error: str = OK) -> None:
        """The call has ended."""
        self.error = error
        self.ended_s = time.monotonic()
