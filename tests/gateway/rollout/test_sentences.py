"""What a person reads."""

import pytest

from gateway.rollout.decision import decide
from gateway.rollout.evidence.eprocess import rate_weights, ratio_weights
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.figures import known, leading
from gateway.rollout.orders import Order, obey, orders_of
from gateway.rollout.plan import Hold, OnBad, State
from gateway.rollout.sentences import explain, found_worse, proof, status_lines, told
from tests.gateway.rollout.plans import GOOD, MISSING, NOW, SECOND, held, plan, proven, sound

TIMES = "\N{MULTIPLICATION SIGN}"


def test_a_rollback_is_explained_in_one_sentence():
    by_step = {0: proven()}
    rolling, event = decide(plan(), by_step, GOOD, NOW + SECOND)
    rolled, _ = decide(rolling, by_step, GOOD, NOW + 2 * SECOND)
    expected = (
        "rolled back at 2023-11-14 22:13:21 UTC: errors 7 of 9 bad cells on the canary with 10 % of the exposure; "
        f"E = 1,163 ≥ 101; a canary no worse than 1.5{TIMES} would do this in at most 1 % of rollouts"
    )
    assert explain(rolling, by_step, event) == expected
    assert explain(rolled, {}, None) == expected.replace("22:13:21", "22:13:22")


def test_slow_answers_are_explained_by_their_own_ratio():
    totals = Totals(canary_timed=100, baseline_timed=100, canary_slow=40, baseline_slow=2, slow=ratio_weights(40, 42, 0.5, 2))
    told = proof(plan(), {0: totals})
    assert told.startswith("slow answers 40 of 42 slow cells on the canary with 50 % of the exposure; E = ")
    assert f"a canary no worse than 2{TIMES} would" in told


def test_disagreement_is_explained_by_the_answers_that_were_compared():
    totals = Totals(pairs=200, disagreements=30, disagree=rate_weights(30, 200, 0.01))
    told = proof(plan(), {0: totals})
    assert told.startswith("disagreement 30 of 200 compared answers; E = ")
    assert "a canary that differs in at most 1 % of the answers would do this in at most 1 % of rollouts" in told


def test_errors_count_for_twice_as_much_as_another_metric():
    weights = ratio_weights(5, 5, 0.1, 1.5)
    assert leading(Totals(error=weights, slow=weights)).metric == "errors"


def test_only_the_evidence_that_counts_is_told():
    assert "no errors so far" in explain(plan(evidence_from=1, step=1), {0: proven()}, None)


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_sentence(state):
    told = explain(plan(state), {0: sound()}, None)
    assert "2023-11-14 22:13:20 UTC" in told
    assert "\n" not in told
    assert "{" not in told


def test_a_sentence_tells_why_a_rollout_holds():
    after, event = decide(plan(), {}, MISSING, NOW + SECOND)
    assert explain(after, {}, event) == (
        "version 3 holds at 0 % since 2023-11-14 22:13:21 UTC: 127.0.0.1:8500 does not serve version 3"
    )


def test_what_is_known_has_finite_numbers():
    infinite = Totals(pairs=1, disagree=[float("-inf")] * 8)
    assert known(plan(), {0: infinite})["totals"]["disagree"] == [-1e18] * 8


@pytest.mark.parametrize("state", State)
def test_every_state_has_lines(state):
    first, *more = status_lines(plan(state), {0: sound()}, NOW + 250 * SECOND)
    words = "promoted (the old version is still loaded)" if state is State.BAKE_AFTER else state.replace("_", " ")
    assert first.startswith(f"digits: version 3 beside 2, {words} for 4m10s")
    assert all(line.startswith("  ") for line in more)


def test_the_lines_of_a_running_rollout_say_what_comes_next():
    lines = "\n".join(status_lines(plan(), {0: proven()}, NOW + 10 * SECOND))
    assert "step 1 of 3 at 1 % of the requests" in lines
    assert "canary 400 (7 with errors, 0.85 % to 3.57 %)" in lines
    assert "E = 1,163 (errors 2,325" in lines
    assert "; 101 takes it back" in lines
    assert "next: 10 % in 50s" in lines
    assert "orders: step, weight, pause, promote, abort" in lines


@pytest.mark.parametrize(
    ("one", "after_s", "told"),
    [
        (plan(step=2), 0, "next: promotion in 1m"),
        (plan(), 90, "next: 10 %, when there is enough to tell: the canary has 0 cells"),
    ],
)
def test_the_next_step_waits_for_its_time_and_then_for_data(one, after_s, told):
    assert told in "\n".join(status_lines(one, {}, NOW + after_s * SECOND))


