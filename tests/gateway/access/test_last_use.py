"""Last uses: exact to the minute, of all workers together, and never in the way."""

import fcntl
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.access.last_use import LastUse, path_beside, read
from tests.gateway.access.made_keys import NOW
from tests.waiting import wait_for

MINUTE = timedelta(minutes=1)
THIS_MINUTE = NOW.replace(second=0)


@pytest.fixture
def path(tmp_path):
    return path_beside(tmp_path / "keys.jsonl")


def test_uses_are_written_to_the_minute_beside_the_key_file(path):
    uses = LastUse(path)
    uses.note("one", NOW)
    uses.note("one", NOW + timedelta(seconds=20))
    uses.note("other", NOW - MINUTE)
    uses.flush()
    assert path.name == "keys.jsonl.used"
    assert read(path) == {"one": THIS_MINUTE, "other": THIS_MINUTE - MINUTE}
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_before_a_flush_or_without_a_use(path):
    uses = LastUse(path)
    uses.flush()
    uses.note("one", NOW)
    assert not path.exists()
    assert read(path) == {}


def test_the_file_is_written_once_a_minute_at_most(path):
    uses = LastUse(path)
    inodes = []
    for seconds in (0, 1, 50, 54, 55, 60, 115):
        uses.note("one", NOW + timedelta(seconds=seconds))
        uses.flush()
        inodes.append(path.stat().st_mtime_ns)
    assert len(set(inodes[:4])) == len(set(inodes[4:6])) == 1
    assert len(set(inodes)) == 3


def test_of_several_workers_the_latest_use_counts(path):
    one, other = LastUse(path), LastUse(path)
    one.note("a", NOW + 5 * MINUTE)
    other.note("a", NOW)
    other.note("b", NOW)
    for uses in (one, other):
        uses.flush()
    assert read(path) == {"a": THIS_MINUTE + 5 * MINUTE, "b": THIS_MINUTE}


def test_many_workers_lose_no_use(path):
    code = (
        "import sys, pathlib; from datetime import *; from gateway.access.last_use import LastUse\n"
        "uses, start = LastUse(pathlib.Path(sys.argv[1])), datetime(2030, 1, 1, tzinfo=UTC)\n"
        "for number in range(10):\n"
        "    uses.note(f'{sys.argv[2]}-{number}', start)\n"
        "    uses.note('all', start + timedelta(minutes=int(sys.argv[2]) + number))\n"
        "    uses.flush()\n"
        "uses.flush()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    workers = [subprocess.Popen([*command, str(number)], cwd=Path(__file__).resolve().parents[3]) for number in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    uses = read(path)
    assert uses.pop("all").minute == 12
    assert set(uses) == {f"{worker}-{number}" for worker in range(4) for number in range(10)}


def test_while_another_process_holds_the_file_uses_are_kept(path):
    uses = LastUse(path)
    uses.note("one", NOW)
    path.touch(0o600)
    with path.open("rb") as other, capture_logs() as events:
        fcntl.flock(other, fcntl.LOCK_EX)
        uses.flush()
        assert read(path) == {}
    uses.flush()
    assert read(path) == {"one": THIS_MINUTE}
    assert events == []


def test_a_folder_that_cannot_be_written_is_told_once_and_uses_are_kept(tmp_path):
    path = tmp_path / "folder" / "used"
    uses = LastUse(path)
    with capture_logs() as events:
        for minute in range(3):
            uses.note("one", NOW + minute * MINUTE)
            uses.flush()
    assert [event["event"] for event in events] == ["keys.last_use_not_written"]
    path.parent.mkdir()
    uses.flush()
    assert read(path) == {"one": THIS_MINUTE + 2 * MINUTE}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b"\xff"])
def test_a_broken_file_tells_of_no_use_and_is_mended(path, content):
    path.write_bytes(content)
    assert read(path) == {}
    uses = LastUse(path)
    uses.note("one", NOW)
    uses.flush()
    assert read(path) == {"one": THIS_MINUTE}


def test_uses_are_noted_while_another_thread_writes(path):
    """A dict that changed while it was gone through would be an error in that thread."""
    uses = LastUse(path)
    is_done = threading.Event()
    flushed: list[bool] = []

    def flush() -> None:
        while not is_done.is_set():
            uses.flush()
            flushed.append(True)

    thread = threading.Thread(target=flush)
    thread.start()
    for number in range(50_000):
        uses.note(str(number), NOW)
    wait_for(lambda: flushed)
    is_done.set()
    thread.join()
    uses.flush()
    assert len(read(path)) == 50_000
