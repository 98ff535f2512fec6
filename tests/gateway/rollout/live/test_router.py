"""A request in a rollout: which version answers it, what its caller notices, and what is counted."""

import asyncio
import time
from contextlib import suppress

import pytest

from gateway.deadline import Deadline
from gateway.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    Unavailable,
    Unimplemented,
)
from gateway.inference.signature import ModelRef
from gateway.rollout.plan import State
from tests.event_loop import on_loop, until
from tests.gateway.rollout.live.scene import (
    CANARY,
    ON_BASELINE,
    ON_CANARY,
    ON_STABLE,
    STABLE,
    Gate,
    Scene,
    Server,
    fails,
    hangs,
    is_missing,
    metric,
    plan,
    served,
)


def opinions(result: str) -> float:
    return metric("gateway_rollout_second_opinions_total", result=result)


@pytest.mark.parametrize(
    ("draw", "arm", "version", "lane"),
    [
        (ON_STABLE, "stable", STABLE, ""),
        (ON_BASELINE, "baseline", STABLE, "baseline"),
        (ON_CANARY, "canary", CANARY, "canary"),
    ],
    ids=["stable", "baseline", "canary"],
)
@on_loop
async def test_a_request_is_answered_by_its_arms_version_and_counted(draw, arm, version, lane):
    scene = Scene(Server(), plan(), draw=draw)
    trace, prediction = await scene.predict()
    assert (prediction.version, scene.server.asked) == (version, [(version, lane)])
    assert (trace.rollout, trace.arm, trace.version, trace.note) == ("m-2-abcd", arm, version, None)
    totals = scene.totals()
    assert getattr(totals, f"{arm}_cells") == getattr(totals, f"{arm}_requests") == 1
    assert totals.canary_cells + totals.stable_cells + totals.baseline_cells == 1


@pytest.mark.parametrize(
    ("model", "asked"),
    [(ModelRef("m", 2), (2, "")), (ModelRef("m", label="canary"), (None, "")), (ModelRef("other"), (None, ""))],
    ids=["version", "label", "other"],
)
@on_loop
async def test_what_names_a_version_or_label_or_has_no_rollout_passes_untouched(model, asked):
    scene = Scene(Server(), plan(), draw=ON_STABLE)
    trace, _ = await scene.predict(model)
    assert scene.server.asked == [asked]
    assert (trace.rollout, trace.arm) == (None, None)
    assert scene.totals().stable_requests == 0


@on_loop
async def test_a_plan_without_a_stable_version_places_nothing():
    scene = Scene(Server(), plan(stable=None, state=State.DRAFT))
    trace, _ = await scene.predict()
    assert (scene.server.asked, trace.rollout) == ([(None, "")], None)


@on_loop
async def test_a_canary_that_fails_is_bad_once_stable_has_answered_its_caller():
    scene = Scene(Server(), plan(), draw=ON_CANARY)
    scene.server.acts[CANARY] = fails(Internal)
    before = opinions("answered")
    trace, prediction = await scene.predict()
    assert (prediction.version, trace.version, trace.arm, trace.note) == (STABLE, STABLE, "canary", "canary-failed")
    totals = scene.totals()
    assert (totals.canary_cells, totals.canary_errors, totals.unchecked, totals.stable_cells) == (1, 1, 0, 0)
    assert opinions("answered") == before + 1
    [(plan_id, sample)] = scene.rollouts.take_samples()
    assert (plan_id, sample["request_id"], sample["error"]) == (trace.rollout, "of-this-request", Internal("").code)


@on_loop
async def test_what_both_versions_fail_is_no_sample():
    scene = Scene(Server(), plan(), draw=ON_CANARY)
    scene.server.acts[CANARY] = scene.server.acts[STABLE] = fails(Internal)
    with suppress(Internal):
        await scene.predict()
    assert scene.rollouts.take_samples() == []


