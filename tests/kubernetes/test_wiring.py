"""What the manifests say of each other, of the gateway's settings and of the model server's flags is true."""

import re

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from gateway import settings
from model_server import flags
from model_server.network.listening import listen_settings
from model_server.network.monitoring import monitoring_settings
from tests.kubernetes.rendering import FOLDER, RENDERINGS, REPOSITORY, containers, environment, of_kind, rendering, workloads

every_rendering = pytest.mark.parametrize("name", RENDERINGS)

# What is in Secrets, for a try.
SECRET_VALUES = {
    "DATABASE_URL": "postgresql://gateway@postgres/predictions",
    "GATEWAY_REDIS_URL": "redis://:secret@redis:6379/0",
}


def port_of(workload, port) -> int | None:
    """The number of a container's port, which ``port`` names or is."""
    ports = [declared for container in workload.lasting for declared in container.get("ports", [])]
    return next((p["containerPort"] for p in ports if port in (p["name"], p["containerPort"])), None)


def selected(name, labels):
    return [workload for workload in workloads(name) if workload.selected_by(labels)]


@every_rendering
def test_every_variable_is_a_setting_of_the_gateway_and_its_value_is_accepted(name):
    known = {row.variable for row in settings.setting_rows()} | {"DATABASE_URL"}
    for _, container in containers(name):
        given = environment(container)
        if container["name"] != "gateway":
            assert given == {}
            continue
        assert set(given) <= known
        values = {variable: SECRET_VALUES[variable] if value is None else value for variable, value in given.items()}
        assert settings.settings_from_environment(values).port == port_of_container(container, "http")


def port_of_container(container, port_name) -> int:
    [number] = [port["containerPort"] for port in container["ports"] if port["name"] == port_name]
    return number


@every_rendering
def test_addresses_with_passwords_come_from_a_secret_that_may_be_missing(name):
    for _, container in containers(name):
        for entry in container.get("env", []):
            if "valueFrom" in entry:
                assert "value" not in entry
                assert entry["valueFrom"]["secretKeyRef"]["optional"] is True
            assert entry["name"] != "DATABASE_URL" or "valueFrom" in entry


@every_rendering
def test_a_model_server_takes_every_flag(name):
    for workload, container in containers(name):
        if container["name"] == "model-server":
            line = flags.parse(container["args"])
            assert line.unknown == ()
            assert line.ignored == ()
            if line.flags.ssl_config_file:
                mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
                assert line.flags.ssl_config_file.rpartition("/")[0] in mounts
            listening = listen_settings(flags.parse([flag for flag in container["args"] if "ssl_config" not in flag]).flags)
            assert listening.health, "the probes ask for it"
            assert listening.port == port_of(workload, "grpc")


