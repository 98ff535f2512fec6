"""What every sink does alike: SQLite, PostgreSQL and files."""

import random
import threading

import pytest

from gateway.prediction_log.row import FeedbackRow, PredictionRow
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import Filter, Run, SinkAway
from tests.gateway.prediction_log.making import a_label, a_row

HOUR_US = 3_600_000_000
EVERYTHING = Filter()


@pytest.fixture(params=["sqlite", "postgresql", "file"])
def address(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    return {"sqlite": f"sqlite:///{tmp_path}/log.db", "file": f"file://{tmp_path}/log"}[request.param]


@pytest.fixture
def sink(address):
    """The sink at ``address``."""
    sink = sink_at(address)
    yield sink
    sink.close()


def row(seq, **changes):
    return a_row(**{"ts": seq * 1_000_000, "boot": "b", "seq": seq, "request_id": f"r-{seq}"} | changes)


def seqs(rows):
    return [row.seq for row in rows]


FULL = {
    "ts": 2**53 + 1,
    "trace_id": "t",
    "version": 2**63 - 1,
    "arm": "canary",
    "rollout": "digits 2 to 3",
    "key": "anna",
    "rows": 4,
    "status": 503,
    "error": "UNAVAILABLE",
    "total_us": 2**40,
    "queue_us": 1,
    "backend_us": 2,
    "batch_rows": 64,
    "cache": "joined",
    "sample_rate": 0.1,
    "bytes_in": 2**33,
    "digest": bytes(16),
    "inputs": bytes(range(256)),
    "outputs": b"",
    "truncated": True,
}


@pytest.mark.parametrize("changes", [{}, FULL, {"model": 'Ü\'; DROP TABLE "x" 数%s?:x'}], ids=["plain", "full", "any text"])
def test_a_row_comes_back_with_every_column(sink, changes):
    sent = row(1, **changes)
    sink.write([sent])
    assert list(sink.read(PredictionRow, EVERYTHING)) == [sent]


def test_the_full_row_leaves_no_column_at_its_default():
    plain, full = a_row(), row(1, request_id="r-1", **FULL)
    alike = {name for name in PredictionRow.__struct_fields__ if getattr(plain, name) == getattr(full, name)}
    assert alike == {"request_id", "model", "signature", "dialect", "bytes_out"}  # which have no default


def test_feedback_is_a_table_of_its_own(sink):
    label = a_label(ts=7, boot="b", seq=1, label='{"digit":[7,null,"\\u0000"]}')
    sink.write([row(1), label])
    assert list(sink.read(FeedbackRow, EVERYTHING)) == [label]
    assert seqs(sink.read(PredictionRow, EVERYTHING)) == [1]


def test_rows_are_read_in_the_order_of_time_over_workers_and_batches(sink):
    numbers = list(range(1, 1001))
    random.Random(5).shuffle(numbers)
    rows = [row(number, ts=number * HOUR_US // 100, boot="ab"[number % 2]) for number in numbers]
    for boot in "ab":  # each worker writes its rows in order
        mine = sorted((one for one in rows if one.boot == boot), key=lambda one: one.ts)
        for start in range(0, len(mine), 130):
            sink.write(mine[start : start + 130])
    assert seqs(sink.read(PredictionRow, EVERYTHING)) == sorted(numbers)
    assert seqs(sink.read(PredictionRow, Filter(newest=150))) == sorted(numbers)[-150:]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (EVERYTHING, [1, 2, 3, 4]),
        (Filter(from_us=2_000_000), [2, 3, 4]),
        (Filter(to_us=2_000_000), [1]),
        (Filter(from_us=2_000_000, to_us=3_000_001), [2, 3]),
        (Filter(model="dense"), [2]),
        (Filter(version=3), [1, 3]),
        (Filter(model="digits", version=4), [4]),
        (Filter(models=frozenset({"digits", "x"})), [1, 3, 4]),
        (Filter(models=frozenset()), []),
        (Filter(models=frozenset({"dense"}), model="digits"), []),
        (Filter(statuses=range(200, 300)), [1, 3]),
        (Filter(statuses=range(503, 504)), [4]),
        (Filter(statuses=range(400, 504), model="digits"), [4]),
        (Filter(statuses=range(400, 500), newest=1), [2]),
        (Filter(request_ids=frozenset({"r-3", "r-1", "r-9"})), [1, 3]),
        (Filter(request_ids=frozenset()), []),
        (Filter(newest=2), [3, 4]),
        (Filter(newest=1, model="dense"), [2]),
        (Filter(newest=9), [1, 2, 3, 4]),
    ],
    ids=str,
)
def test_a_filter_reads_what_it_says(sink, where, found):
    sink.write([row(1), row(2, model="dense", version=1, status=499), row(3), row(4, version=4, status=503)])
    assert seqs(sink.read(PredictionRow, where)) == found


def test_feedback_has_no_model_and_no_status_to_filter_by(sink):
    sink.write([a_label(boot="b", seq=1), a_label(boot="b", seq=2, request_id="r-2")])
    assert seqs(sink.read(FeedbackRow, Filter(model="dense", version=9))) == [1, 2]
    assert seqs(sink.read(FeedbackRow, Filter(models=frozenset({"dense"}), statuses=range(500, 600)))) == [1, 2]
    assert seqs(sink.read(FeedbackRow, Filter(request_ids=frozenset({"r-2"})))) == [2]


def test_the_runs_of_workers_show_their_gaps(sink):
    lost = {5, 6, 9}
    sink.write([row(seq) for seq in range(1, 11) if seq not in lost])
    sink.write([row(seq, boot="c", ts=HOUR_US) for seq in (1, 2)])
    assert sink.runs(PredictionRow) == [Run("b", 1, 10, 7), Run("c", 1, 2, 2)]
    assert [run.missing for run in sink.runs(PredictionRow)] == [3, 0]
    assert sink.runs(FeedbackRow) == []


def test_purge_deletes_old_rows_of_both_tables_in_parts_until_none_is_left(sink):
    old = [row(seq, ts=seq) for seq in range(1, 2501)]
    sink.write([*old, row(9000, ts=3 * HOUR_US), a_label(boot="b", seq=1, ts=5), a_label(boot="b", seq=2, ts=3 * HOUR_US)])
    counts = []
    while count := sink.purge(2 * HOUR_US):
        counts.append(count)
    assert sum(counts) == 2501
    assert len(counts) > 1
    assert seqs(sink.read(PredictionRow, EVERYTHING)) == [9000]
    assert seqs(sink.read(FeedbackRow, EVERYTHING)) == [2]


def test_a_sink_is_made_ready_without_rows_and_by_several_at_once(address, sink):
    sinks = [sink_at(address) for _ in range(8)]
    start = threading.Barrier(len(sinks))
    errors = []

    def make_ready(sink, number):
        start.wait()
        try:
            sink.write([])
            sink.write([row(number, boot=str(number))])
        except SinkAway as away:
            errors.append(away)
        finally:
            sink.close()

    threads = [threading.Thread(target=make_ready, args=(sink, number)) for number, sink in enumerate(sinks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list(sink.read(PredictionRow, EVERYTHING))) == len(sinks)
