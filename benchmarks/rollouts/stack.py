"""A model server and gateways on one database, and a model under many names: each name has one rollout, and is then used up."""

import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import ours
from benchmarks.contender import ROOT, Contender, Program
from benchmarks.errors import BenchError
from benchmarks.load.open_loop import OpenLoop, Running
from benchmarks.programs.processes import free_port, running
from benchmarks.rollouts import versions
from gateway.rollout.plan import Event, Plan, State
from gateway.rollout.store.store import Store

_POLL_S: Final = 0.5  # it runs beside what is measured, and takes its times from the history
_CONNECTIONS: Final = 500
_MOST_LOAD_S: Final = 1800.0
_TIMEOUT_S: Final = 5.0
_ORDER_S: Final = 60.0


@dataclass(frozen=True)
class Stack:
    """What runs. ``versions_dir`` holds the versions of every model."""

    gateways: Sequence[Program]
    ports: Sequence[int]
    store: Store
    environment: dict[str, str]
    versions_dir: Path
    folder: Path

    def load(self, model: str, rate: float, gateway: int = 0) -> Running:
        """Begin to ask a gateway for ``model``. Whoever calls must `finish` or `end` it."""
        contender = Contender(model, self.ports[gateway], self.gateways[gateway], ours.encodings(model))
        asked = versions.workloads(model, self.versions_dir)
        folder = self.folder / f"load-{model}-{gateway}"
        return OpenLoop(contender, asked, folder, _CONNECTIONS).start([(rate, _MOST_LOAD_S)], _TIMEOUT_S)

    def order(self, *arguments: str) -> str:
        """Run `python -m gateway rollout` with ``arguments``; what it prints. Raises BenchError when it refuses."""
        command = [sys.executable, "-m", "gateway", "rollout", *arguments]
        environment = os.environ | self.environment
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_ORDER_S, check=False)
        if done.returncode != 0:
            raise BenchError(f"rollout {' '.join(arguments)}: {(done.stdout + done.stderr).strip()}")
        return done.stdout.strip()

    def plan(self, model: str) -> Plan:
        """The newest plan of ``model``. Raises BenchError when there is none."""
        plan = self.store.newest(model)
        if plan is None:
            raise BenchError(f"there is no rollout of {model}")
        return plan

    def wait_for(self, model: str, states: Collection[State], timeout_s: float) -> Plan:
        """The plan of ``model`` when its state is one of ``states``, or as it is after ``timeout_s``."""
        until_s = time.monotonic() + timeout_s
        while (plan := self.plan(model)).state not in states and time.monotonic() < until_s:
            time.sleep(_POLL_S)
        return plan

    def event(self, model: str, *what: str) -> Event:
        """The last event of one of these kinds. Raises BenchError when there is none."""
        for event in self.store.history(model, 1000):
            if event.what in what:
                return event
        raise BenchError(f"{model} had none of {what}: {self.order('explain', model)}")


def at_s(event: Event) -> float:
    """When it happened, on the clock of time.monotonic."""
    return event.ts_us / 1e6 - time.time() + time.monotonic()


@contextmanager
def running_stack(
    folder: Path, logs_dir: Path, versions_dir: Path, models: Sequence[str], gateways: Sequence[str], *, workers: int | None
) -> Iterator[Stack]:
    """Run a model server that has loaded stable of each of ``models``, and a gateway of each of these names.

    ``workers`` of each gateway; None: as many as it has by default.
    """
    config, serving_port = folder / "models.config", free_port()
    _write_config(config, versions_dir, models)
    state_dir = folder / "state"
    state_dir.mkdir(parents=True)
    settings = {"GATEWAY_STATE_DIR": str(state_dir)} | ({} if workers is None else {"GATEWAY_WORKERS": str(workers)})
    ports = [free_port() for _ in gateways]
    programs = [ours.gateway(port, config, serving_port, name, settings) for name, port in zip(gateways, ports, strict=True)]
    with ExitStack() as stack:
        stack.enter_context(running(ours.model_server(config, serving_port, "rollouts model server"), logs_dir))
        for program in programs:
            stack.enter_context(running(program, logs_dir))
        store = Store(f"sqlite:///{state_dir / 'state.db'}")
        stack.callback(store.close)
        yield Stack(programs, ports, store, {"GATEWAY_STATE_DIR": str(state_dir)}, versions_dir, folder)


def _write_config(config: Path, versions_dir: Path, models: Sequence[str]) -> None:
    """Each model is a link to the same versions, of which it serves stable."""
    models_dir = config.parent / "models"
    models_dir.mkdir(parents=True)
    for model in models:
        (models_dir / model).symlink_to(versions_dir)
    policy = f"model_version_policy {{ specific {{ versions: {versions.STABLE} }} }}"
    ours.write_config(config, {model: models_dir / model for model in models}, policy)
