"""A worker that is killed without a warning: all rows but those in its memory are there, or are gaps in the sequence."""

import mmap
import struct
import subprocess
import sys

import pytest

from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import Filter
from tests.gateway.prediction_log.outages import sqlite_locked
from tests.waiting import wait_for

# What it has done is in a file that the test shares with it: its counts, before and after each row.
_WORKER = """
import mmap, struct, sys, time
from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.rules import Rules
from gateway.prediction_log.sinks.address import sink_at
from tests.gateway.prediction_log.making import offer
with open(sys.argv[2], "r+b") as file:
    shared = mmap.mmap(file.fileno(), 24)
log = PredictionLog(sink_at(sys.argv[1]), Rules(), max_rows=int(sys.argv[3]))
log.start()
tally = log.predictions
while True:
    for _ in range(10):
        struct.pack_into("<qqq", shared, 0, tally.kept + 1, tally.written, tally.full)
        offer(log)
    time.sleep(0.005)
"""


class Worker:
    """The process, and what it said last."""

    def __init__(self, address, shared_file, max_rows):
        shared_file.write_bytes(bytes(24))
        with open(shared_file, "r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 24)
        self.process = subprocess.Popen([sys.executable, "-c", _WORKER, address, str(shared_file), str(max_rows)])

    @property
    def counts(self):
        """Rows that were kept, written and dropped, where the last one may be under way."""
        return struct.unpack_from("<qqq", self._shared)

    def wait_for(self, is_so):
        assert self.process.poll() is None
        wait_for(lambda: is_so(*self.counts))

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=["sqlite", "postgresql", "file"])
def address(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    return {"sqlite": f"sqlite:///{tmp_path}/log.db", "file": f"file://{tmp_path}/log"}[request.param]


def test_what_a_killed_worker_had_written_is_there_without_a_gap(address, tmp_path):
    # So many that none is dropped, however slow the machine is.
    worker = Worker(address, tmp_path / "shared", max_rows=1_000_000)
    worker.wait_for(lambda kept, written, full: written >= 1000)
    worker.kill()
    kept, written, full = worker.counts
    assert full == 0
    sink = sink_at(address)
    (run,) = sink.runs(PredictionRow)
    sink.close()
    assert (run.first, run.missing) == (1, 0)
    assert written <= run.rows <= kept
    print(f"{kept} kept, {kept - run.rows} of the tail lost")


def test_rows_that_were_dropped_before_the_kill_are_gaps(tmp_path):
    with sqlite_locked(tmp_path) as outage:
        worker = Worker(outage.address, tmp_path / "shared", max_rows=500)
        worker.wait_for(lambda kept, written, full: written >= 200)
        outage.begin()
        worker.wait_for(lambda kept, written, full: full >= 500)
        outage.end()
        _, written_before, _ = worker.counts
        worker.wait_for(lambda kept, written, full: written >= written_before + 2000)
        worker.kill()
    kept, written, full = worker.counts
    sink = sink_at(outage.address)
    (run,) = sink.runs(PredictionRow)
    seqs = [row.seq for row in sink.read(PredictionRow, Filter())]
    sink.close()
    # The last of the dropped ones may be after the last one that was written.
    assert 500 <= run.missing <= full + 1
    assert run.missing == run.last - len(seqs)
    assert written <= run.rows
    assert run.rows + run.missing + (kept - run.last) == kept
