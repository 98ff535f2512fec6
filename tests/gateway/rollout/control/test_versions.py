"""Whether servers and the file are as a plan wants them."""

from pathlib import Path

import pytest

from gateway.backend.version_policy import VersionPolicy, specific
from gateway.rollout.control.sight import Sight
from gateway.rollout.control.versions import available, entry, failures, file_state, is_unnamed, loaded, states
from gateway.rollout.decision import FileState
from gateway.rollout.plan import Hold, State
from tests.gateway.rollout.control.worlds import a_plan, status

RUNNING = a_plan(stable=2, state=State.RUNNING)
DROPPING = a_plan(stable=2, state=State.DONE, drops_other=True)  # version 2 goes


def policy(*versions: int) -> VersionPolicy:
    return VersionPolicy(specific(versions), tuple(sorted(versions))) if versions else VersionPolicy()


def sight(*servers, says=(2, 3), looks=2, silent=None) -> Sight:
    told = {f"s{number}": server for number, server in enumerate(servers)}
    return Sight(told, silent or {}, policy(*says), looks=looks)


@pytest.mark.parametrize(
    ("plan", "seen", "is_loaded", "missing"),
    [
        (RUNNING, sight(status(3, 2), status(3, 2)), True, ""),
        (RUNNING, sight(status(3, 2), status(2, v3="LOADING")), False, "s1 does not serve version 3 (LOADING)"),
        (RUNNING, sight(status(2)), False, "s0 does not serve version 3 (which it does not know)"),
        (RUNNING, sight(status(3, 2), silent={"s1": "away"}), True, ""),
        (RUNNING, sight(silent={"s0": "away"}), None, "no model server answers (s0: away)"),
        (RUNNING, sight(), None, "no model server answers (the name in GATEWAY_SERVING_TARGET cannot be resolved)"),
        (DROPPING, sight(status(3)), True, ""),
        (DROPPING, sight(status(3, 2)), False, "s0 still serves version 2"),
        (DROPPING, sight(status(3, 2), says=(3,)), False, "s0 still serves version 2"),
        (DROPPING, sight(status(2)), False, "s0 does not serve version 3 (which it does not know); s0 still serves version 2"),
        (DROPPING, sight(status(3, 2, 1), says=()), True, ""),
        (
            DROPPING,
            sight(status(4, 3, 2), says=()),
            False,
            "s0 answers requests that name no version with version 4, not with 3",
        ),
    ],
    ids=[
        "all",
        "one lacks it",
        "unknown",
        "one silent",
        "all silent",
        "none",
        "dropped",
        "not yet",
        "soon",
        "wrong",
        "by hand",
        "newer by hand",
    ],
)
def test_what_is_loaded(plan, seen, is_loaded, missing):
    found = loaded(plan, seen)
    assert (found.is_loaded, found.missing) == (is_loaded, missing)


def test_a_failed_canary_that_somebody_keeps_as_the_newest_is_not_let_go():
    """Requests without a version would get it."""
    back = a_plan(stable=2, state=State.ROLLED_BACK, drops_other=True)
    assert loaded(back, sight(status(3, 2), says=())).is_loaded is False
    assert loaded(back, sight(status(2), says=())).is_loaded is True


AFTER_ANOTHER = a_plan(stable=1, state=State.ABORTED, drops_other=True, leaves=(2,))  # version 2 failed in the rollout before


@pytest.mark.parametrize(("says", "is_ours"), [((1, 2), True), ((1,), True), ((), False), ((1, 2, 4), False)])
def test_what_the_rollout_before_left_is_let_go_and_answers_nobody(says, is_ours):
    assert loaded(AFTER_ANOTHER, sight(status(2, 1), says=says)).missing == "s0 still serves version 2"
    assert loaded(AFTER_ANOTHER, sight(status(1), status(2, 1), says=says)).is_loaded is False
    assert loaded(AFTER_ANOTHER, sight(status(1), says=says)).is_loaded is True
    assert (file_state(AFTER_ANOTHER, sight(says=says), has_file=True) is not FileState.CHANGED) is is_ours


def test_no_version_that_clients_name_may_answer_instead_of_the_one_that_is_kept():
    back = a_plan(stable=1, state=State.ABORTED, drops_other=True, others=(2,))
    missing = "s0 answers requests that name no version with version 2, not with 1"
    assert loaded(back, sight(status(2, 1), says=(1, 2))).missing == missing


