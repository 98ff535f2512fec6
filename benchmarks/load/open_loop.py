"""The generator as a process of its own: ``python -m benchmarks.load.open_loop SPEC``; and how the others start it.

The spec is a JSON file: port, requests and their right answers, phases of [requests/s, seconds] or closed [clients, seconds].
Arrivals are a Poisson process, the same in every run.
"""

import gc
import json
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ours
from benchmarks.contender import JSON, ROOT, Contender
from benchmarks.errors import BenchError
from benchmarks.load import exchange, records
from benchmarks.load.generator import Generator, Judge
from benchmarks.load.records import Records
from benchmarks.workload import Workload, is_right

_LEAD_S = 0.2
_SEED = 11

Phases = Sequence[tuple[float, float]]


class OpenLoop:
    """Load for one contender with one-row requests, whose right answers are those of ``workloads``, by the model's version.

    The answers of any version (key 0) where the contender does not name them.
    """

    def __init__(self, contender: Contender, workloads: Mapping[int, Workload], folder: Path, connections: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        first = next(iter(workloads.values()))
        inputs = exchange.draw_inputs(first, 1, 64, seed=3)
        asked = [exchange.request_bytes(contender.encodings[JSON].ask(rows), contender.port) for rows in inputs]
        self._spec: dict[str, Any] = {
            "port": contender.port,
            "connections": connections,
            "requests": [request.decode("latin-1") for request in asked],
            "expected": {version: [w.expect(rows).tolist() for rows in inputs] for version, w in workloads.items()},
        }

    def start(self, phases: Phases, timeout_s: float) -> "Running":
        """Begin to send at these rates, each for so many seconds."""
        return self._start({"phases": phases, "timeout_s": timeout_s})

    def closed(self, clients: int, seconds: float) -> Records:
        """Load as wrk does, but with this client, which costs more: its peak is the one to compare its open loop with."""
        return self.start_closed(clients, seconds, 10.0).wait()

    def start_closed(self, clients: int, seconds: float, timeout_s: float) -> "Running":
        """Begin with so many clients, each of which sends its next request when it has the answer to the last."""
        return self._start({"closed": [clients, seconds], "timeout_s": timeout_s})

    def _start(self, how: Mapping[str, Any]) -> "Running":
        spec, result = self._folder / "spec.json", self._folder / "records.npz"
        spec.write_text(json.dumps(self._spec | dict(how) | {"result": str(result)}), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.load.open_loop", str(spec)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # It prints a line when it begins, and none when it fails: `wait` raises then.
        if process.stdout is not None:
            process.stdout.readline()
        return Running(process, result)


class Running:
    """A generator that runs in its process."""

    def __init__(self, process: "subprocess.Popen[bytes]", result: Path) -> None:
        self._process = process
        self._result = result

    def wait(self) -> Records:
        """Wait for its end. Raises BenchError when it failed."""
        told = self._process.communicate()[1].decode(errors="replace").strip()
        if self._process.returncode != 0:
            raise BenchError(f"the load generator failed: {told.splitlines()[-1] if told else 'it said nothing'}")
        return records.read(self._result)

    def finish(self) -> Records:
        """Let it send nothing more, and wait for its end. Raises BenchError when it had ended before."""
        if not self.is_running():
            self.wait()
            raise BenchError("the load ended before what it was for")
        self._process.terminate()
        return self.wait()

    def is_running(self) -> bool:
        """Whether it still sends."""
        return self._process.poll() is None

    def end(self) -> None:
        """Stop it if it still runs: something else went wrong."""
        if self.is_running():
            self._process.kill()
            self._process.communicate()


def main(spec: Mapping[str, Any]) -> None:
    """Run one spec."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    requests = [text.encode("latin-1") for text in spec["requests"]]
    connections = min(int(spec["connections"]), hard - 64)
    generator = Generator(spec["port"], requests, _judge(spec["expected"]), connections, spec["timeout_s"])
    signal.signal(signal.SIGTERM, lambda *_: generator.stop())
    # Every request leaves an object behind; a collection in between would be measured as the server's.
    gc.disable()
    print("sending", flush=True)
    if "closed" in spec:
        generator.run_closed(*spec["closed"])
    else:
        generator.run(_timetable(spec["phases"]))
    generator.close()
    records.write(Path(spec["result"]), generator.rows)


def _timetable(phases: Phases) -> list[float]:
    """The moments of a Poisson process whose rate is that of each phase in turn."""
    rng = random.Random(_SEED)  # noqa: S311 - arrivals, no secret
    due_s: list[float] = []
    phase_s = time.monotonic() + _LEAD_S
    for rate, seconds in phases:
        now_s = phase_s + rng.expovariate(rate)
        phase_s += seconds
        while now_s < phase_s:
            due_s.append(now_s)
            now_s += rng.expovariate(rate)
    return due_s


def _judge(expected: Mapping[str, Sequence[Sequence[float]]]) -> Judge:
    def judge(number: int, version: int, body: bytes) -> bool:
        answers = expected.get(str(version), expected.get("0"))
        if answers is None:
            return False
        try:
            answered = ours.read_json(body)
        except exchange.UNREADABLE:
            return False
        return is_right(answered, np.asarray(answers[number], np.float32))

    return judge


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
