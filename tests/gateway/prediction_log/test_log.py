"""What becomes of each row that a request offers: kept or not, whole or not, written or dropped, and always counted."""

import threading

import numpy as np
import pytest
from structlog.testing import capture_logs

from gateway.prediction_log import tensors
from gateway.prediction_log.queue import BATCH_BYTES, BATCH_ROWS
from gateway.prediction_log.row import ROW_BYTES
from gateway.prediction_log.rules import ByModel, Rules
from gateway.prediction_log.tensors import Summarised
from tests.gateway.prediction_log.making import (
    FEATURES,
    PREDICTION,
    ListSink,
    a_label,
    a_log,
    a_row,
    is_exact,
    offer,
    random_id,
)
from tests.waiting import wait_for

IMAGE = {"image": np.random.default_rng(1).uniform(0, 255, (1, 64, 64, 3)).astype(np.uint8)}


@pytest.fixture
def sink():
    return ListSink()


@pytest.fixture
def started():
    """Starts logs, and closes them at the end."""
    logs = []

    def start(log):
        log.start()
        logs.append(log)
        return log

    yield start
    for log in logs:
        log.close()


def written(log, sink, **facts):
    """The only row that the request ``facts`` leaves in the sink."""
    log.start()
    offer(log, **facts)
    log.close()
    (row,) = sink.rows
    return row


def values(data):
    return {name: tensor.tolist() for name, tensor in tensors.decode(data).items()}


def test_a_row_tells_worker_number_time_rate_and_small_tensors(sink):
    log = a_log(sink)
    row = written(log, sink, request_id="r-7")
    assert (row.request_id, row.boot, row.seq, row.sample_rate) == ("r-7", log.boot, 1, 1.0)
    assert 1.7e15 < row.ts < 1e16
    assert values(row.inputs) == {"features": [list(range(10))]}
    assert values(row.outputs) == {"prediction": [[4.25]]}
    assert (row.digest, row.truncated) == (tensors.digest(FEATURES), False)


def test_rows_of_predictions_and_feedback_are_numbered_apart(sink):
    log = a_log(sink)
    log.start()
    for _ in range(3):
        offer(log)
        assert log.feedback(a_label())
    log.close()
    by_table = {table: [row.seq for row in sink.rows if table == row.TABLE] for table in ("predictions", "feedback")}
    assert by_table == {"predictions": [1, 2, 3], "feedback": [1, 2, 3]}
    assert (log.predictions.written, log.feedbacks.written) == (3, 3)


def test_each_worker_has_a_name_of_its_own(sink):
    assert a_log(sink).boot != a_log(sink).boot


def test_an_error_without_tensors_is_a_row_without_them(sink):
    row = written(a_log(sink), sink, inputs=None, outputs=None, status=400, error="INVALID_ARGUMENT")
    assert (row.status, row.error, row.digest, row.inputs, row.outputs) == (400, "INVALID_ARGUMENT", None, None, None)


def test_of_large_tensors_a_summary_is_written_and_the_digest_of_all_of_them(sink):
    row = written(a_log(sink), sink, inputs=IMAGE | FEATURES)
    kept = tensors.decode(row.inputs)
    assert isinstance(kept["image"], Summarised)
    assert kept["features"].tolist() == [list(range(10))]
    assert kept["image"].summary == tensors.summary(IMAGE["image"])
    assert row.digest == tensors.digest(IMAGE | FEATURES)


@pytest.mark.parametrize(
    ("setting", "inputs", "kept_inputs", "kept_outputs"),
    [
        ("none", FEATURES, None, None),
        ("none", IMAGE, None, None),
        ("all", IMAGE, IMAGE, PREDICTION),
        ("small", FEATURES, FEATURES, PREDICTION),
    ],
    ids=["none of small", "none of large", "all", "small"],
)
def test_the_setting_of_the_model_says_which_values_are_kept(sink, setting, inputs, kept_inputs, kept_outputs):
    rules = Rules(values=ByModel("none" if setting != "none" else "all", (("dig*", setting),)))
    row = written(a_log(sink, rules), sink, inputs=inputs)
    for data, kept in ((row.inputs, kept_inputs), (row.outputs, kept_outputs)):
        assert (values(data) if data else None) == ({name: array.tolist() for name, array in kept.items()} if kept else None)
    assert row.digest == tensors.digest(inputs)


def test_a_tensor_that_changes_after_the_answer_is_logged_as_it_was():
    sink = ListSink()
    log = a_log(sink, Rules(values=ByModel("all")))
    whole = np.zeros((4, 1000))
    offer(log, inputs={"x": whole[1:2]})
    whole[:] = 1
    log.start()
    log.close()
    assert values(sink.rows[0].inputs) == {"x": [[0.0] * 1000]}


