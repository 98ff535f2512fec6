"""``python -m model_server`` as a process: exits, texts, signals."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.model_server.serving import ROOT, Client, Process, predict_request
from tests.waiting import free_port, wait_for

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_help_lists_the_flags(run: Run):
    done = run("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: model_server")
    assert "--model_base_path=" in done.stdout


def test_version(run: Run):
    done = run("--version")
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert first.startswith("TensorFlow ModelServer: ")
    assert second.startswith("TensorFlow Library: ")


def test_a_bad_number_prints_the_usage_and_exits_255(run: Run):
    done = run("--port=abc")
    assert done.returncode == 255
    assert done.stderr == "Couldn't interpret value =abc for flag port.\n"
    assert done.stdout.startswith("usage: ")


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why the server does not start."""
    assert done.returncode == 255
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    return lines[0]


CONFIG_TEXTS = {
    "syntax": ("model_config_list { nonsense: 1 }", "Error parsing text-format tensorflow.serving.ModelServerConfig: "),
    "custom": ("custom_model_config { }", "ModelServer does not yet support custom model config."),
    "relative": (
        'model_config_list { config { name: "m" base_path: "m" model_platform: "tensorflow" } }',
        "Expected model m to have an absolute path or URI; got base_path()=m",
    ),
    "platform": (
        'model_config_list { config { name: "m" base_path: "/m" model_platform: "caffe" } }',
        "Model m requests unsupported platform caffe",
    ),
}


@pytest.mark.parametrize(("text", "expected"), CONFIG_TEXTS.values(), ids=CONFIG_TEXTS.keys())
def test_a_bad_model_config_file(run: Run, tmp_path: Path, text: str, expected: str):
    path = tmp_path / "models.config"
    path.write_text(text)
    line = refusal(run(f"--port={free_port()}", f"--model_config_file={path}"))
    assert line.startswith("Failed to start server. Error: INVALID_ARGUMENT: ")
    assert expected in line


BAD_FILES = ["model_config_file", "batching_parameters_file", "monitoring_config_file", "ssl_config_file"]


@pytest.mark.parametrize("flag", BAD_FILES)
def test_a_missing_or_bad_file_is_told_by_its_flag(run: Run, tmp_path: Path, flag: str):
    common = (f"--port={free_port()}", "--model_base_path=/nowhere", "--enable_batching")
    missing = refusal(run(*common, f"--{flag}={tmp_path / 'missing'}"))
    assert f"NOT_FOUND: --{flag}: cannot read '{tmp_path / 'missing'}': No such file or directory" in missing
    bad = tmp_path / "bad"
    bad.write_text("nonsense { ")
    assert f"--{flag}: Invalid protobuf file: '{bad}'" in refusal(run(*common, f"--{flag}={bad}"))


ARGUMENTS = {
    "no model": ((), "Both server_options.model_base_path and server_options.model_config_file are empty!"),
    "relative base path": (("--model_base_path=m",), "Expected model default to have an absolute path or URI"),
    "nothing to listen on": (("--model_base_path=/m", "--port=0"), "--grpc_socket_path"),
    "host that is no address": (
        ("--model_base_path=/m", "--host=localhost"),
        "--host=localhost: expected an IPv4 address, as 127.0.0.1 or 0.0.0.0 (all)",
    ),
    "impossible port": (("--model_base_path=/m", "--port=70000"), "--port=70000"),
    "batching file without batching": (
        ("--model_base_path=/m", "--batching_parameters_file=/b"),
        "server_options.batching_parameters_file is set without setting server_options.enable_batching to true.",
    ),
    "all kinds of parallelism": (
        (
            "--model_base_path=/m",
            "--tensorflow_session_parallelism=1",
            "--tensorflow_intra_op_parallelism=1",
            "--tensorflow_inter_op_parallelism=1",
        ),
        "You cannot configure all.",
    ),
    "bad channel arguments": (("--model_base_path=/m", "--grpc_channel_arguments=a"), "--grpc_channel_arguments"),
}


