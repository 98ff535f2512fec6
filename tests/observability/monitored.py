"""A stack with all that the dashboard shows: TLS, keys, limits, a log, traces, a cache, a rollout; Prometheus watches it."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import requests

from tests.gateway.access.limits.redis_server import RedisServer
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.server.certificates import certificate
from tests.observability.programs import Prometheus
from tests.stack.conftest import ROOT, Process, Stack
from tests.waiting import free_port, wait_for

MODELS = ("half_plus_two", "dense")
_ROLLED_OUT = "dense"
_STABLE, _CANARY = "1", "2"


class Monitored(Stack):
    """The stack; ``keys`` are the texts of its keys by name: ``busy``, ``limited`` and ``prometheus``."""

    def __init__(self, folder: Path, models_dir: Path) -> None:
        self.redis = RedisServer(folder)
        self.redis.start()
        self.certificate = certificate(folder, "gateway")
        made = {
            "busy": make_key("busy"),
            "limited": make_key("limited", limits="3/hour"),
            "prometheus": make_key("prometheus", scopes=("metrics",)),
        }
        self.keys = {name: text for name, (text, _) in made.items()}
        (folder / "keys").mkdir()
        write(folder / "keys" / "keys.jsonl", *(key for _, key in made.values()))
        (folder / "state").mkdir()
        (folder / "metrics.key").write_text(self.keys["prometheus"] + "\n")
        super().__init__(
            folder,
            models_dir,
            MODELS,
            tls_cert=self.certificate.certificate,
            tls_key=self.certificate.key,
            keys_file=folder / "keys" / "keys.jsonl",
            metrics_key="on",
            redis_url=self.redis.url,
            prediction_log=f"sqlite:///{folder / 'predictions.db'}",
            cache="half_plus_two:100:60s",
            predict_timeout_ms=700,
            max_in_flight=24,
            batch_max_queued_rows=24,
            traces_file=folder / "traces.jsonl",
            metrics_exemplars="on",
            state_dir=folder / "state",
        )
        self.gateway_environment = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05"}
        self.address = f"https://localhost:{self.gateway_port}"
        self.monitoring_port = free_port()
        self.prometheus: Prometheus | None = None

    def write_config(self, names: tuple[str, ...], policy: str = "") -> None:
        super().write_config(names, policy or f"model_version_policy {{ specific {{ versions: {_STABLE} }} }}")

    def start_rollout(self) -> None:
        """Begin to roll out the second version of a model, which answers as the first one does."""
        options = ["--canary", _CANARY, "--steps", "10%:5s,30%:1h", "--shadow", "20%", "--low-traffic", "--no-watch"]
        command = [sys.executable, "-m", "gateway", "rollout", "start", _ROLLED_OUT, *options]
        environment = {"GATEWAY_STATE_DIR": str(self.settings["state_dir"])}
        subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL, timeout=60)

    def start_server(self) -> None:
        flags = [f"--port={self.serving_port}", f"--model_config_file={self.config}", "--model_config_file_poll_wait_seconds=1"]
        flags += [f"--rest_api_port={self.monitoring_port}"]
        flags += [f"--monitoring_config_file={ROOT / 'serving_config' / 'monitoring.config'}"]
        self.server = Process(self.folder / "server.log", ["model_server", *flags], {})

    def start_prometheus(self) -> None:
        """Begin to watch, and wait for the first scrapes."""
        targets = {"gateway:8080": f"localhost:{self.gateway_port}", "serving:8501": f"127.0.0.1:{self.monitoring_port}"}
        environment = {
            "GATEWAY_TLS_CERT": str(self.certificate.certificate),
            "GATEWAY_METRICS_KEY": "on",
            "METRICS_KEY_FILE": str(self.folder / "metrics.key"),
        }
        self.prometheus = Prometheus(self.folder / "prometheus", targets, environment)
        wait_for(lambda: sum(one.points[0][1] for one in self.prometheus.query("up")) == len(targets), 30)

    def get(self, path: str, **kwargs) -> requests.Response:
        return super().get(path, verify=str(self.certificate.certificate), **kwargs)

    def metrics(self) -> str:
        return self.get("/metrics", headers={"X-API-Key": self.keys["prometheus"]}).text

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate.certificate)

    def suspend_server(self) -> None:
        os.killpg(self.server.process.pid, signal.SIGSTOP)

    def resume_server(self) -> None:
        os.killpg(self.server.process.pid, signal.SIGCONT)

    def kill_a_worker(self) -> None:
        pid = self.gateway.process.pid
        worker, *_ = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)

    def stop(self) -> None:
        if self.prometheus is not None:
            self.prometheus.stop()
        super().stop()
        self.redis.kill()


def build_models(folder: Path) -> None:
    """The models, each in its first version; one has a second that is the same."""
    command = ["-m", "model_export", "build", "--models-dir", str(folder)]
    for name in MODELS:
        subprocess.run([sys.executable, *command, name], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(folder / _ROLLED_OUT / _STABLE, folder / _ROLLED_OUT / _CANARY)
