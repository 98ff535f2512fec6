"""A gateway under load, with refusals, time-outs and a model server that is away, as a real Prometheus sees it."""

import re
import struct

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.observability import prometheus_api
from deploy.observability.panels import PANELS
from tests.observability.conftest import SECONDS, WINDOW
from tests.observability.programs import FOLDER, promtool

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

RECORDED, ALERTS = (
    [rule for group in yaml.safe_load((FOLDER / name).read_text())["groups"] for rule in group["rules"]]
    for name in ("recording.yml", "alerts.yml")
)
_SELECTOR = re.compile(r"(?<![\w:\"])((?:gateway_|job:|model:|up\b)[\w:]*(?:\{[^}]*\})?)")
_SCRAPED = ("__name__", "instance", "job")
_LATE = {
    "gateway_key_requests_total": "the names of keys are those of the file, which may have a hundred thousand",
    "gateway_cpu_seconds_total": "a worker has used time before it is scraped",
    "gateway_server_calls_total": "a worker reads the signatures before it is scraped; test_server_metrics.py tries the others",
    'gateway_auth_total{result="ok"}': "each look at /metrics brings a key",
}
"""Counters that do not begin at 0, and why."""


def test_the_load_causes_what_the_dashboard_is_to_show(run):
    assert {200, 400, 401, 404, 429, 503, 504} <= set(run.load.statuses)
    assert run.load.wrong == []


@pytest.mark.parametrize(("title", "query"), [(panel.title, query) for panel in PANELS for query in panel.queries], ids=str)
def test_every_query_of_the_dashboard_gives_numbers(run, title, query):
    found = prometheus_api.query_range(run.prometheus.address, query.over(WINDOW), run.end_s - SECONDS, run.end_s, 1.0)
    assert found, title
    assert any(series.points for series in found), title
    # Every label in a series' name is one that it has.
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert all(label in series.labels for series in found), (title, label)


@pytest.mark.parametrize("rule", RECORDED, ids=lambda rule: rule["record"])
def test_every_recording_rule_gives_numbers(run, rule):
    found = run.prometheus.query(f"{rule['record']}[{SECONDS}s]")
    assert any(series.points for series in found)


def test_prometheus_evaluates_every_rule_without_an_error(run):
    rules = run.prometheus.rules()
    assert len(rules) == len(RECORDED) + len(ALERTS)
    assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}


@pytest.mark.parametrize("rule", RECORDED + ALERTS, ids=lambda rule: rule.get("record") or rule.get("alert"))
def test_every_selector_of_a_rule_matches_series(run, rule):
    selectors = _SELECTOR.findall(rule["expr"])
    assert selectors
    for selector in selectors:
        assert run.prometheus.query(f"last_over_time({selector}[{SECONDS}s])"), selector


def test_the_error_ratio_is_that_of_the_answers(run):
    """Over the whole run, so that the numbers of the clients can be compared with those that Prometheus computes."""
    [failed] = run.prometheus.query(
        f'sum(increase(gateway_requests_total{{status=~"50[0234]"}}[{SECONDS}s]))'
        f" + sum(increase(gateway_refusals_total[{SECONDS}s]))"
    )
    counted = sum(count for status, count in run.load.statuses.items() if status in (500, 502, 503, 504))
    assert failed.points[0][1] == pytest.approx(counted, rel=0.1)


def test_every_counter_begins_at_zero(run):
    """Otherwise the first of its events, such as the first 503, is none for ``rate()``."""
    counted = [family for family in text_string_to_metric_families(run.last) if family.type in ("counter", "histogram")]
    names = {sample.name for family in counted for sample in family.samples}
    first = {}
    for name in names:
        for series in run.prometheus.query(f'{name}{{job="gateway"}}[10m]'):
            labels = ",".join(f'{key}="{value}"' for key, value in series.labels.items() if key not in _SCRAPED)
            first[f"{name}{{{labels}}}"] = series.points[0][1]
    assert len(first) > 200
    late = {series for series, value in first.items() if value and not {series, series.split("{")[0]} & set(_LATE)}
    assert late == set()


def test_the_counters_of_a_worker_that_died_still_count(run):
    [deaths] = run.prometheus.query("sum(gateway_worker_deaths_total)")
    assert deaths.points[0][1] == 1
    assert run.prometheus.query(f"resets(gateway_batches_total[{SECONDS}s]) > 0") == []


def test_the_model_server_was_seen_to_be_away_and_to_come_back(run):
    [lowest] = run.prometheus.query(f'min_over_time(gateway_model_ready{{model="dense"}}[{SECONDS}s])')
    [now] = run.prometheus.query('gateway_model_ready{model="dense"}')
    assert (lowest.points[0][1], now.points[0][1]) == (0, 1)


def test_a_new_version_got_its_part_of_the_requests_and_answered_as_the_old_one(run):
    def counted(selector):
        return sum(series.points[0][1] for series in run.prometheus.query(f"sum(gateway_rollout_{selector})"))

    assert counted('exposed_total{model="dense",arm="canary"}') > 20
    assert counted('shadow_total{model="dense",result="same"}') > 20
    assert counted('shadow_total{model="dense",result="different"}') == 0


def test_a_panel_has_exemplars_that_lead_to_traces(run):
    """Grafana asks for them by the query of the panel."""
    [query] = [query for panel in PANELS for query in panel.queries if query.legend == "p99"]
    assert query.exemplars
    found = prometheus_api.ask(
        run.prometheus.address,
        "query_exemplars",
        query=query.over(WINDOW),
        start=f"{run.end_s - SECONDS:.3f}",
        end=f"{run.end_s:.3f}",
    )
    traces = (run.stack.folder / "traces.jsonl").read_text()
    shown = [(one["seriesLabels"], exemplar) for one in found for exemplar in one["exemplars"]]
    assert {labels.get("model") for labels, _ in shown} >= {"dense", "half_plus_two"}
    assert len({exemplar["labels"]["trace_id"] for _, exemplar in shown}) > 10
    for labels, exemplar in shown:
        assert f'"{exemplar["labels"]["trace_id"]}"' in traces
        assert float(exemplar["value"]) <= float(labels["le"])


def test_the_metrics_are_as_prometheus_wants_them(run):
    assert promtool("check", "metrics", stdin=run.last) == (0, "")


def test_the_traces_that_were_exported_are_those_in_the_file(run):
    """But for the last second's, and those that a worker had when it was killed."""
    [exported] = run.prometheus.query('sum(gateway_traces_total{outcome="exported"})')
    written = (run.stack.folder / "traces.jsonl").read_text().count('"kind":2')
    assert exported.points[0][1] == pytest.approx(written, rel=0.05)


def test_the_certificates_end_is_that_of_the_file(run):
    [days] = run.prometheus.query("(gateway_certificate_expires_seconds - time()) / 86400")
    assert days.points[0][1] == pytest.approx(2, abs=0.1)


def test_the_picture_is_small_enough_for_the_documentation(run):
    data = run.picture.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data.startswith(b"\x89PNG")
    assert width >= 1400
    assert height >= 1200
    assert len(data) < 300_000