def test_tensors_larger_than_an_eighth_of_the_queue_are_left_out_and_the_row_says_so(sink):
    row = written(a_log(sink, max_bytes=80_000), sink, inputs=IMAGE)
    assert (row.truncated, row.inputs, row.outputs, row.digest) == (True, None, None, None)


def test_text_of_clients_is_bounded_and_printable(sink):
    row = written(a_log(sink), sink, request_id="x" * 500, model="a\0b\x1b[31m", signature="\udcff", trace_id="t\n")
    assert len(row.request_id) == 200
    assert (row.model, row.signature, row.trace_id) == ("a\\x00b\\x1b[31m", "\\udcff", "t\\n")


def test_answers_and_errors_have_rates_of_their_own_by_model(sink, started):
    log = started(a_log(sink, Rules(ByModel(0.0, (("dense", 1.0),)), ByModel(1.0, (("dense", 0.0),)))))
    for model in ("digits", "dense"):
        for status in (200, 400, 503):
            offer(log, model=model, status=status)
    log.close()
    assert [(row.model, row.status) for row in sink.rows] == [("digits", 400), ("digits", 503), ("dense", 200)]
    assert (log.predictions.offered, log.predictions.unsampled) == (6, 3)


def test_a_retry_with_the_same_id_is_kept_or_left_out_as_the_first_attempt_was(sink, started):
    log, other_worker = (started(a_log(sink, Rules(ByModel(0.5)))) for _ in range(2))
    for _ in range(200):
        request_id = offer(log)
        offer(other_worker, request_id)
    log.close()
    other_worker.close()
    ids = [row.request_id for row in sink.rows]
    assert 0 < len(set(ids)) < 200
    assert all(ids.count(request_id) == 2 for request_id in ids)
    assert {row.sample_rate for row in sink.rows} == {0.5}


def test_nothing_is_made_for_a_row_that_is_not_kept_or_has_no_room(sink):
    made = []

    def facts():
        made.append(1)
        return a_row(), None, None

    unsampled = a_log(sink, Rules(ByModel(0.0)))
    unsampled.offer("r", "digits", 200, facts)
    full = a_log(sink, max_rows=0)
    full.offer("r", "digits", 200, facts)
    assert made == []
    assert (unsampled.predictions.unsampled, full.predictions.full) == (1, 1)


def test_what_goes_wrong_with_a_row_does_not_reach_the_request(sink, started):
    log = started(a_log(sink))
    with capture_logs() as lines:
        log.offer("r", "digits", 200, lambda: (a_row(), {"x": "no tensor"}, None))
        offer(log)
    log.close()
    assert [line["event"] for line in lines] == ["prediction_log.failed"]
    assert (log.predictions.failed, log.predictions.written) == (1, 1)
    assert is_exact(log)


def test_the_queue_is_bounded_in_rows_and_in_bytes():
    by_rows = a_log(ListSink(), max_rows=10)
    by_bytes = a_log(ListSink(), max_bytes=20 * ROW_BYTES)
    for _ in range(50):
        offer(by_rows, inputs=None, outputs=None)
        offer(by_bytes, inputs=None, outputs=None)
    assert (by_rows.predictions.queued, by_rows.predictions.full) == (10, 40)
    assert (by_bytes.predictions.queued, by_bytes.predictions.full) == (20, 30)
    assert by_bytes._queue.bytes == 20 * ROW_BYTES
    assert not by_bytes.feedback(a_label())
    assert by_bytes.feedbacks.full == 1
    assert is_exact(by_rows)
    assert is_exact(by_bytes)


