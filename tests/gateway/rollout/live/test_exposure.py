"""What the split is judged by: every request that is sent to an arm, whatever the cache says."""

from gateway.rollout.evidence.gate import gate
from gateway.rollout.plan import Hold
from tests.event_loop import on_loop
from tests.gateway.rollout.live.scene import ON_CANARY, ON_STABLE, Scene, Server, plan


@on_loop
async def test_with_a_cache_the_split_is_that_of_all_requests():
    """Ten inputs again and again: each version is asked once for each, which is half of the calls and no uneven split."""
    scene = Scene(Server(), plan(least_cells=10, most_bad=0.5), cached=True)
    for number in range(1000):
        scene.draw = ON_CANARY if number % 100 < 10 else ON_STABLE
        await scene.predict(value=float(number % 10))
    totals = scene.totals()
    assert (totals.canary_cells, totals.stable_cells) == (10, 10)
    assert (totals.canary_routed, totals.other_routed) == (100, 900)
    assert gate(totals, 0.0, plan(least_cells=10, most_bad=0.5)).hold is Hold.NONE


@on_loop
async def test_a_caller_whose_answers_are_cached_is_a_caller():
    scene = Scene(Server(), plan(mode="key", weight=500_000), cached=True)
    for number in range(50):
        await scene.predict(key=str(number))
    totals = scene.totals()
    assert totals.canary_callers + totals.other_callers == 50


@on_loop
async def test_where_all_requests_go_to_one_version_nothing_is_counted():
    scene = Scene(Server(), plan(weight=0))
    await scene.predict()
    assert (scene.totals().canary_routed, scene.totals().other_routed) == (0, 0)
