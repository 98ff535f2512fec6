"""Model servers at addresses of their own, a name whose addresses are set, and a gateway that knows the name only.

The name is that of a DNS server of ours, on port 53. Mount namespaces give the gateway an /etc/resolv.conf that names it, and
each model server a disk of its own. All that needs root.
"""

import os
import random
import re
import shutil
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks import ours
from benchmarks.contender import ROOT, Contender, Program
from benchmarks.errors import BenchError
from benchmarks.load.open_loop import OpenLoop, Running
from benchmarks.programs import processes
from benchmarks.programs.name_server import NAME, NameServer
from benchmarks.scaling import waiting_model
from benchmarks.scaling.waiting_model import MODEL

USUAL: Final = (1, 2, 3)
SLOW: Final = 4
"""The number of the server whose model is ten times slower."""
_GRACE_S: Final = 10
_MOST_LOAD_S: Final = 1800.0
_TIMEOUT_S: Final = 10.0
_DNS_PORT: Final = 53
_COUNTED: Final = re.compile(r"^:tensorflow:serving:request_count\{.*\} (\d+)$", re.MULTILINE)
_MOUNTED: Final = 'mount --bind "$0" "$1" && shift && exec "$@"'


class Fleet:
    """The servers by their number. Its processes end when it is left. ``names`` is what the gateways' machine asks.

    - ``versions``: for each server the folder of its model's versions. All find it under the same path, as on machines of
      their own, and so one ``config`` is that of all.
    - ``folder`` of a run, which must be empty, and ``logs_dir`` of the programs' logs. ``age_s``: of the servers' connections.
    """

    def __init__(self, versions: Mapping[int, Path], folder: Path, logs_dir: Path, age_s: int) -> None:
        self.config = folder / "models.config"
        self._versions = versions
        self._folder = folder
        self._logs_dir = logs_dir
        self._age_s = age_s
        # Of 127.0.0.0/8, so that no other program of the machine is in the way.
        self._network = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}"  # noqa: S311 - no secret
        self._port = processes.free_port()
        self._metrics_port = processes.free_port()
        self._running: dict[int, processes.Running] = {}
        self._resolv_conf = folder / "resolv.conf"
        self._base_path = folder / MODEL
        self.names = NameServer(host=f"{self._network}.53", port=_DNS_PORT)

    def __enter__(self) -> "Fleet":
        self.names.__enter__()
        self._resolv_conf.write_text(f"nameserver {self.names.host}\n", encoding="ascii")
        self._base_path.mkdir()
        ours.write_config(self.config, {MODEL: self._base_path})
        return self

    def __exit__(self, *error: object) -> None:
        for number in tuple(self._running):
            self.stop(number)
        self.names.__exit__(*error)

    def address(self, number: int) -> str:
        """The IP address of a server."""
        return f"{self._network}.{number}"

    def name(self, *numbers: int) -> None:
        """From now on the name has the addresses of these servers, running or not."""
        self.names.addresses = tuple(map(self.address, numbers))

    def start(self, *numbers: int) -> None:
        """Start servers together, and wait until each listens."""
        running = processes.started([self._server(number) for number in numbers], self._logs_dir)
        self._running |= dict(zip(numbers, running, strict=True))

    def stop(self, number: int) -> None:
        """End a server by SIGTERM, and wait for that; also one that was stopped or killed."""
        process = self._running.pop(number).process
        process.send_signal(signal.SIGCONT)
        processes.end(process)

    def signal(self, number: int, sent: signal.Signals) -> None:
        """Send a server a signal."""
        self._running[number].process.send_signal(sent)

    def calls(self, number: int) -> int:
        """How many calls of the model a server has answered since its start."""
        url = f"http://{self.address(number)}:{self._metrics_port}/monitoring/prometheus/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return sum(map(int, _COUNTED.findall(answer.read().decode())))

    def wait_for_calls(self, number: int, timeout_s: float = 30.0) -> None:
        """Wait until a server gets calls. Raises BenchError when it gets none."""
        before, until_s = self.calls(number), time.monotonic() + timeout_s
        while self.calls(number) == before:
            if time.monotonic() > until_s:
                raise BenchError(f"server {number} got no call within {timeout_s:g} s")
            time.sleep(0.1)

    @contextmanager
    def gateway(self, settings: Mapping[str, str], name: str) -> Iterator["Front"]:
        """A gateway before all servers that the name has."""
        port = processes.free_port()
        program = ours.gateway(port, self.config, self._port, name, settings)
        target = {"GATEWAY_SERVING_TARGET": f"dns:///{NAME}:{self._port}"}
        argv = _with_mounted(self._resolv_conf, Path("/etc/resolv.conf"), program.argv)
        program = replace(program, argv=argv, environment={**program.environment, **target})
        with processes.running(program, self._logs_dir):
            yield Front(Contender(name, port, program, ours.encodings(MODEL)), self._folder)

    def _server(self, number: int) -> Program:
        host = self.address(number)
        age = f"grpc.max_connection_age_ms={self._age_s * 1000},grpc.max_connection_age_grace_ms={_GRACE_S * 1000}"
        flags = (
            f"--host={host}",
            f"--port={self._port}",
            f"--rest_api_port={self._metrics_port}",
            f"--monitoring_config_file={ROOT / 'serving_config' / 'monitoring.config'}",
            f"--model_config_file={self.config}",
            "--model_config_file_poll_wait_seconds=1",
            f"--grpc_channel_arguments={age}",
            "--grpc_max_threads=64",
        )
        argv = _with_mounted(self._versions[number], self._base_path, (sys.executable, "-m", "model_server", *flags))
        return Program(f"server {number}", argv, f"tcp://{host}:{self._port}")


@dataclass(frozen=True)
class Front:
    """A gateway that runs."""

    contender: Contender
    folder: Path

    def load(self, clients: int) -> Running:
        """Begin with so many clients, each of which always has a request under way. Whoever calls must finish or end it."""
        load = OpenLoop(self.contender, {0: waiting_model.workload(self.folder)}, self.folder / "load", clients)
        return load.start_closed(clients, _MOST_LOAD_S, _TIMEOUT_S)


def check_possible() -> None:
    """Raises BenchError where no gateway can have a name server of its own."""
    if os.geteuid() != 0:
        raise BenchError("scaling live needs root: the gateway gets a DNS server of its own, by unshare and mount")
    for program in ("unshare", "mount"):
        if shutil.which(program) is None:
            raise BenchError(f"scaling live needs {program} (apt-get install util-linux mount)")


def _with_mounted(what: Path, where: Path, argv: Sequence[str]) -> tuple[str, ...]:
    """The command whose program finds ``what`` at ``where``, and nobody else does."""
    return ("unshare", "--mount", "sh", "-c", _MOUNTED, str(what), str(where), *argv)
