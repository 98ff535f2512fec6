"""Which requests become exemplars: predictions whose traces the sink has taken."""

import time

import pytest

from gateway.call import Call
from gateway.telemetry.exemplars import Exemplars, key_of
from gateway.telemetry.request_metrics import UNKNOWN, Labels
from tests.gateway.tracing.requests_of import SAMPLED, TRACE, KeepingSink, end, request, tracing

M = Labels("m", "1", "serving_default")


def noted(requests, reason=None, ratio=0.0):
    """The exemplars after ``requests(tracer)``, of which the sink has taken all, or with a ``reason`` none."""
    exemplars = Exemplars(None)
    tracer, exporter = tracing(KeepingSink(reason), ratio, exemplars=exemplars)
    exporter.start()
    requests(tracer)
    exporter.close(10)
    return exemplars.newest()


def sampled(tracer):
    end(tracer, request(tracer, SAMPLED), total_s=0.003)


def test_a_prediction_whose_trace_was_exported_is_one():
    ((key, found),) = noted(sampled).items()
    assert key == key_of(M, "0.005")
    assert f"{found.trace_id:032x}" == TRACE
    assert found.seconds == pytest.approx(0.003)


def test_a_request_that_failed_is_one_although_it_was_not_sampled():
    assert len(noted(lambda tracer: end(tracer, request(tracer), status=503))) == 1


def test_one_that_is_not_traced_is_none():
    assert noted(lambda tracer: end(tracer, request(tracer))) == {}


def test_one_whose_trace_the_sink_did_not_take_is_none():
    assert noted(sampled, reason="away") == {}


def test_one_for_a_model_that_is_not_known_counts_with_those_for_none():
    def unknown(tracer):
        call = request(tracer, SAMPLED)
        call.trace.is_known = False
        end(tracer, call, total_s=0.003)

    assert set(noted(unknown)) == {key_of(UNKNOWN, "0.005")}


def test_a_request_that_is_no_prediction_is_none():
    def metadata(tracer):
        call = Call("GET", "/v1/models/m/metadata", "", {"traceparent": SAMPLED}, b"", complete_s=time.monotonic())
        call.id = "of-this-request"
        tracer.begin(call)
        tracer.end(call, 200, 0.003)

    assert noted(metadata) == {}
