"""One run of the stack as its environment asks for it: ports, folders, and what its two programs are started with."""

import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import ServeError

ROOT = Path(__file__).resolve().parent.parent
_RUN = ".run"
# As in docker-compose.yml: a connection is opened anew every 30 s, and what is in flight on the old one has an hour to end.
_CONNECTION_AGE = "grpc.max_connection_age_ms=30000,grpc.max_connection_age_grace_ms=3600000"


@dataclass(frozen=True)
class Stack:
    """The ports and folders of one run.

    ``kept_dir`` holds what a later run of the same models goes on with: the list of models with its version policies, and in
    ``state_dir`` the gateway's rollouts.
    """

    gateway_port: int
    serving_port: int
    models_dir: Path
    logs_dir: Path
    kept_dir: Path
    state_dir: Path
    scheme: str

    @property
    def address(self) -> str:
        """The gateway's address."""
        return f"{self.scheme}://127.0.0.1:{self.gateway_port}"

    @property
    def model_config_file(self) -> Path:
        """The list of models, which the model server and the gateway both read, and the gateway writes."""
        return self.kept_dir / "models.config"


def stack_from(environ: Mapping[str, str]) -> Stack:
    """The run that ``environ`` asks for. Raises ServeError when a port is taken, or a folder cannot be written to."""
    models_dir = Path(environ.get("MODELS_DIR") or ROOT / "models").resolve()
    # State belongs to a folder of models: another folder has other models under the same names.
    kept_dir = ROOT / _RUN if models_dir == ROOT / "models" else models_dir / _RUN
    stack = Stack(
        gateway_port=port_from(environ, "GATEWAY_PORT", 8080),
        serving_port=port_from(environ, "SERVING_PORT", 8500),
        models_dir=models_dir,
        logs_dir=ROOT / _RUN,
        kept_dir=kept_dir,
        state_dir=Path(environ.get("GATEWAY_STATE_DIR") or kept_dir / "state").resolve(),
        scheme="https" if environ.get("GATEWAY_TLS_CERT") else "http",
    )
    _check(stack)
    return stack


def server_flags(stack: Stack, environ: Mapping[str, str]) -> list[str]:
    """What the model server is started with.

    Only this machine may reach it: a client that can reach it may also change what it serves.
    """
    listening = ["--host=127.0.0.1", f"--port={stack.serving_port}", f"--grpc_channel_arguments={_CONNECTION_AGE}"]
    tls = environ.get("SERVING_SSL_CONFIG_FILE")
    encrypted = [f"--ssl_config_file={tls}"] if tls else []
    reading = [f"--model_config_file={stack.model_config_file}", "--model_config_file_poll_wait_seconds=1"]
    return [*listening, *encrypted, *reading]


def gateway_environment(stack: Stack, environ: Mapping[str, str]) -> dict[str, str]:
    """The gateway's settings besides those that ``environ`` has."""
    return {
        "GATEWAY_PORT": str(stack.gateway_port),
        "GATEWAY_SERVING_TARGET": f"127.0.0.1:{stack.serving_port}",
        "GATEWAY_MODEL_CONFIG_FILE": str(stack.model_config_file),
        "GATEWAY_STATE_DIR": str(stack.state_dir),
        "GATEWAY_PREDICT_MODEL": environ.get("GATEWAY_PREDICT_MODEL") or "dense",
        # A shell may have these for `model_export publish --rollout`. They are no settings, and would stop the gateway.
        "GATEWAY_URL": "",
        "GATEWAY_KEY": "",
    }


def port_from(environ: Mapping[str, str], variable: str, default: int) -> int:
    """The port that ``variable`` says, or else ``default``. Raises ServeError when it is none."""
    text = environ.get(variable) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ServeError(f"{variable}={text}: expected a port from 1 to 65535")
    return int(text)


def _check(stack: Stack) -> None:
    if stack.gateway_port == stack.serving_port:
        raise ServeError(f"GATEWAY_PORT and SERVING_PORT are both {stack.gateway_port}: each needs its own")
    for variable, port in (("GATEWAY_PORT", stack.gateway_port), ("SERVING_PORT", stack.serving_port)):
        _check_free(variable, port)
    for folder, remedy in (
        (stack.models_dir, "set MODELS_DIR to a folder that is"),
        (stack.logs_dir, "the logs go there"),
        (stack.kept_dir, "the list of models goes there"),
        (stack.state_dir, "set GATEWAY_STATE_DIR to a folder that is"),
    ):
        _check_writable(folder, remedy)


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
