"""The command line, in tensorflow_model_server's own syntax (tensorflow/core/util/command_line_flags.cc).

``--name=value`` only; booleans are ``--name``, ``--name=true`` or ``--name=false``; a later flag wins; everything
after ``--`` and everything unknown is set aside for the caller to log. Nothing here imports TensorFlow.
"""

import os
import re
from dataclasses import Field, dataclass, field, fields
from typing import Any


class FlagError(ValueError):
    """A value that does not fit its flag."""


@dataclass(frozen=True)
class IgnoredFlag:
    """A flag that is accepted and does nothing here, with the reason."""

    name: str
    why: str


def _flag(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


_THREADS = 4 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class Flags:
    """Every flag that does something, with upstream's name and default unless its help says otherwise."""

    port: int = _flag(8500, "gRPC port; 0 opens none")
    host: str = _flag("0.0.0.0", "IPv4 address that the ports are opened on (not in upstream)")  # noqa: S104 - upstream's
    grpc_socket_path: str = _flag("", "listen on this UNIX socket too; a stale one is replaced")
    rest_api_port: int = _flag(0, "HTTP port for Prometheus metrics (the REST API is the gateway's); 0 opens none")
    model_name: str = _flag("default", "name of the single model; ignored with --model_config_file")
    model_base_path: str = _flag("", "absolute path of the single model; ignored with --model_config_file")
    model_config_file: str = _flag("", "ModelServerConfig in protobuf text format")
    model_config_file_poll_wait_seconds: int = _flag(0, "re-read --model_config_file this often; 0 = never")
    file_system_poll_wait_seconds: int = _flag(1, "look for versions this often; 0 = once, negative = never")
    num_load_threads: int = _flag(0, "versions loading at the same time; 0 = 4 x CPUs (upstream: in line)")
    num_unload_threads: int = _flag(0, "versions unloading at the same time; 0 = 4 x CPUs (upstream: in line)")
    max_num_load_retries: int = _flag(2, "retries of a failed load (upstream: 5)")
    load_retry_interval_micros: int = _flag(1_000_000, "pause before a retry (upstream: 60000000)")
    allow_version_labels_for_unavailable_models: bool = _flag(False, "new labels may name versions not yet loaded")
    enable_batching: bool = _flag(False, "join concurrent requests into batches")
    batching_parameters_file: str = _flag("", "BatchingParameters in protobuf text format; needs --enable_batching")
    enable_per_model_batching_parameters: bool = _flag(False, "take them from <version>/batching_params.pbtxt")
    enable_model_warmup: bool = _flag(True, "run assets.extra/tf_serving_warmup_requests before serving a version")
    num_request_iterations_for_warmup: int = _flag(0, "times each warm-up record is run; 0 = once")
    monitoring_config_file: str = _flag("", "MonitoringConfig in protobuf text format")
    saved_model_tags: str = _flag("serve", "comma-separated tags of the graph to load")
    tensorflow_session_parallelism: int = _flag(0, "intra-op and inter-op threads of a session; 0 = automatic")
    tensorflow_intra_op_parallelism: int = _flag(0, "threads inside one operation; 0 = automatic")
    tensorflow_inter_op_parallelism: int = _flag(0, "operations running at the same time; 0 = automatic")
    tensorflow_session_config_file: str = _flag("", "tensorflow.ConfigProto in protobuf text format")
    per_process_gpu_memory_fraction: float = _flag(0.0, "share of GPU memory to reserve; 0 = automatic")
    ssl_config_file: str = _flag("", "SSLConfig (PEM contents) in protobuf text format; gRPC only")
    grpc_channel_arguments: str = _flag("", "k=v,k=v for the gRPC server")
    grpc_max_threads: int = _flag(_THREADS, "requests handled at the same time")
    enable_grpc_healthcheck_service: bool = _flag(False, "serve grpc.health.v1.Health")
    enable_serialization_as_tensor_content: bool = _flag(False, "reply with tensor_content (faster)")
    enable_signature_method_name_check: bool = _flag(False, "refuse signatures whose method name does not fit")
    shutdown_grace_seconds: int = _flag(30, "time that running requests get after SIGTERM (not in upstream)")
    version: bool = _flag(False, "print the version and exit")


_REST = "the REST API is the gateway's"
_ALWAYS = "not needed by this implementation"
_UNSUPPORTED = "not supported by this implementation"
IGNORED: dict[str, str] = {
    "rest_api_num_threads": _REST,
    "rest_api_timeout_in_ms": _REST,
    "rest_api_enable_cors_support": _REST,
    "flush_filesystem_caches": _ALWAYS,
    "remove_unused_fields_from_bundle_metagraph": _ALWAYS,
    "skip_initialize_tpu": _ALWAYS,
    "enable_profiler": _UNSUPPORTED,
    "mixed_precision": _UNSUPPORTED,
    "platform_config_file": _UNSUPPORTED,
    "prefer_tflite_model": _UNSUPPORTED,
    "num_tflite_interpreters_per_pool": _UNSUPPORTED,
    "num_tflite_pools": _UNSUPPORTED,
    "thread_pool_factory_config_file": _UNSUPPORTED,
    "use_alts_credentials": _UNSUPPORTED,
    "xla_cpu_compilation_enabled": _UNSUPPORTED,
    "xla_gpu_compilation_enabled": _UNSUPPORTED,
}


@dataclass(frozen=True)
class CommandLine:
    """What was asked for, and what could not be used."""

    flags: Flags
    ignored: tuple[IgnoredFlag, ...] = ()
    unknown: tuple[str, ...] = ()
    help_wanted: bool = False


def parse(arguments: list[str]) -> CommandLine:
    """Parse the arguments after the program's name; raises FlagError for the first value that does not fit."""
    known: dict[str, Field[Any]] = {flag.name: flag for flag in fields(Flags)}
    values: dict[str, Any] = {}
    ignored: list[IgnoredFlag] = []
    unknown: list[str] = []
    used, rest = _split_at_double_dash(arguments)
    for argument in used:
        name, equals, text = argument.removeprefix("--").partition("=")
        flag = known.get(name)
        if not argument.startswith("--") or (flag and not equals and flag.type is not bool):
            unknown.append(argument)
        elif flag:
            values[name] = _value(flag, equals + text)
        elif name in IGNORED:
            ignored.append(IgnoredFlag(name, IGNORED[name]))
        else:
            unknown.append(argument)
    unknown += rest
    return CommandLine(Flags(**values), tuple(ignored), tuple(unknown), help_wanted=unknown[:1] == ["--help"])


def usage(program: str) -> str:
    """The list of flags, one a line, with their defaults."""
    lines = [f"usage: {program} [--flag=value ...]", "Flags:"]
    lines += [
        f"\t--{flag.name}={_shown(flag.default)}\t{flag.type.__name__}\t{flag.metadata['help']}"  # type: ignore[union-attr]
        for flag in fields(Flags)
    ]
    lines += [f"\t--{name}\t{why}: accepted, ignored" for name, why in IGNORED.items()]
    return "\n".join(lines)


def _split_at_double_dash(arguments: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at:]


def _value(flag: Field[Any], text: str) -> Any:
    """Read ``text``, which is empty (a bare boolean) or starts with the equals sign."""
    try:
        return _READERS[flag.type](text)  # type: ignore[index]
    except (KeyError, ValueError):
        raise FlagError(f"Couldn't interpret value {text} for flag {flag.name}.") from None


def _int(text: str) -> int:
    if not re.fullmatch(r"=\s*[+-]?[0-9]+", text):
        raise ValueError(text)
    number = int(text[1:])
    if not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


_READERS: dict[type, Any] = {
    bool: {"": True, "=true": True, "=false": False}.__getitem__,
    int: _int,
    float: lambda text: float(text[1:]),
    str: lambda text: text[1:],
}


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
