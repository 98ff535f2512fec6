"""The status of several servers: what all of them have, and who lags."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backend.servers.merging import View, merged
from gateway.inference.status import Lag, ModelStatus, VersionStatus

STATES = ("START", "LOADING", "AVAILABLE", "UNLOADING", "END")

versions = st.dictionaries(st.integers(1, 4), st.sampled_from(STATES), max_size=4)


def status(states: dict[int, str]) -> ModelStatus:
    return ModelStatus("m", tuple(VersionStatus(version, states[version]) for version in sorted(states, reverse=True)))


def view(address: str, states: dict[int, str] | None = None, absence: str = "away") -> View:
    return View(address, None if states is None else status(states), absence)


def views_of(all_states) -> list[View]:
    return [view(f"s{number}", states) for number, states in enumerate(all_states)]


@given(st.lists(st.none() | versions, min_size=1, max_size=5))
def test_a_model_is_ready_when_any_server_answers_it_and_a_version_counts_when_all_of_those_have_it(all_states):
    views = views_of(all_states)
    together = merged("m", views)
    answering = [one.status for one in views if one.status is not None and one.status.is_ready]
    assert together.is_ready == bool(answering)
    if not answering:
        return
    newest = together.available[0]
    agreeing = [one for one in answering if one.available[0] == newest]
    assert set(together.available) == reduce(set.intersection, (set(one.available) for one in agreeing))
    assert all(len(agreeing) >= sum(one.available[0] == other for one in answering) for other in range(1, 5))


@given(st.lists(st.none() | versions, min_size=1, max_size=5))
def test_whoever_has_less_than_what_is_served_lags(all_states):
    views = views_of(all_states)
    together = merged("m", views)
    lagging = {lag.server for lag in together.lagging}
    for one in views:
        if one.status is None or (together.is_ready and not one.status.is_ready):
            assert one.address in lagging


@given(versions.filter(bool), st.integers(1, 4))
def test_servers_that_say_the_same_say_it_together(states, count):
    assert merged("m", [view(f"s{number}", states) for number in range(count)]) == status(states)


def test_a_version_counts_once_most_servers_have_it_and_the_one_that_loads_it_yet_lags():
    new, loading = {2: "AVAILABLE", 1: "AVAILABLE"}, {2: "LOADING", 1: "AVAILABLE"}
    together = merged("m", views_of([new, loading, loading]))
    assert together.available == (1,)
    assert [version.state for version in together.versions] == ["LOADING", "AVAILABLE"]
    assert together.lagging == (Lag("s0", "it answers version 2, and most servers 1"),)
    together = merged("m", views_of([new, new, loading]))
    assert together.available == (2, 1)
    assert together.lagging == (Lag("s2", "version 2 is LOADING"),)
    assert together.problems == ("s2 lags: version 2 is LOADING",)


def test_a_version_that_one_server_does_not_know_yet_has_started():
    together = merged("m", views_of([{2: "LOADING", 1: "AVAILABLE"}, {1: "AVAILABLE"}]))
    assert [version.state for version in together.versions] == ["START", "AVAILABLE"]
    assert together.lagging == ()
    together = merged("m", views_of([{2: "AVAILABLE", 1: "AVAILABLE"}, {1: "AVAILABLE"}]))
    assert together.lagging == (Lag("s1", "it has no version 2"),)


def test_a_version_that_failed_on_one_server_has_failed_and_says_where():
    failed = ModelStatus("m", (VersionStatus(2, "END", "NOT_FOUND", "no file"), VersionStatus(1, "AVAILABLE")))
    together = merged("m", [view("s0", {2: "AVAILABLE", 1: "AVAILABLE"}), View("s1", failed)])
    assert together.available == (2, 1)
    assert together.problems == ("s1 lags: version 2 failed: NOT_FOUND: no file",)


def test_a_newer_version_that_failed_on_some_servers_says_on_which():
    old, failed = VersionStatus(1, "AVAILABLE"), VersionStatus(2, "END", "NOT_FOUND", "no file")
    good, bad = ModelStatus("m", (old,)), ModelStatus("m", (failed, old))
    together = merged("m", [View("s0", good), View("s1", bad)])
    assert together.lagging == (Lag("s1", "version 2 failed: NOT_FOUND: no file"),)
    assert together.available == (1,)
    # Where all have failed it is no server's own fault.
    assert merged("m", [View("s0", bad), View("s1", bad)]).lagging == ()


@pytest.mark.parametrize(
    ("all_states", "available", "lagging"),
    [
        ([{1: "AVAILABLE"}, {1: "AVAILABLE"}, {2: "AVAILABLE", 1: "END"}], (1,), {"s2"}),
        ([{1: "AVAILABLE"}, {2: "AVAILABLE", 1: "END"}, {2: "AVAILABLE", 1: "END"}], (2,), {"s0"}),
        ([{1: "AVAILABLE"}, {2: "AVAILABLE", 1: "END"}], (2,), {"s0"}),
    ],
    ids=["most have the old one", "most have the new one", "half have the new one"],
)
def test_while_servers_change_one_after_the_other_the_model_stays_ready(all_states, available, lagging):
    together = merged("m", views_of(all_states))
    assert together.available == available
    assert {lag.server for lag in together.lagging} == lagging


def test_a_server_that_has_unloaded_what_the_others_answer_lags_unless_it_answers_something_newer():
    together = merged("m", views_of([{3: "AVAILABLE", 1: "AVAILABLE"}, {3: "END", 1: "AVAILABLE"}]))
    assert together.lagging == (Lag("s1", "version 3 is END"),)
    assert merged("m", views_of([{3: "AVAILABLE", 1: "AVAILABLE"}, {3: "AVAILABLE", 1: "END"}])).lagging == ()


def test_a_server_that_joins_or_is_away_lags_and_takes_nothing_away():
    new = View("s1", ModelStatus("m", problem="Could not find any versions of model m"))
    together = merged("m", [view("s0", {1: "AVAILABLE"}), new, view("s2", absence="it is not connected")])
    assert together.is_ready
    assert together.lagging == (Lag("s1", "Could not find any versions of model m"), Lag("s2", "it is not connected"))


def test_a_model_that_no_server_has_says_what_they_say():
    none = ModelStatus("m", problem="Could not find any versions of model m")
    together = merged("m", [View("s0", none), View("s1", none)])
    assert (together.is_ready, together.problems) == (False, (none.problem,))


def test_while_no_server_answers_a_model_the_least_advanced_state_counts():
    together = merged("m", views_of([{1: "LOADING"}, {1: "START"}, {}]))
    assert [version.state for version in together.versions] == ["START"]
    assert together.problems == ("no version is AVAILABLE", "version 1 is START")
