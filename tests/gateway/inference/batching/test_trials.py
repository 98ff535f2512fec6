"""Until a signature is proven its requests are called alone; what is called together besides answers no request."""

import asyncio
import contextlib
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from structlog.testing import capture_logs

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, InvalidArgument
from gateway.inference.batching import dispatcher, record
from gateway.inference.batching.batcher import Batcher
from gateway.inference.batching.difference import Difference
from gateway.inference.batching.limits import BatchLimits
from gateway.inference.batching.probe_rows import PROBE_COUNT
from gateway.inference.batching.record import Kind
from gateway.inference.batching.records import Records
from gateway.inference.signature import ModelRef
from tests.gateway.inference.batching.row_models import MODEL, SIGNATURE, VERSION_1, ModelBackend, is_idle, signature
from tests.gateway.inference.event_loop import on_loop, turns, until

LIMITS = BatchLimits(max_rows=16, max_in_flight=1, max_queued_rows=1000)
KIND = Kind(MODEL, SIGNATURE, ())


class Clients:
    """Calls, each from a task of its own."""

    def __init__(self, backend, records, limits):
        self.backend = backend
        self.records = records
        self.batcher = Batcher(backend, limits, records)
        self.tasks = []

    def start(self, *rows, model=MODEL, sig=SIGNATURE, outputs=(), timeout_s=10.0):
        x = np.float32([[row, 0] for row in rows])
        call = self.batcher.predict(model, sig, {"x": x}, outputs, Deadline.after(timeout_s))
        self.tasks.append(asyncio.create_task(call))
        return self.tasks[-1]

    async def together(self, *requests, **named):
        """Several requests that are all at the backend at the same time; each is the rows of one."""
        self.backend.gate.clear()
        before = len(self.backend.calls)
        tasks = []
        for rows in requests:
            tasks.append(self.start(*rows, **named))
            await until(lambda: len(self.backend.calls) == before + len(tasks))
        self.backend.gate.set()
        return [await task for task in tasks]

    async def queued(self, rows):
        """Return when ``rows`` rows wait."""
        await until(lambda: self.batcher._dispatcher._queued_rows == rows)

    async def settle(self):
        """Wait until nothing is called or compared any more."""
        await until(lambda: is_idle(self.batcher))


@pytest.fixture
def backend():
    return ModelBackend()


@pytest.fixture
def many_alone(monkeypatch):
    """Many unproven requests are called alone at a time."""
    monkeypatch.setattr(dispatcher, "_FEW_ALONE", 64)


@pytest.fixture
def long_hold(monkeypatch):
    """Requests may wait for a proof for as long as a test may take."""
    monkeypatch.setattr(dispatcher, "_LONGEST_HOLD_S", 10.0)
    monkeypatch.setattr(dispatcher, "_HOLD_OF_DEADLINE", 1.0)


@contextlib.asynccontextmanager
async def asking(backend, proofs=2, **limits):
    """Clients of a batcher, which holds nothing of them in the end."""
    clients = Clients(backend, Records(proofs), replace(LIMITS, **limits))
    yield clients
    await asyncio.gather(*clients.tasks, return_exceptions=True)
    await clients.settle()
    assert clients.batcher._dispatcher._trials._held == 0
    assert clients.batcher._dispatcher._queues == {}
    await clients.batcher.close()


async def prove(clients, **named):
    """Let a signature earn its batches."""
    for number in range(clients.records._proofs):
        await clients.together([number], [number + 10], [number + 20], **named)
        await clients.settle()


@on_loop
async def test_a_model_under_light_load_is_never_called_more_often_than_asked(backend):
    async with asking(backend) as clients:
        for number in range(20):
            await clients.start(number)
        await clients.settle()
        assert backend.rows_called() == [1] * 20
        assert not clients.records.of(KIND).is_joined


@on_loop
async def test_two_clients_in_turn_are_no_trial(backend):
    """One waits for no other, so there would be no second request in its batch."""
    async with asking(backend) as clients:
        await clients.together([1], [2])
        await clients.settle()
        assert backend.rows_called() == [1, 1]


@on_loop
async def test_the_first_few_unproven_requests_wait_for_no_other(backend):
    """All are at the backend at once, though it answers none of them."""
    async with asking(backend, max_queued_rows=1) as clients:
        answers = await clients.together(*[[number] for number in range(4)])
        assert [answer.outputs["y"][0][0] for answer in answers] == [number * 3 + 1 for number in range(4)]


