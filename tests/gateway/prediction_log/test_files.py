"""What is particular to the folder of JSON lines: names of files, whole lines, and a disk that is full in the middle."""

import json
import os
import resource

import pytest

from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import Filter, SinkAway
from tests.gateway.prediction_log.making import a_label, a_row

HOUR_US = 3_600_000_000
NOON_US = 1_795_694_400_000_000  # 2026-11-26T12:00:00Z


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "a folder"


@pytest.fixture
def sink(folder):
    return sink_at(f"file://{str(folder).replace(' ', '%20')}")


def row(seq, ts, boot="0a"):
    return a_row(ts=ts, boot=boot, seq=seq)


def seqs(sink, **where):
    return [row.seq for row in sink.read(PredictionRow, Filter(**where))]


def test_there_is_a_file_for_each_table_hour_and_worker(sink, folder):
    sink.write([row(1, NOON_US - 1), row(2, NOON_US), row(3, NOON_US + HOUR_US - 1), row(1, NOON_US, boot="0b")])
    sink.write([a_label(ts=NOON_US, boot="0a", seq=1)])
    lines = {path.name: len(path.read_text().splitlines()) for path in folder.iterdir()}
    assert lines == {
        "predictions-20261126T11-0a.jsonl": 1,
        "predictions-20261126T12-0a.jsonl": 2,
        "predictions-20261126T12-0b.jsonl": 1,
        "feedback-20261126T12-0a.jsonl": 1,
    }
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}  # it may be personal data


def test_a_line_is_an_object_with_the_columns_and_binary_ones_in_base64(sink, folder):
    sink.write([a_row(ts=NOON_US, boot="0a", seq=1, digest=b"\x00\xff")])
    (path,) = folder.iterdir()
    document = json.loads(path.read_text())
    assert tuple(document) == PredictionRow.__struct_fields__
    assert (document["ts"], document["digest"], document["inputs"]) == (NOON_US, "AP8=", None)


def test_a_part_of_a_line_that_a_killed_worker_left_does_not_count(sink, folder):
    sink.write([row(1, NOON_US), row(2, NOON_US)])
    (path,) = folder.iterdir()
    os.truncate(path, path.stat().st_size - 5)
    assert seqs(sink) == [1]


def test_a_line_that_is_no_row_is_named(sink, folder):
    sink.write([row(1, NOON_US)])
    (path,) = folder.iterdir()
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(SinkAway, match=f"{path.name}: line 2 is no row of predictions"):
        seqs(sink)


def test_the_newest_rows_are_read_from_the_end_of_the_files(sink, folder):
    """What stands before them is not looked at, be it no row at all."""
    sink.write([row(seq, NOON_US + seq) for seq in range(1, 2001)])
    sink.write([row(seq, NOON_US + seq, boot="0b") for seq in range(1, 11)])
    path = folder / "predictions-20261126T12-0a.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([b"no row\n", *lines[1:], lines[0][:50]]))  # and a part of a line at the end
    assert seqs(sink, newest=1000) == list(range(1001, 2001))
    assert seqs(sink, newest=5, to_us=NOON_US + 1001) == list(range(996, 1001))
    with pytest.raises(SinkAway, match=f"{path.name}: the line at byte 0 is no row of predictions"):
        seqs(sink, newest=3000)
    older = [row(seq, NOON_US - HOUR_US + seq) for seq in range(1, 4)]
    sink.write(older)
    assert seqs(sink, newest=2, to_us=NOON_US) == [2, 3]


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_lines_of_any_length_are_read_from_both_ends_alike(sink, size):
    rows = [a_row(ts=NOON_US + seq, boot="0a", seq=seq, inputs=bytes(size if seq % 2 else 7)) for seq in range(1, 6)]
    sink.write(rows)
    assert list(sink.read(PredictionRow, Filter(newest=9))) == rows == list(sink.read(PredictionRow, Filter()))
    assert list(sink.read(PredictionRow, Filter(newest=3))) == rows[-3:]


def test_files_of_others_are_left_alone(sink, folder):
    sink.write([row(1, NOON_US)])
    (folder / "predictions-old.jsonl").write_text("no row\n")
    (folder / "notes.txt").write_text("mine")
    assert seqs(sink) == [1]
    assert sink.purge(NOON_US * 2) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "predictions-old.jsonl"]


def test_only_whole_hours_are_purged(sink):
    sink.write([row(1, NOON_US), row(2, NOON_US + HOUR_US)])
    assert sink.purge(NOON_US + HOUR_US - 1) == 0
    assert sink.purge(NOON_US + HOUR_US) == 1
    assert seqs(sink) == [2]


def test_a_write_that_finds_the_disk_full_leaves_no_part_of_a_batch(sink, folder):
    """A batch over two files, of which the second is the one that does not fit."""
    sink.write([row(1, NOON_US)])
    (first,) = folder.iterdir()
    size = first.stat().st_size
    batch = [row(2, NOON_US), *(row(seq, NOON_US + HOUR_US) for seq in range(3, 100))]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(SinkAway):
            sink.write(batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert seqs(sink) == [1]
    assert first.stat().st_size == size
    sink.write(batch)
    assert seqs(sink) == list(range(1, 100))


@pytest.mark.parametrize("place", ["/proc/no", "/dev/null/log", "/no/such/folder"])
def test_a_folder_that_cannot_be_written_is_away(place):
    with pytest.raises(SinkAway):
        sink_at(f"file://{place}").write([])


def test_a_folder_that_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(SinkAway, match="No such file or directory"):
        seqs(sink_at(f"file://{tmp_path}/no"))
