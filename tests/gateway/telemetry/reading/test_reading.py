"""The numbers of all workers are read as /metrics shows them, again and again, without looking for the known ones."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gateway.telemetry.reading.numbers import Key, Reading
from gateway.telemetry.reading.process import ProcessReader
from gateway.telemetry.reading.shared import SharedReader

ROOT = Path(__file__).resolve().parents[4]
NAMES = ("asked_total", "took_bucket", "waiting", "least", "newest")
WORKER = """
import sys
from pathlib import Path
from gateway.telemetry.shared_values import SharedValues
SharedValues(Path(sys.argv[1])).use()
from prometheus_client import Counter, Gauge, Histogram
metrics = {
    "asked": Counter("asked", "Requests.", ("model",)),
    "took": Histogram("took", "Seconds.", ("model",), buckets=(0.1, 1.0)),
    "waiting": Gauge("waiting", "Rows.", ("model",), multiprocess_mode="livesum"),
    "least": Gauge("least", "Ready.", ("model",), multiprocess_mode="livemin"),
    "newest": Gauge("newest", "Weight.", ("model",), multiprocess_mode="livemostrecent"),
    "others": Counter("asked_of_others", "Of no interest.", ("model",)),
}
for line in sys.stdin:
    name, model, what, number = line.split()
    getattr(metrics[name].labels(model), what)(float(number))
    print("done", flush=True)
