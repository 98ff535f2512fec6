"""Which requests are kept, and what is exported of them and of the calls that they share."""

import gc

import pytest

from gateway.access import key_text
from gateway.telemetry.spans import CallSpan
from gateway.telemetry.traceparent import parse_traceparent
from tests.gateway.tracing.requests_of import (
    METHOD,
    SAMPLED,
    TRACE,
    UNSAMPLED,
    KeepingSink,
    end,
    model_call,
    request,
    tracing,
)


def exported(requests, ratio=0.0, slow_s=0.0):
    """What the sink has after ``requests(tracer)``."""
    sink = KeepingSink()
    tracer, exporter = tracing(sink, ratio, slow_s)
    exporter.start()
    requests(tracer)
    exporter.close(10)
    assert exporter.tally.kept == exporter.tally.exported == len(sink.of_requests())
    return sink


@pytest.mark.parametrize(
    ("ratio", "slow_s", "traceparent", "status", "total_s", "is_kept"),
    [
        (1.0, 0.0, None, 200, 0.1, True),
        (0.0, 0.0, None, 200, 0.1, False),
        (0.0, 0.0, SAMPLED, 200, 0.1, True),
        (1.0, 0.0, UNSAMPLED, 200, 0.1, False),
        (0.0, 0.0, None, 400, 0.1, False),
        (0.0, 0.0, None, 499, 0.1, False),
        (0.0, 0.0, None, 500, 0.1, True),
        (0.0, 0.0, UNSAMPLED, 503, 0.1, True),
        (0.0, 0.5, None, 200, 0.4, False),
        (0.0, 0.5, None, 200, 0.5, True),
        (0.0, 0.0, None, 200, 3600.0, False),
    ],
)
def test_a_request_is_kept_if_it_is_sampled_or_failed_or_was_slow(ratio, slow_s, traceparent, status, *, total_s, is_kept):
    def requests(tracer):
        call = request(tracer, traceparent)
        model_call(call)
        end(tracer, call, status, total_s)

    sink = exported(requests, ratio, slow_s)
    assert (len(sink.of_requests()), len(sink.of_calls())) == (is_kept, is_kept)


def test_a_request_is_in_the_trace_of_its_client_and_says_what_is_known_of_it():
    sink = exported(lambda tracer: end(tracer, request(tracer, SAMPLED, tracestate="a=b", **{"user-agent": "curl"})))
    (span,) = sink.of_requests()
    assert (f"{span.trace_id:032x}", f"{span.parent_id:016x}", span.state) == (TRACE, SAMPLED.split("-")[2], "a=b")
    assert span.name == "POST /v1/models/{model}:predict"
    assert dict(span.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v1/models/{model}:predict",
        "url.path": "/v1/models/m:predict",
        "url.scheme": "http",
        "client.address": "",
        "user_agent.original": "curl",
        "gateway.request.id": "of-this-request",
        "inference.model.name": "m",
        "inference.model.signature": "serving_default",
        "inference.model.version": 1,
    }


def test_a_traceparent_that_is_none_begins_a_new_trace_without_its_tracestate():
    (span,) = exported(lambda tracer: end(tracer, request(tracer, SAMPLED[:-1], tracestate="a=b")), 1.0).of_requests()
    assert f"{span.trace_id:032x}" != TRACE
    assert (span.parent_id, span.state) == (0, "")


def test_a_model_that_the_catalog_does_not_know_is_no_attribute():
    def requests(tracer):
        call = request(tracer)
        call.trace.is_known = False
        end(tracer, call, 404)

    (span,) = exported(requests, 1.0).of_requests()
    assert not [name for name, _ in span.attributes if name.startswith("inference.model")]


def test_a_request_of_a_rollout_tells_its_arm():
    def requests(tracer):
        call = request(tracer)
        call.trace.rollout, call.trace.arm = "m-2-abcd", "canary"
        end(tracer, call)

    (span,) = exported(requests, 1.0).of_requests()
    assert {("inference.rollout.id", "m-2-abcd"), ("inference.rollout.arm", "canary")} <= set(span.attributes)


@pytest.mark.parametrize("prefix", ["sgk_", "%73gk_"])
def test_a_key_in_a_path_is_not_told(prefix):
    secret = key_text.new().text.removeprefix("sgk_")

    def requests(tracer):
        call = request(tracer)
        call.path = f"/v1/models/{prefix}{secret}:predict"
        end(tracer, call, 404)

    assert secret not in repr(exported(requests, 1.0).spans)