@every_rendering
def test_probes_ask_a_port_that_the_container_has(name):
    for _, container in containers(name):
        ports = {key for port in container["ports"] for key in (port["name"], port["containerPort"])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for way in ("grpc", "httpGet", "tcpSocket"):
                assert way not in container[probe] or container[probe][way]["port"] in ports


@every_rendering
def test_probes_speak_what_the_container_speaks(name):
    for _, container in containers(name):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if container["name"] == "gateway":
                scheme = container[probe]["httpGet"].get("scheme", "HTTP")
                assert scheme == ("HTTPS" if "GATEWAY_TLS_CERT" in environment(container) else "HTTP")
            if container["name"] == "model-server":
                has_tls = bool(flags.parse(container["args"]).flags.ssl_config_file)
                assert set(container[probe]) & {"grpc", "tcpSocket"} == {"tcpSocket" if has_tls else "grpc"}


@every_rendering
def test_a_gateway_is_alive_at_healthz_and_ready_at_readyz(name):
    for _, container in containers(name):
        if container["name"] == "gateway":
            paths = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")]
            assert paths == ["/healthz", "/healthz", "/readyz"]


@every_rendering
def test_every_service_finds_the_pods_of_one_workload_and_their_ports(name):
    for service in of_kind(name, "Service"):
        [workload] = selected(name, service["spec"]["selector"])
        for port in service["spec"]["ports"]:
            assert port_of(workload, port["targetPort"]), (service["metadata"]["name"], port)


@every_rendering
def test_the_gateway_reaches_the_model_servers_by_a_headless_service(name):
    services = {service["metadata"]["name"]: service["spec"] for service in of_kind(name, "Service")}
    for workload, container in containers(name):
        if container["name"] != "gateway":
            continue
        target = environment(container)["GATEWAY_SERVING_TARGET"]
        if target == "127.0.0.1:8500":
            assert port_of(workload, 8500)
            continue
        host, port = re.fullmatch(r"dns:///([a-z-]+):(\d+)", target).groups()
        assert services[host]["clusterIP"] == "None"
        assert services[host]["publishNotReadyAddresses"] is False
        assert int(port) in [one["port"] for one in services[host]["ports"]]
        [server] = selected(name, services[host]["selector"])
        assert server.container("model-server")


@every_rendering
def test_every_workload_is_selected_by_its_own_labels_only(name):
    for workload in workloads(name):
        labels = workload.document["spec"]["selector"]["matchLabels"]
        assert [one.name for one in selected(name, labels)] == [workload.name]


@every_rendering
def test_nodes_can_be_drained(name):
    budgets = of_kind(name, "PodDisruptionBudget")
    for budget in budgets:
        assert len(selected(name, budget["spec"]["selector"]["matchLabels"])) == 1
        assert budget["spec"]["maxUnavailable"] == 1
        assert "minAvailable" not in budget["spec"]
    assert len(budgets) == len([workload for workload in workloads(name) if workload.name != "redis"])


@every_rendering
def test_only_gateways_reach_a_model_server_or_redis(name):
    policies = of_kind(name, "NetworkPolicy")
    guarded = set()
    for policy in policies:
        [workload] = selected(name, policy["spec"]["podSelector"]["matchLabels"])
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        for rule in policy["spec"]["ingress"]:
            ports = {port_of(workload, port["port"]) for port in rule["ports"]}
            assert None not in ports
            if ports & {8500, 6379}:
                [peer] = rule["from"]
                assert [one.name for one in selected(name, peer["podSelector"]["matchLabels"])] == ["gateway"]
                assert "namespaceSelector" not in peer
            if 8501 in ports:
                assert rule["from"], "it answers predictions too"
        guarded.add(workload.name)
    exposed = {workload.name for workload in workloads(name) if {8500, 6379} & {port_of(workload, p) for p in (8500, 6379)}}
    assert guarded == exposed


@every_rendering
def test_what_pods_mount_is_there(name):
    maps = {one["metadata"]["name"] for one in of_kind(name, "ConfigMap")}
    claims = {one["metadata"]["name"] for one in of_kind(name, "PersistentVolumeClaim")}
    used = set()
    for workload in workloads(name):
        for volume in workload.pod.get("volumes", []):
            assert "configMap" not in volume or volume["configMap"]["name"] in maps
            if "persistentVolumeClaim" in volume:
                used.add(volume["persistentVolumeClaim"]["claimName"])
    assert used == claims


@every_rendering
def test_both_read_models_config_where_it_is_mounted_and_see_it_change(name):
    [config_map] = of_kind(name, "ConfigMap")
    for _, container in containers(name):
        if container["name"] == "redis":
            continue
        folders = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert "subPath" not in folders["/serving_config"], "a single file would stay what it was"
        options = flags.parse(container.get("args", [])).flags
        path = environment(container).get("GATEWAY_MODEL_CONFIG_FILE") or options.model_config_file
        assert path == "/serving_config/models.config"
        assert container["name"] == "gateway" or options.model_config_file_poll_wait_seconds > 0
    assert set(config_map["data"]) == {"models.config", "monitoring.config"}
    assert config_map["metadata"]["name"] == "serving-config", "a name for each content would restart every Pod"
    for model in text_format.Parse(config_map["data"]["models.config"], ModelServerConfig()).model_config_list.config:
        assert model.base_path == f"/models/{model.name}"


def test_the_files_of_the_config_map_are_those_of_the_repository():
    for copy in sorted((FOLDER / "base" / "serving_config").iterdir()):
        assert copy.read_text() == (REPOSITORY / "serving_config" / copy.name).read_text()
    options = flags.Flags(rest_api_port=8501, monitoring_config_file=str(FOLDER / "base/serving_config/monitoring.config"))
    assert monitoring_settings(options).path == "/monitoring/prometheus/metrics"


@every_rendering
def test_prometheus_finds_a_service_for_each_monitor(name):
    for monitor in of_kind(name, "ServiceMonitor"):
        labels = monitor["spec"]["selector"]["matchLabels"].items()
        [service] = [one for one in of_kind(name, "Service") if labels <= one["metadata"]["labels"].items()]
        [endpoint] = monitor["spec"]["endpoints"]
        [port] = [port for port in service["spec"]["ports"] if port["name"] == endpoint["port"]]
        assert endpoint.get("scheme", "http") == ("https" if port.get("appProtocol") == "https" else "http")
        assert endpoint.get("scheme") != "https" or endpoint["tlsConfig"] == {"insecureSkipVerify": True}


def test_jobs_have_the_names_that_alerts_and_dashboard_ask_for():
    prometheus = yaml.safe_load((REPOSITORY / "deploy/observability/prometheus/prometheus.yml").read_text())
    wanted = {job["job_name"]: job.get("metrics_path", "/metrics") for job in prometheus["scrape_configs"]}
    found = {}
    for monitor in of_kind("base+prometheus-operator", "ServiceMonitor"):
        [endpoint] = monitor["spec"]["endpoints"]
        [job] = [one["replacement"] for one in endpoint.get("relabelings", []) if one["targetLabel"] == "job"] or [
            monitor["metadata"]["name"]  # prometheus-operator takes the Service's name, which is the same here
        ]
        found[job] = endpoint["path"]
    assert found == wanted


@every_rendering
def test_images_are_named_with_a_version_or_are_ours(name):
    for workload in workloads(name):
        for container in workload.all_containers:
            image = container["image"]
            assert image in ("serving-gateway", "serving-gateway-export") or ":" in image
            assert container["imagePullPolicy"] == "IfNotPresent"


def test_the_images_are_those_of_compose():
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    defaults = {re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", service["image"]) for service in compose.values()}
    used = {
        container["image"]
        for name in ("base", "redis", "base+models-init")
        for workload in workloads(name)
        for container in workload.all_containers
    }
    assert used <= defaults


def test_redis_is_started_as_in_compose():
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    command = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in compose["redis"]["command"]]
    [redis] = [workload for workload in workloads("redis") if workload.name == "redis"]
    assert redis.container("redis")["args"] == command


def test_three_model_servers_are_balanced_by_load():
    counts = {workload.name: workload.document["spec"]["replicas"] for workload in workloads("replicas")}
    assert counts == {"gateway": 2, "model-server": 3}
    [gateway] = [container for _, container in containers("replicas") if container["name"] == "gateway"]
    assert environment(gateway)["GATEWAY_BALANCING"] == "least_loaded"


def test_a_component_for_models_leaves_no_claim():
    for name in ("base+models-image", "base+models-init", "single+models-image", "single+models-init"):
        assert not [one for one in rendering(name) if one["kind"] == "PersistentVolumeClaim"]
        [volume] = [v for w in workloads(name) for v in w.pod["volumes"] if v["name"] == "models"]
        assert set(volume) == {"name", "image" if "image" in name else "emptyDir"}
