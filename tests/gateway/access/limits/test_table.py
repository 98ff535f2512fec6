"""The shared table: its rows, its lock, its workers and its size."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from gateway.access.limits.limit import parse_limits
from gateway.access.limits.limiter import Limiter
from gateway.access.limits.table import LimitTable
from gateway.errors import RateLimited

# The tests of other parts may have left threads, which the children do not need.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

ADDRESSES = 1_000_000 if os.environ.get("LONG_TESTS") == "1" else 150_000
FLOOD = """
import sys
from gateway.access.limits.limiter import Limiter
from gateway.access.limits.table import LimitTable
from gateway.errors import RateLimited

def resident_kb():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

table, overflowed = LimitTable(), []
table.join()
limiter = Limiter(table, overflowed=lambda: overflowed.append(None))
limiter.admit("address", "192.0.2.1/32", "256/day")
before = resident_kb()
count, refused = 0, 0
for number in range(int(sys.argv[1])):
    try:
        limiter.admit("address", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}/32", "256/day").close()
    except RateLimited:
        refused += 1
    count += len(overflowed)
    overflowed.clear()
print(resident_kb() - before, count, refused)
"""


@pytest.mark.timeout(600)
def test_a_flood_of_addresses_takes_no_more_than_50_mib_and_what_finds_no_row_is_counted():
    finished = subprocess.run([sys.executable, "-c", FLOOD, str(ADDRESSES)], capture_output=True, text=True, check=True)
    more_kb, overflowed, refused = map(int, finished.stdout.split())
    print(more_kb, overflowed, refused)
    assert more_kb <= 50 * 1024
    assert overflowed >= ADDRESSES - 100_000
    assert refused == overflowed - 256


def admit(limiter, scope, name, limits="3/day"):
    """Whether the request is admitted; it is answered at once."""
    try:
        limiter.admit(scope, name, limits).close()
    except RateLimited:
        return False
    return True


@contextmanager
def another_process(work):
    """A process that has done ``work`` and keeps what it returned, until it is killed at the end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        kept = work()
        os.write(writer, b"done")
        signal.pause()
        os._exit(kept is None)
    os.close(writer)
    try:
        assert os.read(reader, 4) == b"done"
        yield pid
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def joined(capacity=16):
    table = LimitTable(capacity)
    table.join()
    return table


def test_callers_that_find_no_row_share_one_and_those_with_a_row_keep_their_count():
    overflowed = []
    limiter = Limiter(joined(), overflowed=lambda: overflowed.append(None))
    assert admit(limiter, "address", "first")
    for number in range(15):
        assert admit(limiter, "address", f"other {number}")
    assert not overflowed
    assert [admit(limiter, "address", f"late {number}") for number in range(5)] == [True, True, True, False, False]
    assert len(overflowed) == 5
    assert [admit(limiter, "address", "first") for _ in range(3)] == [True, True, False]


def test_a_flood_of_addresses_takes_no_row_from_a_key():
    limiter = Limiter(joined())
    for number in range(100):
        admit(limiter, "address", f"{number}")
    assert [admit(limiter, "key", "app") for _ in range(4)] == [True, True, True, False]


def test_a_row_of_which_nothing_counts_any_more_is_given_to_another_caller():
    now = [10**15]
    overflowed = []
    limiter = Limiter(joined(), overflowed=lambda: overflowed.append(None), clock_ns=lambda: now[0])
    for number in range(16):
        assert admit(limiter, "address", f"{number}", "1/min")
    now[0] += 60 * 10**9
    for number in range(16):
        assert admit(limiter, "address", f"new {number}", "1/min")
    assert not overflowed


def test_a_lock_whose_worker_was_killed_is_free_again():
    table = LimitTable(16)
    with another_process(table.lock):
        pass
    table.lock()
    table.unlock()


def test_the_lock_keeps_other_processes_out():
    """Each adds to one cell; without the lock some of it would be lost."""
    table = LimitTable(16)
    row = table.find(table.fingerprint("key", "app", "1/day"), False, 0)
    (limit,) = parse_limits("1000000000/day")
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            meter = table.meter(limit, row)
            for _ in range(5000):
                table.lock()
                meter.take(10**15)
                table.unlock()
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert table.meter(limit, row).room(10**15) == 10**9 - 20_000


def test_a_worker_that_is_alone_takes_no_lock_and_one_that_is_not_does():
    has_lock = []

    def clock_ns() -> int:
        """It is asked while the request is counted."""
        with open("/proc/locks") as held:
            has_lock.append(any(f" {os.getpid()} " in line for line in held))
        return 10**15

    table = LimitTable(16)
    table.join()
    limiter = Limiter(table, clock_ns=clock_ns)
    admit(limiter, "key", "app")
    with another_process(table.join) as pid:
        admit(limiter, "key", "app")
    table.worker_died(pid)
    admit(limiter, "key", "app")
    assert has_lock == [False, True, False]


def test_requests_of_a_killed_worker_do_not_count_as_in_work():
    table = LimitTable(16)

    def work():
        table.join()
        limiter = Limiter(table)
        return [limiter.admit("key", "app", "parallel=2") for _ in range(2)]

    with another_process(work) as pid:
        table.join()
        limiter = Limiter(table)
        assert not admit(limiter, "key", "app", "parallel=2")
    assert not admit(limiter, "key", "app", "parallel=2")
    table.worker_died(pid)
    assert admit(limiter, "key", "app", "parallel=2")


def test_a_worker_takes_the_place_of_one_that_died_unnoticed():
    table = LimitTable(16)
    for _ in range(300):  # more than there are places
        pid = os.fork()
        if pid == 0:
            table.join()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    table.join()


def test_more_workers_than_places_are_an_error():
    table = LimitTable(16)
    for _ in range(256):
        table.join()
    with pytest.raises(RuntimeError, match="at most 256 workers"):
        table.join()


def test_fingerprints_of_two_gateways_differ():
    first, second = LimitTable(16), LimitTable(16)
    assert first.fingerprint("key", "app", "1/s") == first.fingerprint("key", "app", "1/s")
    assert first.fingerprint("key", "app", "1/s") != second.fingerprint("key", "app", "1/s")
    assert first.name != second.name