@on_loop
async def test_what_both_fail_counts_against_neither_and_the_caller_gets_the_canarys_error():
    scene = Scene(Server(), plan(), draw=ON_CANARY)
    scene.server.acts = {CANARY: fails(Internal, "of two"), STABLE: fails(Internal, "of one")}
    with pytest.raises(Internal, match="of two"):
        await scene.predict()
    assert (scene.totals().canary_cells, scene.totals().canary_errors) == (1, 0)


@pytest.mark.parametrize("draw", [ON_CANARY, ON_STABLE, ON_BASELINE], ids=["canary", "stable", "baseline"])
@pytest.mark.parametrize("error", [InvalidArgument, FailedPrecondition, NotFound], ids=lambda error: error.code)
@on_loop
async def test_an_input_that_both_refuse_takes_nothing_back(error, draw):
    scene = Scene(Server(), plan(), draw=draw, most=20)
    scene.server.acts = {CANARY: fails(error, "of two"), STABLE: fails(error, "of one")}
    for _ in range(20):
        with pytest.raises(error, match="of one"):
            await scene.predict()
    await until(lambda: scene.totals().canary_cells + scene.totals().stable_cells + scene.totals().baseline_cells == 20)
    totals = scene.totals()
    assert (totals.canary_errors, totals.stable_errors, totals.unchecked) == (0, 0, 0)
    assert totals.canary_cells + totals.stable_cells + totals.baseline_cells == 20


@pytest.mark.parametrize("error", [InvalidArgument, FailedPrecondition, NotFound], ids=lambda error: error.code)
@on_loop
async def test_refusals_that_are_not_the_versions_count_against_both_arms_alike(error):
    """One of two replicas refuses: each version is asked by chance."""
    refuses = [True]

    async def by_turns(inputs, deadline):
        refuses.append(not refuses[-1])
        if not refuses[-1]:
            raise error("of this replica")

    for draw, errors in ((ON_CANARY, "canary_errors"), (ON_STABLE, "stable_errors")):
        scene = Scene(Server(), plan(), draw=draw)
        scene.server.acts = {STABLE: by_turns, CANARY: by_turns}
        with suppress(error):
            await scene.predict()
        await until(lambda scene=scene, errors=errors: getattr(scene.totals(), errors) == 1)
        assert scene.totals().unchecked == 0


@on_loop
async def test_a_refusal_of_stable_that_the_canary_cannot_be_asked_is_none_of_the_faults():
    scene = Scene(Server(served(STABLE), served(CANARY, width=5)), plan(), draw=ON_STABLE)
    scene.server.acts[STABLE] = fails(InvalidArgument)
    with pytest.raises(InvalidArgument):
        await scene.predict()
    await until(lambda: scene.totals().stable_cells == 1)
    assert (scene.totals().stable_errors, scene.totals().unchecked) == (0, 0)


@pytest.mark.parametrize(
    ("draw", "bad"), [(ON_CANARY, "canary_errors"), (ON_STABLE, "stable_errors")], ids=["canary", "stable"]
)
@pytest.mark.parametrize("width", [2, 5], ids=["by-the-server", "by-the-signature"])
@on_loop
async def test_without_second_opinions_each_refusal_is_bad_at_once(width, draw, bad):
    """A canary that refuses everything would pass the gate."""
    scene = Scene(
        Server(served(STABLE), served(CANARY, width=width)),
        plan(has_second_opinion=False),
        draw=draw,
        width=2 if width == 2 else 3,
    )
    scene.server.acts = {CANARY: fails(InvalidArgument), STABLE: fails(InvalidArgument)}
    with pytest.raises(InvalidArgument):
        await scene.predict()
    assert getattr(scene.totals(), bad) == 1


@on_loop
async def test_without_second_opinions_what_the_gateway_refuses_by_the_same_signature_says_nothing():
    scene = Scene(Server(), plan(has_second_opinion=False), draw=ON_CANARY, width=3)
    with pytest.raises(InvalidArgument):
        await scene.predict()
    assert (scene.totals().canary_cells, scene.totals().canary_errors) == (0, 0)


