"""Spans -> a serialized ExportTraceServiceRequest, piece by piece.

The official messages take five times as long, at the expense of the event loop, which shares the interpreter.
The numbers of the fields are those of opentelemetry-proto: collector/trace/v1, trace/v1, common/v1 and resource/v1.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from gateway.tracing.finished import FinishedSpan, Link

_LENGTH_DELIMITED: Final = 2
_LONGEST_REMEMBERED: Final = 64
_BATCH_ID: Final = "inference.batch.id"

# Fields 7 and 8 of a span, its times, and 16, its flags: each number behind its key.
_TIMES: Final = Struct("<BQBQ").pack
_TIME_KEYS: Final = (7 << 3 | 1, 8 << 3 | 1)
_FLAGS: Final = Struct("<BBI").pack
_FLAGS_KEY: Final = (0x85, 0x01)
_ERROR: Final = b"\x7a\x02\x18\x02"  # field 15: a Status with the code 2


def encode_request(resource: Mapping[str, Any], scope: str, spans: Iterable[bytes]) -> bytes:
    """The whole request: ``spans`` as ``encode_span`` makes them."""
    of_scope = _field(1, _field(1, scope.encode())) + b"".join(spans)
    attributes = b"".join([_attribute(1, name, value) for name, value in resource.items()])
    return _field(1, _field(1, attributes) + _field(2, of_scope))


def encode_span(span: FinishedSpan) -> bytes:
    """``span`` as a field of ScopeSpans."""
    parts = [
        b"\x0a\x10",
        span.trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        span.span_id.to_bytes(8, "big"),
        _name_and_kind(span.name, span.kind),
        _TIMES(_TIME_KEYS[0], span.started_ns, _TIME_KEYS[1], span.ended_ns),
        _FLAGS(*_FLAGS_KEY, span.flags),
    ]
    if span.parent_id:
        parts += (b"\x22\x08", span.parent_id.to_bytes(8, "big"))
    if span.state:
        parts.append(_field(3, span.state.encode()))
    parts += [_attribute(9, name, value) for name, value in span.attributes]
    parts += [_link(link) for link in span.links]
    if span.is_error:
        parts.append(_ERROR)
    return _field(2, b"".join(parts))


def _link(link: Link) -> bytes:
    ids = (b"\x0a\x10", link.trace_id.to_bytes(16, "big"), b"\x12\x08", link.span_id.to_bytes(8, "big"))
    return _field(13, b"".join((*ids, _attribute(4, _BATCH_ID, link.batch_id))))


@lru_cache(256)
def _name_and_kind(name: str, kind: int) -> bytes:
    return _field(5, name.encode()) + bytes((6 << 3, kind))


def _attribute(number: int, name: str, value: str | int) -> bytes:
    if isinstance(value, str) and len(value) > _LONGEST_REMEMBERED:
        return _made(number, name, value)
    return _remembered(number, name, value)


def _made(number: int, name: str, value: str | int) -> bytes:
    # The client's own words may hold what is no Unicode.
    content = b"\x18" + _varint(value) if isinstance(value, int) else _field(1, str(value).encode(errors="replace"))
    return _field(number, _field(1, name.encode()) + _field(2, content))


_remembered: Final = lru_cache(1024)(_made)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if 0 <= value < 0x4000:
        return _SMALL[value]
    rest, encoded = value & (1 << 64) - 1, bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


_SMALL: Final[Sequence[bytes]] = [bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7)) for n in range(0x4000)]