async def held(clients, count):
    """``count`` requests of something unproven, of which four are at the backend and the others wait for a proof."""
    clients.backend.gate.clear()
    before = len(clients.backend.calls)
    tasks = [clients.start(number, number + 0.5) for number in range(count)]
    await until(lambda: len(clients.backend.calls) == before + 4)
    await clients.queued(2 * (count - 4))
    return tasks


@on_loop
async def test_further_requests_wait_for_the_proof_and_join_a_batch_as_soon_as_there_is_one(backend, long_hold):
    later, run = asyncio.Event(), backend.predict

    async def stuck_after_the_first(model, sig, inputs, outputs, deadline, *, spans=()):
        if len(inputs["x"]) == 2 and len(backend.calls) >= 4:
            await later.wait()
        return await run(model, sig, inputs, outputs, deadline)

    backend.predict = stuck_after_the_first
    async with asking(backend, proofs=1, max_rows=32) as clients:
        tasks = await held(clients, 40)
        await turns(10)
        assert len(backend.calls) == 4
        backend.gate.set()
        # Four more are called alone before the first comparison is over, and the others never.
        await until(lambda: sum(task.done() for task in tasks) == 36)
        later.set()
        answers = [await task for task in tasks]
        assert [answer.outputs["y"][0][0] for answer in answers] == [number * 3 + 1 for number in range(40)]
        assert [answer.is_shared for answer in answers] == [False] * 8 + [True] * 32


@on_loop
async def test_requests_that_wait_for_a_proof_are_called_alone_when_the_verdict_is_against_it(backend, long_hold):
    backend.run = lambda x: {"y": np.cumsum(x, axis=0)}
    async with asking(backend, proofs=1) as clients:
        tasks = await held(clients, 30)
        backend.gate.set()
        assert [(await task).outputs["y"][0][0] for task in tasks] == list(range(30))
        assert not any([(await task).is_shared for task in tasks])
        assert clients.records.verdict(VERSION_1)


@on_loop
async def test_no_request_waits_long_for_a_proof_that_does_not_come(backend):
    """The wait is an eighth of the deadline here."""
    async with asking(backend, max_alone=20) as clients:
        await held(clients, 30)
        await until(lambda: len(backend.calls) == 20)
        await clients.queued(20)
        assert not is_idle(clients.batcher)
        backend.gate.set()


@on_loop
async def test_the_wait_for_a_proof_comes_once_for_each_version(backend):
    async with asking(backend, proofs=100) as clients:
        await clients.start(1)
        for version in (1, 2):
            backend.version = version
            await clients.start(1)
            backend.calls.clear()
            await held(clients, 12)
            await until(lambda: len(backend.calls) == 12)
            backend.gate.set()
            await asyncio.gather(*clients.tasks)
            await clients.settle()
            assert not clients.records.of(KIND).may_hold
            # From now on all are at the backend at once.
            await clients.together(*[[number] for number in range(12)])
            await clients.settle()


@pytest.mark.parametrize("how", ["timeout", "cancel"])
@on_loop
async def test_one_that_is_given_up_while_it_waits_for_a_proof_is_not_called(backend, long_hold, how):
    async with asking(backend) as clients:
        await held(clients, 4)
        given_up = clients.start(77, timeout_s=0.05 if how == "timeout" else 10)
        await clients.queued(1)
        if how == "cancel":
            given_up.cancel()
        with pytest.raises((DeadlineExceeded, asyncio.CancelledError)):
            await given_up
        await clients.queued(0)
        backend.gate.set()
        await asyncio.gather(*clients.tasks, return_exceptions=True)
        assert not any((call == 77).any() for call in backend.calls)


@on_loop
async def test_a_lone_call_that_is_cancelled_makes_place_for_the_next(backend, long_hold):
    async with asking(backend) as clients:
        tasks = await held(clients, 10)
        tasks[3].cancel()
        await until(lambda: len(backend.calls) == 5)
        backend.gate.set()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [number == 3 for number in range(10)]


@on_loop
async def test_the_requests_that_would_have_been_joined_are_called_together_once_they_are_answered(backend):
    async with asking(backend) as clients:
        answers = await clients.together([1], [2, 3], [4])
        await clients.settle()
        assert backend.rows_called() == [1, 2, 1, 3 + PROBE_COUNT]
        assert np.array_equal(backend.calls[-1][:3, 0], [2, 3, 4])
        assert not any(answer.is_shared for answer in answers)