@pytest.mark.parametrize("error", [InvalidArgument, NotFound], ids=lambda error: error.code)
@on_loop
async def test_an_input_that_only_the_canary_refuses_is_answered_by_stable_and_counts(error):
    scene = Scene(Server(), plan(), draw=ON_CANARY)
    scene.server.acts[CANARY] = fails(error)
    trace, prediction = await scene.predict()
    assert (prediction.version, trace.note) == (STABLE, "canary-failed")
    assert scene.totals().canary_errors == 1


@on_loop
async def test_what_the_gateway_refuses_itself_is_not_asked_again_if_both_declare_the_same():
    scene = Scene(Server(), plan(), draw=ON_CANARY, width=3)
    with pytest.raises(InvalidArgument, match="does not fit"):
        await scene.predict()
    assert (scene.server.calls, scene.builds) == ([], 1)
    assert scene.totals().canary_cells == 0


@on_loop
async def test_a_canary_with_another_signature_that_refuses_what_stable_takes_is_bad():
    scene = Scene(Server(served(STABLE), served(CANARY, width=5)), plan(), draw=ON_CANARY)
    trace, prediction = await scene.predict()
    assert (prediction.version, trace.note) == (STABLE, "canary-failed")
    assert scene.totals().canary_errors == 1


@pytest.mark.parametrize(("version", "draw"), [(STABLE, ON_STABLE), (STABLE, ON_BASELINE)], ids=["stable", "baseline"])
@on_loop
async def test_a_fault_of_stable_is_asked_of_the_canary_afterwards_and_the_caller_notices_nothing(version, draw):
    scene = Scene(Server(), plan(), draw=draw)
    gate = scene.server.acts[CANARY] = Gate()
    scene.server.acts[version] = fails(Internal)
    with pytest.raises(Internal):
        await scene.predict()
    await until(lambda: gate.waiting)
    assert scene.server.asked[-1] == (CANARY, "shadow")
    assert scene.totals().stable_errors == 0  # not known yet
    gate.open.set()
    await until(lambda: scene.totals().stable_errors == 1)


@on_loop
async def test_a_fault_of_stable_that_the_canary_has_too_counts_against_neither():
    scene = Scene(Server(), plan(), draw=ON_STABLE)
    scene.server.acts = {STABLE: fails(Internal), CANARY: fails(InvalidArgument)}
    with pytest.raises(Internal):
        await scene.predict()
    await until(lambda: scene.totals().stable_cells == 1)
    assert (scene.totals().stable_errors, scene.totals().unchecked) == (0, 0)


@on_loop
async def test_a_fault_of_stable_is_unchecked_if_the_canary_takes_other_inputs():
    scene = Scene(Server(served(STABLE), served(CANARY, width=5)), plan(), draw=ON_STABLE)
    scene.server.acts[STABLE] = fails(Internal)
    with pytest.raises(Internal):
        await scene.predict()
    await until(lambda: scene.totals().unchecked == 1)
    assert scene.server.asked == [(STABLE, "")]


@on_loop
async def test_a_canary_that_hangs_leaves_stable_the_time_to_answer():
    scene = Scene(Server(), plan(), draw=ON_CANARY)
    scene.server.acts[CANARY] = hangs()
    trace, prediction = await scene.predict(budget_s=0.4)
    assert (prediction.version, trace.note) == (STABLE, "canary-failed")
    assert scene.totals().canary_errors == 1
    assert scene.server.asked == [(CANARY, "canary"), (STABLE, "")]


