"""Workers tell each other news through a file that only grows."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.inference.batching.verdict_file import VerdictFile


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


def test_many_threads_lose_no_news_and_see_none_twice(path):
    files = [VerdictFile(path) for _ in range(4)]
    seen = [[] for _ in files]

    def work(number):
        files[number % 4].tell({"n": number})
        seen[number % 4].extend(news["n"] for news in files[number % 4].news())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(400)))
    for file, news in zip(files, seen, strict=True):
        assert sorted(news + [line["n"] for line in file.news()]) == list(range(400))
