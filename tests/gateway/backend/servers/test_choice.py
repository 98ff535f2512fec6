"""Who may get a call, and who does."""

from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backend.servers.choice import Candidate, LeastLoaded, RoundRobin, choice_of, has, rotation
from gateway.inference.status import ModelStatus, VersionStatus


@dataclass(eq=False)
class Server:
    rows: int = 0


def status(*available: int, loading: int | None = None) -> ModelStatus:
    versions = [VersionStatus(version, "AVAILABLE") for version in available]
    return ModelStatus("m", (*versions, *([VersionStatus(loading, "LOADING")] if loading else [])))


statuses = st.none() | st.lists(st.integers(1, 3), max_size=3, unique=True).map(lambda versions: status(*versions))
candidates = st.lists(st.builds(Candidate, is_connected=st.booleans(), is_ejected=st.booleans(), status=statuses), max_size=6)
versions = st.none() | st.integers(1, 3)


@given(candidates, versions)
def test_no_call_goes_to_one_that_is_ejected_or_away_while_another_is_there(candidates, version):
    chosen = [candidates[place] for place in rotation(candidates, version)]
    assert bool(chosen) == bool(candidates)
    if any(one.is_connected and not one.is_ejected for one in candidates):
        assert all(one.is_connected and not one.is_ejected for one in chosen)
    elif any(one.is_connected for one in candidates):
        assert all(one.is_connected for one in chosen)


@given(candidates, versions)
def test_a_call_goes_to_those_that_have_the_version_if_any_does(candidates, version):
    able = [one for one in candidates if one.is_connected and not one.is_ejected and has(one.status, version)]
    chosen = [candidates[place] for place in rotation(candidates, version)]
    if able and version is not None:
        assert chosen == able
    elif able:
        assert {id(one) for one in chosen} <= {id(one) for one in able}
        newest = [one.status.available[0] for one in able]
        [counted] = {one.status.available[0] for one in chosen}
        assert len(chosen) == newest.count(counted) == max(map(newest.count, newest))


def test_calls_that_name_no_version_go_to_those_that_agree_on_the_newest():
    old, new, both = (Candidate(True, status=status(*available)) for available in ((1,), (2,), (2, 1)))
    assert rotation([both, old, old], None) == (1, 2)
    assert rotation([both, new, old], None) == (0, 1)
    assert rotation([old, both], None) == (1,)
    assert rotation([both, old, new], 1) == (0, 1)


def test_a_server_that_loads_the_model_yet_gets_no_calls_of_it():
    assert rotation([Candidate(True, status=status(1)), Candidate(True, status=status(loading=1))], None) == (0,)
    assert rotation([Candidate(True, status=status(1)), Candidate(True)], None) == (0,)
    assert rotation([Candidate(True, status=status(2, 1)), Candidate(True, status=status(1, loading=2))], 2) == (0,)


def test_round_robin_takes_turns_and_begins_anywhere():
    servers = [Server(), Server(), Server()]
    choose = RoundRobin(Random(1))
    assert set(Counter(map(id, [choose(servers) for _ in range(30)])).values()) == {10}
    firsts = {servers.index(RoundRobin(Random(seed))(servers)) for seed in range(50)}
    assert firsts == {0, 1, 2}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 9))
def test_the_least_loaded_has_the_fewest_rows_in_flight(rows, seed):
    servers = [Server(number) for number in rows]
    assert LeastLoaded(Random(seed))(servers).rows == min(rows)


def test_of_several_that_have_as_few_rows_each_is_chosen_at_times():
    servers = [Server(1), Server(0), Server(0)]
    choose = LeastLoaded(Random(7))
    counts = Counter(servers.index(choose(servers)) for _ in range(200))
    assert set(counts) == {1, 2}
    assert min(counts.values()) > 50


@pytest.mark.parametrize(("name", "kind"), [("round_robin", RoundRobin), ("least_loaded", LeastLoaded)])
def test_the_setting_names_the_choice(name, kind):
    assert isinstance(choice_of(name, Random(0)), kind)
