"""The headers ``traceparent`` and ``tracestate`` (https://www.w3.org/TR/trace-context/), read strictly and written."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.access.key_text import PREFIX

# Version, trace id, parent id, flags. A version above 00 may have more fields; ff is forbidden, and so are ids of zeros.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]{0,200})?\Z"
)
# What is no list of printable characters would be refused as metadata of gRPC.
_TRACESTATE: Final = re.compile(r"[!-~]([ -~]{0,510}[!-~])?\Z")
_SAMPLED: Final = 1


class Parent(NamedTuple):
    """The span of the client, by its ids, and whether the client records it."""

    trace_id: int
    span_id: int
    is_sampled: bool


def parse_traceparent(text: str) -> Parent | None:
    """The parent that a ``traceparent`` names; None for one that is not as the specification has it."""
    found = _TRACEPARENT.match(text)
    if found is None or (found[5] is not None and found[1] == "00"):
        return None
    return Parent(int(found[2], 16), int(found[3], 16), bool(int(found[4], 16) & _SAMPLED))


def tracestate_of(headers: Mapping[str, str]) -> str:
    """The ``tracestate`` of a request, unchanged; empty if there is none, if it has a key or more than 512 characters."""
    given = headers.get("tracestate", "")
    return given if given and _TRACESTATE.match(given) and PREFIX not in given else ""


def format_trace_id(trace_id: int) -> str:
    """A trace's id as it is written: 32 hexadecimal digits."""
    return trace_id.to_bytes(16, "big").hex()  # in half the time of :032x


def format_traceparent(trace_id: int, span_id: int, *, is_sampled: bool) -> str:
    """The header for the next one."""
    return f"00-{format_trace_id(trace_id)}-{span_id.to_bytes(8, 'big').hex()}-{'01' if is_sampled else '00'}"
