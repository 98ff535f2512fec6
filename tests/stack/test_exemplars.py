"""Exemplars of two workers, as a strict parser of OpenMetrics reads them."""

import json
import os
import signal
import time

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.stack.held_gateway import held_gateway
from tests.waiting import wait_for

pytestmark = pytest.mark.stack

ACCEPT = {"Accept": "application/openmetrics-text; version=1.0.0"}
MAX_LABELS = 128  # characters, of OpenMetrics


def buckets(gateway):
    """The buckets of the times of requests, with the bound below each."""
    answer = requests.get(f"{gateway.address}/metrics", headers=ACCEPT, timeout=10)
    (family,) = (one for one in text_string_to_metric_families(answer.text) if one.name == "gateway_request_seconds")
    below = 0.0
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            bound = float(sample.labels["le"])
            yield sample, below
            below = 0.0 if bound == float("inf") else bound


def exemplars(gateway):
    return {tuple(sample.labels.items()): sample.exemplar for sample, _ in buckets(gateway) if sample.exemplar}


def test_each_bucket_of_two_workers_names_a_trace_that_was_exported_and_keeps_it_when_a_worker_dies(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    traces = tmp_path / "traces.jsonl"
    with held_gateway(tmp_path, 2, traces_file=traces, metrics_exemplars="on") as gateway:

        def have_both_written():
            gateway.predict()
            return len(list(tmp_path.glob("gateway-metrics-*/exemplars_*"))) == 2

        wait_for(have_both_written)
        requests.get(f"{gateway.address}/v1/models/m/metadata", timeout=10)  # has a trace, and is no prediction
        shown = [(sample, below) for sample, below in buckets(gateway) if sample.exemplar]
        text = traces.read_text()
        spans = [
            span
            for line in text.splitlines()
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
        predictions = {span["traceId"]: span for span in spans if span["name"] == "POST /v1/models/{model}:predict"}
        assert shown
        for sample, below in shown:
            exemplar = sample.exemplar
            assert sample.labels["model"] == "m"
            assert below < exemplar.value <= float(sample.labels["le"])
            assert sample.value > 0
            assert sum(len(name) + len(value) for name, value in exemplar.labels.items()) <= MAX_LABELS
            span = predictions[exemplar.labels["trace_id"]]
            took_s = (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e9
            assert exemplar.value == pytest.approx(took_s, abs=1e-6)
            assert abs(time.time() - float(exemplar.timestamp)) < 60
        died = gateway.workers[0]
        before = exemplars(gateway)
        os.kill(died, signal.SIGKILL)
        wait_for(lambda: len(gateway.workers) == 2 and died not in gateway.workers)
        wait_for(gateway.is_ready)
        after = exemplars(gateway)
        assert set(before) <= set(after)
        assert all(float(after[bucket].timestamp) >= float(before[bucket].timestamp) for bucket in before)
        assert "trace_id" not in requests.get(f"{gateway.address}/metrics", timeout=10).text