@on_loop
async def test_a_version_that_needs_half_of_the_time_gets_all_of_it():
    """Stable usually takes 0.4 s here, of a second: what the canary could have answered in time is no fault."""
    scene = Scene(Server(), plan(), draw=ON_CANARY)
    windows = scene.rollouts.of("m").windows
    windows._slowness.limit_s = 0.4
    seen = []

    async def note(inputs, deadline):
        seen.append(deadline.at_s - time.monotonic())

    scene.server.acts[CANARY] = note
    await scene.predict(budget_s=1.0)
    assert seen[0] > 0.9


@on_loop
async def test_where_both_versions_hang_the_caller_is_told_so_and_the_check_comes_afterwards():
    scene = Scene(Server(), plan(), draw=ON_CANARY)
    scene.server.acts = {CANARY: hangs(), STABLE: hangs()}
    with pytest.raises(DeadlineExceeded):
        await scene.predict(budget_s=0.2)
    await until(lambda: len(scene.server.asked) == 3)
    assert scene.server.asked == [(CANARY, "canary"), (STABLE, ""), (STABLE, "shadow")]


@on_loop
async def test_without_time_for_stable_the_canarys_fault_is_answered():
    async def fails_late(inputs, deadline):
        await asyncio.sleep(0.085)
        raise Internal("boom")

    scene = Scene(Server(), plan(), draw=ON_CANARY)
    scene.server.acts[CANARY] = fails_late
    with pytest.raises(Internal, match="boom"):
        await scene.predict(budget_s=0.1)
    await until(lambda: scene.totals().canary_errors == 1)


@on_loop
async def test_with_as_many_second_opinions_as_there_may_be_the_fault_is_answered_and_unchecked():
    scene = Scene(Server(), plan(), draw=ON_CANARY, most=2)
    gate = scene.server.acts[STABLE] = Gate()
    scene.server.acts[CANARY] = fails(Internal)
    waiting = [asyncio.create_task(scene.predict()) for _ in range(2)]
    await until(lambda: gate.waiting == 2)
    with pytest.raises(Internal):
        await scene.predict()
    assert (scene.totals().unchecked, scene.totals().canary_errors) == (1, 0)
    gate.open.set()
    assert {prediction.version for _, prediction in await asyncio.gather(*waiting)} == {STABLE}
    assert scene.totals().canary_errors == 2


@on_loop
async def test_a_caller_that_goes_away_leaves_its_place_in_the_pool():
    scene = Scene(Server(), plan(), draw=ON_CANARY, most=1)
    gate = scene.server.acts[STABLE] = Gate()
    scene.server.acts[CANARY] = fails(Internal)
    task = asyncio.create_task(scene.predict())
    await until(lambda: gate.waiting)
    assert not scene.opinions.has_room()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert scene.opinions.has_room()
    assert scene.totals().canary_cells == 0


@on_loop
async def test_a_canary_that_is_not_loaded_is_no_fault_and_its_callers_get_stables_answer():
    scene = Scene(Server(), plan(), draw=ON_CANARY, most=0)
    scene.server.acts[CANARY] = is_missing()
    trace, prediction = await scene.predict()
    assert (prediction.version, trace.note) == (STABLE, "canary-not-loaded")
    assert scene.totals().canary_cells == scene.totals().stable_cells == 0


@on_loop
async def test_what_stable_itself_does_not_find_is_its_answer_and_the_latest_version_is_not_asked_for_the_caller():
    scene = Scene(Server(), plan(), draw=ON_STABLE)
    scene.server.acts[STABLE] = fails(NotFound, "no such key")
    with pytest.raises(NotFound, match="no such key"):
        await scene.predict()
    await until(lambda: scene.totals().stable_errors == 1)
    assert scene.server.asked == [(STABLE, ""), (CANARY, "shadow")]


@pytest.mark.parametrize("state", [State.DRAFT, State.LOADING, State.RUNNING, State.HOLDING, State.ROLLED_BACK])
@on_loop
async def test_while_stable_is_not_loaded_any_other_version_answers_before_the_canary(state):
    scene = Scene(Server(served(0), served(5), served(7), served(8)), plan(stable=6, canary=8, leaves=(7,), state=state))
    trace, prediction = await scene.predict()
    assert (prediction.version, trace.version, scene.server.asked) == (5, 5, [(5, "")])
    assert scene.totals().stable_cells == 0


