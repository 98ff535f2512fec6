"""What is known about joining a signature: how it is earned, how it is lost, and how all workers learn it."""

import numpy as np
import pytest
from structlog.testing import capture_logs

from gateway.inference.batching.difference import NOT_ROWS, Difference
from gateway.inference.batching.record import Kind
from gateway.inference.batching.records import Records
from gateway.inference.batching.verdict_file import VerdictFile
from gateway.inference.signature import ModelRef, Prediction
from tests.gateway.inference.batching.row_models import MODEL, SIGNATURE, VERSION_1, signature

KIND = Kind(MODEL, SIGNATURE, ())
FOUND = Difference("y", NOT_ROWS)
SHARED = Prediction("m", 1, "serving_default", {"y": np.zeros(1)}, batch_rows=8)


@pytest.fixture
def workers(tmp_path):
    """The records of two workers of one gateway."""
    path = tmp_path / "verdicts"
    made = [Records(1, VerdictFile(path)) for _ in range(2)]
    yield made
    for records in made:
        records.close()


def refuse(records, found=FOUND, record=None):
    record = record or proven(records)
    records.refuse(record.key, found)


def proven(records, kind=KIND, version=1):
    record = records.answered(kind, version)
    while not record.is_joined:
        record.count_proof(8)
    return record


def test_a_verdict_is_told_once_in_the_log_and_reaches_every_worker(workers):
    one, other = workers
    theirs = proven(other)
    with capture_logs() as events:
        refuse(one)
        refuse(one, record=one.of(KIND))
        other.take_news()
        refuse(other, record=theirs)
    assert not theirs.is_joined
    assert other.verdict(VERSION_1) == "output y: not one row for each input row"
    assert [event for event in events if event["event"] == "batch.not_joined"] == [
        {
            "event": "batch.not_joined",
            "log_level": "warning",
            "part": "batching",
            "model": "m",
            "version": 1,
            "signature": "serving_default",
            "output": "y",
            "how": NOT_ROWS,
        }
    ]


def test_a_worker_that_starts_later_knows_the_verdicts(workers, tmp_path):
    refuse(workers[0], record=workers[0].answered(KIND, 1))
    later = Records(1, VerdictFile(tmp_path / "verdicts"))
    later.take_news()
    assert not later.answered(KIND, 1).is_joined
    later.answered(KIND, 1).count_proof(8)
    assert not later.answered(KIND, 1).is_joined
    later.close()


def test_a_verdict_says_nothing_of_other_versions_and_signatures(workers):
    records = workers[0]
    refuse(records)
    assert proven(records, version=2).is_joined
    assert proven(records, Kind(MODEL, signature(name="other"), ())).is_joined


def test_a_verdict_holds_for_every_set_of_outputs(workers):
    records = workers[0]
    some = Kind(MODEL, SIGNATURE, ("y",))
    record = proven(records, some)
    refuse(records)
    assert not record.is_joined


def test_a_version_that_left_and_came_back_starts_anew_in_every_worker(workers):
    one, other = workers
    refuse(one)
    other.take_news()
    one.forget({("m", 1)})
    for records in workers:
        assert records.verdict(VERSION_1) is None
        assert not records.of(KIND).is_joined
        assert records.answered(KIND, 1).proofs_left == 1


def test_a_version_that_was_proven_and_left_is_not_proven_when_it_comes_back(workers):
    records = workers[0]
    record = proven(records)
    records.forget({("m", 1)})
    assert not record.is_joined
    assert not records.answered(KIND, 1).is_joined


def test_a_version_that_one_worker_saw_leave_starts_anew_in_all(workers):
    one, other = workers
    theirs = proven(other)
    proven(one)
    one.forget({("m", 1)})
    other.take_news()
    assert not theirs.is_joined
    assert not other.of(KIND).is_joined


def test_every_output_without_rows_is_known_to_all_workers(workers):
    one, other = workers
    refuse(one)
    refuse(one, Difference("z", NOT_ROWS), one.of(KIND))
    refuse(one, Difference("w", "differs"), one.of(KIND))
    other.take_news()
    for records in workers:
        assert records.without_rows(VERSION_1) == {"y", "z"}
        assert records.verdict(VERSION_1) == str(FOUND)


def test_requests_are_joined_up_to_the_rows_that_were_compared():
    records = Records(2)
    record = records.answered(KIND, 1)
    for rows in (3, 5, 4):
        record.count_proof(rows)
    assert (record.is_joined, record.most_rows) == (True, 5)
    assert Records(0).answered(KIND, 1).most_rows > 10**6


def test_answers_cut_from_a_batch_are_trusted_only_while_the_signature_is_proven():
    records = Records(1)
    proven(records)
    assert records.trusts(SHARED)
    told = []
    records.on_verdict = told.append
    refuse(records, record=records.of(KIND))
    assert told == ["m"]
    assert not records.trusts(SHARED)
    assert records.trusts(Prediction("m", 1, "serving_default", {}))
    assert not Records(0).trusts(SHARED)


def test_kinds_are_bounded_and_a_verdict_outlives_them(monkeypatch):
    records = Records(1)
    record = proven(records)
    for number in range(5000):
        records.answered(Kind(ModelRef("m", label=str(number)), SIGNATURE, ()), 1)
    assert len(records._by_kind) <= 4096
    assert not records.of(KIND).is_joined
    refuse(records, record=record)
    assert not records.answered(KIND, 1).is_joined


def test_a_disk_that_is_full_costs_no_verdict(workers):
    class Full(VerdictFile):
        def tell(self, news):
            raise OSError(28, "No space left on device")

    records = workers[0]
    records._shared.__class__ = Full
    with capture_logs() as events:
        refuse(records)
    assert records.verdict(VERSION_1)
    assert events[-1]["event"] == "batch.verdict_not_shared"
