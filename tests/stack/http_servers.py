"""The workers that the gateway offers, and gateways that differ in nothing else."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar, get_args, get_type_hints

import requests

from gateway.settings import Settings
from tests.gateway.fake_serving import FakeServing, serving
from tests.stack.conftest import Process
from tests.stack.http_case import PATIENCE_S
from tests.waiting import free_port, wait_for

ACCESS_LOG_FORMAT = (
    '%(h)s %(l)s %(u)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(m)s %(U)s %(q)s %(H)s %({x-a}i)s %({content-length}o)s'
)

Item = TypeVar("Item")
Result = TypeVar("Result")

# Every value of GATEWAY_WORKER; the one that the others are held against; the others.
WORKERS: tuple[str, ...] = get_args(get_type_hints(Settings)["worker"])
REFERENCE = "thread"
OTHERS = tuple(worker for worker in WORKERS if worker != REFERENCE)
MAX_BODY_BYTES = 2000
STOCK_CLASS = "gunicorn.workers.gthread.ThreadWorker"
WORKER_CLASSES = {"thread": "gateway.worker.thread.DrainingWorker", "loop": "gateway.worker.loop.LoopWorker"}


class Gateway:
    """A gateway process in front of the model server on ``serving_port``."""

    def __init__(self, folder: Path, worker: str, serving_port: int, **changed: object) -> None:
        self.port = free_port()
        self.log = folder / "gateway.log"
        folder.mkdir(parents=True, exist_ok=True)
        values = {
            "port": self.port,
            "serving_target": f"127.0.0.1:{serving_port}",
            "workers": 1,
            "threads": 64,
            "max_body_bytes": MAX_BODY_BYTES,
            "read_timeout_ms": int(PATIENCE_S * 1000),
        }
        models = folder / "models.config"
        models.write_text('model_config_list { config { name: "m" base_path: "/none" model_platform: "tensorflow" } }')
        values |= {"model_config_file": models, "worker": worker} | changed
        self.process = Process(self.log, ["gateway"], {f"GATEWAY_{name.upper()}": str(value) for name, value in values.items()})

    def wait_until_ready(self) -> None:
        def is_ready_or_dead() -> bool:
            try:
                return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10).status_code == 200
            except requests.ConnectionError:
                return self.process.process.poll() is not None

        wait_for(is_ready_or_dead, 30)
        assert self.process.process.poll() is None, self.log.read_text()


class AppServer:
    """gunicorn with a worker class and ``http_app``."""

    def __init__(self, folder: Path, worker_class: str, **config: object) -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "server.log"
        self.access_log = folder / "access.log"
        self.hooks_log = folder / "hooks.log"
        values = {"bind": f"127.0.0.1:{self.port}", "threads": 16, "keepalive": 60, "hooks_log": str(self.hooks_log)}
        values |= {"accesslog": str(self.access_log), "access_log_format": ACCESS_LOG_FORMAT} | config
        self.process = Process(self.log, ["tests.stack.http_app", worker_class, json.dumps(values)], {})

    def wait_until_ready(self) -> None:
        wait_for(self._listens_or_is_dead, 30)
        assert self.process.process.poll() is None, self.log.read_text()

    def _listens_or_is_dead(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return self.process.process.poll() is not None
        return True


@contextmanager
def app_servers(folder: Path, **config: object) -> Iterator[dict[str, AppServer]]:
    """One for gunicorn's own thread worker ("stock") and for each worker class of the gateway."""
    classes = {"stock": STOCK_CLASS} | {worker: WORKER_CLASSES[worker] for worker in WORKERS}
    with ExitStack() as stack:
        started = {}
        for name, worker_class in classes.items():
            started[name] = AppServer(folder / name, worker_class, **config)
            stack.callback(started[name].process.stop)
        for server in started.values():
            server.wait_until_ready()
        yield started


@contextmanager
def gateways(folder: Path, **changed: object) -> Iterator[tuple[Gateway, dict[str, Gateway]]]:
    """A gateway with the worker that is the reference and, by name, one with each other worker; one model server behind all."""
    with ExitStack() as stack:
        serving_port = stack.enter_context(serving(FakeServing()))
        started = []
        for place, worker in enumerate((REFERENCE, *OTHERS)):
            started.append(Gateway(folder / f"{place}-{worker}", worker, serving_port, **changed))
            stack.callback(started[-1].process.stop)
        for gateway in started:
            gateway.wait_until_ready()
        yield started[0], dict(zip(OTHERS, started[1:], strict=True))


def at_a_time(number: int, work: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    """``work`` for each of ``items``, in order, ``number`` at a time."""
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(work, items))