@on_loop
async def test_trials_differ_in_what_is_beside_the_requests(backend):
    """Probe rows, of two kinds; the first request once more; nothing."""
    async with asking(backend, proofs=8) as clients:
        beside = []
        for _ in range(5):
            await clients.together([0], [1], [2])
            await clients.settle()
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
@on_loop
async def test_a_dependence_that_the_requests_do_not_show_is_found_beside_other_rows(backend, run, before):
    """The requests are in order, positive and small."""
    async with asking(backend, proofs=8) as clients:
        backend.run = run
        for _ in range(before + 1):
            assert clients.records.verdict(VERSION_1) is None
            await clients.together([0], [1], [2])
            await clients.settle()
        assert "differs" in clients.records.verdict(VERSION_1)


@on_loop
async def test_a_model_that_refuses_probe_rows_is_compared_without_them(backend):
    run = backend.predict

    async def picky(model, sig, inputs, outputs, deadline, *, spans=()):
        answer = await run(model, sig, inputs, outputs, deadline)
        if (inputs["x"][:, 1] != 0).any():
            raise InvalidArgument("unknown number")
        return answer

    backend.predict = picky
    async with asking(backend, proofs=2) as clients:
        await prove(clients)
        assert clients.records.of(KIND).is_joined
        assert [len(call) for call in backend.calls if len(call) > 1] == [4, 2, 4, 2]


async def crowd(clients, count, first):
    """``count`` requests of one row, all of them waiting for one call before they are joined; their answers."""
    backend = clients.backend
    backend.gate.clear()
    before = len(backend.calls)
    tasks = [clients.start(first)]
    await until(lambda: len(backend.calls) == before + 1)
    tasks += [clients.start(first + number) for number in range(1, count)]
    await clients.queued(count - 1)
    backend.gate.set()
    return [await task for task in tasks]


@on_loop
async def test_a_batch_has_at_most_as_many_rows_as_were_compared_and_grows_when_more_are_waiting(backend):
    async with asking(backend, proofs=2) as clients:
        await prove(clients)
        most = [clients.records.of(KIND).most_rows]
        assert most == [2]
        while most[-1] < LIMITS.max_rows:
            backend.calls.clear()
            answers = await crowd(clients, 60, first=100)
            assert [answer.outputs["y"][0][0] for answer in answers] == [number * 3 + 1 for number in range(100, 160)]
            await until(lambda: clients.records.of(KIND).most_rows > most[-1])
            most.append(clients.records.of(KIND).most_rows)
            await clients.settle()
        assert all(later <= 2 * earlier for earlier, later in pairwise(most)) or most[-1] == LIMITS.max_rows


@on_loop
async def test_batches_grow_to_what_waits_when_every_second_one_takes_all_that_is_left(backend):
    async with asking(backend, proofs=2) as clients:
        await prove(clients)
        clients.records.of(KIND).most_rows = 6
        for _ in range(3):
            await crowd(clients, 11, first=100)
            await clients.settle()
        assert clients.records.of(KIND).most_rows == 10
        backend.calls.clear()
        await crowd(clients, 11, first=100)
        await clients.settle()
        assert backend.rows_called() == [1, 10]


@on_loop
async def test_a_larger_call_that_the_model_refuses_is_not_tried_again_for_a_while(backend, monkeypatch):
    monkeypatch.setattr(record, "_FIRST_PAUSE_S", 60.0)
    run = backend.predict

    async def small(model, sig, inputs, outputs, deadline, *, spans=()):
        if len(inputs["x"]) > 6:
            backend.calls.append(inputs["x"])
            raise InvalidArgument("out of memory")
        return await run(model, sig, inputs, outputs, deadline)

    async with asking(backend, proofs=2) as clients:
        await prove(clients)
        clients.records.of(KIND).most_rows = 6
        backend.predict = small
        for _ in range(4):
            await crowd(clients, 11, first=100)
            await clients.settle()
        assert sum(rows > 6 for rows in backend.rows_called()) == 1