@pytest.mark.parametrize("draw", [ON_CANARY, ON_STABLE], ids=["canary", "stable"])
@on_loop
async def test_a_version_that_is_gone_since_the_catalog_has_seen_it_is_no_reason_to_fail(draw):
    scene = Scene(Server(served(3), served(5)), plan(), draw=draw)
    gone = is_missing()

    async def by_number(inputs, deadline):
        if scene.server.calls[-1].version is not None:
            await gone(inputs, deadline)

    scene.server.acts[5] = by_number
    _, prediction = await scene.predict()
    assert (prediction.version, scene.server.asked) == (5, [(5, ""), (None, "")])


@on_loop
async def test_an_error_of_the_version_that_answers_instead_is_the_answer():
    scene = Scene(Server(served(CANARY), served(5)), plan())
    scene.server.acts[5] = fails(NotFound, "no such key")
    with pytest.raises(NotFound, match="no such key"):
        await scene.predict()
    assert scene.server.asked == [(5, "")]


@on_loop
async def test_the_canary_answers_where_nothing_else_is_loaded():
    scene = Scene(Server(served(CANARY)), plan())
    _, prediction = await scene.predict()
    assert (prediction.version, scene.server.asked) == (CANARY, [(None, "")])


@pytest.mark.parametrize("draw", [ON_CANARY, ON_STABLE], ids=["canary", "stable"])
@on_loop
async def test_without_the_versions_of_the_plan_the_latest_answers(draw):
    scene = Scene(Server(served(7)), plan(), draw=draw)
    _, prediction = await scene.predict()
    assert prediction.version == 7


@on_loop
async def test_a_bound_of_the_gateway_is_no_fault_of_the_canary_and_stable_answers():
    def is_full(inputs, deadline):
        raise Unavailable("full").decided_by("GATEWAY_MODEL_MAX_IN_FLIGHT", 1)

    scene = Scene(Server(), plan(), draw=ON_CANARY)
    scene.server.acts[CANARY] = is_full
    trace, prediction = await scene.predict()
    assert (prediction.version, trace.note) == (STABLE, "canary-failed")
    assert (len(scene.server.calls), scene.totals().canary_cells) == (2, 0)


class NoMetadata(Server):
    """Serves both versions, and gives the metadata of ``without`` to nobody: it raises ``error``."""

    def __init__(self, without: int, error: Exception) -> None:
        super().__init__()
        self.without, self.error = without, error

    async def served(self, model, deadline):
        if model.version == self.without:
            raise self.error
        return await super().served(model, deadline)


@pytest.mark.parametrize("error", [Unavailable, Internal], ids=lambda error: error.code)
@on_loop
async def test_a_canary_without_metadata_is_bad_and_its_callers_get_stables_answer(error):
    scene = Scene(NoMetadata(CANARY, error("no signatures")), plan(), draw=ON_CANARY)
    trace, prediction = await scene.predict()
    assert (prediction.version, trace.note) == (STABLE, "canary-failed")
    assert (scene.totals().canary_cells, scene.totals().canary_errors) == (1, 1)


@on_loop
async def test_metadata_of_a_canary_that_takes_too_long_leaves_its_callers_to_stable_and_counts_nothing():
    scene = Scene(NoMetadata(CANARY, Deadline.after(1).exceeded()), plan(), draw=ON_CANARY)
    trace, prediction = await scene.predict()
    assert (prediction.version, trace.note) == (STABLE, "canary-failed")
    assert (scene.totals().canary_cells, scene.totals().canary_errors) == (0, 0)


