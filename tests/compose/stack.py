"""The stack of docker-compose.yml under a name and port of its own, run from a copy of what a user has checked out."""

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import requests

from tests.compose.engine import REPOSITORY
from tests.waiting import free_port

SERVICES = ("export", "serving", "gateway")
# PostgreSQL keeps it in its volume, which all tests of a run share.
POSTGRES_PASSWORD = "s3cret@of/the:stack"  # noqa: S105 - of a server that ends with its run
_CHECKED_OUT = (
    "Dockerfile", ".dockerignore", "docker-compose.yml", "requirements", "gateway", "model_server", "model_export",
    "serving_config", "deploy",
)  # fmt: skip
# Where the model server's image is not ours: https://hub.docker.com/r/tensorflow/serving/tags
_GIVEN_SERVING_IMAGE = os.environ.get("COMPOSE_TEST_SERVING_IMAGE")
# The same for https://hub.docker.com/_/nginx, https://hub.docker.com/_/redis and https://hub.docker.com/_/postgres
_GIVEN_NGINX_IMAGE = os.environ.get("COMPOSE_TEST_NGINX_IMAGE")
_GIVEN_REDIS_IMAGE = os.environ.get("COMPOSE_TEST_REDIS_IMAGE")
_GIVEN_POSTGRES_IMAGE = os.environ.get("COMPOSE_TEST_POSTGRES_IMAGE")
# The same for https://hub.docker.com/r/prom/prometheus
_GIVEN_PROMETHEUS_IMAGE = os.environ.get("COMPOSE_TEST_PROMETHEUS_IMAGE")
# What a developer's shell may say to the stack.
_SETTINGS = re.compile(
    r"(GATEWAY|SERVING|CONFIG|EDGE|NGINX|REDIS|POSTGRES|PROMETHEUS|GRAFANA|MEM_LIMIT)_.*|(MODELS|TLS|KEYS|METRICS_KEY|LOG)_DIR"
    r"|COMPOSE_PROFILES|DATABASE_URL"
)
_SUFFIXES = ("", "-export", "-model-server", "-serving", "-nginx", "-redis", "-postgres", "-prometheus")
# In tensorflow/serving the models folder belongs to root, which must not become the volume's owner.
_LIKE_TENSORFLOW_SERVING = "FROM {image}\nUSER root\nRUN rm -r /models && mkdir /models\n"


class CommandError(Exception):
    """Raised when a command fails; the message holds all that it printed."""


