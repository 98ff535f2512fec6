"""What docker-compose.yml, .env.example and serving_config/ say agrees with the code that reads it."""

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from deploy.stack import Stack, server_flags
from gateway import settings
from model_export.models import EXAMPLES
from model_server import flags
from model_server.batching.config import batching_plan
from model_server.network.monitoring import monitoring_settings
from tests.compose.engine import REPOSITORY

SETTINGS = {row.variable: row.default for row in settings.setting_rows()}
# What the gateway's container reads beside its settings, with the default that .env.example shows.
HANDED_THROUGH_TOO = {
    "DATABASE_URL": "",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "",
    "OTEL_EXPORTER_OTLP_HEADERS": "",
    "OTEL_TRACES_SAMPLER": "parentbased_always_on",
    "OTEL_TRACES_SAMPLER_ARG": "",
    "OTEL_SERVICE_NAME": "serving-gateway",
    "OTEL_RESOURCE_ATTRIBUTES": "",
}
CONFIG = REPOSITORY / "serving_config"
IMAGES_ONLY = ("model-server", "nginx-debian", "redis-debian", "postgres-debian", "prometheus-debian")


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]


@pytest.fixture(scope="module")
def environment(services):
    """What compose gives the gateway: a variable's value, or None where it hands the operator's through."""
    entries = (entry.partition("=") for entry in services["gateway"]["environment"])
    return {name: value if given else None for name, given, value in entries}


@pytest.fixture(scope="module")
def example():
    """The lines of .env.example that set something, commented out as they are."""
    lines = re.findall(r"^#([A-Z_]+)=(.*)$", (REPOSITORY / ".env.example").read_text(), re.MULTILINE)
    return dict(lines)


@pytest.mark.parametrize("variable", SETTINGS)
def test_compose_gives_or_hands_through_every_setting(environment, variable):
    assert variable in environment


def test_compose_knows_no_other_settings(environment):
    assert set(environment) - {"PGPASSWORD", *HANDED_THROUGH_TOO} <= set(SETTINGS)


def test_the_example_file_tells_every_setting_that_is_handed_through(environment, example):
    handed_through = {name for name, value in environment.items() if value is None}
    known = SETTINGS | HANDED_THROUGH_TOO
    assert {name: example.get(name) for name in handed_through} == {name: known[name] for name in handed_through}


def test_the_example_file_tells_every_variable_of_the_compose_file_and_its_default(example):
    text = (REPOSITORY / "docker-compose.yml").read_text()
    assert {name: example.get(name) for name, _ in re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text)} == dict(
        re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text)
    )


def test_the_example_file_tells_nothing_that_nobody_reads(environment, example):
    read = set(re.findall(r"\$\{([A-Z_]+)", (REPOSITORY / "docker-compose.yml").read_text())) | set(environment)
    assert set(example) - {"COMPOSE_PROFILES"} <= read


def test_only_the_stack_itself_starts_without_a_profile(services):
    assert {name for name, service in services.items() if "profiles" not in service} == {"export", "serving", "gateway"}


def test_every_container_is_hardened(services):
    for name, service in services.items():
        if name not in IMAGES_ONLY:
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            assert "mem_limit" in service, name


def test_only_the_gateway_and_nginx_have_a_port_that_other_machines_reach(services):
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports.pop("gateway")
    assert ports.pop("nginx")
    assert set(ports) == {"prometheus", "grafana"}
    assert all(port.split(":-")[1].startswith("127.0.0.1:") for [port] in ports.values())


def test_nginx_gets_the_settings_that_it_reads_with_its_own_defaults(services, environment):
    read = dict(re.findall(r"^\w+=\$\{(\w+):-(.*)\}$", (REPOSITORY / "deploy/nginx/entrypoint.sh").read_text(), re.MULTILINE))
    entries = [entry.partition("=") for entry in services["nginx"]["environment"]]
    for name, is_set, value in entries:
        assert value == (f"${{{name}:-{read[name]}}}" if is_set else ""), name
        assert is_set or environment[name] is None, name
    # The rest is where things lie in the container.
    inside = {"EDGE_LISTEN", "EDGE_UPSTREAM", "EDGE_TLS_DIR", "EDGE_SELF_DIR", "EDGE_RUN_DIR", "EDGE_ACCESS_LOG"}
    assert set(read) - {name for name, _, _ in entries} == inside | {"EDGE_WATCH_SECONDS"}


def test_only_the_command_for_keys_can_write_keys(services):
    mounted = {name: mount for name, service in services.items() for mount in service.get("volumes", []) if "/keys" in mount}
    assert mounted == {"gateway": "${KEYS_DIR:-keys}:/keys:ro", "keys": "${KEYS_DIR:-keys}:/keys"}


def test_the_command_for_the_log_reads_the_log_that_the_gateway_writes(services, environment):
    entries = dict(entry.partition("=")[::2] for entry in services["log"]["environment"])
    assert {name: value or None for name, value in entries.items()} == {name: environment[name] for name in entries}
    assert set(services["log"]["volumes"]) <= set(services["gateway"]["volumes"])


