"""A stack with all that the dashboard shows: TLS, keys, limits over Redis, a prediction log, a cache, traces.

Prometheus watches it.
"""

import os
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
            traces_file=folder / "traces.jsonl",
            cache="half_plus_two:100:60s",
            predict_timeout_ms=700,
            max_in_flight=24,
            batch_max_queued_rows=24,
        )
        self.address = f"https://localhost:{self.gateway_port}"
        self.monitoring_port = free_port()
        self.prometheus: Prometheus | None = None

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
    command = ["-m", "model_export", "build", "--models-dir", str(folder)]
    for name in MODELS:
        subprocess.run([sys.executable, *command, name], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
