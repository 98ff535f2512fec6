"""Which drafts may begin."""

import pytest

from gateway.rollout.checking import Refusal, check_draft, others_of
from gateway.rollout.plan import State
from tests.gateway.rollout.plans import plan

FAILED = {3: plan(State.ROLLED_BACK, reason="errors 6 of 9 bad cells on the canary")}


def draft(canary=3, stable=None, **changes):
    return plan(State.DRAFT, canary=canary, stable=stable, **changes)


def checked(one, available=(2,), statuses=None, failed=None):
    found = check_draft(one, available, statuses or dict.fromkeys(available, "AVAILABLE"), failed or {})
    return found.reason if isinstance(found, Refusal) else found


@pytest.mark.parametrize(
    ("available", "stable"),
    [((2,), 2), ((1, 2), 2), ((3, 2, 1), 2), ((2, 1, 3), 2)],
    ids=["loaded-alone", "highest", "canary-is-loaded-too", "any-order"],
)
def test_stable_is_the_highest_version_that_answers_beside_the_canary(available, stable):
    assert checked(draft(), available) == {"stable": stable}


def test_a_stable_that_is_named_need_not_answer_yet():
    assert checked(draft(stable=1), (3,)) == {"stable": 1}


def test_a_version_that_answers_alone_needs_the_name_of_another():
    assert "version 3 of digits answers alone already: name the version to go back to with --stable N" in checked(draft(), (3,))


def test_without_a_version_that_answers_there_is_nothing_to_go_back_to():
    reason = checked(draft(), (), {2: "LOADING", 1: "END"})
    assert "no version of digits is AVAILABLE on every model server (version 1 is END, version 2 is LOADING)" in reason
    assert "it has no version" in check_draft(draft(), (), {}, {}).reason


def test_the_canary_is_another_version_than_stable():
    assert "cannot be both" in checked(draft(stable=3))


def test_an_older_canary_must_be_meant():
    assert "older than version 5: say --back" in checked(draft(), (5,))
    assert checked(draft(is_back=True), (5,)) == {"stable": 5}


def test_a_version_that_was_taken_back_is_refused_as_canary():
    reason = checked(draft(), failed=FAILED)
    assert "version 3 of digits, the canary, was taken back on 2023-11-14 22:13:20 UTC" in reason
    assert "errors 6 of 9 bad cells on the canary" in reason
    assert "--again" in reason
    assert checked(draft(is_again=True), failed=FAILED) == {"stable": 2}


def test_a_version_that_was_taken_back_is_refused_as_the_one_to_go_back_to():
    assert "version 3 of digits, the version to go back to, was taken back" in checked(draft(4, 3), failed=FAILED)
    assert checked(draft(4, 3, is_again=True), failed=FAILED) == {"stable": 3}


def test_what_a_rollout_left_answering_is_sound():
    assert checked(draft(4, 3, stays_open=True), failed=FAILED) == {"stable": 3}


def test_a_version_that_was_taken_back_is_never_found_as_the_way_back():
    assert checked(draft(4), (3, 2), failed=FAILED) == {"stable": 2}
    assert "only version 3 of digits answers, and was taken back before" in checked(draft(4), (3,), failed=FAILED)


@pytest.mark.parametrize(
    ("changes", "present", "others"),
    [
        ({}, (2, 3), ()),
        ({}, (1, 2, 3), (1,)),
        ({"others": (0,)}, (1, 2), (0, 1)),
        ({"leaves": (1,)}, (0, 1, 2), (0,)),
        ({"canary": 4}, (1, 2, 3), (1,)),
    ],
    ids=["the two", "another", "of another gateway", "left by the rollout before", "taken back"],
)
def test_other_versions_stay_unless_a_rollout_has_left_them(changes, present, others):
    assert others_of(draft(**changes), 2, present, FAILED) == others
