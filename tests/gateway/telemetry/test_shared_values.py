"""The numbers of the metrics have their room on the disk before they are written, or stay in memory."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.telemetry import shared_values
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.shared_values import SharedValues
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def counter(shared: SharedValues, name: str) -> shared_values.Value:
    return shared.value("counter", "asked", "asked_total", ("name",), (name,), "What was asked.")


def shown(folder: Path) -> dict[str, float]:
    """What /metrics has of the counter, by its label."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    lines = (line for line in generate_latest(registry).decode().splitlines() if line.startswith("asked_total"))
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


@contextmanager
def files_up_to(most_bytes: int) -> Iterator[None]:
    """Let no file of this process become longer, as if the disk were full: without root, ENOSPC is EFBIG.

    Only for the block: what pytest prints may go to a file, too.
    """
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_a_number_is_shown_as_it_was_written(tmp_path):
    shared = SharedValues(tmp_path)
    asked = counter(shared, "first")
    asked.inc(2)
    asked.inc(0.5)
    assert asked.get() == 2.5
    assert shown(tmp_path) == {"first": 2.5}
    asked.set(1)
    assert shown(tmp_path) == {"first": 1}


def test_files_have_no_holes_however_many_numbers_there_are(tmp_path):
    shared = SharedValues(tmp_path)
    for number in range(3000):
        counter(shared, str(number)).inc(number)
        file = (tmp_path / f"counter_{os.getpid()}.db").stat()
        assert file.st_blocks * 512 >= file.st_size
    assert file.st_size >= 1 << 18
    assert shown(tmp_path) == {str(number): number for number in range(3000)}


def test_a_number_without_room_counts_in_memory_and_is_shown_when_there_is_room(tmp_path):
    shared = SharedValues(tmp_path)
    with structlog.testing.capture_logs() as told:
        with files_up_to(1 << 16):
            made = [counter(shared, str(number)) for number in range(1000)]
            for one in made:
                one.inc(3)
        assert all(one.get() == 3 for one in made)
        those_with_room = shown(tmp_path)
        assert 0 < len(those_with_room) < 1000
        assert set(those_with_room.values()) == {3}
        wait_for(lambda: made[-1].set(4) or len(shown(tmp_path)) == 1000)
    assert shown(tmp_path) == {str(number): 3 for number in range(999)} | {"999": 4}
    assert [event["event"] for event in told] == ["metrics.no_room", "metrics.room_again"]


def test_where_there_is_no_room_at_all_no_file_is_left_and_the_reason_is_told(tmp_path):
    shared = SharedValues(tmp_path)
    with structlog.testing.capture_logs() as told, files_up_to(0):
        made = [counter(shared, str(number)) for number in range(3)]
    assert [one.get() for one in made] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []
    [event] = told
    assert event["folder"] == str(tmp_path)
    assert event["reason"] == "File too large"


FORKED = """
import json, os, sys
from pathlib import Path
from gateway.telemetry.shared_values import SharedValues
SharedValues(Path(sys.argv[1])).use()
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import REFUSALS
REFUSALS.inc(5)
child = os.fork()
if child == 0:
    REFUSALS.inc(2)
    os._exit(0)
os.waitpid(child, 0)
REFUSALS.inc(1)
lines = Exposition(sys.argv[1]).text().decode().splitlines()
print(json.dumps([line for line in lines if line.startswith("gateway_refusals_total")]))
"""


def test_a_forked_process_counts_on_its_own_and_the_sum_is_shown(tmp_path):
    done = subprocess.run([sys.executable, "-c", FORKED, tmp_path], cwd=ROOT, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == ["gateway_refusals_total 8.0"]
    assert len(list(tmp_path.glob("counter_*.db"))) == 2


def test_what_a_process_of_the_same_number_counted_before_is_still_counted(tmp_path):
    counter(SharedValues(tmp_path), "first").inc(2)
    counter(SharedValues(tmp_path), "first").inc(1)
    assert shown(tmp_path) == {"first": 3}


@pytest.mark.parametrize(
    ("read", "nothing"),
    [(Exposition.models_not_ready, frozenset()), (Exposition.text, b""), (Exposition.openmetrics, b"# EOF\n")],
    ids=["readiness", "text", "openmetrics"],
)
def test_a_file_in_which_nothing_is_yet_can_be_read(tmp_path, read, nothing):
    shared_values._make(tmp_path / "gauge_livemin_1.db")
    assert read(Exposition(str(tmp_path))) == nothing
