"""What large bodies may take of a worker's memory: shares, first come first served, and none is ever lost."""

import asyncio
import random
import threading
import time

import pytest

from gateway.api.memory import LARGE_BYTES, SMALL_BYTES, Memory, Shares
from gateway.call import Call
from gateway.deadline import Deadline
from gateway.errors import Unavailable
from tests.event_loop import on_loop

SOON = Deadline.after(0)


def later() -> Deadline:
    return Deadline.after(20)


def call(timeout_s: float = 20.0) -> Call:
    made = Call("POST", "/predict", "", {}, b"", complete_s=time.monotonic())
    made.deadline = Deadline.after(timeout_s)
    return made


def answered(call: Call) -> None:
    for work in call.when_answered:
        work()


async def is_all_free(shares: Shares) -> bool:
    taken = await shares.take(shares.total, Deadline.after(0.05))
    if taken:
        shares.give_back(shares.total)
    return taken


@on_loop
async def test_a_large_share_is_not_passed_by_small_ones():
    shares, order = Shares(10), []

    async def take(name: str, amount: int) -> None:
        assert await shares.take(amount, later())
        order.append(name)

    assert await shares.take(6, later())
    tasks = [asyncio.create_task(take("large", 8)), asyncio.create_task(take("small", 1))]
    await asyncio.sleep(0.01)
    assert order == []
    shares.give_back(6)
    await asyncio.gather(*tasks)
    assert order == ["large", "small"]


@on_loop
async def test_one_that_gives_up_lets_the_next_go_on():
    shares = Shares(10)
    assert await shares.take(6, later())
    large = asyncio.create_task(shares.take(8, later()))
    await asyncio.sleep(0)
    small = asyncio.create_task(shares.take(4, later()))
    await asyncio.sleep(0)
    large.cancel()
    assert await small
    shares.give_back(10)
    assert await is_all_free(shares)


@on_loop
async def test_a_share_that_does_not_come_in_time_is_not_held():
    shares = Shares(10)
    assert await shares.take(6, later())
    assert not await shares.take(5, Deadline.after(0.02))
    shares.give_back(6)
    assert await is_all_free(shares)


@on_loop
async def test_more_than_there_will_ever_be_is_refused():
    with pytest.raises(ValueError, match="11 of 10"):
        await Shares(10).take(11, later())


@on_loop
async def test_whatever_happens_no_share_is_lost_and_no_more_is_held_than_there_is():
    chance, shares, held = random.Random(5), Shares(100), [0]

    async def use() -> None:
        amount = chance.randint(1, 100)
        if await shares.take(amount, Deadline.after(chance.choice([0.005, 5]))):
            held[0] += amount
            assert held[0] <= 100
            try:
                await asyncio.sleep(chance.random() * 0.004)
            finally:
                held[0] -= amount
                shares.give_back(amount)

    for _ in range(40):
        tasks = [asyncio.create_task(use()) for _ in range(20)]
        await asyncio.sleep(chance.random() * 0.004)
        for task in chance.sample(tasks, 6):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await is_all_free(shares)


@on_loop
async def test_large_bodies_in_work_have_as_many_bytes_together_as_one_may_have():
    memory = Memory(4 * LARGE_BYTES)
    first, second = call(), call(timeout_s=0.05)
    await memory.hold(first, 3 * LARGE_BYTES)
    with pytest.raises(Unavailable, match="too many large bodies are in work") as refused:
        await memory.hold(second, 2 * LARGE_BYTES)
    assert refused.value.setting.variable == "GATEWAY_MAX_BODY_BYTES"
    await memory.hold(second, SMALL_BYTES + 1)  # which has bytes of its own
    answered(first)
    await memory.hold(call(), 4 * LARGE_BYTES)
    memory.close()


@on_loop
async def test_a_share_may_become_smaller_once_the_size_is_known():
    memory = Memory(4 * LARGE_BYTES)
    first = call()
    held = await memory.hold(first, 4 * LARGE_BYTES)
    held.keep_only(2 * LARGE_BYTES)
    second = call()
    await memory.hold(second, 2 * LARGE_BYTES)
    answered(first)
    answered(second)
    await memory.hold(call(), 4 * LARGE_BYTES)
    memory.close()


@on_loop
async def test_only_what_is_not_small_is_done_in_another_thread():
    memory = Memory(LARGE_BYTES)
    here = threading.get_ident()
    assert await memory.run(SMALL_BYTES, threading.get_ident) == here
    assert await memory.run(SMALL_BYTES + 1, threading.get_ident) != here
    memory.close()