"""


class Worker:
    """A process that shares its metrics in ``folder``."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", WORKER, str(folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, *orders: str) -> None:
        for order in orders:
            self.process.stdin.write(order + "\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "done\n"

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@contextmanager
def workers(folder: Path, count: int) -> Iterator[list[Worker]]:
    made = [Worker(folder) for _ in range(count)]
    try:
        yield made
    finally:
        for worker in made:
            worker.end()


def as_dict(reading: Reading) -> dict[Key, float]:
    return dict(zip(reading.keys, reading.values.tolist(), strict=True))


def as_shown(folder: Path) -> dict[Key, float]:
    """What /metrics has, but each bucket without those below it."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    shown: dict[Key, float] = {}
    for sample in (sample for family in registry.collect() for sample in family.samples if sample.name in NAMES):
        labels = tuple(sample.labels[name] for name in sorted(sample.labels))
        shown[Key(sample.name, labels)] = sample.value
    for model in {labels[1] for name, labels in shown if name == "took_bucket"}:
        first, second, third = (Key("took_bucket", (bound, model)) for bound in ("0.1", "1.0", "+Inf"))
        shown |= {second: shown[second] - shown[first], third: shown[third] - shown[second]}
    return shown


ORDERS = (
    ("asked a inc 2", "asked b inc 1", "took a observe 0.05", "took a observe 0.5", "waiting a set 3", "least a set 1"),
    ("asked a inc 5", "asked c inc 1", "took a observe 9", "took b observe 0.1", "waiting a set 4", "least a set 0"),
)


def test_what_is_read_is_what_metrics_shows(tmp_path):
    with workers(tmp_path, 2) as (one, other):
        one.do(*ORDERS[0], "newest a set 0.25", "others a inc 9")
        other.do(*ORDERS[1], "newest a set 0.5")
        read = as_dict(SharedReader(tmp_path, NAMES).read())
        assert read == as_shown(tmp_path)
    assert read[Key("asked_total", ("a",))] == 7
    assert [read[Key("took_bucket", (bound, "a"))] for bound in ("0.1", "1.0", "+Inf")] == [1, 1, 1]
    assert (read[Key("waiting", ("a",))], read[Key("least", ("a",))], read[Key("newest", ("a",))]) == (7, 0, 0.5)
    assert {key.name for key in read} == set(NAMES)


def test_later_readings_have_the_keys_of_earlier_ones_in_their_places(tmp_path):
    with workers(tmp_path, 1) as (one,):
        reader = SharedReader(tmp_path, NAMES)
        assert as_dict(reader.read()) == {}
        one.do("asked a inc 1")
        first = list(reader.read().keys)
        one.do(*(f"asked model{number:0100} inc {number}" for number in range(600)))  # so that the file is made longer
        assert len((next(tmp_path.glob("counter_*.db"))).read_bytes()) > 1 << 16
        one.do("asked a inc 1")
        later = reader.read()
        assert list(later.keys)[: len(first)] == first
        assert as_dict(later)[Key("asked_total", ("a",))] == 2
        assert as_dict(later) == as_shown(tmp_path)


def test_what_a_worker_has_counted_stays_when_it_ends_and_its_gauges_go(tmp_path):
    reader = SharedReader(tmp_path, NAMES)
    with workers(tmp_path, 1) as (other,):
        with workers(tmp_path, 1) as (one,):
            one.do(*ORDERS[0], "newest a set 0.25")
            other.do(*ORDERS[1])
            before = as_dict(reader.read())
        mark_process_dead(one.process.pid, str(tmp_path))
        after = as_dict(reader.read())
    gone = {"waiting": 4, "least": 0, "newest": math.nan}
    for key, value in before.items():
        expected = gone.get(key.name, value)
        assert after[key] == pytest.approx(expected, nan_ok=True), key


def test_a_gauge_of_a_new_process_with_the_same_number_is_a_new_one(tmp_path):
    reader = SharedReader(tmp_path, NAMES)
    with workers(tmp_path, 1) as (one,):
        one.do("waiting a set 3")
        assert as_dict(reader.read()) == {Key("waiting", ("a",)): 3}
        file = tmp_path / f"gauge_livesum_{one.process.pid}.db"
        content = file.read_bytes()
    file.rename(tmp_path / "kept")  # so that the new one has another inode
    file.write_bytes(content.replace(b'"waiting"', b'"ignored"'))
    assert as_dict(reader.read()) == {Key("waiting", ("a",)): 0}


def test_a_file_of_another_kind_is_left_alone(tmp_path):
    for name in ("console_ticks.jsonl", "exemplars_x", "gauge_livemax_7.db", "counter_7.new", ".db"):
        (tmp_path / name).write_bytes(b"no numbers")
    assert as_dict(SharedReader(tmp_path, NAMES).read()) == {}


def test_without_a_folder_the_numbers_are_those_of_this_process():
    registry = CollectorRegistry()
    asked = Counter("asked", "Requests.", ("version", "model"), registry=registry)
    took = Histogram("took", "Seconds.", ("model",), buckets=(0.1, 1.0), registry=registry)
    Gauge("waiting", "Rows.", ("model",), registry=registry).labels("a").set(3)
    Counter("others", "Of no interest.", registry=registry).inc()
    reader = ProcessReader(NAMES, registry)
    asked.labels(version="1", model="a").inc(2)
    for seconds in (0.05, 0.5, 0.6, 7):
        took.labels("a").observe(seconds)
    expected = {
        Key("asked_total", ("a", "1")): 2,  # in the order of the labels' names
        Key("took_bucket", ("0.1", "a")): 1,
        Key("took_bucket", ("1.0", "a")): 2,
        Key("took_bucket", ("+Inf", "a")): 1,
        Key("waiting", ("a",)): 3,
    }
    first = reader.read()
    assert as_dict(first) == expected
    known = list(first.keys)
    asked.labels(version="2", model="a").inc()
    assert list(reader.read().keys) == [*known, Key("asked_total", ("a", "2"))]


def test_keys_are_read_once(tmp_path):
    """What a worker has written before is not looked at again: here it is made unreadable, and the numbers still come."""
    with workers(tmp_path, 1) as (one,):
        one.do("asked a inc 1")
        reader = SharedReader(tmp_path, NAMES)
        reader.read()
        path = tmp_path / f"counter_{one.process.pid}.db"
        text = json.dumps(["asked", "asked_total"])[:-1].encode()
        place = path.read_bytes().index(text)
        with path.open("r+b") as file:
            os.pwrite(file.fileno(), b"x" * len(text), place)
        one.do("asked a inc 1")
        assert as_dict(reader.read()) == {Key("asked_total", ("a",)): 2}
