"""A budget: never more held than there is, everyone's turn comes in the order of coming, and who gives up leaves no trace."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.budget import Budget
from tests.waiting import wait_for

LONG_S = 20.0


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def waiting(budget: Budget) -> int:
    return len(budget._queue)


def asked(pool: ThreadPoolExecutor, budget: Budget, amount: int, timeout_s: float = LONG_S) -> "Future[bool]":
    """A ``take`` that has begun to wait, behind those that were asked for before."""
    before = waiting(budget)
    future = pool.submit(budget.take, amount, timeout_s)
    wait_for(lambda: waiting(budget) > before or future.done())
    return future


def is_whole(budget: Budget) -> bool:
    """Whether nothing is held; it is afterwards."""
    is_free = budget.take(budget.total, 0)
    if is_free:
        budget.give_back(budget.total)
    return is_free


def test_shares_are_held_together_up_to_the_total():
    budget = Budget(10)
    assert [budget.take(amount, 0) for amount in (4, 6, 1)] == [True, True, False]
    budget.give_back(4)
    assert [budget.take(amount, 0) for amount in (5, 4)] == [False, True]


def test_one_alone_may_have_the_whole_and_never_more():
    budget = Budget(10)
    assert is_whole(budget)
    with pytest.raises(ValueError, match="11 of 10"):
        budget.take(11, LONG_S)
    assert is_whole(budget)


def test_a_large_share_is_not_passed_by_small_ones_that_would_fit(pool):
    budget = Budget(10)
    assert budget.take(6, 0)
    large = asked(pool, budget, 10)
    small = [asked(pool, budget, 1) for _ in range(4)]
    assert not large.done()
    assert not any(future.done() for future in small)
    assert not budget.take(1, 0)
    budget.give_back(6)
    assert large.result(LONG_S)
    assert waiting(budget) == 4
    budget.give_back(10)
    assert all(future.result(LONG_S) for future in small)


def test_whoever_gives_up_lets_those_behind_it_pass(pool):
    budget = Budget(10)
    assert budget.take(6, 0)
    impatient = asked(pool, budget, 10, timeout_s=0.5)
    small = asked(pool, budget, 4)
    assert not impatient.result(LONG_S)
    assert small.result(LONG_S)
    budget.give_back(10)
    assert is_whole(budget)


def test_what_is_too_late_is_only_had_without_waiting():
    budget = Budget(10)
    assert budget.take(10, -1.0)
    assert not budget.take(1, -1.0)


@given(st.lists(st.integers(1, 10), max_size=20))
def test_no_more_than_the_total_is_ever_held_and_all_comes_back(amounts):
    budget, lock, held, most = Budget(10), threading.Lock(), 0, 0

    def hold(amount: int) -> None:
        nonlocal held, most
        assert budget.take(amount, LONG_S)
        with lock:
            held += amount
            most = max(most, held)
        with lock:
            held -= amount
        budget.give_back(amount)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, amounts))
    assert most <= 10
    assert is_whole(budget)