@on_loop
async def test_no_larger_call_is_compared_while_batches_take_all_that_waits(backend):
    """What arrives while a batch is in flight did not wait for a place in it."""
    async with asking(backend, proofs=2) as clients:
        await prove(clients)
        clients.records.of(KIND).most_rows = 8
        backend.calls.clear()
        for number in range(6):
            backend.gate.clear()
            tasks = [clients.start(number) for number in range(5)]
            await until(lambda: len(backend.calls) == 1)
            tasks += [clients.start(number) for number in range(5)]
            await clients.queued(5)
            backend.gate.set()
            await asyncio.gather(*tasks)
            await clients.settle()
            assert backend.rows_called() == [5, 5], number
            backend.calls.clear()
        assert clients.records.of(KIND).most_rows == 8


@pytest.mark.parametrize("capacity", [2, 3, 5, 8, 13])
@on_loop
async def test_a_model_that_answers_only_the_first_rows_of_a_call_is_never_wrong(backend, capacity):
    """As a mixture of experts with a capacity does."""
    backend.run = lambda x: {"y": np.where(np.arange(len(x))[:, None] < capacity, x, 0)}
    async with asking(backend, proofs=2) as clients:
        for _ in range(2):
            await clients.together([1], [2], [3])
            await clients.settle()
        for _ in range(8):
            backend.takes_s = 0.001
            tasks = [clients.start(100 + number) for number in range(40)]
            assert [(await task).outputs["y"][0][0] for task in tasks] == list(range(100, 140))
        await clients.settle()


@on_loop
async def test_several_trials_are_made_at_a_time_and_no_more_than_are_needed(backend, many_alone):
    async with asking(backend, proofs=3) as clients:
        await clients.together(*[[number] for number in range(30)])
        await clients.settle()
        assert sum(rows > 1 for rows in backend.rows_called()) == 3
        assert clients.records.of(KIND).is_joined


@on_loop
async def test_equal_comparisons_earn_the_batches_and_then_no_more_are_made(backend):
    async with asking(backend, proofs=2) as clients:
        await prove(clients)
        assert clients.records.of(KIND).is_joined
        backend.calls.clear()
        backend.gate.clear()
        tasks = [clients.start(100)]
        await until(lambda: len(backend.calls) == 1)
        tasks += [clients.start(number) for number in (101, 102)]
        await clients.queued(2)
        backend.gate.set()
        assert [(await task).is_shared for task in tasks] == [False, True, True]
        await clients.settle()
        assert backend.rows_called() == [1, 2]


@on_loop
async def test_requests_that_are_all_the_same_prove_nothing_and_are_called_alone(backend):
    async with asking(backend, proofs=1) as clients:
        for _ in range(3):
            await clients.together([7], [7, 7], [7])
            await clients.settle()
        assert sorted(backend.rows_called()) == [1] * 6 + [2] * 3
        assert not clients.records.of(KIND).is_joined


@on_loop
async def test_a_difference_ends_it_for_this_signature_of_this_version(backend):
    async with asking(backend) as clients:
        backend.run = lambda x: {"y": np.cumsum(x, axis=0)}
        await clients.together([1], [2], [3])
        await clients.settle()
        assert "differs" in clients.records.verdict(VERSION_1)
        backend.run = lambda x: {"y": x}
        before = len(backend.calls)
        for _ in range(4):
            await clients.together([1], [2], [3])
            await clients.settle()
        assert len(backend.calls) == before + 12
        await prove(clients, sig=signature(name="other"))
        assert clients.records.of(Kind(MODEL, signature(name="other"), ())).is_joined


@on_loop
async def test_a_new_version_starts_anew(backend):
    async with asking(backend) as clients:
        await prove(clients)
        backend.version = 2
        answers = await clients.together([1])
        assert answers[0].version == 2
        backend.calls.clear()
        answers = await clients.together([1], [2], [3])
        await clients.settle()
        assert not any(answer.is_shared for answer in answers)
        assert backend.rows_called() == [1, 1, 1, 2 + 1]


@on_loop
async def test_rows_of_a_batch_that_another_version_answered_are_not_handed_out(backend):
    """A rollout falls between the joining of a batch and its call: the new version has proven nothing yet."""
    async with asking(backend) as clients:
        await prove(clients)
        backend.calls.clear()
        backend.gate.clear()
        first = clients.start(100)
        await until(lambda: len(backend.calls) == 1)
        others = [clients.start(number) for number in (1, 2)]
        await clients.queued(2)
        run = backend.predict

        async def roll_out(*arguments, **spans):
            if len(arguments[2]["x"]) == 2:
                backend.version = 2
                backend.run = lambda x: {"y": np.cumsum(x, axis=0)}
            return await run(*arguments, **spans)

        backend.predict = roll_out
        backend.gate.set()
        assert (await first).version == 1
        answers = [(await other) for other in others]
        assert [(answer.version, answer.outputs["y"][0][0], answer.is_shared) for answer in answers] == [
            (2, 1, False),
            (2, 2, False),
        ]


