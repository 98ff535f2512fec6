"""A rolling restart keeps within maxSurge and maxUnavailable, whichever Pods become ready in whichever order, and ends."""

import random

import pytest

from tests.kubernetes.kubelet.deployment import Limits, step

ROUNDS = 1000


@pytest.mark.parametrize(
    "limits", [Limits(2, 1, 0), Limits(3, 1, 0), Limits(3, 0, 1), Limits(4, 2, 1), Limits(1, 1, 0)], ids=str
)
@pytest.mark.parametrize("seed", range(5))
def test_pods_are_replaced_within_the_limits(limits, seed):
    chance = random.Random(seed)
    new: list[bool] = []  # whether each is ready
    old = [True] * limits.replicas
    for _ in range(ROUNDS):
        starts, deletes = step(limits, len(new), sum(new), len(old), sum(old))
        old = sorted(old)[deletes:]
        new = [ready or chance.random() < 0.3 for ready in new] + [False] * starts
        assert len(new) + len(old) <= limits.replicas + limits.surge
        assert sum(new) + sum(old) >= limits.replicas - limits.unavailable
        if not old and len(new) == limits.replicas and all(new):
            break
    assert (len(new), len(old)) == (limits.replicas, 0)


def test_an_old_pod_that_is_not_ready_goes_first_and_no_ready_one_before_a_new_one_is():
    limits = Limits(3, 1, 0)
    assert step(limits, 1, 0, 3, 3) == (0, 0)
    assert step(limits, 1, 1, 3, 3) == (0, 1)
    assert step(limits, 1, 1, 3, 2) == (0, 1)
    assert step(limits, 0, 0, 3, 2) == (1, 0)


def test_percents_are_rounded_up_for_the_surge_and_down_for_what_is_unavailable():
    update = {"maxSurge": "25%", "maxUnavailable": "25%"}
    spec = {"replicas": 3, "strategy": {"type": "RollingUpdate", "rollingUpdate": update}}
    assert Limits.of(spec) == Limits(3, 1, 0)
    with pytest.raises(ValueError, match="expected RollingUpdate, not 'Recreate'"):
        Limits.of({"replicas": 3, "strategy": {"type": "Recreate"}})
