"""Keys that are added, rotated and disabled count within a second in every worker, while all of them are busy."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.access import last_use
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.access.test_commands import PROGRAM
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
WORKERS = 4
WITHIN_S = 1.0


class Workers:
    """The processes that check ``text`` against the key file at ``path``, whose logs lie beside it."""

    def __init__(self, path: Path, text: str, stack: ExitStack) -> None:
        command = [sys.executable, "-m", "tests.gateway.access.checking_worker", str(path), text]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.logs = [path.with_name(f"log{number}") for number in range(WORKERS)]
        self._processes = []
        for log in self.logs:
            file = stack.enter_context(log.open("wb"))
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, text=True, stderr=file, **pipes))
            stack.callback(process.kill)
            self._processes.append(process)

    def outcomes(self, until_s: float) -> set[str]:
        """The next outcome that each worker has; each of them had another one until ``until_s`` at the latest."""
        told = [json.loads(process.stdout.readline()) for process in self._processes]
        late = [one["after_s"] - until_s for one in told if one["after_s"] > until_s]
        assert not late, late
        return {one["outcome"] for one in told}

    def wait_for_log(self, text: str) -> None:
        """Wait until each of them has written ``text``."""
        wait_for(lambda: all(text in log.read_text() for log in self.logs))

    def end(self) -> list[str]:
        """What each of them still tells."""
        return [process.communicate()[0] for process in self._processes]


def keys_command(path: Path, *arguments: str) -> tuple[str, float]:
    """What the command prints, and the time by which what it did must count."""
    command = [sys.executable, "-c", PROGRAM, *arguments, "--file", str(path)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    return printed, time.monotonic() + WITHIN_S


def replace(path: Path, content: bytes) -> None:
    """Replace what the file holds, in one step."""
    new = path.with_name("new")
    new.touch(0o600)
    new.write_bytes(content)
    new.replace(path)


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def test_every_change_counts_in_every_busy_worker_within_a_second(tmp_path, stack):
    path, aside = tmp_path / "keys.jsonl", tmp_path / "aside.jsonl"
    write(path, make_key("other")[1])
    text, _ = keys_command(aside, "new", "mobile")
    workers = Workers(path, text, stack)
    assert workers.outcomes(time.monotonic() + 60) == {"unknown"}

    aside.replace(path)
    assert workers.outcomes(time.monotonic() + WITHIN_S) == {"let in"}

    _, until_s = keys_command(path, "rotate", "mobile", "--overlap", "0s")
    assert workers.outcomes(until_s) == {"expired"}

    _, until_s = keys_command(path, "disable", "mobile")
    assert workers.outcomes(until_s) == {"disabled"}

    # A broken file lets nobody in again, nor does a change of another key.
    whole = path.read_bytes()
    replace(path, whole[:-9])
    workers.wait_for_log("keys.unreadable")
    replace(path, whole)
    keys_command(path, "new", "third")
    workers.wait_for_log('"keys":3,"live":1')
    assert all(int(checks) > 0 for checks in workers.end())
    logs = [log.read_text() for log in workers.logs]
    assert [log.count("keys.unreadable") for log in logs] == [1] * WORKERS
    assert not any(text[13:] in log for log in logs)
    assert set(last_use.read(last_use.path_beside(path))) == {text[4:12]}
