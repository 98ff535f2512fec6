"""The gateway's own processes fail, or are told to go."""

import os
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import requests

from tests.faults.fault import fault
from tests.faults.scene import IS_LONG, TIMES, Scene, plain
from tests.waiting import wait_for

_LARGE = b'{"instances": [' + b"1.0," * 5_000_000 + b"1.0]}"
_SPARE_BYTES = 24 << 20
_SILENT_S = 30.0  # gunicorn's own time-out


@fault("11a", "A worker of the gateway is killed", plain, closes=True, remark="its connections are closed")
def worker_killed(scene: Scene) -> Iterator[None]:
    _end_one(scene, signal.SIGKILL)
    yield


@fault(
    "11b",
    "A worker of the gateway is stopped (SIGSTOP)",
    plain,
    closes=True,
    remark="gunicorn ends a worker that has been silent for 30 s; until then its clients wait",
)
def worker_stopped(scene: Scene) -> Iterator[None]:
    """In the short run the worker has been silent for most of that time already."""
    _end_one(scene, signal.SIGSTOP, silent_s=0.0 if IS_LONG else _SILENT_S - 1)
    yield


def _end_one(scene: Scene, number: int, silent_s: float = 0.0) -> None:
    """Send a worker a signal, and wait until another has taken its place. It beat for the last time ``silent_s`` ago."""
    before = set(scene.workers)
    os.kill(min(before), number)
    if silent_s:
        _put_back_heartbeat(min(before), silent_s)
    wait_for(lambda: min(before) not in scene.workers and len(scene.workers) == len(before), 60)


def _put_back_heartbeat(pid: int, seconds: float) -> None:
    """The heartbeat is the time of a file, by the monotonic clock. No directory has it, but the worker holds it open."""
    [file] = [one for one in Path(f"/proc/{pid}/fd").iterdir() if "wgunicorn-" in os.readlink(one)]
    last_s = file.stat().st_mtime - seconds
    os.utime(file, (last_s, last_s))


@fault(
    "12",
    "The gateway's workers get no more memory while large bodies come",
    plain,
    gets=(503, 504),
    closes=True,
    remark="bodies that find no memory get 503, or the end of their connection",
)
def out_of_memory(scene: Scene) -> Iterator[None]:
    limited, logged = scene.workers, len(scene.log())
    for pid in limited:
        _limit_memory(pid, _mapped_bytes(pid) + _SPARE_BYTES)
    with ThreadPoolExecutor(4) as senders:
        got = list(senders.map(_send_large, [scene.port] * 8))
    print(f"large bodies in too little memory got {Counter(got)}")
    assert set(got) - {200}, "there was memory enough"
    assert "Traceback" not in scene.log()[logged:]
    yield
    for pid in limited:
        with suppress(ProcessLookupError):
            _limit_memory(pid, resource.RLIM_INFINITY)


def _limit_memory(pid: int, most_bytes: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_AS, (most_bytes, resource.RLIM_INFINITY))


def _mapped_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _send_large(port: int) -> int:
    """The status of the answer; 0 for a closed connection."""
    try:
        return requests.post(f"http://127.0.0.1:{port}/v1/models/half_plus_two:predict", data=_LARGE, timeout=60).status_code
    except requests.ConnectionError:
        return 0


@fault("13a", "The gateway gets SIGHUP ten times", plain, closes=True, remark="idle connections are closed")
def hung_up(scene: Scene) -> Iterator[None]:
    for _ in range(TIMES):
        replace_workers(scene)
        _wait_for_answers(scene)
    yield


def replace_workers(scene: Scene) -> list[int]:
    """Have all workers replaced by SIGHUP; the new ones."""
    before = scene.workers
    os.kill(scene.arbiter, signal.SIGHUP)
    wait_for(lambda: not {*before} & {*scene.workers} and len(scene.workers) == len(before), 60)
    return scene.workers


@fault(
    "13b", "The gateway is ended by SIGTERM and started again, ten times", plain, closes=True, remark="refused: nobody listens"
)
def terminated(scene: Scene) -> Iterator[None]:
    for _ in range(TIMES):
        assert scene.stack.gateway.stop() == 0
        scene.start()
        _wait_for_answers(scene)
    yield


def _wait_for_answers(scene: Scene) -> None:
    good = scene.client.tally.answered[200]
    wait_for(lambda: scene.client.tally.answered[200] > good + 20, 30)


@fault(
    "14",
    "The gateway's first process is killed, and started again",
    plain,
    closes=True,
    remark="its workers notice it and end in order, which frees the port",
)
def arbiter_killed(scene: Scene) -> Iterator[None]:
    workers = scene.workers
    scene.stack.gateway.stop(signal.SIGKILL)
    wait_for(lambda: not any(map(_is_alive, workers)), 60)
    yield
    scene.start()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
