"""A gateway's workers without a gateway: processes that admit the requests of many clients, and then print what they did.

``python -m tests.gateway.access.limits.workers '{"workers": 4, ...}'`` prints ``ready`` when it begins. After ``seconds`` it
prints one line of JSON for each worker: ``admitted`` (times of the monotonic clock in ns), ``refused``, ``longest_us`` and
``p99_us`` of what an admission took, ``logged``.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.access.limits.leases import Leases
from gateway.access.limits.limiter import Limiter
from gateway.access.limits.table import LimitTable
from gateway.errors import RateLimited
from gateway.telemetry import logs

ROOT = Path(__file__).resolve().parents[4]


@dataclass(frozen=True)
class Load:
    """``clients`` ask in turn ``pause_s`` after each answer, spread over ``workers``."""

    limits: str
    seconds: float
    workers: int = 4
    clients: int = 64
    pause_s: float = 0.02
    redis: str = ""
    kill_after_s: float = 0
    """The first worker is killed with SIGKILL then, and nobody takes its place."""


class Running:
    """The processes of a gateway that has said that it is ready."""

    def __init__(self, load: Load) -> None:
        command = [sys.executable, "-m", "tests.gateway.access.limits.workers", json.dumps(asdict(load))]
        self._load = load
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", self._process.stderr and self._process.stderr.read()

    def results(self) -> list[dict[str, Any]]:
        """What each worker did; the log is that of all of them."""
        out, self.log = self._process.communicate(timeout=self._load.seconds + 60)
        assert self._process.returncode == 0, self.log
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def most_in(period_s: float, admitted: list[int]) -> int:
    """The most of the sorted times that any period of the length has."""
    period_ns, most, last = int(period_s * 10**9), 0, 0
    for first, at in enumerate(admitted):
        while last < len(admitted) and admitted[last] < at + period_ns:
            last += 1
        most = max(most, last - first)
    return most


def fewest_in_full(period_s: float, admitted: list[int], until_ns: int) -> int:
    """The fewest that any of the periods has that follow each other from the first time on and end before ``until_ns``."""
    period_ns = int(period_s * 10**9)
    firsts = range(admitted[0], until_ns - period_ns + 1, period_ns)
    return min(sum(first <= at < first + period_ns for at in admitted) for first in firsts)


def main() -> None:
    load = Load(**json.loads(sys.argv[1]))
    table = LimitTable()
    print("ready", flush=True)
    started_s = time.monotonic()
    pids = []
    for worker in range(load.workers):
        pid = os.fork()
        if pid == 0:
            clients = len(range(worker, load.clients, load.workers))
            asyncio.run(work(load, table, clients, started_s + load.seconds))
            os._exit(0)
        pids.append(pid)
    if load.kill_after_s:
        time.sleep(load.kill_after_s)
        os.kill(pids[0], signal.SIGKILL)
    codes = {pid: os.waitpid(pid, 0)[1] for pid in pids}
    assert set(codes.values()) <= {0, signal.SIGKILL if load.kill_after_s else 0}, codes


async def work(load: Load, table: LimitTable, clients: int, until_s: float) -> None:
    logs.configure("INFO")
    table.join()
    leases = Leases(load.redis, table) if load.redis else None
    if leases is not None:
        await leases.start()
    limiter = Limiter(table, leases)
    admitted: list[int] = []
    took: list[int] = []

    async def client(number: int) -> None:
        await asyncio.sleep(number * load.pause_s / clients)
        while time.monotonic() < until_s:
            began_ns = time.perf_counter_ns()
            try:
                admission = limiter.admit("key", "app", load.limits)
            except RateLimited:
                pass
            else:
                admitted.append(admission.at_ns)
                admission.close()
            took.append(time.perf_counter_ns() - began_ns)
            await asyncio.sleep(load.pause_s)

    await asyncio.gather(*map(client, range(clients)))
    if leases is not None:
        await leases.close()
    logs.flush()
    took.sort()
    result = {"admitted": admitted, "refused": len(took) - len(admitted)}
    times = {"longest_us": took[-1] // 1000, "p99_us": took[len(took) * 99 // 100] / 1000}
    table.lock()  # one line at a time
    os.write(1, (json.dumps(result | times) + "\n").encode())
    table.unlock()


if __name__ == "__main__":
    main()
