"""Starting a contender's programs, waiting until each is ready, and ending them with all that they have started."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.contender import Contender, Program
from benchmarks.errors import BenchError
from benchmarks.programs import proc

STOP_TIMEOUT_S = 20.0
_POLL_S = 0.005
_PROBE_TIMEOUT_S = 2.0
_KEEPER = Path(__file__).with_name("keeper.py")


@dataclass(frozen=True)
class Running:
    """A program that runs. ``start_s`` is the time from its start until it was ready."""

    program: Program
    process: "subprocess.Popen[bytes]"
    start_s: float

    def cpu_s(self) -> float:
        """Processor seconds of the program and all its descendants. Raises BenchError when it has ended."""
        if self.process.poll() is not None:
            raise BenchError(f"{self.program.name} ended in the middle of a measurement, code {self.process.returncode}")
        return proc.cpu_s(self.process.pid)

    def pids(self) -> list[int]:
        """The program's process and its living descendants."""
        return list(proc.tree(self.process.pid))


@dataclass(frozen=True)
class RunningContender:
    """A contender whose programs all run and are ready."""

    contender: Contender
    front: Running
    backends: tuple[Running, ...]


@contextmanager
def running_contender(contender: Contender, logs_dir: Path, shared: tuple[Running, ...] = ()) -> Iterator[RunningContender]:
    """Run every program of the contender, backends first; they end in the opposite order.

    ``shared`` are backends that run already, and that other contenders use too.
    """
    with ExitStack() as stack:
        programs = [stack.enter_context(running(program, logs_dir)) for program in contender.programs]
        yield RunningContender(contender, programs[-1], (*shared, *programs[:-1]))


@contextmanager
def running(program: Program, logs_dir: Path) -> Iterator[Running]:
    """Run a program until the end of the block. Raises BenchError, with the end of its log, when it does not get ready."""
    [process] = started([program], logs_dir)
    try:
        yield process
    finally:
        end(process.process)


def started(programs: Sequence[Program], logs_dir: Path) -> list[Running]:
    """Start programs together, and wait until all are ready. Each must be ended. Raises BenchError, and then none runs."""
    began_s = time.monotonic()
    processes = [(program, _begun(program, logs_dir)) for program in programs]
    found = []
    try:
        for program, process in processes:
            _wait_until_ready(program, process, log_of(program, logs_dir), began_s)
            found.append(Running(program, process, time.monotonic() - began_s))
    except BaseException:
        for _, process in processes:
            end(process)
        raise
    return found


def _begun(program: Program, logs_dir: Path) -> "subprocess.Popen[bytes]":
    logs_dir.mkdir(parents=True, exist_ok=True)
    with log_of(program, logs_dir).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_KEEPER), *program.argv],
            env=_environment() | dict(program.environment),
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def log_of(program: Program, logs_dir: Path) -> Path:
    """Return the file with all that the program prints."""
    return logs_dir / f"{program.name.replace(' ', '-').replace('/', '-')}.log"


def _environment() -> dict[str, str]:
    """That of the harness, less the settings of a gateway: what is measured is the gateway as shipped."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}


def end(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGTERM, wait, then send SIGKILL to the process and to all that is left of its tree."""
    family = [pid for pid in proc.tree(process.pid) if pid != process.pid]
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    family += [pid for pid in proc.tree(process.pid) if pid != process.pid]
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()
    # A killed process holds its port and its memory until it is gone.
    until_s = time.monotonic() + STOP_TIMEOUT_S
    while any(map(proc.is_running, family)) and time.monotonic() < until_s:
        time.sleep(_POLL_S)


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(program: Program, process: "subprocess.Popen[bytes]", log: Path, began_s: float) -> None:
    while not is_ready(program.ready_url):
        if process.poll() is not None:
            raise BenchError(f"{program.name} ended with code {process.returncode}: {_last_line(log)} (log: {log})")
        if time.monotonic() - began_s > program.start_timeout_s:
            waited = f"{program.start_timeout_s:.0f} s"
            raise BenchError(f"{program.name} was not ready after {waited}: {_last_line(log)} (log: {log})")
        time.sleep(_POLL_S)


def is_ready(url: str) -> bool:
    """Whether ``http://...`` answers 200, or ``tcp://host:port`` accepts a connection."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    try:
        if parts.scheme == "tcp":
            socket.create_connection((host, port), _PROBE_TIMEOUT_S).close()
            return True
        connection = http.client.HTTPConnection(host, port, timeout=_PROBE_TIMEOUT_S)
        try:
            connection.request("GET", parts.path)
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
