"""What deploy/swarm/stack.yml says agrees with docker-compose.yml, .env.example and the code that reads it."""

import re

import pytest
import yaml

from gateway import settings
from model_server import flags
from tests.compose.engine import REPOSITORY

FILE = REPOSITORY / "deploy" / "swarm" / "stack.yml"
SETTINGS = {row.variable: row.default for row in settings.setting_rows()}
# What `docker stack deploy` refuses or ignores (https://docs.docker.com/reference/compose-file/legacy-versions/).
NOT_IN_A_SWARM = {"build", "container_name", "depends_on", "mem_limit", "profiles", "restart", "scale", "security_opt", "tmpfs"}
# Its compose counterpart starts one server where nothing else is said.
OWN_DEFAULTS = {"SERVING_REPLICAS"}
OWN_VARIABLES = {"CONFIG_VERSION"}


@pytest.fixture(scope="module")
def swarm():
    return yaml.safe_load(FILE.read_text())


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]


@pytest.mark.parametrize("name", ["export", "serving", "gateway"])
def test_a_service_has_nothing_that_a_swarm_does_not_take(swarm, name):
    assert not NOT_IN_A_SWARM & set(swarm["services"][name])


def test_the_services_are_those_of_compose_with_the_same_images_and_users(swarm, compose):
    assert set(swarm["services"]) == {name for name, service in compose.items() if "profiles" not in service}
    for name, service in swarm["services"].items():
        assert service["image"] == compose[name]["image"], name
        assert service.get("user") == compose[name].get("user"), name


def test_every_container_is_hardened_and_bounded(swarm, compose):
    for name, service in swarm["services"].items():
        assert service["read_only"], name
        assert service["init"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["deploy"]["resources"]["limits"]["memory"] == compose[name]["mem_limit"], name


def test_no_name_has_one_address_for_several_tasks_and_no_port_is_in_the_ingress_network(swarm):
    for name in ("serving", "gateway"):
        assert swarm["services"][name]["deploy"]["endpoint_mode"] == "dnsrr"
    ports = {name: service["ports"] for name, service in swarm["services"].items() if "ports" in service}
    assert {name: [port["mode"] for port in published] for name, published in ports.items()} == {"gateway": ["host"]}


def test_the_model_server_has_the_flags_of_compose_but_those_for_a_file_that_changes_and_for_tls(swarm, compose):
    here, there = (set(services["serving"]["command"]) for services in (swarm["services"], compose))
    assert here < there
    assert {flag.partition("=")[0] for flag in there - here} == {"--model_config_file_poll_wait_seconds", "--ssl_config_file"}
    assert not flags.parse(sorted(here)).unknown


def test_the_gateway_gets_settings_that_there_are_and_their_defaults(swarm):
    entries = dict(entry.split("=", 1) for entry in swarm["services"]["gateway"]["environment"])
    assert set(entries) <= set(SETTINGS)
    for name, value in entries.items():
        if value.startswith("${") and name != "GATEWAY_PREDICT_MODEL":
            assert value == f"${{{name}:-{SETTINGS[name]}}}"


def test_its_variables_have_the_defaults_of_the_example_file(swarm):
    example = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (REPOSITORY / ".env.example").read_text(), re.MULTILINE))
    variables = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", FILE.read_text()))
    assert {name: default for name, default in variables.items() if name not in OWN_DEFAULTS | OWN_VARIABLES} == {
        name: example[name] for name in variables if name not in OWN_DEFAULTS | OWN_VARIABLES
    }


def test_its_configs_are_files_of_the_repository_that_a_new_version_renames(swarm):
    for config in swarm["configs"].values():
        assert (FILE.parent / config["file"]).is_file()
        assert "${CONFIG_VERSION:-1}" in config["name"]


def test_health_is_asked_for_as_in_compose_and_the_gateway_gets_the_time_that_its_settings_ask_for(swarm, compose):
    assert swarm["services"]["serving"]["healthcheck"] == compose["serving"]["healthcheck"]
    grace_s = int(swarm["services"]["gateway"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > int(SETTINGS["GATEWAY_GRACEFUL_TIMEOUT_S"]) + int(SETTINGS["GATEWAY_DRAIN_DELAY_MS"]) / 1000
