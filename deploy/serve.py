"""``make serve``: the whole stack on this machine without Docker. Exported models, model server, gateway, until Ctrl-C.

Settings from the environment: GATEWAY_PORT, SERVING_PORT, MODELS_DIR; every other GATEWAY_* setting reaches the gateway as is.
What goes wrong is told in one line. Exit codes: 0 after Ctrl-C or SIGTERM, 1 when something failed.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import FrameType

from google.protobuf import text_format

from gateway.backend.stubs import ModelServerConfig

ROOT = Path(__file__).resolve().parent.parent
READY_TIMEOUT_S = 180
# The gateway's own graceful timeout is 30 s by default; whoever is still there after this is killed.
STOP_TIMEOUT_S = 40
LOG_LINES_SHOWN = 15


class ServeError(Exception):
    """Raised when the stack cannot run; the message is one line for the person at the terminal."""


class Stopped(Exception):
    """Raised by Ctrl-C or SIGTERM."""


@dataclass(frozen=True)
class Stack:
    """Where everything is."""

    gateway_port: int
    serving_port: int
    models_dir: Path
    logs_dir: Path


@dataclass(frozen=True)
class Part:
    """One running process of the stack and its log file."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path


def main() -> int:
    """Run the stack; the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        _serve(_stack())
    except Stopped:
        _say("stopped")
        return 0
    except ServeError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def _stack() -> Stack:
    models_dir = Path(os.environ.get("MODELS_DIR") or ROOT / "models").resolve()
    stack = Stack(_port("GATEWAY_PORT", 8080), _port("SERVING_PORT", 8500), models_dir, ROOT / ".run")
    if stack.gateway_port == stack.serving_port:
        raise ServeError(f"GATEWAY_PORT and SERVING_PORT are both {stack.gateway_port}: each needs its own")
    for variable, port in (("GATEWAY_PORT", stack.gateway_port), ("SERVING_PORT", stack.serving_port)):
        _check_free(variable, port)
    for folder, remedy in ((models_dir, "set MODELS_DIR to a folder that is"), (stack.logs_dir, "the logs go there")):
        _check_writable(folder, remedy)
    return stack


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ServeError(f"{variable}={text}: expected a port from 1 to 65535")
    return int(text)


def _check_free(variable: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise ServeError(f"port {port} cannot be used ({error.strerror}): set {variable} to another one") from error


def _check_writable(folder: Path, remedy: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ServeError(f"{folder} is not writable ({error.strerror}): {remedy}") from error


def _serve(stack: Stack) -> None:
    _export(stack.models_dir)
    with ExitStack() as running:
        config = Path(running.enter_context(_run_folder())) / "models.config"
        config.write_text(_model_config(stack.models_dir), encoding="utf-8")
        _say("starting the model server and the gateway")
        # Stopped in the opposite order: the gateway ends what is in flight while the model server still answers.
        server = running.enter_context(_running("model_server", stack, _server_flags(stack, config), {}))
        gateway = running.enter_context(_running("gateway", stack, [], _gateway_environment(stack, config)))
        _wait_until_ready(stack, [server, gateway])
        _greet(stack)
        _watch([server, gateway])


def _export(models_dir: Path) -> None:
    command = [sys.executable, "-m", "model_export", "build", "--all", "--if-missing", "--models-dir", str(models_dir)]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise ServeError("the example models could not be exported: see above")


@contextmanager
def _run_folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="serve-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _model_config(models_dir: Path) -> str:
    """serving_config/models.config with its base paths in ``models_dir``, and an entry for each other model that lies there."""
    config = _parsed_config(ROOT / "serving_config" / "models.config")
    models = config.model_config_list.config
    for model in models:
        path = PurePosixPath(model.base_path)
        if path.is_relative_to("/models"):
            model.base_path = str(models_dir / path.relative_to("/models"))
    known = {model.name for model in models}
    for folder in sorted(models_dir.iterdir()):
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in known:
            models.add(name=folder.name, base_path=str(folder), model_platform="tensorflow")
    return text_format.MessageToString(config)


def _parsed_config(path: Path) -> ModelServerConfig:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), ModelServerConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ServeError(f"{path}: {error}") from error


def _server_flags(stack: Stack, config: Path) -> list[str]:
    return [f"--port={stack.serving_port}", f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1"]


def _gateway_environment(stack: Stack, config: Path) -> dict[str, str]:
    given = {
        "GATEWAY_PORT": str(stack.gateway_port),
        "GATEWAY_SERVING_TARGET": f"127.0.0.1:{stack.serving_port}",
        "GATEWAY_MODEL_CONFIG_FILE": str(config),
    }
    return given | {"GATEWAY_PREDICT_MODEL": os.environ.get("GATEWAY_PREDICT_MODEL") or "dense"}


@contextmanager
def _running(name: str, stack: Stack, flags: list[str], environment: dict[str, str]) -> Iterator[Part]:
    """One part as a process that Ctrl-C at the terminal does not reach: it is stopped here, in its turn."""
    log = stack.logs_dir / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", name, *flags],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield Part(name, process, log)
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except (subprocess.TimeoutExpired, Stopped):
        # Out of patience, ours or that of whoever pressed Ctrl-C again.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_ready(stack: Stack, parts: list[Part]) -> None:
    until_s = time.monotonic() + READY_TIMEOUT_S
    while True:
        _check_running(parts)
        reason = _not_ready(stack.gateway_port)
        if reason is None:
            return
        if time.monotonic() > until_s:
            raise ServeError(f"not ready after {READY_TIMEOUT_S} s: {reason}")
        time.sleep(0.2)


def _not_ready(port: int) -> str | None:
    """Why the gateway is not ready, or None when it is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return None
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace")
    except OSError as error:
        return str(error)


def _check_running(parts: list[Part]) -> None:
    for part in parts:
        code = part.process.poll()
        if code is not None:
            end = part.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            print("\n".join(end), file=sys.stderr)
            raise ServeError(f"the {part.name.replace('_', ' ')} ended with exit code {code}; its log: {part.log}")


def _watch(parts: list[Part]) -> None:
    while True:
        _check_running(parts)
        time.sleep(0.5)


def _greet(stack: Stack) -> None:
    address = f"http://127.0.0.1:{stack.gateway_port}"
    _say(f"""ready: {address}

  curl -d '{{"instances": [1.0, 2.0, 5.0]}}' {address}/v1/models/half_plus_two:predict

answers {{"predictions":[2.5,3.0,4.5]}}

models   {stack.models_dir}
logs     {stack.logs_dir / "gateway.log"} {stack.logs_dir / "model_server.log"}
stop     Ctrl-C""")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
