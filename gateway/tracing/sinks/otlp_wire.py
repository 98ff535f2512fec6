"""Spans -> a serialized ExportTraceServiceRequest, piece by piece.

The official messages take five times as long, at the expense of the event loop, which shares the interpreter.
The numbers of the fields are those of opentelemetry-proto: collector/trace/v1, trace/v1, common/v1 and resource/v1.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from gateway.tracing.finished import BATCH_ID, Attribute, FinishedSpan, Link

_LENGTH_DELIMITED: Final = 2
_LONGEST_REMEMBERED: Final = 64

# Fields 1, 2 and 4 of a span, its ids, each behind its key and its length; 7 and 8, its times, and 16, its flags, each behind
# its key.
_IDS: Final = Struct("<H16sH8s").pack
_IDS_KEYS: Final = (0x100A, 0x0812)
_PARENT_TIMES_FLAGS: Final = Struct("<H8sBQBQHI").pack
_TIMES_FLAGS: Final = Struct("<BQBQHI").pack
_PARENT_KEY: Final = 0x0822
_TIME_KEYS: Final = (7 << 3 | 1, 8 << 3 | 1)
_FLAGS_KEY: Final = 0x0185
_ERROR: Final = b"\x7a\x02\x18\x02"  # field 15: a Status with the code 2


def encode_request(resource: Mapping[str, Any], scope: str, spans: Iterable[bytes]) -> bytes:
    """The whole request: ``spans`` as ``encode_span`` makes them."""
    of_scope = _field(1, _field(1, scope.encode())) + b"".join(spans)
    attributes = b"".join([_attribute(1, name, value) for name, value in resource.items()])
    return _field(1, _field(1, attributes) + _field(2, of_scope))


def encode_span(span: FinishedSpan) -> bytes:
    """``span`` as a field of ScopeSpans."""
    times = (_TIME_KEYS[0], span.started_ns, _TIME_KEYS[1], span.ended_ns, _FLAGS_KEY, span.flags)
    parent_id = span.parent_id
    parts = [
        _ids(span.trace_id, span.span_id),
        _PARENT_TIMES_FLAGS(_PARENT_KEY, parent_id.to_bytes(8, "big"), *times) if parent_id else _TIMES_FLAGS(*times),
        _name_and_kind(span.name, span.kind),
    ]
    if span.state:
        parts.append(_field(3, span.state.encode()))
    if span.common:
        parts.append(_common(span.common))
    if span.own:
        parts += [_attribute(9, name, value) for name, value in span.own]
    if span.links:
        parts += [_link(link) for link in span.links]
    if span.is_error:
        parts.append(_ERROR)
    return _field(2, b"".join(parts))


def _ids(trace_id: int, span_id: int) -> bytes:
    """Fields 1 and 2 of a span, and of a link."""
    return _IDS(_IDS_KEYS[0], trace_id.to_bytes(16, "big"), _IDS_KEYS[1], span_id.to_bytes(8, "big"))


def _link(link: Link) -> bytes:
    return _field(13, _ids(link.trace_id, link.span_id) + _attribute(4, BATCH_ID, link.batch_id))


@lru_cache(1024)
def _common(attributes: tuple[Attribute, ...]) -> bytes:
    return b"".join([_made(9, name, value) for name, value in attributes])


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
