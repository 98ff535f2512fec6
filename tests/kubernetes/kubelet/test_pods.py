"""Pods of the rendered manifests: they run as the manifests say, find each other, and answer predictions."""

import signal

import pytest
import requests

from tests.kubernetes.kubelet.cluster import Cluster
from tests.kubernetes.kubelet.pod import Pod
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(240)
NAMES = ("gateway", "model-server")


def pod(cluster: Cluster, name: str) -> Pod:
    return cluster.deployments[name].lasting[0]


def said(pod: Pod, *command: str) -> str:
    """What a command prints in its container."""
    done = pod.container.run(list(command))
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(pod: Pod, *command: str) -> str:
    """What a command complains about in its container."""
    done = pod.container.run(list(command))
    assert done.returncode != 0, done.stdout
    return done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_all_pods_are_ready_within_the_startup_probe_and_none_was_restarted(cluster, name):
    deployment = cluster.deployments[name]
    assert len(deployment.lasting) == deployment.limits.replicas
    for one in deployment.lasting:
        assert 1 <= one.health.startups_asked <= one.document["startupProbe"]["failureThreshold"]
        assert one.restarts == 0
        assert one.when("started") < one.when(f"joined {name}")


@pytest.mark.parametrize("name", NAMES)
def test_a_container_has_the_variables_of_image_and_manifest_and_no_others(cluster, name):
    one = pod(cluster, name)
    settings = one.settings()
    found = dict(entry.split("=", 1) for entry in said(one, "cat", "/proc/1/environ").split("\0") if entry)
    manifest = {entry["name"]: entry["value"] for entry in one.document.get("env", []) if "value" in entry}
    ours = {**settings.image.environment, "HOSTNAME": one.name, **manifest}
    # A shell that an entrypoint begins with adds some of its own.
    assert {key: value for key, value in found.items() if key not in {"PWD", "SHLVL", "OLDPWD", "_"}} == ours
    assert name != "gateway" or manifest["GATEWAY_SERVING_TARGET"] == "dns:///model-server:8500"


def test_the_command_lines_are_those_of_image_and_manifest(cluster):
    assert said(pod(cluster, "gateway"), "cat", "/proc/1/cmdline").split("\0")[1:3] == ["-m", "gateway"]
    server = pod(cluster, "model-server")
    words = said(server, "cat", "/proc/1/cmdline").split("\0")
    assert words[1:5] == ["-m", "model_server", "--port=8500", "--rest_api_port=8501"]
    assert words[-len(server.document["args"]) - 1 : -1] == server.document["args"]


@pytest.mark.parametrize("name", NAMES)
def test_a_container_has_no_rights_but_to_write_where_the_manifest_lets_it(cluster, name):
    one = pod(cluster, name)
    assert said(one, "id", "-u").strip() == "1000"
    status = dict(line.split(":\t") for line in said(one, "cat", "/proc/1/status").splitlines() if ":\t" in line)
    assert (int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, 0, "1")
    for path in ("/new", "/app/new", "/etc/new"):
        assert "Read-only file system" in fails(one, "touch", path)
    for mount in one.document["volumeMounts"]:
        if mount.get("readOnly"):
            assert "Read-only file system" in fails(one, "touch", f"{mount['mountPath']}/new")
        else:
            said(one, "sh", "-c", 'echo 1 > "$1/new" && rm "$1/new"', "sh", mount["mountPath"])


def test_the_headless_service_has_the_addresses_of_all_servers_for_a_gateway(cluster):
    lines = said(pod(cluster, "gateway"), "getent", "ahostsv4", "model-server").splitlines()
    servers = cluster.deployments["model-server"].lasting
    assert {line.split()[0] for line in lines} == {one.address for one in servers}
    assert len(servers) == 3


def test_predictions_are_answered_through_the_service(cluster):
    for _ in range(20):
        address, port = cluster.services["gateway"].choose(80)
        answer = requests.post(
            f"http://{address}:{port}/v1/models/half_plus_two:predict", json={"instances": [1.0, 2.0]}, timeout=20
        )
        assert (answer.status_code, answer.json()) == (200, {"predictions": [2.5, 3.0]})


def test_a_container_that_ends_is_started_again_in_its_pod(cluster):
    one, service = pod(cluster, "gateway"), cluster.services["gateway"]
    seen = len(one.events)
    one.container.send(signal.SIGKILL)
    wait_for(lambda: len(one.events) > seen and one in service.known and cluster.is_settled(), 100)
    assert one.restarts == 1
    what = [event.what for event in one.events[seen:] if "gateway" not in event.what]
    assert what[1:] == ["started"]
    assert what[0].startswith("exit ")
    assert what[0] != "exit 0"


def test_a_server_that_does_not_answer_leaves_the_service_is_not_restarted_and_comes_back(cluster):
    one = cluster.deployments["model-server"].lasting[-1]
    service = cluster.services["model-server"]
    seen = len(one.events)
    one.container.send(signal.SIGSTOP)
    try:
        wait_for(lambda: one not in service.known, 60)
    finally:
        one.container.send(signal.SIGCONT)
    assert len(service.known) == 2
    wait_for(lambda: one in service.known, 60)
    assert [event.what for event in one.events[seen:]] == ["left model-server", "joined model-server"]
    cluster.check()
