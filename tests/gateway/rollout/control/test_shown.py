"""The metrics of rollouts that the follower sees, from a rollout's beginning to its end."""

import dataclasses
import math

import pytest
from prometheus_client import REGISTRY

from gateway.rollout import changes
from gateway.rollout.control.shown import Shown, count_decision
from gateway.rollout.decision import Facts, decide
from gateway.rollout.plan import Hold, State
from tests.gateway.rollout.control.worlds import NOW, a_plan, bad

DECISIONS = "gateway_rollout_decisions_total"
KNOWN = {("refuse", ""), ("release", ""), ("step", ""), ("promote", "")} | {
    *(("hold", str(hold)) for hold in Hold if hold),
    *((decision, metric) for decision in ("freeze", "rollback") for metric in ("error", "slow", "disagree")),
}


def running(model, **values):
    return a_plan(id=f"{model}-3-f4a1", model=model, stable=2, state=State.RUNNING, weight=100_000, **values)


def decisions(model):
    """The value of each decision of ``model`` that is shown, by its name and reason."""
    samples = [sample for family in REGISTRY.collect() for sample in family.samples if sample.name == DECISIONS]
    return {(one.labels["decision"], one.labels["reason"]): one.value for one in samples if one.labels["model"] == model}


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def test_every_decision_begins_at_zero_with_the_rollout():
    Shown().show([running("begins")], {})
    assert decisions("begins") == dict.fromkeys(KNOWN, 0.0)


@pytest.mark.parametrize(
    ("totals", "is_loaded", "counted"),
    [(bad(9, 12), True, ("rollback", "error")), (bad(0, 0), False, ("hold", "not_loaded"))],
    ids=["rollback", "hold"],
)
def test_a_decision_is_one_of_those_that_began_at_zero(totals, is_loaded, counted):
    plan = running(f"counts-{counted[0]}")
    Shown().show([plan], {})
    change = decide(plan, {0: totals}, Facts(is_loaded=is_loaded), NOW)
    count_decision(plan, change, {0: totals})
    assert decisions(plan.model) == dict.fromkeys(KNOWN, 0.0) | {counted: 1.0}


def test_what_follows_from_an_order_or_a_decision_is_none():
    plan = dataclasses.replace(running("follows"), state=State.WARMING, weight=0)
    Shown().show([plan], {})
    count_decision(plan, changes.warmed(plan, NOW), {})
    assert set(decisions("follows").values()) == {0.0}


def test_a_rollout_that_is_over_has_no_state_that_an_alert_could_wait_for():
    shown, plan = Shown(), running("ends")
    held = dataclasses.replace(plan, revision=2, state=State.HOLDING, hold=Hold.GATE)
    shown.show([plan], {})
    shown.show([held], {})
    assert value("gateway_rollout_state", model="ends", state="holding") == 1
    shown.show([], {})
    assert {value("gateway_rollout_state", model="ends", state=str(state)) for state in State} == {0}
    assert math.isnan(value("gateway_rollout_weight", model="ends"))
    assert math.isnan(value("gateway_rollout_log_e", model="ends", metric="all"))
