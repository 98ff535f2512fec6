"""``make serve``: the whole stack on this machine without Docker. Exported models, model server, gateway, until Ctrl-C.

Settings from the environment: GATEWAY_PORT, SERVING_PORT, MODELS_DIR, SERVING_SSL_CONFIG_FILE (the model server's
``--ssl_config_file``); every other GATEWAY_* setting reaches the gateway as is.
An error is one line. Exit codes: 0 after Ctrl-C, SIGTERM or a closed terminal, 1 when something failed.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from deploy import readiness
from deploy.errors import ServeError, Stopped
from deploy.model_list import model_list
from deploy.part import Part, check_running, running

ROOT = Path(__file__).resolve().parent.parent
READY_TIMEOUT_S = 180
# After this long the terminal shows what is waited for, and again when that has changed.
SILENT_S = 5


@dataclass(frozen=True)
class Stack:
    """The ports and folders of one run."""

    gateway_port: int
    serving_port: int
    models_dir: Path
    logs_dir: Path
    scheme: str

    @property
    def address(self) -> str:
        """The gateway's address."""
        return f"{self.scheme}://127.0.0.1:{self.gateway_port}"


def main() -> int:
    """Run the stack; the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A stack that was started with nohup outlives the terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        _serve(_stack())
    except Stopped:
        with suppress(OSError):  # the terminal may be gone
            _say("stopped")
        return 0
    except ServeError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    # A terminal that closes may signal twice, which must not count as a second Ctrl-C.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise Stopped


def _stack() -> Stack:
    models_dir = Path(os.environ.get("MODELS_DIR") or ROOT / "models").resolve()
    scheme = "https" if os.environ.get("GATEWAY_TLS_CERT") else "http"
    stack = Stack(_port("GATEWAY_PORT", 8080), _port("SERVING_PORT", 8500), models_dir, ROOT / ".run", scheme)
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
        raise ServeError(f"{folder} cannot be written to ({error.strerror}): {remedy}") from error


def _serve(stack: Stack) -> None:
    _export(stack.models_dir)
    models = model_list(ROOT / "serving_config" / "models.config", stack.models_dir)
    for line in models.left_out:
        _say(f"left out: {line}")
    with ExitStack() as parts:
        config = Path(parts.enter_context(_run_folder())) / "models.config"
        config.write_text(models.text, encoding="utf-8")
        _say("starting the model server and the gateway")
        # Stopped in the opposite order: the gateway ends what is in flight while the model server still answers.
        server = parts.enter_context(_python("model_server", stack, _server_flags(stack, config), {}))
        gateway = parts.enter_context(_python("gateway", stack, [], _gateway_environment(stack, config)))
        for failure in _wait_until_ready(stack, [server, gateway]):
            _say(f"warning: {failure}")
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


def _server_flags(stack: Stack, config: Path) -> list[str]:
    """Only this machine may reach the model server: a client that can reach it may also change what it serves."""
    listening = ["--host=127.0.0.1", f"--port={stack.serving_port}"]
    tls = os.environ.get("SERVING_SSL_CONFIG_FILE")
    encrypted = [f"--ssl_config_file={tls}"] if tls else []
    return [*listening, *encrypted, f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1"]


def _gateway_environment(stack: Stack, config: Path) -> dict[str, str]:
    given = {
        "GATEWAY_PORT": str(stack.gateway_port),
        "GATEWAY_SERVING_TARGET": f"127.0.0.1:{stack.serving_port}",
        "GATEWAY_MODEL_CONFIG_FILE": str(config),
    }
    return given | {"GATEWAY_PREDICT_MODEL": os.environ.get("GATEWAY_PREDICT_MODEL") or "dense"}


def _python(module: str, stack: Stack, flags: list[str], environment: dict[str, str]) -> AbstractContextManager[Part]:
    return running([sys.executable, "-m", module, *flags], environment, stack.logs_dir / f"{module}.log")


def _wait_until_ready(stack: Stack, parts: list[Part]) -> tuple[str, ...]:
    """Wait until each model serves or has failed; a line for each failure. Raises ServeError when it takes too long."""
    began_s = shown_s = time.monotonic()
    shown = ""
    while True:
        check_running(parts)
        state, now_s = readiness.ask(stack.gateway_port, stack.scheme), time.monotonic()
        if not state.waiting_for:
            return state.failures
        if now_s - began_s > READY_TIMEOUT_S:
            raise ServeError(f"not ready after {READY_TIMEOUT_S} s: {state.waiting_for}")
        if now_s - shown_s > SILENT_S and state.waiting_for != shown:
            shown, shown_s = state.waiting_for, now_s
            _say(f"waiting: {shown}")
        time.sleep(0.2)


def _watch(parts: list[Part]) -> None:
    while True:
        check_running(parts)
        time.sleep(0.5)


def _greet(stack: Stack) -> None:
    curl = "curl --insecure" if stack.scheme == "https" else "curl"
    if os.environ.get("GATEWAY_KEYS_FILE"):
        curl += ' -H "Authorization: Bearer $KEY"'
    _say(f"""ready: {stack.address}

  {curl} -d '{{"instances": [1.0, 2.0, 5.0]}}' {stack.address}/v1/models/half_plus_two:predict

answers {{"predictions":[2.5,3.0,4.5]}}

page     {stack.address}/
models   {stack.models_dir}
logs     {stack.logs_dir / "gateway.log"} {stack.logs_dir / "model_server.log"}
stop     Ctrl-C""")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
