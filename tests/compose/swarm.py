"""A swarm of the engine alone, and the stack of deploy/swarm/stack.yml in it."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from tests.compose.replicas import Replicas
from tests.compose.stack import CommandError, Stack
from tests.waiting import free_port, wait_for

STACK_FILE = "deploy/swarm/stack.yml"
_REMOVED_S = 90


class NoSwarmError(Exception):
    """Raised when the engine cannot be a swarm; the message is the engine's."""


class SwarmStack:
    """The stack in a swarm. ``models`` is the volume with the model versions, which is not its own: ``remove`` leaves it."""

    def __init__(self, stack: Stack, models: str) -> None:
        self.name = f"swarm-test-{secrets.token_hex(4)}"
        self.port = free_port()
        self._stack = stack
        self._models = models
        self.replicas = Replicas(stack, lambda service: (f"com.docker.swarm.service.name={self.name}_{service}",))

    def deploy(self) -> None:
        """``docker stack deploy`` with one model server, which returns before anything has been started."""
        volumes = self._stack.directory / "volumes.json"
        volumes.write_text(json.dumps({"version": "3.8", "volumes": {"models": {"external": True, "name": self._models}}}))
        variables = {"GATEWAY_PORT": str(self.port), "SERVING_REPLICAS": "1", "CONFIG_VERSION": self.name}
        files = (f"--compose-file={STACK_FILE}", f"--compose-file={volumes}")
        self._stack.docker("stack", "deploy", *files, self.name, environment=variables)

    def scale(self, count: int) -> None:
        """Ask for so many model servers."""
        self._stack.docker("service", "scale", "--detach", f"{self.name}_serving={count}")

    def logs(self) -> str:
        """What the tasks have come to, and what the services have written."""
        tasks = self._stack.docker("stack", "ps", "--no-trunc", self.name)
        return "\n".join(
            [tasks, *(self._stack.docker("service", "logs", f"{self.name}_{name}") for name in ("serving", "gateway"))]
        )

    def remove(self) -> None:
        """``docker stack rm``, and wait until the containers have gone."""
        self._stack.docker("stack", "rm", self.name)
        mine = f"--filter=label=com.docker.stack.namespace={self.name}"
        wait_for(lambda: not self._stack.docker("ps", "--all", "--quiet", mine), _REMOVED_S, 0.5)
        wait_for(lambda: not self._stack.docker("network", "ls", "--quiet", mine), _REMOVED_S, 0.5)


@contextmanager
def swarm(stack: Stack) -> Iterator[None]:
    """Have the engine be a swarm of its own, reached from this machine only; one that it belongs to already is used, and kept.

    Raises NoSwarmError.
    """
    if stack.docker("info", "--format", "{{.Swarm.LocalNodeState}}") == "active":
        yield
        return
    try:
        stack.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")
    except CommandError as error:
        raise NoSwarmError(str(error)) from error
    try:
        yield
    finally:
        stack.docker("swarm", "leave", "--force")