def test_the_command_for_rollouts_works_on_the_state_of_the_gateway(services, environment):
    entries = dict(entry.partition("=")[::2] for entry in services["rollout"]["environment"])
    assert {name: value or None for name, value in entries.items()} == {name: environment[name] for name in entries}
    assert set(services["rollout"]["volumes"]) <= set(services["gateway"]["volumes"])


def test_only_the_gateway_can_write_which_versions_are_loaded(services):
    mounted = {
        name: mount for name, service in services.items() for mount in service.get("volumes", []) if "serving_config" in mount
    }
    assert {name for name, mount in mounted.items() if not mount.endswith(":ro")} == {"gateway"}


def test_a_publication_finds_the_gateway_of_its_stack(services, environment):
    entries = dict(entry.partition("=")[::2] for entry in services["export"]["environment"])
    assert entries["GATEWAY_URL"] == f"${{GATEWAY_URL:-http://gateway:{environment['GATEWAY_PORT']}}}"
    assert entries["GATEWAY_KEY"] == "${GATEWAY_KEY:-}"
    assert not {"GATEWAY_URL", "GATEWAY_KEY"} & set(environment), "the gateway would not start with them"


def test_prometheus_scrapes_the_services_of_the_stack(services, environment):
    folder = REPOSITORY / "deploy" / "observability"
    jobs = yaml.safe_load((folder / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in jobs for config in job["static_configs"] for target in config["targets"]]
    assert targets == ["serving:8501", f"gateway:{environment['GATEWAY_PORT']}"]
    mounted = dict(reversed(mount.rsplit(":", 2)[:2]) for mount in services["prometheus"]["volumes"] if mount.endswith(":ro"))
    assert mounted["/etc/prometheus/gateway"] == "./deploy/observability/prometheus"
    assert services["prometheus"]["entrypoint"] == ["sh", "/etc/prometheus/gateway/start.sh"]
    assert set(services["prometheus"]["environment"]) <= set(SETTINGS)


def test_grafana_finds_its_source_and_its_dashboard(services):
    folder = REPOSITORY / "deploy" / "observability" / "grafana"
    [source] = yaml.safe_load((folder / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((folder / "provisioning/dashboards/gateway.yml").read_text())["providers"]
    assert source["url"] == "http://prometheus:9090"
    assert f"./deploy/observability/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]


def test_the_gateway_gets_the_time_that_its_settings_ask_for(services):
    (grace_s,) = re.fullmatch(r"\$\{STOP_GRACE_PERIOD:-(\d+)s\}", services["gateway"]["stop_grace_period"]).groups()
    assert int(grace_s) > int(SETTINGS["GATEWAY_GRACEFUL_TIMEOUT_S"]) + int(SETTINGS["GATEWAY_DRAIN_DELAY_MS"]) / 1000


def test_the_model_server_gets_only_flags_that_it_knows(services):
    command_line = flags.parse(services["serving"]["command"])
    assert not command_line.unknown
    assert not command_line.ignored


def test_connections_end_as_with_make_serve_and_never_under_a_call_that_has_time_left(services):
    [flag] = [flag for flag in services["serving"]["command"] if flag.startswith("--grpc_channel_arguments=")]
    stack = Stack(8080, 8500, *[Path("unused")] * 4, scheme="http")
    assert flag in server_flags(stack, {})
    arguments = dict(pair.split("=") for pair in flag.partition("=")[2].split(","))
    assert set(arguments) == {"grpc.max_connection_age_ms", "grpc.max_connection_age_grace_ms"}
    longest_ms = int(arguments["grpc.max_connection_age_grace_ms"])
    settings.settings_from_environment({"GATEWAY_PREDICT_TIMEOUT_MS": str(longest_ms)})
    with pytest.raises(settings.SettingsError):
        settings.settings_from_environment({"GATEWAY_PREDICT_TIMEOUT_MS": str(longest_ms + 1)})


def test_models_config_lists_every_example_where_the_export_service_puts_it():
    config = text_format.Parse((CONFIG / "models.config").read_text(), ModelServerConfig())
    assert {model.name: model.base_path for model in config.model_config_list.config} == {
        name: f"/models/{name}" for name in EXAMPLES
    }


def test_what_models_config_shows_in_comments_is_accepted():
    """The indented lines of its comments are entries to copy."""
    shown = re.findall(r"^# {5}(\S.*[{}].*)$", (CONFIG / "models.config").read_text(), re.MULTILINE)
    assert len(shown) >= 4
    for line in shown:
        text_format.Parse(f"model_config_list {{ config {{ {line} }} }}", ModelServerConfig())


def test_batching_config_is_accepted():
    path = CONFIG / "batching.config"
    plan = batching_plan(flags.Flags(enable_batching=True, batching_parameters_file=str(path)))
    assert plan.limits.max_batch_size == 64


def test_monitoring_config_turns_metrics_on():
    options = flags.Flags(rest_api_port=8501, monitoring_config_file=str(CONFIG / "monitoring.config"))
    assert monitoring_settings(options).path == "/monitoring/prometheus/metrics"
