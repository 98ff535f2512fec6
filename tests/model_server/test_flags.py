"""The command line, in upstream's syntax."""

import dataclasses
from dataclasses import fields

import pytest

from model_server import flags
from model_server.flags import IGNORED, FlagError, Flags, IgnoredFlag, parse

UPSTREAM_DEFAULTS = {
    "port": 8500,
    "grpc_socket_path": "",
    "rest_api_port": 0,
    "model_name": "default",
    "model_base_path": "",
    "model_config_file": "",
    "model_config_file_poll_wait_seconds": 0,
    "file_system_poll_wait_seconds": 1,
    "num_load_threads": 0,
    "num_unload_threads": 0,
    "allow_version_labels_for_unavailable_models": False,
    "enable_batching": False,
    "batching_parameters_file": "",
    "enable_per_model_batching_parameters": False,
    "enable_model_warmup": True,
    "num_request_iterations_for_warmup": 0,
    "monitoring_config_file": "",
    "saved_model_tags": "serve",
    "tensorflow_session_parallelism": 0,
    "tensorflow_intra_op_parallelism": 0,
    "tensorflow_inter_op_parallelism": 0,
    "tensorflow_session_config_file": "",
    "per_process_gpu_memory_fraction": 0.0,
    "ssl_config_file": "",
    "grpc_channel_arguments": "",
    "enable_grpc_healthcheck_service": False,
    "enable_serialization_as_tensor_content": False,
    "enable_signature_method_name_check": False,
    "version": False,
}
OUR_DEFAULTS = {
    "host": "0.0.0.0",
    "max_num_load_retries": 2,
    "load_retry_interval_micros": 1_000_000,
    "shutdown_grace_seconds": 30,
}


def test_every_default_is_upstreams_or_known_to_differ():
    defaults = dataclasses.asdict(Flags())
    assert defaults.pop("grpc_max_threads") % 4 == 0
    assert defaults == UPSTREAM_DEFAULTS | OUR_DEFAULTS


@pytest.mark.parametrize("flag", fields(Flags), ids=lambda flag: flag.name)
def test_every_flag_can_be_given_and_is_in_the_usage_text(flag: dataclasses.Field):
    text, value = {int: ("7", 7), float: ("0.5", 0.5), str: ("a=b,c", "a=b,c"), bool: ("true", True)}[flag.type]
    assert getattr(parse([f"--{flag.name}={text}"]).flags, flag.name) == value
    assert f"--{flag.name}=" in flags.usage("model_server")
    assert flag.metadata["help"]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [("--enable_batching", True), ("--enable_batching=true", True), ("--enable_batching=false", False)],
)
def test_booleans(argument: str, expected: bool):
    assert parse([argument]).flags.enable_batching is expected


@pytest.mark.parametrize(
    "argument",
    [
        "--port=abc",
        "--port=",
        "--port=8500x",
        "--port=1.5",
        "--port=99999999999999999999",
        "--per_process_gpu_memory_fraction=half",
        "--enable_batching=1",
        "--enable_batching=True",
        "--enable_batching=",
    ],
)
def test_a_bad_value_is_refused_by_name(argument: str):
    name, _, value = argument.removeprefix("--").partition("=")
    with pytest.raises(FlagError, match=f"^Couldn't interpret value ={value} for flag {name}.$"):
        parse([argument])


@pytest.mark.parametrize("argument", ["--nope=1", "--nope", "-port=1", "port=1", "8500", "--port", "--Port=1"])
def test_what_is_unknown_is_set_aside(argument: str):
    line = parse([argument, "--model_name=m"])
    assert line.unknown == (argument,)
    assert line.flags == Flags(model_name="m")


def test_a_value_after_a_blank_is_not_a_value():
    line = parse(["--port", "8600"])
    assert line.unknown == ("--port", "8600")
    assert line.flags.port == 8500


def test_the_last_one_wins():
    assert parse(["--port=1", "--port=2"]).flags.port == 2


def test_everything_after_a_double_dash_is_set_aside():
    line = parse(["--port=1", "--", "--port=2"])
    assert (line.flags.port, line.unknown) == (1, ("--", "--port=2"))


@pytest.mark.parametrize("name", IGNORED)
def test_ignored_flags_are_accepted_and_told(name: str):
    line = parse([f"--{name}=whatever"])
    assert line.unknown == ()
    assert line.ignored == (IgnoredFlag(name, IGNORED[name]),)


def test_help_is_recognised():
    assert parse(["--help"]).help_wanted
    assert not parse([]).help_wanted
