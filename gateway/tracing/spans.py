"""The record of a request -> the spans that are exported: its own, those of its parts, and those of its calls.

A call that several requests shared has one span, in the trace of the first of them that is kept. It links to the spans of the
others, and they link to it.
"""

from collections.abc import Iterator
from typing import Final

from gateway.access.key_text import hide_in_path, hide_secrets
from gateway.telemetry.spans import OK, CallSpan, RequestSpan, new_span_id
from gateway.tracing.finished import CLIENT, INTERNAL, SERVER, FinishedSpan, Link
from gateway.tracing.record import Record
from gateway.tracing.route import route_of

_LONGEST_TEXT: Final = 256
_SERVER_ERROR: Final = 500


class SpanMaker:
    """Makes spans. ``offset_ns``: what the clock shows, in nanoseconds since 1970, when ``time.monotonic`` is 0.

    ``server_address`` and ``server_port`` are the model server's; 0 for no port.
    """

    def __init__(self, offset_ns: int, server_address: str, server_port: int) -> None:
        self._offset_ns = offset_ns
        self._server: list[tuple[str, str | int]] = [("server.address", server_address)]
        if server_port:
            self._server.append(("server.port", server_port))

    def make(self, record: Record) -> Iterator[FinishedSpan]:
        """The spans of ``record``. It must be settled, or not be waited for any more; of its calls each has one owner then."""
        span = record.span
        links = []
        for call in span.calls:
            owner = owner_of(call)
            if owner is span:
                yield self._of_call(call, record)
            else:
                links.append(Link(owner.trace_id, call.span_id, _batch_id(call)))
        yield self._of_request(record, links)
        yield from self._parts(record)

    def _parts(self, record: Record) -> Iterator[FinishedSpan]:
        """Reading the body and making tensors, waiting for the model server, writing the answer."""
        if record.parse_started_s:
            yield self._part("parse", record, record.parse_started_s, record.built_s or record.parse_ended_s)
        called_s = _called_s(record)
        if called_s:
            yield self._part("queue", record, record.built_s, called_s)
        if record.built_s and record.status < 400:
            yield self._part("encode", record, record.answered_s or record.built_s + record.queue_s, record.ended_s)

    def _part(self, name: str, record: Record, started_s: float, ended_s: float) -> FinishedSpan:
        span = record.span
        return FinishedSpan(
            name,
            INTERNAL,
            span.trace_id,
            new_span_id(),
            span.span_id,
            False,
            span.state,
            self._ns(started_s),
            self._ns(max(started_s, ended_s)),
        )

    def _of_request(self, record: Record, links: list[Link]) -> FinishedSpan:
        span, route = record.span, route_of(record.path)
        attributes: list[tuple[str, str | int]] = [
            ("http.request.method", record.method),
            ("http.response.status_code", record.status),
            ("url.path", _text(hide_in_path(record.path))),
            ("url.scheme", record.scheme),
            ("client.address", record.client),
            ("gateway.request.id", record.request_id),
        ]
        if route:
            attributes.append(("http.route", route))
        if record.user_agent:
            attributes.append(("user_agent.original", _text(record.user_agent)))
        if record.error:
            attributes.append(("error.type", record.error))
        attributes += _of_inference(record)
        attributes += [("inference.batch.id", link.batch_id) for link in links[:1]]
        return FinishedSpan(
            f"{record.method} {route}" if route else record.method,
            SERVER,
            span.trace_id,
            span.span_id,
            span.parent_id,
            bool(span.parent_id),
            span.state,
            self._ns(record.started_s),
            self._ns(record.ended_s),
            attributes,
            links,
            record.status >= _SERVER_ERROR,
        )

    def _of_call(self, call: CallSpan, record: Record) -> FinishedSpan:
        span, others = record.span, len(call.members) > 1
        attributes: list[tuple[str, str | int]] = [
            ("rpc.system.name", "grpc"),
            ("rpc.method", call.method),
            ("rpc.response.status_code", call.error),
            *self._server,
        ]
        if record.model:
            attributes.append(("inference.model.name", record.model))
        if others:
            attributes += [("inference.batch.requests", len(call.members)), ("inference.batch.id", _batch_id(call))]
        is_error = call.error != OK
        if is_error:
            attributes.append(("error.type", call.error))
        kept = [member for member in call.members if member.is_kept and member is not span]
        return FinishedSpan(
            call.method,
            CLIENT,
            span.trace_id,
            call.span_id,
            span.span_id,
            False,
            span.state,
            self._ns(call.started_s),
            # A call that nobody waits for any more may go on.
            self._ns(call.ended_s or record.ended_s),
            attributes,
            [Link(member.trace_id, member.span_id, _batch_id(call)) for member in kept],
            is_error,
        )

    def _ns(self, seconds: float) -> int:
        return int(seconds * 1e9) + self._offset_ns


def owner_of(call: CallSpan) -> RequestSpan:
    """The member of ``call`` in whose trace it is exported: the one that the model server was told, if that is kept.

    It stays the same from the first time on. One of the members must be kept.
    """
    if call.owner is None:
        parent = call.parent
        call.owner = parent if parent.is_kept else next(member for member in call.members if member.is_kept)
    return call.owner


def is_settled(span: RequestSpan) -> bool:
    """Whether all calls of a request have ended, and it is known of all requests that shared them whether they are kept."""
    return all(call.ended_s and all(member.is_kept is not None for member in call.members) for call in span.calls)


def _of_inference(record: Record) -> Iterator[tuple[str, str | int]]:
    if record.model:
        yield "inference.model.name", record.model
        yield "inference.model.signature", record.signature
        if record.version is not None:
            yield "inference.model.version", record.version
    if record.rows is not None:
        yield "inference.rows", record.rows
    if record.batch_rows is not None:
        yield "inference.batch.rows", record.batch_rows
    if record.cache is not None:
        yield "inference.cache", record.cache


def _called_s(record: Record) -> float:
    """When the request's wait for the model server ended; 0.0 if it did not wait."""
    if not record.built_s:
        return 0.0
    if record.span.calls:
        return record.span.calls[0].started_s
    # It waited for the same call of another request, or in vain.
    return record.built_s + record.queue_s if record.queue_s else record.answered_s


def _batch_id(call: CallSpan) -> str:
    return f"{call.span_id:016x}"


def _text(text: str) -> str:
    """A client's own words, without any key that is in them, and cut."""
    return hide_secrets(text)[:_LONGEST_TEXT]