async def answered_by_another(clients, happens):
    """Four requests whose call is answered after ``happens``, which the moment of their being joined did not know of."""
    backend, run = clients.backend, clients.backend.predict
    clients.records.of(KIND).most_rows = 8

    async def late(*arguments, **spans):
        if len(arguments[2]["x"]) == 4:
            backend.predict = run
            happens()
        return await run(*arguments, **spans)

    backend.predict = late
    backend.gate.clear()
    before = len(backend.calls)
    first = clients.start(100)
    await until(lambda: len(backend.calls) == before + 1)
    others = [clients.start(number) for number in (1, 2, 3, 4)]
    await clients.queued(4)
    backend.gate.set()
    await first
    return [await other for other in others]


def first_three(x):
    return {"y": np.where(np.arange(len(x))[:, None] < 3, x * 3 + 1, 0)}


@on_loop
async def test_rows_of_a_batch_larger_than_was_compared_for_the_version_that_answered_are_not_handed_out(backend):
    """The new version is proven too, for fewer rows: it answers only the first three of a call."""
    async with asking(backend) as clients:
        await prove(clients)
        await prove(clients, model=ModelRef("m", version=2))

        def roll_out():
            backend.version, backend.run = 2, first_three

        answers = await answered_by_another(clients, roll_out)
        assert [answer.outputs["y"][0][0] for answer in answers] == [4, 7, 10, 13]
        assert {answer.version for answer in answers} == {2}


@on_loop
async def test_rows_of_a_batch_are_not_handed_out_before_the_version_that_answered_is_proven(backend):
    """Some of its comparisons were made, of calls as large."""
    async with asking(backend) as clients:
        await prove(clients)

        def roll_out():
            backend.version, backend.run = 2, first_three
            clients.records.answered(Kind(ModelRef("m", 2), SIGNATURE, ()), 2).count_proof(8)

        answers = await answered_by_another(clients, roll_out)
        assert [answer.outputs["y"][0][0] for answer in answers] == [4, 7, 10, 13]
        assert not any(answer.is_shared for answer in answers)


@on_loop
async def test_rows_of_a_batch_are_not_handed_out_when_there_is_a_verdict_by_then(backend):
    async with asking(backend) as clients:
        await prove(clients)

        def refuse():
            backend.run = first_three
            clients.records.refuse(VERSION_1, Difference("y", "differs"))

        answers = await answered_by_another(clients, refuse)
        assert [answer.outputs["y"][0][0] for answer in answers] == [4, 7, 10, 13]
        assert not any(answer.is_shared for answer in answers)


def most_lone_calls(backend):
    """How many calls of one row are at the backend, noted at each of them."""
    under_way, noted, run = 0, [], backend.predict

    async def counted(model, sig, inputs, outputs, deadline, *, spans=()):
        nonlocal under_way
        is_lone = len(inputs["x"]) == 1
        under_way += is_lone
        noted.append(under_way)
        try:
            await turns(3)
            return await run(model, sig, inputs, outputs, deadline)
        finally:
            under_way -= is_lone

    backend.predict = counted
    return noted


@on_loop
async def test_a_batch_that_a_new_version_answered_waits_for_its_proof(backend, long_hold):
    async with asking(backend, proofs=2, max_rows=32) as clients:
        await prove(clients)
        clients.records.of(KIND).most_rows = 32
        backend.gate.clear()
        backend.calls.clear()
        first = clients.start(100)
        await until(lambda: backend.calls)
        others = [clients.start(number) for number in range(32)]
        await clients.queued(32)
        backend.version, backend.run = 2, lambda x: {"y": x * 5}
        most = most_lone_calls(backend)
        backend.gate.set()
        await first
        answers = [await other for other in others]
        assert [(answer.version, answer.outputs["y"][0][0]) for answer in answers] == [(2, 5 * number) for number in range(32)]
        assert any(answer.is_shared for answer in answers)
        assert max(most) == 4


