"""Failures in a row take a server out for longer and longer, and never more than half of all."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backend.servers.ejection import FAILURES, WELL, Health, ejected, failed, heard, silent, succeeded

healths = st.lists(
    st.builds(
        Health,
        failures=st.integers(0, 2),
        times=st.integers(0, 5),
        since_s=st.floats(0, 100),
        out_until_s=st.floats(0, 100),
        is_silent=st.booleans(),
    ),
    max_size=9,
)


def failing(health: Health, now_s: float, times: int = FAILURES) -> Health:
    return reduce(lambda health, _: failed(health, now_s), range(times), health)


@given(healths, st.floats(0, 100))
def test_at_most_half_are_out_and_only_those_that_should_be(healths, now_s):
    out = ejected(healths, now_s)
    assert len(out) <= len(healths) // 2
    assert all(healths[place].is_out(now_s) for place in out)
    should_be = [place for place, health in enumerate(healths) if health.is_out(now_s)]
    assert len(out) == min(len(should_be), len(healths) // 2)


@given(healths, st.floats(0, 100))
def test_a_silent_one_is_out_before_one_that_fails(healths, now_s):
    out = ejected(healths, now_s)
    if any(not healths[place].is_silent for place in out):
        assert all(place in out for place, health in enumerate(healths) if health.is_silent)


def test_the_only_server_is_never_out():
    assert ejected([silent(failing(WELL, 0.0), 0.0)], 0.5) == frozenset()


def test_a_server_is_out_after_three_failures_in_a_row():
    assert not failing(WELL, 10.0, FAILURES - 1).is_out(10.0)
    assert failing(WELL, 10.0).is_out(10.9)
    assert not failing(WELL, 10.0).is_out(11.0)


def test_a_success_between_them_begins_the_count_anew():
    health = succeeded(failing(WELL, 0.0, FAILURES - 1), 0.0)
    assert not failing(health, 0.0, FAILURES - 1).is_out(0.0)


def test_each_time_takes_twice_as_long_up_to_half_a_minute_and_successes_take_it_back():
    health, now_s, lengths = WELL, 0.0, []
    for _ in range(8):
        health = failing(health, now_s)
        lengths.append(health.out_until_s - now_s)
        now_s = health.out_until_s
    assert lengths == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])
    health = succeeded(succeeded(health, now_s), now_s)
    assert failing(health, now_s).out_until_s - now_s == 8
    for _ in range(9):
        health = succeeded(health, now_s)
    assert failing(health, now_s).out_until_s - now_s == 1


def test_calls_that_end_while_a_server_is_out_count_neither_way():
    out = failing(WELL, 0.0)
    assert failing(out, 0.5) == out
    assert succeeded(out, 0.5).times == out.times


def test_a_silent_server_is_out_until_it_is_heard():
    health = silent(WELL, 5.0)
    assert health.is_out(1e9)
    assert silent(health, 7.0) == health
    assert not heard(health).is_out(5.0)