def test_the_parts_of_a_request_are_within_it_and_follow_one_another():
    def requests(tracer):
        call = request(tracer)
        model_call(call)
        end(tracer, call)

    sink = exported(requests, 1.0)
    (whole,) = sink.of_requests()
    parts = {span.name: span for span in sink.spans if span is not whole}
    assert set(parts) == {"parse", "queue", METHOD, "encode"}
    at_ns = whole.started_ns
    for name in ("parse", "queue", METHOD, "encode"):
        assert parts[name].parent_id == whole.span_id
        assert at_ns <= parts[name].started_ns <= parts[name].ended_ns <= whole.ended_ns
        at_ns = parts[name].ended_ns


def test_a_failed_call_and_a_failed_request_say_so():
    def requests(tracer):
        call = request(tracer)
        model_call(call, error="UNAVAILABLE")
        call.error_code = "UNAVAILABLE"
        end(tracer, call, 503)

    sink = exported(requests)
    (whole,), (called,) = sink.of_requests(), sink.of_calls()
    assert whole.is_error
    assert called.is_error
    assert dict(called.attributes)["rpc.response.status_code"] == "UNAVAILABLE"
    assert dict(whole.attributes)["error.type"] == dict(called.attributes)["error.type"] == "UNAVAILABLE"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_shared_call_has_one_span_that_is_linked_both_ways(order):
    def requests(tracer):
        calls = [request(tracer) for _ in range(3)]
        model_call(*calls)
        for number in order:
            end(tracer, calls[number])

    check_links(exported(requests, 1.0), 3)


def check_links(sink, kept):
    (called,) = sink.of_calls()
    assert len(sink.of_requests()) == kept
    owner = next(span for span in sink.of_requests() if span.span_id == called.parent_id)
    others = [span for span in sink.of_requests() if span is not owner]
    assert called.trace_id == owner.trace_id
    assert owner.links == []
    batch_id = dict(called.attributes)["inference.batch.id"]
    assert sorted(called.links) == sorted((span.trace_id, span.span_id, batch_id) for span in others)
    for span in others:
        assert span.links == [(called.trace_id, called.span_id, batch_id)]
        assert dict(span.attributes)["inference.batch.id"] == batch_id
    return called, owner


def test_a_shared_call_is_in_the_trace_of_its_first_sampled_request_and_the_server_is_told_so():
    told = []

    def requests(tracer):
        calls = [request(tracer, traceparent, tracestate="a=b") for traceparent in (UNSAMPLED, SAMPLED, SAMPLED)]
        told.extend(model_call(*calls).metadata())
        for call in calls:
            end(tracer, call)

    called, _ = check_links(exported(requests), 2)
    assert told == [("traceparent", f"00-{called.trace_id:032x}-{called.span_id:016x}-01"), ("tracestate", "a=b")]


def test_a_shared_call_of_which_only_a_slow_request_is_kept_is_in_its_trace():
    told = []

    def requests(tracer):
        calls = [request(tracer) for _ in range(3)]
        told.extend(model_call(*calls).metadata())
        for call, total_s in zip(calls, (0.1, 0.7, 0.9), strict=True):
            end(tracer, call, total_s=total_s)

    check_links(exported(requests, slow_s=0.5), 2)
    ((_, traceparent),) = told
    assert not parse_traceparent(traceparent).is_sampled  # it was not known then


def test_requests_that_are_not_kept_leave_no_cycles():
    tracer, _ = tracing(KeepingSink())
    gc.collect()
    gc.disable()
    try:
        calls = [request(tracer) for _ in range(2)]
        model_call(*calls)
        for call in calls:
            end(tracer, call)
        del calls, call
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_requests_that_were_exported_leave_no_cycles():
    sink = KeepingSink()
    tracer, exporter = tracing(sink, 1.0)
    exporter.start()
    gc.collect()
    gc.disable()
    try:
        calls = [request(tracer) for _ in range(2)]
        model_call(*calls)
        for call in calls:
            end(tracer, call)
        del calls, call
        exporter.close(10)
        assert len(sink.of_requests()) == 2
        assert not [found for found in gc.get_objects() if isinstance(found, CallSpan)]
    finally:
        gc.enable()
