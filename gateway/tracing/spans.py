"""The record of a request -> the spans that are exported: its own, those of its parts, and those of its calls.

A call that several requests shared has one span, in the trace of the first of them that is kept. It links to the spans of the
others, and they link to it.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from gateway.access.key_text import hide_in_path, hide_secrets
from gateway.telemetry.spans import OK, CallSpan, RequestSpan, new_span_id
from gateway.tracing.finished import BATCH_ID, CLIENT, INTERNAL, SERVER, Attribute, FinishedSpan, Link
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
        port = (("server.port", server_port),) if server_port else ()
        self._server: tuple[Attribute, ...] = (("server.address", server_address), *port)

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
        span = record.span
        name, common = _named(
            record.method,
            record.path,
            record.scheme,
            record.client,
            record.user_agent,
            record.status,
            record.error,
            record.model,
            record.signature,
            record.version,
            record.rows,
            record.cache,
            record.rollout,
            record.arm,
        )
        own: list[Attribute] = [("gateway.request.id", record.request_id)]
        if record.batch_rows is not None:
            own.append(("inference.batch.rows", record.batch_rows))
        if links:
            own.append((BATCH_ID, links[0].batch_id))
        return FinishedSpan(
            name,
            SERVER,
            span.trace_id,
            span.span_id,
            span.parent_id,
            bool(span.parent_id),
            span.state,
            self._ns(record.started_s),
            self._ns(record.ended_s),
            common,
            own,
            links,
            record.status >= _SERVER_ERROR,
        )

    def _of_call(self, call: CallSpan, record: Record) -> FinishedSpan:
        span, number = record.span, len(call.members)
        own: list[Attribute] = []
        links: list[Link] = []
        if number > 1:
            batch_id = _batch_id(call)
            own = [("inference.batch.requests", number), (BATCH_ID, batch_id)]
            kept = [member for member in call.members if member.is_kept and member is not span]
            links = [Link(member.trace_id, member.span_id, batch_id) for member in kept]
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
            _of_outcome(call.method, call.error, record.model, self._server),
            own,
            links,
            call.error != OK,
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


@lru_cache(1024)
def _named(  # noqa: PLR0917 (they are the key of the cache)
    method: str,
    path: str,
    scheme: str,
    client: str,
    user_agent: str,
    status: int,
    error: str | None,
    model: str,
    signature: str,
    version: int | None,
    rows: int | None,
    cache: str | None,
    rollout: str | None,
    arm: str | None,
) -> tuple[str, tuple[Attribute, ...]]:
    """The name of a request's span, and the attributes that other requests have too."""
    route = route_of(path)
    attributes: list[tuple[str, str | int | None]] = [
        ("http.request.method", method),
        ("http.response.status_code", status),
        ("url.path", _text(hide_in_path(path))),
        ("url.scheme", scheme),
        ("client.address", client),
        ("http.route", route or None),
        ("user_agent.original", _text(user_agent) or None),
        ("error.type", error or None),
        ("inference.model.name", model or None),
        ("inference.model.signature", signature if model else None),
        ("inference.model.version", version if model else None),
        ("inference.rows", rows),
        ("inference.cache", cache),
        ("inference.rollout.id", rollout),
        ("inference.rollout.arm", arm),
    ]
    known = tuple([(name, value) for name, value in attributes if value is not None])
    return f"{method} {route}" if route else method, known


@lru_cache(1024)
def _of_outcome(method: str, error: str, model: str, server: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    """The attributes of a call that other calls have too."""
    attributes: list[Attribute] = [
        ("rpc.system.name", "grpc"),
        ("rpc.method", method),
        ("rpc.response.status_code", error),
        *server,
    ]
    if model:
        attributes.append(("inference.model.name", model))
    if error != OK:
        attributes.append(("error.type", error))
    return tuple(attributes)


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