def test_batches_are_bounded_in_rows_and_in_bytes():
    batches = []

    class Batches(ListSink):
        def write(self, rows):
            batches.append(len(rows))

    log = a_log(Batches(), Rules(values=ByModel("all")))
    for _ in range(2500):
        offer(log, inputs=None, outputs=None)
    for _ in range(6):
        offer(log, inputs={"x": np.zeros(BATCH_BYTES // 32)})
    log.start()
    log.close()
    # The first opens the sink. The others hold 1,000 rows at most, or end with the row that fills them.
    assert batches == [0, BATCH_ROWS, BATCH_ROWS, 500 + 4, 2]


def test_a_sink_that_hangs_holds_up_no_request_and_the_end_only_for_the_given_time():
    released = threading.Event()

    class Hanging(ListSink):
        def write(self, rows):
            if rows:
                released.wait()

    log = a_log(Hanging(), max_rows=100)
    log.start()
    with capture_logs() as lines:
        for _ in range(500):
            offer(log)
        log.close(within_s=0.3)
    assert not released.is_set()
    assert (log.predictions.full, log.predictions.stopped, log.predictions.queued) == (400, 100, 0)
    assert [(line["event"], line["lost"]) for line in lines] == [("prediction_log.stopped", 500)]
    offer(log)
    assert log.predictions.stopped == 101
    # What the sink takes after all has been counted as lost, and is not counted again.
    released.set()
    log._writer._thread.join(20)
    assert log.predictions.written == 0
    assert log.predictions.kept == log.predictions.full + log.predictions.stopped


def test_close_writes_what_is_queued(sink):
    log = a_log(sink)
    log.start()
    for _ in range(5000):
        offer(log)
    log.close()
    assert len(sink.rows) == log.predictions.written == 5000
    assert is_exact(log)


def test_a_sink_that_comes_back_gets_every_row_that_waited(sink, started):
    sink.is_away = True
    log = a_log(sink, max_rows=50)
    with capture_logs() as lines:
        started(log)
        wait_for(lambda: sink.attempts >= 3)
        # Each pause is twice as long as the one before, up to five seconds.
        assert sink.attempts < 50
        for _ in range(80):
            offer(log)
        sink.is_away = False
        wait_for(lambda: log.predictions.written == 50)
        wait_for(lambda: len(lines) == 2)
        offer(log)
        wait_for(lambda: log.predictions.written == 51)
    assert [row.seq for row in sink.rows] == [*range(1, 51), 81]
    away, again = lines
    assert (away["event"], away["reason"], away["log_level"]) == ("prediction_log.away", "it is away", "warning")
    # The sink was opened before the rows were written: what was lost is told with the first success.
    assert (again["event"], again["lost"]) == ("prediction_log.back", 30)
    assert is_exact(log)


def test_a_row_that_the_sink_does_not_take_costs_no_other_row(sink, started):
    log = a_log(sink)
    ids = [random_id() for _ in range(1000)]
    sink.disliked = {ids[0], ids[500], ids[999]}
    for request_id in ids:
        offer(log, request_id)
    with capture_logs() as lines:
        started(log)
        wait_for(lambda: lines)
    log.close()
    assert [row.request_id for row in sink.rows] == [one for one in ids if one not in sink.disliked]
    assert (log.predictions.written, log.predictions.refused) == (997, 3)
    (line,) = lines
    assert (line["event"], line["rows"], line["error"]) == ("prediction_log.refused", 3, "ValueError")
    assert "a value of a row" not in str(line)
    assert is_exact(log)


def test_large_tensors_that_cannot_be_encoded_cost_their_own_row_only(sink, started):
    log = a_log(sink)
    offer(log, inputs={"x": np.zeros(1000, "datetime64[s]")})
    offer(log, "next")
    with capture_logs() as lines:
        started(log)
        log.close()
    assert [row.request_id for row in sink.rows] == ["next"]
    assert [(line["event"], line["rows"]) for line in lines] == [("prediction_log.refused", 1)]
    assert (log.predictions.written, log.predictions.refused) == (1, 1)


def test_a_queue_that_is_full_though_the_sink_works_is_logged_too(sink, started):
    log = a_log(sink, max_rows=10)
    for _ in range(15):
        offer(log)
    with capture_logs() as lines:
        started(log)
        wait_for(lambda: lines)
    assert [(line["event"], line["lost"]) for line in lines] == [("prediction_log.full", 5)]


def test_rows_older_than_their_age_are_purged_while_the_log_runs(sink, started):
    log = started(a_log(sink, keep_s=86_400))
    wait_for(lambda: sink.purged)
    offer(log)
    log.close()
    assert 0 <= sink.rows[0].ts - sink.purged[0] - 86_400_000_000 < 600_000_000


def test_old_rows_that_cannot_be_purged_hold_up_no_new_ones(sink, started):
    sink.keeps_old_rows = True
    with capture_logs() as lines:
        log = started(a_log(sink, keep_s=60))
        wait_for(lambda: sink.purged)
        offer(log)
        wait_for(lambda: log.predictions.written)
        log.close()
    assert [(line["event"], line["reason"]) for line in lines] == [("prediction_log.purge_failed", "must not delete")]


def test_without_an_age_nothing_is_purged(sink, started):
    log = started(a_log(sink))
    offer(log)
    wait_for(lambda: log.predictions.written)
    log.close()
    assert sink.purged == []