@on_loop
async def test_an_error_of_a_comparison_that_was_not_foreseen_is_in_the_log(backend):
    async with asking(backend, sample_every=1) as clients:
        run = backend.predict

        async def buggy(model, sig, inputs, outputs, deadline, *, spans=()):
            if len(inputs["x"]) > 1:
                raise ZeroDivisionError
            return await run(model, sig, inputs, outputs, deadline)

        backend.predict = buggy
        with capture_logs() as events:
            await clients.together([1], [2], [3])
            await clients.settle()
        assert [event["event"] for event in events] == ["batch.trial_failed"]
        assert clients.records.of(KIND).failed_trials == 1
        backend.predict = run
        clients.records.of(KIND).next_trial_s = 0.0
        await prove(clients)

        async def fails_alone(model, sig, inputs, outputs, deadline, *, spans=()):
            if len(inputs["x"]) == 1 and inputs["x"][0, 0] in (1, 2):
                raise ZeroDivisionError
            return await run(model, sig, inputs, outputs, deadline)

        backend.predict = fails_alone
        with capture_logs() as events:
            await asyncio.gather(clients.start(1), clients.start(2))
            await clients.settle()
        assert [event["event"] for event in events] == ["batch.trial_failed"]


@on_loop
async def test_comparisons_that_are_under_way_or_wait_end_with_the_batcher_and_none_is_an_error(backend, caplog):
    clients = Clients(backend, Records(8), LIMITS)
    comparing = asyncio.Event()
    run = backend.predict

    async def slow_together(model, sig, inputs, outputs, deadline, *, spans=()):
        if len(inputs["x"]) > 1:
            comparing.set()
            await asyncio.Event().wait()
        return await run(model, sig, inputs, outputs, deadline)

    backend.predict = slow_together
    for _ in range(4):
        await clients.together([1], [2], [3])
    await comparing.wait()
    with capture_logs() as events:
        await clients.batcher.close()
        assert not clients.batcher._dispatcher._comparisons._tasks
        # And no further one begins.
        await clients.together([1], [2], [3])
        assert not clients.batcher._dispatcher._comparisons._tasks
    assert events == []
    assert caplog.records == []


@on_loop
async def test_two_comparisons_are_made_at_a_time(backend, many_alone):
    async with asking(backend, proofs=8) as clients:
        under_way, most, run = 0, [], backend.predict

        async def counted(model, sig, inputs, outputs, deadline, *, spans=()):
            nonlocal under_way
            if len(inputs["x"]) == 1:
                return await run(model, sig, inputs, outputs, deadline)
            under_way += 1
            most.append(under_way)
            await turns(20)
            under_way -= 1
            return await run(model, sig, inputs, outputs, deadline)

        backend.predict = counted
        for _ in range(3):
            await clients.together(*[[number] for number in range(8)])
        await clients.settle()
        assert max(most) == 2


@on_loop
async def test_large_answers_are_compared_as_small_ones_are(backend):
    backend.run = lambda x: {"y": np.repeat(x, 2**17, axis=1)}
    async with asking(backend, proofs=1) as clients:
        await prove(clients)
        assert clients.records.of(KIND).is_joined


@on_loop
async def test_proofs_count_for_each_set_of_fetched_outputs(backend):
    async with asking(backend) as clients:
        backend.run = lambda x: {"y": x, "z": x * 2}
        two = signature(*[(name, *SIGNATURE.outputs[0].__getstate__()[1:3]) for name in "yz"])
        await prove(clients, sig=two, outputs=("y",))
        assert clients.records.of(Kind(MODEL, two, ("y",))).is_joined
        assert not clients.records.of(Kind(MODEL, two, ())).is_joined
        await clients.together([1], [2], [3], sig=two)
        await clients.settle()
        assert clients.records.of(Kind(MODEL, two, ())).proofs_left == 1


@on_loop
async def test_a_version_asked_for_by_number_has_what_the_latest_has_proven(backend):
    async with asking(backend) as clients:
        await prove(clients)
        await clients.start(1, model=ModelRef("m", version=1))
        assert clients.records.of(Kind(ModelRef("m", version=1), SIGNATURE, ())).is_joined


@on_loop
async def test_an_error_is_no_verdict_and_the_next_trial_waits_a_while(backend, monkeypatch):
    monkeypatch.setattr(record, "_FIRST_PAUSE_S", 60.0)
    async with asking(backend) as clients:
        backend.error = InvalidArgument("only one row at a time")
        for _ in range(3):
            await clients.together([1], [2], [3])
            await clients.settle()
        # Once beside probe rows, and once without them.
        assert sum(rows > 1 for rows in backend.rows_called()) == 2
        assert clients.records.verdict(VERSION_1) is None
        assert not clients.records.of(KIND).is_joined


