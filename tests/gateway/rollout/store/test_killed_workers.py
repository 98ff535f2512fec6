"""Workers that are killed without a warning, in the middle of a report: the sums of those that are gone are exact."""

import mmap
import struct
import subprocess
import sys

import pytest

from gateway.rollout.evidence.totals import Totals
from gateway.rollout.store.documents import totals_of
from tests.gateway.rollout.store.making import a_plan, a_report, an_event, some_totals
from tests.waiting import wait_for

# What it has reported is in a file that the test shares with it: before and after each report. It also changes the plan as
# often as it can, and counts how often it was the one to do so.
_WORKER = """
import mmap, struct, sys
from gateway.rollout.store.store import Store, StoreAway
from tests.gateway.rollout.store.making import a_report, an_event, some_totals
address, boot, shared_file = sys.argv[1:]
with open(shared_file, "r+b") as file:
    shared = mmap.mmap(file.fileno(), 32)
store = Store(address)
def until_it_is_there(call):
    while True:
        try:
            return call()
        except StoreAway as away:  # somebody else of SQLite's writers was first for five seconds
            if str(away) != "database is locked":
                raise
n = won = 0
while True:
    n += 1
    struct.pack_into("<q", shared, 0, n)
    evidence = {("digits-3-f4a1", 0): some_totals(n), ("digits-3-f4a1", 1): some_totals(2 * n)}
    report = a_report(boot, seen={"digits-3-f4a1": n}, evidence=evidence)
    before = until_it_is_there(lambda: store.sync(report)).plans[0]
    struct.pack_into("<q", shared, 8, n)
    after = before.changed(n, reason=boot)
    struct.pack_into("<q", shared, 16, won + 1)
    won += until_it_is_there(lambda: store.change(before, after, an_event(after, by=boot)))
    struct.pack_into("<q", shared, 24, won)
"""


class Worker:
    """The process, and what it said last."""

    def __init__(self, address, boot, folder):
        path = folder / f"{boot}.shared"
        path.write_bytes(bytes(32))
        with open(path, "r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 32)
        self.boot = boot
        self.process = subprocess.Popen([sys.executable, "-c", _WORKER, address, boot, str(path)])

    @property
    def counts(self):
        """Reports that were begun and done, changes that may be and are won."""
        return struct.unpack_from("<qqqq", self._shared)

    def kill(self):
        assert self.process.poll() is None
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start(address, tmp_path):
    workers = []

    def start_(boot):
        workers.append(Worker(address, boot, tmp_path))
        return workers[-1]

    yield start_
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


def test_the_sums_of_killed_workers_are_exact_and_each_change_was_made_once(store, start):
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    dead = []
    for generation in range(4):
        alive = [start(f"w{generation}{name}") for name in "ab"]
        wait_for(lambda alive=alive: all(worker.counts[1] >= 20 and worker.counts[3] >= 2 for worker in alive), timeout_s=60)
        for worker in alive:
            worker.kill()  # wherever in its loop it is
        dead += alive

    expected = [Totals(), Totals()]
    for worker in dead:
        begun, done, most_won, won = worker.counts
        reported = reports(store, plan, worker.boot)
        assert reported in (begun, done)
        expected = [total + some_totals(times * reported) for total, times in zip(expected, (1, 2), strict=True)]
        changes = [event for event in store.history(most=1_000_000) if event.by == worker.boot]
        assert won <= len(changes) <= most_won
    assert store.totals(plan.id) == dict(enumerate(expected))
    assert store.sync(a_report("afterwards")).totals == {plan.id: dict(enumerate(expected))}

    history = store.history(most=1_000_000)
    assert [event.revision for event in history] == list(range(len(history), 0, -1))
    assert store.plan(plan.id).revision == len(history)
    print(f"{expected[0].canary_cells} reports, {len(history)} revisions")


def reports(store, plan, boot):
    """The number of the worker's last report that is in the database. Both of its rows are of the same one."""
    with store._database.reading() as connection:
        query = f"SELECT document FROM rollout_evidence WHERE plan = '{plan.id}' AND boot = '{boot}' ORDER BY step"  # noqa: S608
        first, second = [totals_of(text) for (text,) in connection.exec_driver_sql(query)]
    assert (first, second) == (some_totals(first.canary_cells), some_totals(2 * first.canary_cells))
    return first.canary_cells
