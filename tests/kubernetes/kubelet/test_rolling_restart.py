"""``kubectl rollout restart`` under load: no request fails, and every old Pod ends in the kubelet's order and by itself."""

import copy
import os

import pytest

from tests.kubernetes.kubelet.cluster import Cluster
from tests.kubernetes.kubelet.conftest import running_cluster
from tests.kubernetes.kubelet.pod import Pod
from tests.stack.checking_client import CheckingClient, Tally
from tests.waiting import wait_for

CLIENTS = 16
EVERY_S = 0.1
PATIENCE_S = 30
SETTLED_S = 400  # on a busy machine
DEAF = ["sh", "-c", 'tf_serving_entrypoint.sh "$@"; exit $?', "sh"]
FORCED = ("KILL", "liveness failed", "startup failed")


@pytest.mark.timeout(500)
@pytest.mark.parametrize("name", ["gateway", "model-server"])
def test_a_rolling_restart_under_load_fails_no_request(cluster: Cluster, name: str):
    deployment = cluster.deployments[name]
    wait_for(cluster.is_settled, SETTLED_S)
    old, restarts = deployment.lasting, sum(pod.restarts for pod in cluster.pods)
    restart_under_load(cluster, name)
    assert len(old) == len(deployment.lasting) == deployment.limits.replicas
    assert not set(old) & set(deployment.lasting)
    for pod in old:
        check_end(pod, name)
    assert sum(pod.restarts for pod in cluster.pods) == restarts


@pytest.mark.timeout(900)
@pytest.mark.skipif(os.environ.get("LONG_TESTS") != "1", reason="four minutes: LONG_TESTS=1 runs it")
def test_servers_that_do_not_act_on_sigterm_are_killed_when_nobody_asks_them_any_more(documents, models, tmp_path):
    """The shell of tensorflow/serving's entrypoint is PID 1 and hands no signal on."""
    changed = copy.deepcopy(documents)
    name = "model-server"
    [document] = [one for one in changed if one["kind"] == "Deployment" and one["metadata"]["name"] == name]
    spec = document["spec"]["template"]["spec"]
    spec["containers"][0]["command"] = DEAF
    with running_cluster(changed, models, tmp_path / "cluster") as cluster:
        old = cluster.deployments[name].lasting
        restart_under_load(cluster, name)
        for pod in old:
            assert pod.when(f"left {name}") < pod.when("TERM") < pod.when("KILL")
            assert pod.when("KILL") - pod.when("deleted") >= spec["terminationGracePeriodSeconds"]


def restart_under_load(cluster: Cluster, name: str) -> None:
    """Replace the Pods of a Deployment while clients ask: no request fails, and never are too few Pods ready."""
    deployment, service = cluster.deployments[name], cluster.services["gateway"]
    ready: set[int] = set()

    def is_settled() -> bool:
        ready.add(sum(pod.is_ready for pod in deployment.lasting))
        return cluster.is_settled(name)

    with CheckingClient(0, CLIENTS, every_s=EVERY_S, patience_s=PATIENCE_S, choose=lambda: service.choose(80)) as client:
        wait_for(lambda: client.tally.answered[200] > 10 * CLIENTS, 60)
        deployment.restart()
        wait_for(is_settled, SETTLED_S)
        good = client.tally.answered[200]
        wait_for(lambda: client.tally.answered[200] > good + 10 * CLIENTS, 60)
    assert failures(client.tally) == {}
    assert min(ready) == deployment.limits.replicas - deployment.limits.unavailable


def failures(tally: Tally) -> dict[str, object]:
    """All that a client may complain about. No connection may end but after an answer with ``Connection: close``."""
    found = {
        "answered": {status: number for status, number in tally.answered.items() if status != 200},
        **{name: getattr(tally, name) for name in ("wrong", "lost", "cut", "never_taken", "refused", "unanswered")},
    }
    return {name: value for name, value in found.items() if value}


def check_end(pod: Pod, service: str) -> None:
    """Deleted, out of the Service while preStop sleeps, then SIGTERM and the end of the process with status 0."""
    seconds = pod.document["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod.when("deleted") <= pod.when("preStop")
    assert pod.when("TERM") - pod.when("preStop") >= seconds
    assert pod.when("deleted") < pod.when(f"left {service}") < pod.when("TERM") < pod.when("exit 0")
    assert not {event.what for event in pod.events} & set(FORCED)
    assert "Traceback" not in pod.log()