@on_loop
async def test_after_an_error_a_signature_can_still_be_proven(backend, monkeypatch):
    monkeypatch.setattr(record, "_FIRST_PAUSE_S", 0.0)
    async with asking(backend) as clients:
        backend.error = InvalidArgument("out of memory")
        await clients.together([1], [2], [3])
        await clients.settle()
        backend.error = None
        await prove(clients)
        assert clients.records.of(KIND).is_joined


@on_loop
async def test_pauses_grow_to_their_bound(backend):
    async with asking(backend) as clients:
        known = clients.records.answered(KIND, 1)
        pauses = []
        for _ in range(14):
            known.pause_trials()
            pauses.append(known.next_trial_s - time.monotonic())
        assert pauses[0] <= record._FIRST_PAUSE_S
        assert all(later > 1.5 * pause for pause, later in pairwise(pauses[:9]))
        assert max(pauses) <= record._LONGEST_PAUSE_S


@on_loop
async def test_a_shared_call_that_times_out_is_no_verdict(backend):
    async with asking(backend) as clients:
        run = backend.predict

        async def never_together(model, sig, inputs, outputs, deadline, *, spans=()):
            if len(inputs["x"]) > 1:
                raise deadline.exceeded()
            return await run(model, sig, inputs, outputs, deadline)

        backend.predict = never_together
        await clients.together([1], [2], [3])
        await clients.settle()
        known = clients.records.of(KIND)
        assert (known.proofs_left, known.failed_trials) == (2, 1)
        assert clients.records.verdict(VERSION_1) is None


@on_loop
async def test_answers_of_two_versions_are_no_verdict(backend):
    async with asking(backend) as clients:
        run = backend.predict

        async def newer_together(model, sig, inputs, outputs, deadline, *, spans=()):
            if len(inputs["x"]) > 1:
                backend.version, backend.run = 2, lambda x: {"y": x * 0}
            return await run(model, sig, inputs, outputs, deadline)

        backend.predict = newer_together
        await clients.together([1], [2], [3])
        await clients.settle()
        assert clients.records.verdict(VERSION_1) is None
        assert clients.records.verdict(VERSION_1._replace(version=2)) is None


@on_loop
async def test_a_request_that_fails_alone_leaves_the_trial_to_the_others(backend):
    async with asking(backend) as clients:
        run = backend.predict

        async def picky(model, sig, inputs, outputs, deadline, *, spans=()):
            answer = await run(model, sig, inputs, outputs, deadline)
            if (inputs["x"] == 13).any():
                raise InvalidArgument("13 is bad")
            return answer

        backend.predict = picky
        backend.gate.clear()
        tasks = []
        for number in (1, 13, 3, 4):
            tasks.append(clients.start(number))
            await until(lambda: len(backend.calls) == len(tasks))
        backend.gate.set()
        with pytest.raises(InvalidArgument):
            (await tasks[1])
        await clients.settle()
        assert np.array_equal(backend.calls[-1][:2, 0], [3, 4])
        assert clients.records.of(KIND).proofs_left == 1


@on_loop
async def test_a_trial_is_no_larger_than_a_batch(backend, many_alone):
    async with asking(backend, proofs=1) as clients:
        await clients.together([0], *[[number] * 5 for number in range(1, 6)])
        await clients.settle()
        assert max(backend.rows_called()) == 15


@on_loop
async def test_models_that_are_switched_off_are_never_joined(backend):
    async with asking(backend, never=("other", "m*")) as clients:
        for _ in range(3):
            await clients.together([1], [2], [3])
        assert backend.rows_called() == [1] * 9
        assert not clients.records._by_kind


@on_loop
async def test_a_sample_is_compared_after_it_was_answered(backend):
    async with asking(backend, sample_every=1) as clients:
        await prove(clients)
        backend.calls.clear()
        backend.gate.clear()
        tasks = [clients.start(100)]
        await until(lambda: len(backend.calls) == 1)
        tasks += [clients.start(number) for number in (1, 2)]
        await clients.queued(2)
        backend.run = lambda x: {"y": x * len(x)}
        backend.gate.set()
        assert [(await task).is_shared for task in tasks] == [False, True, True]
        await until(lambda: clients.records.verdict(VERSION_1))
        assert backend.rows_called() == [1, 2, 1, 1]