def test_a_draft_without_a_stable_has_lines():
    assert status_lines(plan(State.DRAFT, stable=None), {}, NOW)[0] == "digits: version 3, draft for 0s"


def test_a_hold_is_told_with_its_reason():
    first, second, *_ = status_lines(held(Hold.NO_DATA), {}, NOW + 90_061 * SECOND)
    assert "holding (too few requests) for 1d1h" in first
    assert second == "  no_data"


@pytest.mark.parametrize("hold", Hold)
def test_every_hold_has_words(hold):
    assert bool(hold.words) is (hold is not Hold.NONE)
    assert "_" not in hold.words


def test_a_hold_is_as_old_as_its_reason():
    first = plan().changed(NOW + 10 * SECOND, state=State.HOLDING, hold=Hold.NO_DATA, reason="no data")
    other = first.changed(NOW + 60 * SECOND, hold=Hold.SUSPICIOUS, reason="suspicious")
    same = other.changed(NOW + 63 * SECOND, reason="still suspicious")
    after = [
        status_lines(one, {}, NOW + 65 * SECOND)[0].partition(" for ")[2].partition(",")[0] for one in (first, other, same)
    ]
    assert after == ["55s", "5s", "5s"]
    assert "since 2023-11-14 22:14:20 UTC" in explain(same, {}, None)
    going_on = same.changed(NOW + 64 * SECOND, state=State.RUNNING, hold=Hold.NONE)
    assert " for 1s, " in status_lines(going_on, {}, NOW + 65 * SECOND)[0]


def test_a_promoted_version_that_fails_has_plain_words():
    told = status_lines(plan(State.BAKE_AFTER, hold=Hold.FAILING), {}, NOW + 5 * SECOND)[0]
    assert "promoted (the old version is still loaded), while the new version fails requests for 5s" in told


def test_a_list_says_what_a_worse_version_did_and_what_became_of_it():
    slow = Totals(canary_timed=100, baseline_timed=100, canary_slow=40, baseline_slow=2, slow=ratio_weights(40, 42, 0.5, 2))
    other = Totals(pairs=200, disagreements=30, disagree=rate_weights(30, 200, 0.01))
    for totals, did in ((proven(), "failed requests"), (slow, "was too slow"), (other, "gave other answers")):
        rolling, _ = decide(plan(), {0: totals}, GOOD, NOW + SECOND)
        rolled, _ = decide(rolling, {}, GOOD, NOW + 2 * SECOND)
        assert (rolling.state, rolled.state) == (State.ROLLING_BACK, State.ROLLED_BACK)
        assert found_worse(rolling) == found_worse(rolled) == f"{did} and was taken back; Rollouts shows the evidence"
        frozen, _ = decide(plan(on_bad=OnBad.FREEZE), {0: totals}, GOOD, NOW + SECOND)
        assert found_worse(frozen).startswith(f"{did} and keeps 1 % of the requests until somebody decides; Rollouts has ")
    assert found_worse(held(Hold.FROZEN)).startswith("was found to be worse and keeps ")
    failing = found_worse(plan(State.BAKE_AFTER, hold=Hold.FAILING))
    assert failing == "was promoted, and fails requests that version 2 answers; an order in Rollouts leads back to that"


def test_a_promotion_that_a_person_undid_is_no_fault_of_the_version():
    undone, _ = obey(plan(State.BAKE_AFTER), Order.UNDO, NOW, "anna")
    assert found_worse(undone) == "its promotion was undone; Rollouts says by whom"


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("hold", Hold)
def test_only_of_a_worse_version_a_list_says_so(state, hold):
    is_worse = state in (State.ROLLING_BACK, State.ROLLED_BACK) or hold in (Hold.FROZEN, Hold.FAILING)
    assert bool(found_worse(plan(state, hold=hold))) == is_worse


def test_a_row_of_the_history_is_a_sentence_of_who_did_what_and_why():
    _, weighed = obey(plan(), Order.WEIGHT, NOW, "ada", "so it is", weight=125_000)
    assert told(weighed) == "ada set the weight: 12.5 % of the requests: so it is"
    _, taken_back = decide(plan(), {0: proven()}, GOOD, NOW)
    assert told(taken_back).startswith("the gateway took the new version back (running to rolling back): errors 7 of 9")


@pytest.mark.parametrize("order", Order)
def test_every_order_has_words_in_the_history(order):
    stands = next(one for one in map(plan, State) if order in orders_of(one))
    _, event = obey(stands, order, NOW, "ada", weight=100 if order is Order.WEIGHT else None)
    assert told(event).startswith("ada ")
    assert not told(event).startswith(f"ada {order} ")