@on_loop
async def test_a_fault_of_stable_before_the_inputs_were_made_is_unchecked():
    scene = Scene(NoMetadata(STABLE, Unavailable("no signatures")), plan(), draw=ON_STABLE)
    with pytest.raises(Unavailable):
        await scene.predict()
    await until(lambda: scene.totals().unchecked == 1)
    assert (scene.server.asked, scene.totals().stable_errors) == ([], 0)


@pytest.mark.parametrize(("width", "errors"), [(5, 1), (2, 0)], ids=["another-signature", "the-same"])
@on_loop
async def test_a_signature_that_the_gateway_cannot_send_is_asked_of_stable_if_that_declares_another(width, errors):
    scene = Scene(Server(served(STABLE), served(CANARY, width=width)), plan(), draw=ON_CANARY)
    scene.refusals = [Unimplemented("a ragged input")]
    if errors:
        trace, prediction = await scene.predict()
        assert (prediction.version, trace.note) == (STABLE, "canary-failed")
    else:
        with pytest.raises(Unimplemented):
            await scene.predict()
    assert (scene.totals().canary_errors, scene.totals().canary_cells) == (errors, errors)


@pytest.mark.parametrize(
    ("draw", "bad"), [(ON_CANARY, "canary_errors"), (ON_STABLE, "stable_errors")], ids=["canary", "stable"]
)
@on_loop
async def test_without_second_opinions_each_fault_is_bad_at_once(draw, bad):
    scene = Scene(Server(), plan(has_second_opinion=False), draw=draw)
    scene.server.acts = {CANARY: fails(Internal), STABLE: fails(Internal)}
    with pytest.raises(Internal):
        await scene.predict()
    assert len(scene.server.calls) == 1
    assert getattr(scene.totals(), bad) == 1


@pytest.mark.parametrize(
    ("draw", "cells"), [(ON_CANARY, "canary_cells"), (ON_STABLE, "stable_cells")], ids=["canary", "stable"]
)
@on_loop
async def test_an_answer_from_the_cache_is_no_exposure(draw, cells):
    scene = Scene(Server(), plan(), draw=draw, cached=True)
    caches = [(await scene.predict())[0].cache for _ in range(3)]
    assert (caches, len(scene.server.calls)) == (["miss", "hit", "hit"], 1)
    assert getattr(scene.totals(), cells) == 1


@on_loop
async def test_a_call_that_is_shared_is_one_exposure():
    scene = Scene(Server(), plan(), draw=ON_STABLE, cached=True)
    gate = scene.server.acts[STABLE] = Gate()
    tasks = [asyncio.create_task(scene.predict()) for _ in range(3)]
    await until(lambda: gate.waiting)
    gate.open.set()
    await asyncio.gather(*tasks)
    assert scene.totals().stable_cells == 1


@on_loop
async def test_callers_of_one_failed_call_all_get_stables_answer_and_it_counts_once():
    scene = Scene(Server(), plan(), draw=ON_CANARY, cached=True)
    gate = Gate()

    async def away(inputs, deadline):
        await gate(inputs, deadline)
        raise Unavailable("away")

    scene.server.acts[CANARY] = away
    tasks = [asyncio.create_task(scene.predict()) for _ in range(3)]
    await until(lambda: gate.waiting)
    gate.open.set()
    answers = await asyncio.gather(*tasks)
    assert {(prediction.version, trace.note) for trace, prediction in answers} == {(STABLE, "canary-failed")}
    assert (scene.totals().canary_cells, scene.totals().canary_errors) == (1, 1)


@on_loop
async def test_after_a_window_with_unchecked_faults_fewer_are_checked_and_those_of_both_arms_alike():
    scene = Scene(Server(), plan(), draw=ON_CANARY, most=0)
    scene.server.acts[CANARY] = fails(Internal)
    with pytest.raises(Internal):
        await scene.predict()
    assert scene.totals().unchecked == 1
    scene.now += 11
    assert scene.totals().left_out == 1
    scene.draw = ON_BASELINE  # beyond the half that is checked
    await scene.predict()
    assert (scene.totals().baseline_requests, scene.totals().baseline_cells) == (1, 0)


