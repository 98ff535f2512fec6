"""The machine has no room left, or its clock is set."""

import os
import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.fault import fault
from tests.faults.gateway import replace_workers
from tests.faults.scene import MODEL, ModelServer, Scene, plain, started
from tests.waiting import wait_for

_DISK_BYTES = 32 << 20
_HOUR_S = 3600
_COUNTED_LATER = "numbers that find no room are counted in memory, and shown when there is room"


class OnDisk(Scene):
    """The gateway's log and its metrics are on a small disk of their own."""

    disk: Path

    def fill(self) -> None:
        with open(self.disk / "ballast", "ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        (self.disk / "ballast").unlink()


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@contextmanager
def log_on_disk(server: ModelServer, folder: Path) -> Iterator[OnDisk]:
    with _small_disk(folder) as disk:
        scene = OnDisk(server, disk, log_level="INFO")
        scene.disk = disk
        with started(scene):
            yield scene


@contextmanager
def metrics_on_disk(server: ModelServer, folder: Path) -> Iterator[OnDisk]:
    with _small_disk(folder) as disk:
        scene = OnDisk(server, folder)
        scene.disk = disk
        scene.stack.gateway_environment["TMPDIR"] = str(disk)
        with started(scene):
            yield scene


@fault("24a", "The disk of the gateway's log is full", log_on_disk, is_for_root=True, remark="lines are lost")
def log_full(scene: OnDisk) -> Iterator[None]:
    scene.fill()
    yield
    scene.make_room()


@fault(
    "24b", "The disk of the gateway's metrics is full", metrics_on_disk, closes=True, is_for_root=True, remark=_COUNTED_LATER
)
def metrics_full(scene: OnDisk) -> Iterator[None]:
    scene.fill()
    # Metrics of other routes and statuses, which need room.
    for path in ("/v1/models", "/v1/models/none", "/v1/models/none:predict", "/predict"):
        scene.stack.get(path)
        scene.stack.post(path, "{")
    workers = replace_workers(scene)
    wait_for(lambda: scene.log().count("metrics.no_room") == len(workers), 20)
    yield
    assert scene.workers == workers, "a worker has died"
    scene.make_room()
    wait_for(lambda: scene.log().count("metrics.room_again") == len(workers), 20)
    wait_for(lambda: 'gateway_requests_total{model="half_plus_two"' in scene.stack.get("/metrics").text, 20)


@fault(
    "24c", "The disk of the models is full while a version is copied in", plain, is_for_root=True, remark="the old one serves"
)
def models_full(scene: Scene) -> Iterator[None]:
    version = scene.server.base / "2"
    version.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4096", "tmpfs", version], check=True)
    try:
        with suppress(OSError):  # no space is left
            (version / "saved_model.pb").write_bytes((scene.server.other / "saved_model.pb").read_bytes() * 100)
        wait_for(lambda: state_of(scene, "2") == "END", 30)
        yield
    finally:
        subprocess.run(["umount", "--lazy", version], check=True)
        version.rmdir()


def state_of(scene: Scene, version: str) -> str:
    states = scene.stack.get(f"/v1/models/{MODEL}").json()["model_version_status"]
    return next((state["state"] for state in states if state["version"] == version), "")


@fault(
    "25",
    "The gateway's file descriptors are used up by connections",
    plain,
    closes=True,
    remark="clients that are connected are served; others wait to be let in",
)
def no_descriptors(scene: Scene) -> Iterator[None]:
    workers = scene.workers
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in workers}
    for pid in workers:
        used = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 4, before[pid][1]))
    socks = [socket.create_connection(("127.0.0.1", scene.port), 20) for _ in range(64)]
    wait_for(lambda: "no connection can be accepted" in scene.log(), 20)
    yield
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before[pid])
    for sock in socks:
        sock.close()


class Timed(Scene):
    """The gateway's clock is set by ``clock``, a file that libfaketime reads. The monotonic clock is left alone."""

    clock: Path


def _library() -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.fail("libfaketime is not installed, and this test needs it: apt-get install faketime")
    return str(found[0])


@contextmanager
def timed(server: ModelServer, folder: Path) -> Iterator[Timed]:
    scene = Timed(server, folder, log_level="INFO", address_limits="1000000/s", cache=f"{MODEL}:10:60s")
    scene.clock = folder / "clock"
    scene.clock.write_text("+0")
    scene.stack.gateway_environment |= {
        "LD_PRELOAD": _library(),
        "FAKETIME_TIMESTAMP_FILE": str(scene.clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(Path(__file__).parent / "sleeping"),
    }
    with started(scene):
        yield scene


def _step(offset_s: int) -> Callable[[Timed], Iterator[None]]:
    def step(scene: Timed) -> Iterator[None]:
        lines = scene.log().count("\n")
        before = _hour(scene.log().splitlines()[-1])
        scene.clock.write_text(f"{offset_s:+}")
        wait_for(lambda: any(_hour(line) != before for line in scene.log().splitlines()[lines:-1]), 20)
        yield
        scene.clock.write_text("+0")

    return step


def _hour(line: str) -> str:
    return line.partition('"time":"')[2][:13]


fault("26a", "The clock is set an hour ahead, and back again", timed)(_step(_HOUR_S))
fault("26b", "The clock is set back by an hour, and ahead again", timed)(_step(-_HOUR_S))