@pytest.mark.parametrize(("arguments", "expected"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_flags_that_cannot_be_used(run: Run, arguments: tuple[str, ...], expected: str):
    assert expected in refusal(run(f"--port={free_port()}", *arguments))


def test_a_port_that_is_taken_is_told_at_once(run: Run):
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        port = holder.getsockname()[1]
        line = refusal(run(f"--port={port}", "--model_base_path=/m"))
    assert line == (
        f"Failed to start server. Error: UNAVAILABLE: --port: cannot listen on 0.0.0.0:{port}: Address already in use"
    )


def test_a_label_on_a_version_that_is_not_loaded_yet_refuses_to_start(run: Run, models: Path, tmp_path: Path):
    path = tmp_path / "models.config"
    path.write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{models / "versions"}" model_platform: "tensorflow"'
        ' version_labels { key: "stable" value: 1 } } }'
    )
    assert refusal(run(f"--port={free_port()}", f"--model_config_file={path}")) == (
        "Failed to start server. Error: FAILED_PRECONDITION: Request to assign label to version 1 of model m,"
        " which is not currently available for inference"
    )


def events(process: Process) -> list[dict[str, object]]:
    """The JSON lines of a server's log."""
    return [json.loads(line) for line in process.output().splitlines() if line.startswith("{")]


class Gated:
    """A server process with one request inside that ends when ``open`` is called."""

    def __init__(self, start_process: Callable[..., Process], models: Path, directory: Path, *flags: str) -> None:
        port = free_port()
        self.process = start_process(f"--port={port}", "--model_name=m", f"--model_base_path={models / 'gate'}", *flags)
        self.process.wait_until_logged("server.ready")
        self.client = Client(f"127.0.0.1:{port}")
        self._gate = directory / "gate"
        request = predict_request("m", {"x": str(self._gate)})
        self.reply = self.client.prediction.Predict.future(request, timeout=60)
        wait_for((directory / "gate.started").exists)

    def open(self) -> None:
        self._gate.touch()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_requests_end_and_exits_0(
    start_process: Callable[..., Process], models: Path, tmp_path: Path, number: signal.Signals
):
    flags = ("--enable_grpc_healthcheck_service", "--flush_filesystem_caches=false", "--no_such_flag=1")
    gated = Gated(start_process, models, tmp_path, *flags)
    health = health_pb2_grpc.HealthStub(gated.client.channel)
    seen: list[int] = []
    watching = health.Watch(health_pb2.HealthCheckRequest(service="PredictionService"))
    threading.Thread(target=_collect, args=(watching, seen), daemon=True).start()
    wait_for(lambda: seen == [health_pb2.HealthCheckResponse.SERVING])
    gated.process.signal(number)
    wait_for(lambda: health_pb2.HealthCheckResponse.NOT_SERVING in seen)
    wait_for(lambda: _refuses(gated.client))
    assert gated.process.popen.poll() is None
    gated.open()
    assert list(gated.reply.result().outputs["y"].string_val) == [str(tmp_path / "gate").encode()]
    assert gated.process.exit_status() == 0
    names = [event["event"] for event in events(gated.process)]
    assert names.index("server.ready") < names.index("server.stopping")
    assert {"flag.ignored", "flag.unknown"} <= set(names)
    assert "Traceback" not in gated.process.output()


def test_a_request_that_outlives_the_grace_period_does_not_hold_the_exit_up(
    start_process: Callable[..., Process], models: Path, tmp_path: Path
):
    gated = Gated(start_process, models, tmp_path, "--shutdown_grace_seconds=1")
    gated.process.signal()
    assert gated.process.exit_status() == 0
    assert gated.reply.exception().code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


SIGNAL_IN_ANOTHER_THREAD = """
import signal, sys, threading, time
from model_server.__main__ import Signals

def deliver():
    while not main_thread_waits():
        time.sleep(0.01)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

def main_thread_waits():
    frame = sys._current_frames()[threading.main_thread().ident]
    codes = []
    while frame:
        codes.append(frame.f_code)
        frame = frame.f_back
    return codes[0] is threading.Condition.wait.__code__ and Signals.wait.__code__ in codes

signals = Signals()
threading.Thread(target=deliver, daemon=True).start()
signals.wait()
"""


def test_a_signal_that_the_system_gives_to_another_thread_is_not_lost():
    """Python runs handlers in the main thread alone, and a signal for another thread does not wake it."""
    subprocess.run([sys.executable, "-c", SIGNAL_IN_ANOTHER_THREAD], cwd=ROOT, timeout=20, check=True)


def test_a_signal_while_models_load_ends_the_server_at_once(start_process: Callable[..., Process], models: Path):
    process = start_process(
        f"--port={free_port()}", f"--model_base_path={models / 'broken'}", "--load_retry_interval_micros=3600000000"
    )
    process.wait_until_logged("version.load_retried")
    process.signal()
    assert process.exit_status() == 0
    assert "server.ready" not in process.output()


def test_the_log_says_what_is_served_and_what_is_not(start_process: Callable[..., Process], config_file: Path, models: Path):
    process = start_process(
        f"--port={free_port()}",
        f"--model_config_file={config_file}",
        "--allow_version_labels_for_unavailable_models",
        "--load_retry_interval_micros=1000",
    )
    process.wait_until_logged("server.ready")
    logged = {event["event"]: event for event in events(process)}
    assert logged["server.ready"]["not_serving"] == ["absent", "broken"]
    assert "half" in logged["server.ready"]["serving"]
    assert logged["base_path.missing"]["base_path"] == str(models / "absent")
    failed = logged["version.failed"]
    assert (failed["model"], failed["version"], failed["code"]) == ("broken", 1, "INVALID_ARGUMENT")


def _collect(watching: object, seen: list[int]) -> None:
    try:
        for reply in watching:
            seen.append(reply.status)  # noqa: PERF401 - each is looked at as it comes
    except grpc.RpcError:
        return


def _refuses(client: Client) -> bool:
    try:
        client.predict("m", {"x": np.float32(0)}, timeout=1)
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False
