"""What every Pod of every rendering has: no privileges, probes, bounded memory, and enough time to end."""

import pytest

from model_server import flags
from tests.kubernetes.quantities import bytes_of
from tests.kubernetes.rendering import RENDERINGS, containers, environment, workloads

WORKER_BYTES = 1 << 30
BYTES_FOR_EACH_OF_A_BODY = 56  # docker-compose.yml and .env.example say the same
BODY_BYTES = 33_554_432
WORKER_CLOSES_WITHIN_S = 10

every_rendering = pytest.mark.parametrize("name", RENDERINGS)


def seconds_before_term(container) -> int:
    """How long preStop waits. Every version of Kubernetes since 1.30 sleeps without a program in the image."""
    return container["lifecycle"]["preStop"]["sleep"]["seconds"]


@every_rendering
def test_a_rendering_has_gateway_and_model_server(name):
    assert {"gateway", "model-server"} <= {container["name"] for _, container in containers(name)}


@every_rendering
def test_pods_have_no_privileges(name):
    for workload in workloads(name):
        security = workload.pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["runAsGroup"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert workload.pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(workload.pod)
        for container in workload.all_containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, container["name"]


@every_rendering
def test_no_service_adds_variables_to_a_pod(name):
    assert all(workload.pod["enableServiceLinks"] is False for workload in workloads(name))


@every_rendering
def test_memory_is_reserved_as_it_is_bounded(name):
    for workload in workloads(name):
        for container in workload.all_containers:
            resources = container["resources"]
            assert resources["requests"]["memory"] == resources["limits"]["memory"]
            assert "cpu" in resources["requests"]
            assert "cpu" not in resources["limits"]


@every_rendering
def test_containers_that_last_have_all_three_probes(name):
    for _, container in containers(name):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert len({"grpc", "httpGet", "tcpSocket", "exec"} & set(container[probe])) == 1, (container["name"], probe)


@every_rendering
def test_a_model_server_has_more_than_ten_minutes_to_load_and_the_rollout_waits_for_it(name):
    for workload, container in containers(name):
        if container["name"] == "model-server":
            probe = container["startupProbe"]
            start_s = probe["periodSeconds"] * probe["failureThreshold"]
            assert start_s >= 600
            assert workload.document["spec"]["progressDeadlineSeconds"] > start_s


@every_rendering
def test_a_busy_container_is_not_restarted_within_a_minute(name):
    for _, container in containers(name):
        probe = container["livenessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 60
        assert probe["timeoutSeconds"] >= 5


@every_rendering
def test_a_gateway_has_the_time_that_its_settings_ask_for(name):
    for workload, container in containers(name):
        if container["name"] == "gateway":
            settings = environment(container)
            drain_s = int(settings["GATEWAY_DRAIN_DELAY_MS"]) / 1000 + int(settings["GATEWAY_GRACEFUL_TIMEOUT_S"])
            needed_s = seconds_before_term(container) + drain_s + WORKER_CLOSES_WITHIN_S
            assert seconds_before_term(container) >= 5
            assert workload.pod["terminationGracePeriodSeconds"] > needed_s


@every_rendering
def test_a_model_server_outlives_the_connections_to_it(name):
    for workload in workloads(name):
        container = workload.container("model-server")
        if container is None or workload.container("gateway"):
            continue
        options = flags.parse(container["args"]).flags
        arguments = dict(pair.split("=") for pair in options.grpc_channel_arguments.split(","))
        # gRPC lets a connection live up to a tenth longer.
        age_s = int(arguments["grpc.max_connection_age_ms"]) * 1.1 / 1000
        age_grace_s = int(arguments["grpc.max_connection_age_grace_ms"]) / 1000
        grace_s = workload.pod["terminationGracePeriodSeconds"]
        assert grace_s > seconds_before_term(container) + age_s + age_grace_s
        assert grace_s > seconds_before_term(container) + options.shutdown_grace_seconds


@every_rendering
def test_a_call_in_flight_may_end_on_a_connection_that_has_its_age(name):
    for _, container in containers(name):
        if container["name"] == "model-server" and "max_connection_age" in str(container["args"]):
            arguments = flags.parse(container["args"]).flags.grpc_channel_arguments
            [grace_ms] = [int(pair.split("=")[1]) for pair in arguments.split(",") if "age_grace_ms" in pair]
            assert grace_ms > 2_000  # GATEWAY_PREDICT_TIMEOUT_MS, which no rendering sets
    assert not any("GATEWAY_PREDICT_TIMEOUT_MS" in environment(container) for _, container in containers(name))


@every_rendering
def test_a_gateway_has_memory_for_hostile_clients(name):
    for workload, container in containers(name):
        if container["name"] == "gateway":
            settings = environment(container)
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            in_memory = [
                bytes_of(volume["emptyDir"]["sizeLimit"])
                for volume in workload.pod["volumes"]
                if volume["name"] in mounted and volume.get("emptyDir", {}).get("medium") == "Memory"
            ]
            body_bytes = int(settings.get("GATEWAY_MAX_BODY_BYTES", BODY_BYTES))
            # Not 0: that counts the cores of the node.
            needed = int(settings["GATEWAY_WORKERS"]) * (WORKER_BYTES + BYTES_FOR_EACH_OF_A_BODY * body_bytes) + sum(in_memory)
            assert len(in_memory) == 2
            assert bytes_of(container["resources"]["limits"]["memory"]) >= needed


@every_rendering
def test_what_a_gateway_writes_is_in_memory(name):
    for workload, container in containers(name):
        if container["name"] == "gateway":
            volumes = {volume["name"]: volume for volume in workload.pod["volumes"]}
            written = {m["mountPath"]: volumes[m["name"]] for m in container["volumeMounts"] if not m.get("readOnly")}
            assert set(written) == {"/tmp", "/dev/shm"}  # noqa: S108 - paths in the container
            assert all(volume["emptyDir"]["medium"] == "Memory" for volume in written.values())


@every_rendering
def test_every_volume_is_mounted_and_bounded(name):
    for workload in workloads(name):
        volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", [])}
        claimed = {claim["metadata"]["name"] for claim in workload.document["spec"].get("volumeClaimTemplates", [])}
        mounts = {mount["name"] for container in workload.all_containers for mount in container["volumeMounts"]}
        assert mounts == set(volumes) | claimed
        assert all("sizeLimit" in volume["emptyDir"] for volume in volumes.values() if "emptyDir" in volume)


@every_rendering
def test_only_what_prepares_the_models_may_write_them(name):
    for workload in workloads(name):
        for container in workload.all_containers:
            for mount in container["volumeMounts"]:
                if mount["name"] == "models":
                    assert mount["mountPath"] == "/models"
                    assert mount.get("readOnly", False) == (container["name"] != "models")


@every_rendering
def test_gateways_and_model_servers_are_spread_over_nodes_and_zones(name):
    for workload in workloads(name):
        if workload.name != "redis":
            spread = workload.pod["topologySpreadConstraints"]
            assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
            assert all(workload.selected_by(one["labelSelector"]["matchLabels"]) for one in spread)


@pytest.mark.parametrize("name", [name for name in RENDERINGS if name.startswith("single")])
def test_the_sidecar_is_the_model_server_of_the_base(name):
    [gateway] = [workload for workload in workloads(name) if workload.name == "gateway"]
    [server] = [workload for workload in workloads("base") if workload.name == "model-server"]
    sidecar, alone = dict(gateway.container("model-server")), dict(server.container("model-server"))
    assert gateway.pod["initContainers"][-1]["name"] == "model-server", "what prepares the models comes first"
    assert sidecar.pop("restartPolicy") == "Always"
    # It ends after the gateway, so it waits for nobody, and its only client is beside it.
    assert alone.pop("lifecycle")
    assert [flag for flag in alone.pop("args") if "grpc_channel_arguments" not in flag] == sidecar.pop("args")
    for container in (sidecar, alone):
        assert [port["containerPort"] for port in container.pop("ports")] == [8500, 8501]
        container["volumeMounts"] = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert sidecar == alone
