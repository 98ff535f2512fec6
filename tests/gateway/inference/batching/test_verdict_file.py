"""Workers tell each other news through a file that only grows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.inference.batching.verdict_file import VerdictFile
from tests.waiting import wait_for


@pytest.fixture
def path(tmp_path):
    return tmp_path / "verdicts"


def test_news_reach_all_once_and_in_order(path):
    one, other = VerdictFile(path), VerdictFile(path)
    for number in range(3):
        one.tell({"n": number})
    assert [news["n"] for news in other.news()] == [0, 1, 2]
    assert other.news() == []
    other.tell({"n": 3})
    assert [news["n"] for news in one.news()] == [0, 1, 2, 3]
    assert [news["n"] for news in VerdictFile(path).news()] == [0, 1, 2, 3]


def test_a_line_that_is_not_whole_yet_is_read_when_it_is(path):
    reader = VerdictFile(path)
    with path.open("ab", buffering=0) as writer:
        writer.write(b'{"n": 1}\n{"n"')
        assert reader.news() == [{"n": 1}]
        assert reader.news() == []
        writer.write(b": 2}\n")
        assert reader.news() == [{"n": 2}]


def test_only_its_owner_can_read_it(path):
    VerdictFile(path)
    assert path.stat().st_mode & 0o777 == 0o600 & ~os.umask(0o022)


def test_many_processes_lose_no_news_and_see_none_twice(path):
    """Each of them tells and reads in turn; what it has seen in the end is what all have told."""
    code = (
        "import sys, pathlib; from gateway.inference.batching.verdict_file import VerdictFile\n"
        "file, first = VerdictFile(pathlib.Path(sys.argv[1])), int(sys.argv[2])\n"
        "seen = []\n"
        "for number in range(first, first + 100):\n"
        "    file.tell({'n': number, 'text': 'x' * (number % 97)})\n"
        "    seen += [news['n'] for news in file.news()]\n"
        "sys.stdin.read()\n"
        "print(sorted(seen + [news['n'] for news in file.news()]) == list(range(400)))\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[4],
        )
        for first in range(0, 400, 100)
    ]
    wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") == 400)
    assert [worker.communicate()[0] for worker in workers] == ["True\n"] * 4
