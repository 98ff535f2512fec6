"""What becomes of the requests that are kept, whatever the sink does: each is counted once, and none is waited for."""

import time

from prometheus_client import REGISTRY

from gateway.tracing.exporter import BATCH, MAX_WAITING
from tests.gateway.tracing.requests_of import KeepingSink, end, model_call, request, tracing
from tests.waiting import wait_for


def keep(tracer, number):
    for _ in range(number):
        end(tracer, request(tracer))


def counted(reason):
    return REGISTRY.get_sample_value("gateway_traces_dropped_total", {"reason": reason}) or 0.0


def is_exact(tally):
    return tally.kept == tally.exported + sum(tally.dropped.values()) + tally.waiting


def test_requests_are_exported_a_batch_at_a_time_without_being_asked_for():
    sink = KeepingSink()
    tracer, exporter = tracing(sink, 1.0)
    exporter.start()
    keep(tracer, 2 * BATCH + 1)
    wait_for(lambda: exporter.tally.exported == 2 * BATCH + 1)
    assert sink.writes >= 3
    exporter.close(10)
    assert sink.is_closed
    assert len({span.span_id for span in sink.spans}) == len(sink.spans)


def test_a_request_that_finds_the_queue_full_is_dropped_and_counted():
    sink = KeepingSink()
    sink.release.clear()
    tracer, exporter = tracing(sink, 1.0)
    exporter.start()
    keep(tracer, BATCH)
    wait_for(lambda: sink.writes)
    keep(tracer, MAX_WAITING + 7)
    tally = exporter.tally
    assert (tally.full, tally.waiting) == (7, BATCH + MAX_WAITING)
    sink.release.set()
    exporter.close(30)
    assert (tally.kept, tally.exported, tally.waiting) == (BATCH + MAX_WAITING + 7, BATCH + MAX_WAITING, 0)


def test_a_sink_that_hangs_is_not_waited_for_at_the_end_and_what_it_had_counts_as_dropped():
    sink = KeepingSink()
    sink.release.clear()
    tracer, exporter = tracing(sink, 1.0)
    exporter.start()
    keep(tracer, BATCH)
    wait_for(lambda: sink.writes)
    keep(tracer, 3)
    exporter.close(0.1)
    assert exporter.tally.dropped == {"full": 0, "failed": 0, "stop": BATCH + 3}
    sink.release.set()
    wait_for(lambda: sink.is_closed)
    assert (exporter.tally.exported, exporter.tally.waiting) == (0, 0)  # what came through after all is not counted twice


def test_a_sink_that_fails_is_left_alone_for_longer_each_time_and_used_again_when_it_takes_spans():
    sink, lost = KeepingSink("HTTP status 500"), counted("failed")
    tracer, exporter = tracing(sink, 1.0)
    exporter.start()
    keep(tracer, 5 * BATCH)
    wait_for(lambda: exporter.tally.failed >= 2 * BATCH)
    tally = exporter.tally
    assert tally.waiting >= 2 * BATCH
    assert sink.writes <= 3
    wait_for(lambda: counted("failed") - lost == tally.failed)  # not only when it is over
    sink.reason = None
    exporter.close(10)
    assert tally.exported >= 2 * BATCH
    assert tally.exported + tally.failed == tally.kept == 5 * BATCH
    assert is_exact(tally)


def test_a_request_waits_for_its_call_and_for_those_that_shared_it():
    sink = KeepingSink()
    tracer, exporter = tracing(sink, 0.0, slow_s=0.5)
    exporter.start()
    first, second = request(tracer), request(tracer)
    model_call(first, second)
    end(tracer, first, total_s=0.6)
    wait_for(lambda: exporter._held)
    assert sink.spans == []
    end(tracer, second, total_s=0.1)
    wait_for(lambda: exporter.tally.exported == 1)
    (called,) = sink.of_calls()
    assert called.links == []
    exporter.close(10)


def test_a_request_does_not_wait_for_ever():
    sink = KeepingSink()
    tracer, exporter = tracing(sink, 0.0, slow_s=0.5)
    first, second = request(tracer), request(tracer)
    model_call(first, second)
    first.complete_s = time.monotonic() - 60
    end(tracer, first, total_s=0.6)
    exporter.start()
    wait_for(lambda: exporter.tally.exported == 1)
    end(tracer, second, total_s=0.7)
    exporter.close(10)
    (called,) = sink.of_calls()
    late = sink.of_requests()[1]
    assert [(link.trace_id, link.span_id) for link in late.links] == [(called.trace_id, called.span_id)]
