"""A question is asked once, however many want to know; what befalls one of them is not felt by the others."""

import asyncio
import random

import pytest

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Internal, Unavailable
from gateway.inference.single_flight import Abandoned, SingleFlight
from tests.event_loop import on_loop, until

LATER_S = 10.0


class Asked:
    """What a test asks: each call waits for ``gate`` and then gives the next of ``outcomes``, or its own number."""

    def __init__(self, *outcomes: object) -> None:
        self.calls = 0
        self.gate = asyncio.Event()
        self.flights: SingleFlight[object] = SingleFlight()
        self._outcomes = list(outcomes)

    async def __call__(self) -> object:
        self.calls += 1
        outcome = self._outcomes.pop(0) if self._outcomes else self.calls
        await self.gate.wait()
        await asyncio.sleep(0)  # a call takes a moment, also when the gate is open
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def ask(self, timeout_s: float = LATER_S, key: str = "q") -> asyncio.Task[object]:
        return asyncio.create_task(self.flights.ask(key, Deadline.after(timeout_s), self))

    def ask_anew(self) -> asyncio.Task[object]:
        return asyncio.create_task(self.flights.ask_anew("q", Deadline.after(LATER_S), self))


async def held(asked: Asked, count: int) -> list[asyncio.Task[object]]:
    """``count`` that ask the same: the first of them calls, the others wait."""
    tasks = [asked.ask() for _ in range(count)]
    await until(lambda: asked.calls == 1 and asked.flights.waiting == count - 1)
    return tasks


async def outcomes(tasks: list[asyncio.Task[object]]) -> list[object]:
    return await asyncio.gather(*tasks, return_exceptions=True)


@on_loop
async def test_those_that_ask_the_same_meanwhile_get_the_answer():
    asked = Asked()
    tasks = await held(asked, 5)
    asked.gate.set()
    assert await outcomes(tasks) == [1] * 5
    assert (len(asked.flights), asked.flights.waiting) == (0, 0)
    assert await asked.ask() == 2


@on_loop
async def test_those_that_wait_get_the_error_each_as_an_instance_of_its_own():
    asked = Asked(Unavailable("away", retry_after_s=7))
    tasks = await held(asked, 5)
    asked.gate.set()
    errors = await outcomes(tasks)
    assert [(type(error), str(error), error.retry_after_s) for error in errors] == [(Unavailable, "away", 7)] * 5
    assert len({id(error) for error in errors}) == 5


@on_loop
async def test_another_question_waits_for_nobody():
    asked = Asked()
    await held(asked, 2)
    other = asked.ask(key="another")
    await until(lambda: asked.calls == 2)
    asked.gate.set()
    assert await other == 2


@on_loop
async def test_one_that_waits_has_a_deadline_of_its_own():
    asked = Asked()
    tasks = await held(asked, 3)
    with pytest.raises(DeadlineExceeded, match="50 ms"):
        await asked.ask(timeout_s=0.05)
    with pytest.raises(DeadlineExceeded):
        await asked.ask(timeout_s=-1.0)
    assert asked.flights.waiting == 2
    asked.gate.set()
    assert await outcomes(tasks) == [1] * 3


@pytest.mark.parametrize("is_cancelled", [True, False], ids=["cancelled", "timed out"])
@on_loop
async def test_when_the_one_that_calls_is_gone_the_next_calls_for_the_rest(is_cancelled):
    asked = Asked() if is_cancelled else Asked(Deadline.after(0.05).exceeded())
    first, *others = await held(asked, 5)
    if is_cancelled:
        first.cancel()
        await until(lambda: asked.calls == 2 and asked.flights.waiting == 3)
    asked.gate.set()
    assert isinstance((await outcomes([first]))[0], asyncio.CancelledError if is_cancelled else DeadlineExceeded)
    assert await outcomes(others) == [2] * 4


@on_loop
async def test_one_that_waits_and_is_cancelled_leaves_the_call_alone():
    asked = Asked()
    first, second, third = await held(asked, 3)
    second.cancel()
    await until(lambda: asked.flights.waiting == 1)
    asked.gate.set()
    assert await outcomes([first, third]) == [1, 1]
    assert second.cancelled()


@on_loop
async def test_an_error_that_nobody_waits_for_is_only_its_callers():
    asked = Asked(Internal("mine"))
    asked.gate.set()
    with pytest.raises(Internal, match="mine"):
        await asked.ask()


@on_loop
async def test_an_outcome_that_was_abandoned_is_told_to_those_that_wait_for_it_alone():
    asked = Asked()
    (first,) = await held(asked, 1)
    call = asked.flights.get("q")
    waits = asyncio.create_task(call.outcome(Deadline.after(LATER_S)))
    await until(lambda: call.waiting == 1)
    first.cancel()
    with pytest.raises(Abandoned):
        await waits


@on_loop
async def test_an_answer_of_now_is_not_one_that_was_asked_for_before():
    asked = Asked()
    (early,) = await held(asked, 1)
    late = [asked.ask_anew() for _ in range(4)]
    await until(lambda: asked.flights.waiting == 4)
    asked.gate.set()
    assert await outcomes([early, *late]) == [1, 2, 2, 2, 2]


@pytest.mark.parametrize("seed", range(5))
@on_loop
async def test_at_random_each_gets_an_answer_of_its_own_question_or_its_own_end(seed):
    dice = random.Random(seed)
    flights: SingleFlight[tuple[str, int]] = SingleFlight()
    under_way = {"a": 0, "b": 0}
    failures: list[str] = []

    async def call(key: str, deadline: Deadline) -> tuple[str, int]:
        under_way[key] += 1
        assert under_way[key] == 1
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                await asyncio.sleep(dice.choice([0.0, 0.001, 0.003]))
        except TimeoutError:
            raise deadline.exceeded() from None
        finally:
            under_way[key] -= 1
        if dice.random() < 0.1:
            failures.append(f"{key} failed")
            raise Unavailable(failures[-1])
        return key, dice.randrange(1000)

    async def client() -> None:
        for _ in range(40):
            key, budget_s = dice.choice("ab"), dice.choice([0.0015, LATER_S, LATER_S])
            deadline = Deadline.after(budget_s)
            ask = dice.choice([flights.ask, flights.ask, flights.ask_anew])
            asking = asyncio.create_task(ask(key, deadline, lambda key=key, deadline=deadline: call(key, deadline)))
            is_cancelled = dice.random() < 0.2
            if is_cancelled:
                await asyncio.sleep(dice.choice([0.0, 0.001]))
                is_cancelled = asking.cancel()
            (outcome,) = await outcomes([asking])
            if isinstance(outcome, asyncio.CancelledError):
                assert is_cancelled
            elif isinstance(outcome, DeadlineExceeded):
                assert budget_s < LATER_S
            elif isinstance(outcome, GatewayError):
                assert outcome.message == f"{key} failed"
            else:
                assert outcome[0] == key

    await asyncio.gather(*(client() for _ in range(20)))
    assert failures
    assert (len(flights), flights.waiting) == (0, 0)