@pytest.mark.parametrize(
    ("plan", "says", "looks", "state"),
    [
        (RUNNING, (2, 3), 1, FileState.AGREES),
        (RUNNING, (2,), 2, FileState.CHANGED),
        (RUNNING, (2,), 1, FileState.UNKNOWN),
        (RUNNING, (), 2, FileState.CHANGED),
        (a_plan(stable=2, state=State.HOLDING, hold=Hold.FILE_CHANGED), (2, 3), 1, FileState.AGREES),
        (a_plan(stable=2, state=State.LOADING), (2,), 1, FileState.BEHIND),
        (a_plan(stable=2, state=State.LOADING), (2, 3), 1, FileState.AGREES),
        (DROPPING, (2, 3), 1, FileState.BEHIND),
        (DROPPING, (3,), 1, FileState.AGREES),
        (DROPPING, (), 2, FileState.CHANGED),
        (DROPPING, (2, 3, 4), 2, FileState.CHANGED),
        (DROPPING, (2,), 2, FileState.CHANGED),
        (AFTER_ANOTHER, (1, 2), 1, FileState.BEHIND),
        (AFTER_ANOTHER, (1, 2, 3), 1, FileState.BEHIND),
        (AFTER_ANOTHER, (1, 3), 1, FileState.BEHIND),
        (AFTER_ANOTHER, (1,), 1, FileState.AGREES),
        (AFTER_ANOTHER, (2,), 2, FileState.CHANGED),
    ],
)
def test_what_the_file_says(plan, says, looks, state):
    assert file_state(plan, sight(says=says, looks=looks), has_file=True) is state


def test_versions_beside_the_two_are_asked_for_and_not_waited_for():
    running = a_plan(stable=2, state=State.RUNNING, others=(1,))
    assert file_state(running, sight(says=(1, 2, 3)), has_file=True) is FileState.AGREES
    assert file_state(running, sight(says=(2, 3)), has_file=True) is FileState.CHANGED
    assert loaded(running, sight(status(3, 2))).is_loaded is True
    dropping = a_plan(stable=2, state=State.DONE, drops_other=True, others=(1,))
    assert file_state(dropping, sight(says=(1, 2, 3)), has_file=True) is FileState.BEHIND
    assert file_state(dropping, sight(says=(1, 3)), has_file=True) is FileState.AGREES
    assert loaded(dropping, sight(status(3, 1), says=(1, 3))).is_loaded is True


def test_without_a_file_nothing_is_known_of_it():
    assert file_state(RUNNING, Sight(), has_file=False) is FileState.UNKNOWN


def test_a_file_that_cannot_be_read_has_changed_once_that_lasts():
    assert file_state(RUNNING, Sight(file_problem="broken", looks=1), has_file=True) is FileState.UNKNOWN
    assert file_state(RUNNING, Sight(file_problem="broken", looks=2), has_file=True) is FileState.CHANGED


def test_available_is_what_every_server_serves_and_a_state_is_the_worst():
    seen = sight(status(3, 2, 1), status(2, 1, v3="LOADING"))
    assert available(seen) == (2, 1)
    assert states(seen) == {1: "AVAILABLE", 2: "AVAILABLE", 3: "LOADING"}
    assert available(sight()) == ()


def test_a_failure_is_told_in_the_servers_words():
    assert failures(RUNNING, sight(status(2, v3="END: no such op"))) == "s0: version 3 failed: UNKNOWN: no such op"
    assert failures(RUNNING, sight(status(3, 2, v1="END: no such op"))) == ""


def test_a_version_that_was_unloaded_and_one_that_failed_are_told_apart():
    assert loaded(RUNNING, sight(status(2, v3="END"))).missing == "s0 does not serve version 3 (it was unloaded)"
    failed = loaded(RUNNING, sight(status(2, v3="END: no such op"))).missing
    assert failed == "s0 does not serve version 3 (it failed: UNKNOWN: no such op)"


@pytest.mark.parametrize(
    ("seen", "told", "lacks"),
    [
        (sight(says=(2, 3)), "", False),
        (sight(says=(1, 2, 3)), "", False),
        (sight(says=(2,)), ", which does not name version 3", True),
        (sight(says=(1,)), ", which does not name version 2 and 3", True),
        (sight(says=()), ", which says: no model_version_policy: the latest version", True),
        (Sight(file_problem="broken"), ", which cannot be read (broken)", True),
        (Sight(), "", False),
    ],
)
def test_the_entry_is_told_with_its_file_and_what_is_missing_there(seen, told, lacks):
    assert entry(RUNNING, seen, Path("/etc/models.config")) == f"the entry of digits in /etc/models.config{told}"
    assert is_unnamed(RUNNING, seen) is lacks
    assert entry(RUNNING, seen, None) == ""
