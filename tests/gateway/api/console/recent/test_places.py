"""Lines and documents: whoever reads finds all of them, whatever happens to the files; a full disk costs only what is new."""

import errno
import resource
from contextlib import contextmanager

import pytest

from gateway.api.console.recent import shared_place
from gateway.api.console.recent.own_place import OwnPlace
from gateway.api.console.recent.place import MOST_LINES
from gateway.api.console.recent.shared_place import SharedPlace

NO_ROOM = "File too large|No space left"


@contextmanager
def files_up_to(most_bytes: int):
    """As if the disk were full: without root, ENOSPC is EFBIG. Only for the block: what pytest prints may go to a file, too."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.fixture(params=["shared", "own"])
def place(request, tmp_path):
    return SharedPlace(tmp_path) if request.param == "shared" else OwnPlace()


def line(number: int) -> bytes:
    return b"%d\n" % number


def numbers(lines: list[bytes]) -> list[int]:
    return [int(one) for one in lines]


def test_a_reader_gets_each_line_once_in_their_order(place):
    reader = place.reader()
    assert reader.read()[1] == []
    read = []
    for number in range(3 * MOST_LINES):
        place.append(line(number))
        if number % 7 == 0:
            follows, lines = reader.read()
            assert follows or not read
            read += numbers(lines)
    read += numbers(reader.read()[1])
    assert read == list(range(3 * MOST_LINES))
    assert reader.read() == (True, [])


def test_a_new_reader_gets_the_last_lines_at_least(place):
    for number in range(5 * MOST_LINES // 2):
        place.append(line(number))
    found = numbers(place.reader().read()[1])
    assert found == list(range(found[0], 5 * MOST_LINES // 2))
    assert MOST_LINES <= len(found) <= 2 * MOST_LINES


def test_a_reader_that_was_away_for_long_is_told_that_lines_are_lost(place):
    reader = place.reader()
    place.append(line(0))
    reader.read()
    for number in range(1, 5 * MOST_LINES):
        place.append(line(number))
    follows, lines = reader.read()
    assert not follows
    assert numbers(lines)[-1] == 5 * MOST_LINES - 1
    place.append(line(9))
    follows, lines = reader.read()
    assert (follows, numbers(lines)) == (True, [9])


def test_long_lines_take_a_bounded_room(tmp_path):
    place, reader = SharedPlace(tmp_path), SharedPlace(tmp_path).reader()
    long = b"x" * (1 << 20) + b"\n"
    for _ in range(40):
        place.append(long)
        reader.read()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * (shared_place.MOST_BYTES + len(long))


def test_a_line_without_room_leaves_nothing_behind(tmp_path):
    place = SharedPlace(tmp_path)
    reader = place.reader()
    place.append(line(1))
    with files_up_to(8), pytest.raises(OSError, match=NO_ROOM) as told:
        place.append(b"123456789\n")
    assert told.value.errno in (errno.EFBIG, errno.ENOSPC)
    place.append(line(2))
    assert numbers(reader.read()[1]) == [1, 2]


def test_a_line_that_is_not_whole_yet_is_read_when_it_is(tmp_path):
    place = SharedPlace(tmp_path)
    reader = place.reader()
    place.append(b"1\n2")
    assert numbers(reader.read()[1]) == [1]
    place.append(b"3\n")
    assert numbers(reader.read()[1]) == [23]


def test_documents_are_replaced_found_and_removed(place):
    assert place.read("a-1") is None
    assert place.stamp("a-1") is None
    place.write("a-1", b"old")
    first = place.stamp("a-1")
    place.write("a-1", b"new")
    place.write("b-1", b"other")
    assert (place.read("a-1"), place.stamp("a-1") == first) == (b"new", False)
    assert place.names("a-") == ["a-1"]
    place.remove("a-1")
    place.remove("a-1")
    assert place.names("") == ["b-1"] or "a-1" not in place.names("")


def test_a_document_without_room_leaves_the_old_one(tmp_path):
    place = SharedPlace(tmp_path)
    place.write("a", b"old")
    with files_up_to(4), pytest.raises(OSError, match=NO_ROOM):
        place.write("a", b"much longer")
    assert place.read("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
