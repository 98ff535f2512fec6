"""The rendered probes, by a clock of the test: what they allow a container, and when it is restarted."""

from collections.abc import Callable

import pytest

from tests.kubernetes.kubelet.probe import Health

TICK_S = 0.5
# A server may load for 240 * 5 s.
LONGEST_LOAD_S = 1200


@pytest.fixture
def server(documents) -> dict:
    return container(documents, "model-server")


def container(documents: list[dict], name: str) -> dict:
    [found] = [one for one in documents if one["kind"] == "Deployment" and one["metadata"]["name"] == name]
    return found["spec"]["template"]["spec"]["containers"][0]


def watched(container: dict, answers: Callable[[float], bool], until_s: float) -> list[tuple[float, str]]:
    """When it is ready, is not, or is to be restarted; ``answers`` says whether the probe of that time passes."""
    health = Health(container, 0.0)
    changes, was_ready = [], False
    for tick in range(int(until_s / TICK_S)):
        now_s = tick * TICK_S
        health.step(now_s, lambda handler, timeout_s, now_s=now_s: answers(now_s))
        if health.has_failed:
            return [*changes, (now_s, f"{health.has_failed} failed")]
        if health.is_ready != was_ready:
            was_ready = health.is_ready
            changes.append((now_s, "ready" if was_ready else "not ready"))
    return changes


@pytest.mark.parametrize("load_s", [0, 1, 30, 150, 600, LONGEST_LOAD_S - 10])
def test_a_server_that_loads_is_not_restarted_and_is_ready_soon_after(server, load_s):
    [(ready_s, what)] = watched(server, lambda now_s: now_s >= load_s, LONGEST_LOAD_S * 2)
    assert what == "ready"
    assert load_s <= ready_s <= load_s + server["startupProbe"]["periodSeconds"]


def test_a_server_that_never_finishes_to_load_is_restarted_at_last(server):
    [(failed_s, what)] = watched(server, lambda now_s: False, LONGEST_LOAD_S * 2)
    assert what == "startup failed"
    assert failed_s == LONGEST_LOAD_S - server["startupProbe"]["periodSeconds"]


def test_without_its_startup_probe_a_server_that_loads_is_restarted(server):
    without = {name: value for name, value in server.items() if name != "startupProbe"}
    [(failed_s, what)] = watched(without, lambda now_s: now_s >= LONGEST_LOAD_S / 2, LONGEST_LOAD_S)
    assert what == "liveness failed"
    assert failed_s < LONGEST_LOAD_S / 2


@pytest.mark.parametrize("name", ["gateway", "model-server"])
def test_a_container_is_not_ready_after_three_failures_ready_after_one_success_and_restarted_when_it_stays_silent(
    documents, name
):
    one = container(documents, name)
    period_s = one["readinessProbe"]["periodSeconds"]
    outage = range(100, 100 + 4 * period_s)
    changes = watched(one, lambda now_s: int(now_s) not in outage and now_s < 400, 700)
    assert [what for _, what in changes] == ["ready", "not ready", "ready", "not ready", "liveness failed"]
    assert changes[1][0] == 100 + 2 * period_s  # the first failure is at 100 s
    assert changes[2][0] == outage.stop


def test_two_failures_between_successes_change_nothing(server):
    period_s = server["readinessProbe"]["periodSeconds"]
    assert watched(server, lambda now_s: (now_s // period_s) % 3 == 0, 200) == [(0.0, "ready")]