class Stack:
    """One compose project. ``remove`` takes away all that it has made, whatever happened before."""

    def __init__(self, directory: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.directory = directory
        self.project = f"compose-test-{secrets.token_hex(4)}"
        self.port = free_port()
        self.edge_port = free_port()
        self.prometheus_port = free_port()
        self._say = say
        self._environment = {
            **{name: value for name, value in environment.items() if not _SETTINGS.fullmatch(name)},
            "COMPOSE_PROJECT_NAME": self.project,
            "GATEWAY_PORT": f"127.0.0.1:{self.port}",
            "EDGE_PORT": f"127.0.0.1:{self.edge_port}",
            "IMAGE_PREFIX": self.project,
            "SERVING_IMAGE": _GIVEN_SERVING_IMAGE or f"{self.project}-serving",
            "NGINX_IMAGE": _GIVEN_NGINX_IMAGE or f"{self.project}-nginx",
            "REDIS_IMAGE": _GIVEN_REDIS_IMAGE or f"{self.project}-redis",
            "POSTGRES_IMAGE": _GIVEN_POSTGRES_IMAGE or f"{self.project}-postgres",
            "PROMETHEUS_IMAGE": _GIVEN_PROMETHEUS_IMAGE or f"{self.project}-prometheus",
            "PROMETHEUS_PORT": f"127.0.0.1:{self.prometheus_port}",
        }

    def check_out(self) -> None:
        """Copy what the stack is made from: a test may change it, and a developer's .env stays out."""
        for name in _CHECKED_OUT:
            source, target = REPOSITORY / name, self.directory / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)

    def build(self) -> None:
        """Build all images; what the engine has kept from the last time is used again."""
        self._say("building the images (minutes the first time: TensorFlow is fetched)")
        self.compose("build")
        if not _GIVEN_SERVING_IMAGE:
            self.compose("build", "model-server")
            image = _LIKE_TENSORFLOW_SERVING.format(image=f"{self.project}-model-server")
            self.docker("build", "--tag", self._environment["SERVING_IMAGE"], "-", stdin=image)
        if not _GIVEN_NGINX_IMAGE:
            self.compose("build", "nginx-debian")
        if not _GIVEN_REDIS_IMAGE:
            self.compose("build", "redis-debian")
        if not _GIVEN_POSTGRES_IMAGE:
            self.compose("build", "postgres-debian")
        if not _GIVEN_PROMETHEUS_IMAGE:
            self.compose("build", "prometheus-debian")

    def up(self, *services: str) -> None:
        """``docker compose up --detach``, which returns once the gateway has been started."""
        self._say(f"docker compose up {' '.join(services)}")
        self.compose("up", "--detach", "--no-build", *services)

    def remove(self) -> None:
        """Take everything away, images included. Never raises."""
        self._say("removing containers, volumes, networks and images")
        images = [f"{self.project}{suffix}" for suffix in _SUFFIXES]
        # An interrupted `run` leaves a container that `down` does not know and that holds the volume.
        for remove in (
            self._remove_containers,
            lambda: self.compose("--profile", "*", "down", "--volumes", "--remove-orphans"),
            lambda: self.docker("image", "rm", "--force", *images),
        ):
            try:
                remove()
            except CommandError as error:
                self._say(str(error))

    def _remove_containers(self) -> None:
        if identities := self.left_over()["containers"].split():
            self.docker("rm", "--force", *identities)

    def left_over(self) -> dict[str, str]:
        """What the engine still holds of this project, by kind."""
        mine = f"label=com.docker.compose.project={self.project}"
        return {
            "containers": self.docker("ps", "--all", "--quiet", "--filter", mine),
            "volumes": self.docker("volume", "ls", "--quiet", "--filter", mine),
            "networks": self.docker("network", "ls", "--quiet", "--filter", mine),
        }

    def logs(self) -> str:
        """What all containers have written, and the state that they are in."""
        written = self.compose("logs", "--no-color", "--timestamps").replace("\x1b[2K", "")
        return f"{written}\n{self.compose('ps', '--all')}"

    def compose(self, *arguments: str) -> str:
        """``docker compose ARGUMENTS``: what it wrote to stdout. Raises CommandError."""
        return self.docker("compose", "--ansi", "never", "--progress", "plain", *arguments)

    def docker(self, *arguments: str, stdin: str | None = None, environment: Mapping[str, str] = MappingProxyType({})) -> str:
        """``docker ARGUMENTS``, with ``environment`` besides the stack's: what it wrote to stdout. Raises CommandError."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=self.directory,
            env=self._environment | dict(environment),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CommandError(f"docker {' '.join(arguments)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """``docker inspect`` of the service's container."""
        identity = self.compose("ps", "--all", "--quiet", service)
        described: dict[str, Any] = json.loads(self.docker("inspect", identity))[0]
        return described

    def run_in(self, service: str, *command: str) -> str:
        """What ``command`` prints inside the running service. Raises CommandError."""
        return self.compose("exec", "-T", service, *command)

    def run(self, service: str, *arguments: str) -> str:
        """What a container of its own prints: ``docker compose run --rm SERVICE ARGUMENTS``. Raises CommandError."""
        return self.compose("run", "--rm", "-T", service, *arguments)

    def get(self, path: str, key: str = "") -> requests.Response:
        """GET from the gateway, with an API key if there is one."""
        return requests.get(f"http://127.0.0.1:{self.port}{path}", headers=_authorization(key), timeout=10)

    def post(self, path: str, body: object, key: str = "") -> requests.Response:
        """POST a JSON document to the gateway, with an API key if there is one."""
        return requests.post(f"http://127.0.0.1:{self.port}{path}", json=body, headers=_authorization(key), timeout=10)

    def is_ready(self) -> bool:
        """Whether /readyz says 200."""
        try:
            return self.get("/readyz").status_code == 200
        except requests.ConnectionError:
            return False


def _authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
