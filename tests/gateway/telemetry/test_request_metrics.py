"""Numbers that are added up for a moment are the same numbers."""

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from gateway.telemetry import metrics
from gateway.telemetry.request_metrics import Labels, Prediction, RequestMetrics, observe_all
from tests.event_loop import on_loop, until

BOUNDS = (0.001, 0.0025, 0.01, 1.0, 10.0)
AMOUNTS = st.one_of(
    st.sampled_from(BOUNDS),
    st.sampled_from([math.nextafter(bound, math.inf) for bound in BOUNDS]),
    st.sampled_from([0.0, -1.0, 1e9, math.inf]),
    st.floats(0, 20),
)


def samples(histogram: Histogram) -> dict[tuple[str, str], float]:
    found = [sample for family in histogram.collect() for sample in family.samples if not sample.name.endswith("_created")]
    return {(sample.name, sample.labels.get("le", "")): sample.value for sample in found}


def histogram() -> Histogram:
    return Histogram("seconds", "Of a test.", buckets=BOUNDS, registry=CollectorRegistry())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(AMOUNTS, max_size=20), max_size=4))
def test_amounts_that_are_observed_together_are_observed_as_one_by_one(groups):
    together, one_by_one = histogram(), histogram()
    for amounts in groups:
        observe_all(together, amounts)
        for amount in amounts:
            one_by_one.observe(amount)
    assert samples(together) == pytest.approx(samples(one_by_one))


def test_each_bound_belongs_to_its_own_bucket():
    seconds = histogram()
    observe_all(seconds, list(BOUNDS))
    counts = [value for (name, _), value in samples(seconds).items() if name == "seconds_bucket"]
    assert counts == [1, 2, 3, 4, 5, 5]


def value(name: str, labels: Labels, **more: str) -> float:
    return REGISTRY.get_sample_value(name, labels._asdict() | more) or 0.0


def numbers(labels: Labels) -> dict[str, float]:
    """What the metrics say of one model."""
    return {
        "ok": value("gateway_requests_total", labels, status="200"),
        "refused": value("gateway_requests_total", labels, status="400"),
        "seconds": value("gateway_request_seconds_sum", labels),
        "requests": value("gateway_request_seconds_count", labels),
        "quick": value("gateway_request_seconds_bucket", labels, le="0.5"),
        "calls": value("gateway_backend_seconds_count", labels),
        "call_seconds": value("gateway_backend_seconds_sum", labels),
        "rows": value("gateway_rows_total", labels),
    }


NOTHING = dict.fromkeys(("ok", "refused", "seconds", "requests", "quick", "calls", "call_seconds", "rows"), 0.0)


def ok(labels: Labels) -> Prediction:
    return Prediction(labels, 200, total_s=0.5, backend_s=0.25, rows=3)


def refused(labels: Labels) -> Prediction:
    return Prediction(labels, 400, total_s=1.0, backend_s=0.0, rows=0)


def test_without_a_loop_a_prediction_counts_at_once():
    labels, tally = Labels("tally_at_once", "1", "serving_default"), RequestMetrics()
    tally.add(ok(labels))
    once = {"ok": 1, "refused": 0, "seconds": 0.5, "requests": 1, "quick": 1, "calls": 1, "call_seconds": 0.25, "rows": 3}
    assert numbers(labels) == once
    tally.add(refused(labels))
    assert numbers(labels) == once | {"refused": 1, "seconds": 1.5, "requests": 2}


@on_loop
async def test_on_a_loop_predictions_count_together_in_a_moment():
    labels, other, tally = Labels("tally_loop", "1", "a"), Labels("tally_loop", "1", "b"), RequestMetrics()
    for _ in range(2):
        tally.add(ok(labels))
        tally.add(refused(labels))
        tally.add(refused(other))
    assert (numbers(labels), numbers(other)) == (NOTHING, NOTHING)
    await until(lambda: numbers(labels)["ok"])
    both = {"ok": 2, "refused": 2, "seconds": 3, "requests": 4, "quick": 2, "calls": 2, "call_seconds": 0.5, "rows": 6}
    assert numbers(labels) == both
    assert numbers(other) == NOTHING | {"refused": 2, "seconds": 2, "requests": 2}
    tally.add(ok(labels))
    await until(lambda: numbers(labels)["ok"] == 3)


@on_loop
async def test_predictions_that_are_written_before_their_moment_are_counted_once():
    labels, tally = Labels("tally_early", "1", "serving_default"), RequestMetrics()
    tally.add(ok(labels))
    tally.write()
    assert numbers(labels)["ok"] == 1
    await asyncio.sleep(0.03)
    assert numbers(labels)["ok"] == 1


@on_loop
async def test_the_requests_in_flight_are_shown_in_a_moment():
    tally = RequestMetrics()
    for _ in range(3):
        tally.enter()
    await until(lambda: REGISTRY.get_sample_value("gateway_in_flight_requests") == 3)
    for _ in range(3):
        tally.leave()
    await until(lambda: REGISTRY.get_sample_value("gateway_in_flight_requests") == 0)


def test_the_metrics_have_the_labels_in_this_order():
    for metric in (metrics.REQUEST_SECONDS, metrics.BACKEND_SECONDS, metrics.ROWS):
        assert metric._labelnames == Labels._fields
    assert metrics.REQUESTS._labelnames == (*Labels._fields, "status")


@on_loop
async def test_requests_are_counted_by_the_names_of_a_hundred_keys_and_the_others_together():
    def of_key(name):
        return REGISTRY.get_sample_value("gateway_key_requests_total", {"key": name, "status": "200"}) or 0.0

    requests, others = RequestMetrics(), of_key("(other)")
    for number in range(150):
        requests.add_key(f"bounded-{number}", 200)
    requests.write()
    requests.add_key("bounded-7", 200)
    requests.add_key("bounded-140", 200)
    requests.write()
    assert [of_key(f"bounded-{number}") for number in (0, 7, 99, 100, 140, 149)] == [1, 2, 1, 0, 0, 0]
    assert of_key("(other)") - others == 51