@on_loop
async def test_after_the_promotion_stable_still_answers_for_a_canary_that_fails():
    scene = Scene(Server(), plan(state=State.BAKE_AFTER), draw=ON_STABLE)
    scene.server.acts[CANARY] = fails(Internal)
    trace, prediction = await scene.predict()
    assert (prediction.version, trace.arm, trace.note) == (STABLE, "canary", "canary-failed")
    assert scene.totals().canary_cells == 0


@pytest.mark.parametrize("state", [State.PROMOTING, State.BAKE_AFTER])
@pytest.mark.parametrize(
    ("stable", "canary", "failed"),
    [
        (None, None, 0),
        (None, fails(Internal), 1),
        (None, fails(InvalidArgument), 1),
        (None, is_missing(), 1),
        (None, fails(NotFound, "no such key"), 1),
        (fails(Internal), fails(Internal), 0),
        (fails(InvalidArgument), fails(InvalidArgument), 0),
    ],
    ids=["answers", "fails", "refuses", "is-missing", "finds-nothing", "both-fail", "both-refuse"],
)
@on_loop
async def test_what_stable_answers_instead_of_a_promoted_canary_is_counted(state, stable, canary, failed):
    scene = Scene(Server(), plan(state=state))
    scene.server.acts = {STABLE: stable, CANARY: canary}
    with suppress(Internal, InvalidArgument):
        await scene.predict()
    totals = scene.totals()
    assert (totals.alone_asked, totals.alone_failed) == (1, failed)
    assert (totals.canary_cells, totals.canary_requests, totals.unchecked) == (0, 0, 0)


@on_loop
async def test_a_promoted_canary_whose_calls_are_too_many_has_failed():
    def is_full(inputs, deadline):
        raise Unavailable("full").decided_by("GATEWAY_MODEL_MAX_IN_FLIGHT", 1)

    scene = Scene(Server(), plan(state=State.BAKE_AFTER))
    scene.server.acts[CANARY] = is_full
    await scene.predict()
    assert (scene.totals().alone_asked, scene.totals().alone_failed) == (1, 1)


@on_loop
async def test_without_second_opinions_nothing_hides_a_promoted_canary_and_nothing_is_counted():
    scene = Scene(Server(), plan(state=State.BAKE_AFTER, has_second_opinion=False))
    scene.server.acts[CANARY] = fails(Internal)
    with pytest.raises(Internal):
        await scene.predict()
    assert scene.totals().alone_asked == 0


@on_loop
async def test_when_the_rollout_is_over_the_other_version_is_left_alone():
    scene = Scene(Server(), plan(state=State.DONE))
    scene.server.acts[CANARY] = fails(Internal)
    with pytest.raises(Internal):
        await scene.predict()
    assert scene.server.asked == [(CANARY, "canary")]


@on_loop
async def test_slow_answers_of_the_canary_are_counted_against_the_baselines():
    scene = Scene(Server(), plan(), draw=ON_BASELINE)
    for _ in range(20):
        await scene.predict()
    scene.now += 11
    await scene.predict()

    async def slow(inputs, deadline):
        await asyncio.sleep(0.05)

    scene.draw = ON_CANARY
    scene.server.acts[CANARY] = slow
    await scene.predict()
    totals = scene.totals()
    assert (totals.baseline_timed, totals.canary_timed, totals.canary_slow) == (1, 1, 1)


@on_loop
async def test_at_the_end_the_checks_that_are_under_way_are_ended():
    scene = Scene(Server(), plan(), draw=ON_STABLE)
    gate = scene.server.acts[CANARY] = Gate()
    scene.server.acts[STABLE] = fails(Internal)
    with pytest.raises(Internal):
        await scene.predict()
    await until(lambda: gate.waiting)
    await scene.opinions.close()
    assert scene.opinions.has_room()
