"""The fixture of the http cases as real processes: the model server with the models that the case file names, and the gateway.

Flags of ``tensorflow_model_server`` that are about REST become settings of the gateway; all others go to the model server.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from tests.stack.conftest import Process
from tests.waiting import free_port, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
MONITORING_PATH = "/monitoring/prometheus/metrics"
START_TIMEOUT_S = 90

# A flag of upstream's REST port -> the gateway's setting, and the setting's value from the flag's.
SETTINGS = {
    "rest_api_enable_cors_support": ("GATEWAY_TFSERVING_CORS", lambda value: "off" if value == "false" else "on"),
    "rest_api_timeout_in_ms": ("GATEWAY_PREDICT_TIMEOUT_MS", str),
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def send(port: int, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body or None, headers, encode_chunked="Transfer-Encoding" in headers)
        response: HTTPResponse = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


class Fixture:
    """One model server with one gateway in front, under ``flags``. ``definition`` is the case file's."""

    def __init__(self, folder: Path, models: Path, definition: dict, flags: tuple[str, ...]) -> None:
        self._folder, self._definition = folder, definition
        self._config = folder / "models.config"
        self._config.write_text(_model_config(definition, models))
        self._flags = [_prepared(flag, folder) for flag in flags if _setting(flag) is None]
        self._settings = dict(filter(None, map(_setting, flags)))
        self._grpc_port, self._metrics_port, self.port = free_port(), free_port(), free_port()
        self._processes: list[Process] = []

    def start(self) -> "Fixture":
        own = [flag for flag in self._definition["flags"] if "<" not in flag]
        ports = [f"--port={self._grpc_port}", f"--rest_api_port={self._metrics_port}"]
        arguments = ["model_server", *ports, f"--model_config_file={self._config}", *own, *self._flags]
        self._processes = [
            Process(self._folder / "server.log", arguments, {}),
            Process(self._folder / "gateway.log", ["gateway"], self._environment()),
        ]
        wait_for(self._is_ready_or_dead, START_TIMEOUT_S)
        assert self._is_ready(), "".join(process.log.read_text() for process in self._processes)
        return self

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.stop()

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The answer of the gateway; the model server's metrics, where flags ask for them, are on a port of its own."""
        is_metrics = path.partition("?")[0] == MONITORING_PATH and any("monitoring" in flag for flag in self._flags)
        return send(self._metrics_port if is_metrics else self.port, method, path, headers, body)

    def output_dtypes(self, path: str, signature: str) -> dict[str, str]:
        """The dtypes of the outputs of the signature that a request to ``path`` (``...:predict``) meant."""
        metadata = self.ask("GET", path.rpartition(":")[0] + "/metadata", {}, b"")
        definition = json.loads(metadata.body)["metadata"]["signature_def"]["signature_def"][signature]
        return {name: tensor["dtype"].removesuffix("_REF") for name, tensor in definition["outputs"].items()}

    def _environment(self) -> dict[str, str]:
        return {
            "GATEWAY_PORT": str(self.port),
            "GATEWAY_WORKERS": "1",
            "GATEWAY_SERVING_TARGET": f"127.0.0.1:{self._grpc_port}",
            "GATEWAY_MODEL_CONFIG_FILE": str(self._config),
            # Upstream's own limits: 30 s for a request, 100 MiB for what a body inflates to.
            "GATEWAY_PREDICT_TIMEOUT_MS": "30000",
            "GATEWAY_MAX_BODY_BYTES": str(100 * 2**20),
        } | self._settings

    def _is_ready_or_dead(self) -> bool:
        return self._is_ready() or any(process.process.poll() is not None for process in self._processes)

    def _is_ready(self) -> bool:
        try:
            return send(self.port, "GET", "/readyz", {}, b"").status == 200
        except ConnectionError:
            return False


@dataclass
class Fixtures:
    """The fixtures that cases asked for, each started once, and the models that they serve."""

    folder: Path
    definitions: dict
    running: dict[tuple, Fixture] = field(default_factory=dict)
    models: Path | None = None

    def get(self, name: str, flags: tuple[str, ...]) -> Fixture:
        key = (name, *flags)
        if key not in self.running:
            folder = self.folder / f"fixture{len(self.running)}"
            folder.mkdir()
            self.running[key] = Fixture(folder, self._models(), self.definitions[name], flags)
            self.running[key].start()
        return self.running[key]

    def stop(self) -> None:
        for fixture in self.running.values():
            fixture.stop()

    def _models(self) -> Path:
        """The folder that CONFORMANCE_MODELS names, completed with models made here."""
        if self.models is None:
            self.models = self.folder / "models"
            self.models.mkdir()
            given = os.environ.get("CONFORMANCE_MODELS")
            for path in Path(given).resolve().iterdir() if given else ():
                (self.models / path.name).symlink_to(path)
            wanted = {_folder(model) for definition in self.definitions.values() for model in definition["models"]}
            missing = sorted(name for name in wanted if not (self.models / name).exists())
            arguments = [sys.executable, "-m", "tests.conformance.models", str(self.models), *missing]
            done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return self.models


def _model_config(definition: dict, models: Path) -> str:
    return f"model_config_list {{\n{''.join(_entry(model, models) for model in definition['models'])}}}\n"


def _entry(model: dict, models: Path) -> str:
    policy = " model_version_policy { all {} }" if model.get("version_policy") == "all" else ""
    labels = "".join(
        f' version_labels {{ key: "{label}" value: {version} }}' for label, version in model.get("version_labels", {}).items()
    )
    base = models / _folder(model)
    return f'config {{ name: "{model["name"]}" base_path: "{base}" model_platform: "tensorflow"{policy}{labels} }}\n'


def _folder(model: dict) -> str:
    """The name of the model's folder: that of its path, or its own when the file leaves the making to us."""
    path = model.get("base_path", "<generated>")
    return model["name"] if path.startswith("<") else Path(path).name


def _setting(flag: str) -> tuple[str, str] | None:
    name, _, value = flag.removeprefix("--").partition("=")
    if name not in SETTINGS:
        return None
    variable, converted = SETTINGS[name]
    return variable, converted(value)


def _prepared(flag: str, folder: Path) -> str:
    """The flag; a monitoring configuration that a case file does not bring is written."""
    name, _, value = flag.partition("=")
    if name != "--monitoring_config_file" or Path(value).is_file():
        return flag
    path = folder / "monitoring.config"
    path.write_text(f'prometheus_config {{ enable: true path: "{MONITORING_PATH}" }}\n')
    return f"{name}={path}"
