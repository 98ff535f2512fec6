"""What the autoscalers ask for is what the gateway tells, and an unknown value takes no Pod away."""

import re

import yaml

from gateway.telemetry import metrics
from tests.kubernetes.rendering import FOLDER, of_kind, workloads

IN_FLIGHT = next(iter(metrics.IN_FLIGHT.describe())).name
ADAPTER = FOLDER / "overlays" / "hpa" / "prometheus-adapter.yaml"
AUTOSCALED = ("hpa", "keda")


def adapter_metrics() -> dict[str, dict]:
    """Name of a metric of Kubernetes -> the adapter's rule."""
    rules = yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]
    # Without a name of its own a metric has that of the series.
    return {rule.get("name", {}).get("as") or re.match(r"\w+", rule["seriesQuery"])[0]: rule for rule in rules}


def test_the_number_of_pods_is_left_to_the_autoscaler():
    for name in AUTOSCALED:
        assert [workload.name for workload in workloads(name) if "replicas" in workload.document["spec"]] == []


def test_every_workload_has_one_autoscaler_with_bounds():
    for name in AUTOSCALED:
        scalers = of_kind(name, "HorizontalPodAutoscaler", "ScaledObject")
        assert [one["spec"]["scaleTargetRef"] for one in scalers] == [
            {"apiVersion": "apps/v1", "kind": workload.document["kind"], "name": workload.name} for workload in workloads(name)
        ]
        for one in scalers:
            least = one["spec"].get("minReplicas") or one["spec"]["minReplicaCount"]
            assert 1 <= least < (one["spec"].get("maxReplicas") or one["spec"]["maxReplicaCount"])


def test_the_metrics_of_the_autoscalers_are_those_of_the_adapter():
    rules = adapter_metrics()
    asked = set()
    for scaler in of_kind("hpa", "HorizontalPodAutoscaler"):
        [metric] = scaler["spec"]["metrics"]
        kind = metric["type"].lower()
        rule = rules[metric[kind]["metric"]["name"]]
        asked.add(metric[kind]["metric"]["name"])
        resource = metric[kind].get("describedObject", {}).get("kind", "Pod").lower()
        assert resource in rule["resources"]["overrides"]
        assert rule["resources"]["overrides"]["namespace"] == {"resource": "namespace"}
        # Divided by the number of Pods, so that a target holds for any number of them.
        assert metric[kind]["target"]["type"] == "AverageValue"
    assert asked == set(rules)


def test_the_series_is_the_gateways_gauge_and_is_not_taken_for_a_counter():
    queries = [rule["metricsQuery"] for rule in adapter_metrics().values()]
    for rule in adapter_metrics().values():
        assert re.match(r"\w+", rule["seriesQuery"])[0] == IN_FLIGHT
    for scaled in of_kind("keda", "ScaledObject"):
        [trigger] = scaled["spec"]["triggers"]
        queries.append(trigger["metadata"]["query"])
        assert f"{IN_FLIGHT}{{" in trigger["metadata"]["query"]
    assert len(queries) == 4
    assert not [query for query in queries if re.search(r"\b(i?rate|increase|delta)\(", query)]
    assert [query for query in queries if "avg_over_time(" in query] == queries


def test_both_overlays_have_the_same_targets_bounds_and_pace():
    def facts(spec, target, behavior):
        bounds = (spec.get("minReplicas") or spec["minReplicaCount"], spec.get("maxReplicas") or spec["maxReplicaCount"])
        return spec["scaleTargetRef"], bounds, target, behavior

    by_hpa = []
    for one in of_kind("hpa", "HorizontalPodAutoscaler"):
        [metric] = one["spec"]["metrics"]
        target = metric[metric["type"].lower()]["target"]["averageValue"]
        by_hpa.append(facts(one["spec"], target, one["spec"]["behavior"]))
    by_keda = []
    for one in of_kind("keda", "ScaledObject"):
        [trigger] = one["spec"]["triggers"]
        behavior = one["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        by_keda.append(facts(one["spec"], trigger["metadata"]["threshold"], behavior))
    assert by_hpa == by_keda


def test_no_answer_from_prometheus_takes_no_pod_away():
    for scaled in of_kind("keda", "ScaledObject"):
        [trigger] = scaled["spec"]["triggers"]
        assert trigger["metadata"]["ignoreNullValues"] == "false"
        assert "fallback" not in scaled["spec"], "it would be a number of Pods whatever the load"


def test_pods_go_slowly():
    for scaler in of_kind("hpa", "HorizontalPodAutoscaler"):
        down = scaler["spec"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 300
        assert all(policy["type"] == "Pods" and policy["value"] == 1 for policy in down["policies"])
