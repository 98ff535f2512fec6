"""Until a signature is proven its requests are called alone, at once; what is called together besides answers nobody."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import InvalidArgument
from gateway.inference.batching import strangers, trials
from gateway.inference.batching.batcher import Batcher, BatchLimits
from gateway.inference.batching.record import Kind, Records
from gateway.inference.signature import ModelRef
from tests.gateway.inference.batching.row_models import MODEL, SIGNATURE, ModelBackend, signature
from tests.waiting import wait_for

LIMITS = BatchLimits(max_rows=16, max_wait_s=0.0, max_in_flight=1, max_queued_rows=1000)
KIND = Kind(MODEL, SIGNATURE, ())


class Clients:
    """Calls from threads of their own."""

    def __init__(self, backend, records, limits=LIMITS):
        self.backend = backend
        self.records = records
        self.batcher = Batcher(backend, limits, records)
        self.pool = ThreadPoolExecutor(64)

    def start(self, *rows, model=MODEL, sig=SIGNATURE, outputs=(), timeout_s=10.0):
        x = np.float32([[row, 0] for row in rows])
        return self.pool.submit(self.batcher.predict, model, sig, {"x": x}, outputs, Deadline.after(timeout_s))

    def together(self, *members, **named):
        """Several requests that are all at the backend at the same time; each is the rows of one."""
        self.backend.gate.clear()
        before = len(self.backend.calls)
        futures = []
        for rows in members:
            futures.append(self.start(*rows, **named))
            wait_for(lambda: len(self.backend.calls) == before + len(futures))
        self.backend.gate.set()
        return [future.result(15) for future in futures]

    def settle(self):
        """Wait until nothing is called or compared any more."""
        wait_for(lambda: self.batcher._trials.is_idle)
        places = [self.batcher._trials._places.acquire(timeout=10) for _ in range(trials._THREADS)]
        assert all(places)
        self.batcher._trials._places.release(len(places))


@pytest.fixture
def backend():
    return ModelBackend()


@pytest.fixture
def make(backend):
    made = []

    def clients(proofs=2, limits=LIMITS):
        made.append(Clients(backend, Records(proofs), limits))
        return made[-1]

    yield clients
    for one in made:
        one.pool.shutdown()
        one.settle()
        assert one.batcher._trials._gathering._held == 0


def prove(clients, **named):
    """Let a signature earn its batches."""
    for number in range(clients.records.proofs):
        clients.together([number], [number + 10], [number + 20], **named)
        clients.settle()


def test_a_model_under_light_load_is_never_called_more_often_than_asked(make, backend):
    clients = make()
    for number in range(20):
        clients.start(number).result(15)
    clients.settle()
    assert backend.rows_called() == [1] * 20
    assert not clients.records.of(KIND).is_joined


def test_two_clients_in_turn_are_no_trial(make, backend):
    """One waits for nobody, so there would be no second request in its batch."""
    clients = make()
    clients.together([1], [2])
    clients.settle()
    assert backend.rows_called() == [1, 1]


def test_no_unproven_request_waits_for_another(make, backend):
    """All are at the backend at once, though it answers none of them."""
    clients = make(limits=replace(LIMITS, max_queued_rows=1))
    answers = clients.together(*[[number] for number in range(12)])
    assert [answer.outputs["y"][0][0] for answer in answers] == [number * 3 + 1 for number in range(12)]


def test_the_requests_that_would_have_been_joined_are_called_together_once_they_are_answered(make, backend):
    clients = make()
    answers = clients.together([1], [2, 3], [4])
    clients.settle()
    assert backend.rows_called() == [1, 2, 1, 3 + strangers.COUNT]
    assert np.array_equal(backend.calls[-1][:3, 0], [2, 3, 4])
    assert not any(answer.is_shared for answer in answers)


def test_trials_differ_in_what_is_beside_the_requests(make, backend):
    """Rows that nobody sent, of two kinds; the first request once more; nothing."""
    clients = make(proofs=8)
    beside = []
    for _ in range(5):
        clients.together([0], [1], [2])
        clients.settle()
        beside.append(backend.calls[-1][2:, 0].tolist())
        assert np.array_equal(backend.calls[-1][:2, 0], [1, 2])
    assert beside == [[0, 1], [-1000, 1000], [1], [], [0, 1]]


@pytest.mark.parametrize(
    ("run", "before"),
    [
        (lambda x: {"y": np.sort(x, axis=0)}, 0),
        (lambda x: {"y": x / max(5.0, np.abs(x).max())}, 1),
        (lambda x: {"y": x[::-1]}, 0),
        (lambda x: {"y": np.where(x.min() < 0, 0, x)}, 1),
    ],
    ids=["sorted", "divided by the largest", "reversed", "cleared beside a negative number"],
)
def test_a_dependence_that_the_requests_do_not_show_is_found_beside_other_rows(make, backend, run, before):
    """The requests are in order, positive and small."""
    clients = make(proofs=8)
    backend.run = run
    for _ in range(before + 1):
        assert clients.records.verdict("m", 1, "serving_default") is None
        clients.together([0], [1], [2])
        clients.settle()
    assert "differs" in clients.records.verdict("m", 1, "serving_default")


def test_a_model_that_refuses_rows_that_nobody_sent_is_compared_without_them(make, backend):
    run = backend.predict

    def picky(model, sig, inputs, outputs, deadline):
        answer = run(model, sig, inputs, outputs, deadline)
        if (inputs["x"][:, 1] != 0).any():
            raise InvalidArgument("unknown number")
        return answer

    backend.predict = picky
    clients = make(proofs=2)
    prove(clients)
    assert clients.records.of(KIND).is_joined
    assert [len(call) for call in backend.calls if len(call) > 1] == [4, 2, 4, 2]


def crowd(clients, count, first):
    """``count`` requests of one row, all of them waiting for one call before they are joined; their answers."""
    backend = clients.backend
    backend.gate.clear()
    before = len(backend.calls)
    futures = [clients.start(first)]
    wait_for(lambda: len(backend.calls) == before + 1)
    futures += [clients.start(first + number) for number in range(1, count)]
    wait_for(lambda: clients.batcher._queued_rows == count - 1)
    backend.gate.set()
    return [future.result(15) for future in futures]


def test_a_batch_has_at_most_as_many_rows_as_were_compared_and_grows_when_more_are_waiting(make, backend):
    clients = make(proofs=2)
    prove(clients)
    most = [clients.records.of(KIND).most_rows]
    assert most == [2]
    while most[-1] < LIMITS.max_rows:
        backend.calls.clear()
        answers = crowd(clients, 60, first=100)
        assert [answer.outputs["y"][0][0] for answer in answers] == [number * 3 + 1 for number in range(100, 160)]
        wait_for(lambda: clients.records.of(KIND).most_rows > most[-1])
        most.append(clients.records.of(KIND).most_rows)
        clients.settle()
    assert all(later <= 2 * earlier for earlier, later in pairwise(most)) or most[-1] == LIMITS.max_rows


@pytest.mark.parametrize("capacity", [2, 3, 5, 8, 13])
def test_a_model_that_answers_only_the_first_rows_of_a_call_is_never_wrong(make, backend, capacity):
    """As a mixture of experts with a capacity does."""
    backend.run = lambda x: {"y": np.where(np.arange(len(x))[:, None] < capacity, x, 0)}
    clients = make(proofs=2)
    for _ in range(2):
        clients.together([1], [2], [3])
        clients.settle()
    for _ in range(8):
        backend.takes_s = 0.001
        futures = [clients.start(100 + number) for number in range(40)]
        assert [future.result(15).outputs["y"][0][0] for future in futures] == list(range(100, 140))
    clients.settle()


def test_several_trials_are_made_at_a_time_and_no_more_than_are_needed(make, backend):
    clients = make(proofs=3)
    clients.together(*[[number] for number in range(30)])
    clients.settle()
    assert sum(rows > 1 for rows in backend.rows_called()) == 3
    assert clients.records.of(KIND).is_joined


def test_equal_comparisons_earn_the_batches_and_then_no_more_are_made(make, backend):
    clients = make(proofs=2)
    prove(clients)
    assert clients.records.of(KIND).is_joined
    backend.calls.clear()
    backend.gate.clear()
    futures = [clients.start(100)]
    wait_for(lambda: len(backend.calls) == 1)
    futures += [clients.start(number) for number in (101, 102)]
    wait_for(lambda: clients.batcher._queued_rows == 2)
    backend.gate.set()
    assert [future.result(15).is_shared for future in futures] == [False, True, True]
    clients.settle()
    assert backend.rows_called() == [1, 2]


def test_requests_that_are_all_the_same_prove_nothing_and_are_called_alone(make, backend):
    clients = make(proofs=1)
    for _ in range(3):
        clients.together([7], [7, 7], [7])
        clients.settle()
    assert sorted(backend.rows_called()) == [1] * 6 + [2] * 3
    assert not clients.records.of(KIND).is_joined


def test_a_difference_ends_it_for_this_signature_of_this_version(make, backend):
    clients = make()
    backend.run = lambda x: {"y": np.cumsum(x, axis=0)}
    clients.together([1], [2], [3])
    clients.settle()
    assert "differs" in clients.records.verdict("m", 1, "serving_default")
    backend.run = lambda x: {"y": x}
    before = len(backend.calls)
    for _ in range(4):
        clients.together([1], [2], [3])
        clients.settle()
    assert len(backend.calls) == before + 12
    prove(clients, sig=signature(name="other"))
    assert clients.records.of(Kind(MODEL, signature(name="other"), ())).is_joined


def test_a_new_version_starts_anew(make, backend):
    clients = make()
    prove(clients)
    backend.version = 2
    answers = clients.together([1])
    assert answers[0].version == 2
    backend.calls.clear()
    answers = clients.together([1], [2], [3])
    clients.settle()
    assert not any(answer.is_shared for answer in answers)
    assert backend.rows_called() == [1, 1, 1, 2 + 1]


def test_rows_of_a_batch_that_another_version_answered_are_not_handed_out(make, backend):
    """A rollout falls between the joining of a batch and its call: the new version has proven nothing yet."""
    clients = make()
    prove(clients)
    backend.calls.clear()
    backend.gate.clear()
    first = clients.start(100)
    wait_for(lambda: len(backend.calls) == 1)
    others = [clients.start(number) for number in (1, 2)]
    wait_for(lambda: clients.batcher._queued_rows == 2)
    run = backend.predict

    def roll_out(*arguments):
        if len(arguments[2]["x"]) == 2:
            backend.version = 2
            backend.run = lambda x: {"y": np.cumsum(x, axis=0)}
        return run(*arguments)

    backend.predict = roll_out
    backend.gate.set()
    assert first.result(15).version == 1
    answers = [other.result(15) for other in others]
    assert [(answer.version, answer.outputs["y"][0][0], answer.is_shared) for answer in answers] == [
        (2, 1, False),
        (2, 2, False),
    ]


def test_rows_of_a_batch_larger_than_was_compared_for_the_version_that_answered_are_not_handed_out(make, backend):
    """The new version is proven too, for fewer rows: it answers only the first three of a call."""
    clients = make()
    prove(clients, model=ModelRef("m", version=2))
    backend.run = lambda x: {"y": x * 3 + 1}
    clients.together(*[[number] * 2 for number in range(5)])
    clients.settle()
    clients.together(*[[number] * 2 for number in range(5)])
    clients.settle()
    assert clients.records.of(KIND).most_rows > 3
    backend.calls.clear()
    backend.gate.clear()
    first = clients.start(100)
    wait_for(lambda: len(backend.calls) == 1)
    others = [clients.start(number) for number in (1, 2, 3, 4)]
    wait_for(lambda: clients.batcher._queued_rows == 4)
    backend.version, backend.run = 2, lambda x: {"y": np.where(np.arange(len(x))[:, None] < 3, x * 3 + 1, 0)}
    backend.gate.set()
    first.result(15)
    assert [other.result(15).outputs["y"][0][0] for other in others] == [4, 7, 10, 13]


def test_proofs_count_for_each_set_of_fetched_outputs(make, backend):
    clients = make()
    backend.run = lambda x: {"y": x, "z": x * 2}
    two = signature(*[(name, *SIGNATURE.outputs[0].__getstate__()[1:3]) for name in "yz"])
    prove(clients, sig=two, outputs=("y",))
    assert clients.records.of(Kind(MODEL, two, ("y",))).is_joined
    assert clients.records.of(Kind(MODEL, two, ())) is None
    clients.together([1], [2], [3], sig=two)
    clients.settle()
    assert clients.records.of(Kind(MODEL, two, ())).proofs_left == 1


def test_a_version_asked_for_by_number_has_what_the_latest_has_proven(make, backend):
    clients = make()
    prove(clients)
    clients.start(1, model=ModelRef("m", version=1)).result(15)
    assert clients.records.of(Kind(ModelRef("m", version=1), SIGNATURE, ())).is_joined


def test_an_error_is_no_verdict_and_the_next_trial_waits_a_while(make, backend, monkeypatch):
    monkeypatch.setattr(trials, "_FIRST_PAUSE_S", 60.0)
    clients = make()
    backend.error = InvalidArgument("only one row at a time")
    for _ in range(3):
        clients.together([1], [2], [3])
        clients.settle()
    # Once beside rows that nobody sent, and once without them.
    assert sum(rows > 1 for rows in backend.rows_called()) == 2
    assert clients.records.verdict("m", 1, "serving_default") is None
    assert not clients.records.of(KIND).is_joined


def test_after_an_error_a_signature_can_still_be_proven(make, backend, monkeypatch):
    monkeypatch.setattr(trials, "_FIRST_PAUSE_S", 0.0)
    clients = make()
    backend.error = InvalidArgument("out of memory")
    clients.together([1], [2], [3])
    clients.settle()
    backend.error = None
    prove(clients)
    assert clients.records.of(KIND).is_joined


def test_pauses_grow_to_their_bound(make, backend):
    clients = make()
    record = clients.records.answered(KIND, 1)
    pauses = []
    for _ in range(14):
        clients.batcher._trials._note_no_verdict(record, "m")
        pauses.append(record.next_trial_s - time.monotonic())
    assert pauses[0] <= trials._FIRST_PAUSE_S
    assert all(later > 1.5 * pause for pause, later in pairwise(pauses[:9]))
    assert max(pauses) <= trials._LONGEST_PAUSE_S


def test_a_shared_call_that_times_out_is_no_verdict(make, backend):
    clients = make()
    run = backend.predict

    def never_together(model, sig, inputs, outputs, deadline):
        if len(inputs["x"]) > 1:
            raise deadline.exceeded()
        return run(model, sig, inputs, outputs, deadline)

    backend.predict = never_together
    clients.together([1], [2], [3])
    clients.settle()
    record = clients.records.of(KIND)
    assert (record.proofs_left, record.failed_trials) == (2, 1)
    assert clients.records.verdict("m", 1, "serving_default") is None


def test_answers_of_two_versions_are_no_verdict(make, backend):
    clients = make()
    run = backend.predict

    def newer_together(model, sig, inputs, outputs, deadline):
        if len(inputs["x"]) > 1:
            backend.version, backend.run = 2, lambda x: {"y": x * 0}
        return run(model, sig, inputs, outputs, deadline)

    backend.predict = newer_together
    clients.together([1], [2], [3])
    clients.settle()
    assert clients.records.verdict("m", 1, "serving_default") is None
    assert clients.records.verdict("m", 2, "serving_default") is None


def test_a_request_that_fails_alone_leaves_the_trial_to_the_others(make, backend):
    clients = make()
    run = backend.predict

    def picky(model, sig, inputs, outputs, deadline):
        answer = run(model, sig, inputs, outputs, deadline)
        if (inputs["x"] == 13).any():
            raise InvalidArgument("13 is bad")
        return answer

    backend.predict = picky
    backend.gate.clear()
    futures = []
    for number in (1, 13, 3, 4):
        futures.append(clients.start(number))
        wait_for(lambda: len(backend.calls) == len(futures))
    backend.gate.set()
    with pytest.raises(InvalidArgument):
        futures[1].result(15)
    clients.settle()
    assert np.array_equal(backend.calls[-1][:2, 0], [3, 4])
    assert clients.records.of(KIND).proofs_left == 1


def test_a_trial_is_no_larger_than_a_batch(make, backend):
    clients = make(proofs=1)
    clients.together([0], *[[number] * 5 for number in range(1, 6)])
    clients.settle()
    assert max(backend.rows_called()) == 15


def test_models_that_are_switched_off_are_never_joined(make, backend):
    clients = make(limits=replace(LIMITS, never=("other", "m*")))
    for _ in range(3):
        clients.together([1], [2], [3])
    assert backend.rows_called() == [1] * 9
    assert clients.records.of(KIND) is None


def test_a_sample_is_compared_after_it_was_answered(make, backend):
    clients = make(limits=replace(LIMITS, sample_every=1))
    prove(clients)
    backend.calls.clear()
    backend.gate.clear()
    futures = [clients.start(100)]
    wait_for(lambda: len(backend.calls) == 1)
    futures += [clients.start(number) for number in (1, 2)]
    wait_for(lambda: clients.batcher._queued_rows == 2)
    backend.run = lambda x: {"y": x * len(x)}
    backend.gate.set()
    assert [future.result(15).is_shared for future in futures] == [False, True, True]
    wait_for(lambda: clients.records.verdict("m", 1, "serving_default"))
    assert backend.rows_called() == [1, 2, 1, 1]
