"""/metrics in two formats: OpenMetrics for whoever prefers it, the older text for everybody else."""

import pytest
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as older

from gateway.api.ops import prefers_openmetrics
from tests.waiting import wait_for

# As Prometheus 2.42 and 3.5 send it.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
ACCEPT = {"Accept": "application/openmetrics-text; version=1.0.0"}
PREDICT = "/v1/models/m:predict"


@pytest.mark.parametrize(
    ("accept", "is_preferred"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        (ACCEPT["Accept"], True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("application/openmetrics-text; version=2.0.0", False),
        ("application/openmetrics-text; version=0.0.1", False),
        ("application/openmetrics-text; version=1.0.0; q=0", False),
        ("application/openmetrics-text; q=0.3, text/plain", False),
        ("application/openmetrics-text; version=", True),
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        (";;,=;q=x,\x00", False),
    ],
)
def test_openmetrics_is_for_whoever_names_it_and_does_not_prefer_the_older_text(accept, is_preferred):
    assert prefers_openmetrics(accept) == is_preferred


def server_calls() -> float:
    """How many calls of this process have ended well, of all model servers."""
    return sum(
        sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "gateway_server_calls_total" and sample.labels["status"] == "OK"
    )


def test_both_formats_say_the_same(client):
    before = server_calls()
    client.post(PREDICT, {"instances": [[1, 2]]})
    wait_for(lambda: server_calls() > before)  # those of the model servers are shown a few times a second
    shown = client.get("/metrics", headers=ACCEPT)
    assert shown.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    text = client.get("/metrics")
    assert text.content_type == CONTENT_TYPE_LATEST
    assert "# EOF" not in text.text
    # That of this process and its garbage changes from one look to the next.
    numbers, others = (
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in parse(answer.text)
            for sample in family.samples
            if sample.name.startswith("gateway_") and "_seconds" not in sample.name.replace("request_seconds_bucket", "")
        }
        for parse, answer in ((openmetrics, shown), (older, text))
    )
    assert len(numbers) > 100
    assert sorted(map(str, numbers.items())) == sorted(map(str, others.items()))  # as text, NaN is NaN


def with_exemplars(client):
    return [
        sample
        for family in openmetrics(client.get("/metrics", headers=ACCEPT).text)
        for sample in family.samples
        if sample.exemplar is not None
    ]


def test_without_the_setting_there_are_no_exemplars(make_client, tmp_path):
    client = make_client(traces_file=tmp_path / "traces")
    client.post(PREDICT, {"instances": [[1, 2]]})
    traces = tmp_path / "traces"
    wait_for(traces.read_text)
    assert with_exemplars(client) == []


def test_a_process_that_is_alone_shows_its_exemplars_in_openmetrics_only(make_client, tmp_path):
    client = make_client(traces_file=tmp_path / "traces", metrics_exemplars="on")
    client.post(PREDICT, {"instances": [[1, 2]]}, headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    wait_for(lambda: with_exemplars(client))
    (sample,) = with_exemplars(client)
    assert sample.name == "gateway_request_seconds_bucket"
    assert sample.labels["model"] == "m"
    assert sample.exemplar.labels == {"trace_id": "ab" * 16}
    assert 0 < sample.exemplar.value <= float(sample.labels["le"])
    assert "ab" * 16 not in client.get("/metrics").text
