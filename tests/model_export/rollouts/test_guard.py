"""What may be done to versions during a rollout, as a gateway tells it or as the model config file shows it."""

from pathlib import Path

import pytest

from model_export.errors import ExportError
from model_export.rollouts.admin_api import GatewayAwayError, GatewayRefusedError, Rollout
from model_export.rollouts.guard import Guard
from model_export.rollouts.pins import Pin


class Known:
    """A gateway that tells this."""

    def __init__(self, answer: Rollout | Exception | None) -> None:
        self._answer = answer

    def rollout_of(self, model: str) -> Rollout | None:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def rollout(state: str, is_open: bool = True, stable: int | None = 1) -> Rollout:
    ended = state in ("done", "rolled_back", "aborted", "refused")
    return Rollout(model="m", id="m-2-f4a1", state=state, stable=stable, canary=2, is_ended=ended, is_open=is_open, reason="")


def pin(*versions: int) -> Pin:
    return Pin("m", versions, Path("models.config"))


def guard(answer: Rollout | Exception | None = None, *pinned: int) -> Guard:
    return Guard("m", Known(answer), pin(*pinned) if pinned else None, pytest.fail)


def file_only(*pinned: int) -> Guard:
    return Guard("m", None, pin(*pinned) if pinned else None, pytest.fail)


@pytest.mark.parametrize("state", ["draft", "loading", "warming", "running", "holding", "paused", "rolling_back"])
def test_during_a_rollout_nothing_is_done_and_abort_is_named(state):
    running = guard(rollout(state), 1, 2)
    stands = rf"a rollout of m runs \(m-2-f4a1: version 1 to 2, {state.replace('_', ' ')}\)"
    told = rf"{stands}; end it first: `python -m gateway rollout abort m`"
    for act in (
        running.before_return,
        lambda: running.before_withdrawal({9}, is_forced=True),
        lambda: running.before_deletion({9}),
    ):
        with pytest.raises(ExportError, match=told):
            act()


@pytest.mark.parametrize("state", ["promoting", "bake_after"])
def test_after_the_promotion_undo_is_named(state):
    told = "promoting" if state == "promoting" else r"promoted \(the old version is still loaded\)"
    with pytest.raises(ExportError, match=rf"version 1 to 2, {told}\); end it first: `python -m gateway rollout undo m`"):
        guard(rollout(state)).before_return()


def test_a_draft_whose_stable_is_not_known_yet_is_told():
    with pytest.raises(ExportError, match=r"\(m-2-f4a1: version to 2, draft\)"):
        guard(rollout("draft", stable=None)).before_return()


@pytest.mark.parametrize(("state", "kept"), [("rolled_back", 1), ("aborted", 1), ("done", 2)])
def test_the_version_that_a_rollout_has_left_serving_stays(state, kept):
    """After a rollback the newest directory is the version that failed: a prune that keeps the newest would take stable."""
    ended = guard(rollout(state), 1, 2)

    with pytest.raises(ExportError, match=f"version {kept} of m is the one that the rollout m-2-f4a1 has left serving"):
        ended.before_deletion({kept})
    with pytest.raises(ExportError, match=f"version {kept} of m is the one"):
        ended.before_withdrawal({kept}, is_forced=False)
    ended.before_withdrawal({kept}, is_forced=True)
    ended.before_deletion({3 - kept})
    ended.before_withdrawal({3 - kept}, is_forced=False)
    ended.before_return()


def test_a_rollout_that_is_over_and_cleaned_up_holds_nothing():
    over = guard(rollout("rolled_back", is_open=False))

    over.before_deletion({1})
    over.before_return()


def test_the_last_version_that_is_pinned_stays():
    """Although there are others: servers that may serve this one only would serve none."""
    for held in (file_only(2), guard(None, 2)):
        with pytest.raises(ExportError, match=r"pins version 2 of m, and servers would have nothing left to serve"):
            held.before_withdrawal({2}, is_forced=False)
        with pytest.raises(ExportError, match=r"`python -m gateway rollout start m --canary N` \(--back"):
            held.before_deletion({1, 2})
        held.before_deletion({1})
        held.before_return()
    guard(None, 2).before_withdrawal({2}, is_forced=True)
    with pytest.raises(ExportError, match="--force does it once a gateway has said that no rollout runs"):
        file_only(2).before_withdrawal({2}, is_forced=True)
    file_only(2).before_withdrawal({3}, is_forced=True)


def test_without_a_gateway_two_pinned_versions_are_taken_for_a_rollout():
    shown = file_only(1, 2)
    told = r"models.config pins versions 1 and 2 of m, as a rollout does; end it first: `python -m gateway rollout abort m`"

    for act in (
        shown.before_return,
        lambda: shown.before_withdrawal({2}, is_forced=False),
        lambda: shown.before_withdrawal({3}, is_forced=False),
        lambda: shown.before_withdrawal({2}, is_forced=True),
        lambda: shown.before_deletion({1}),
    ):
        with pytest.raises(ExportError, match=told):
            act()
    shown.before_deletion({3})
    shown.before_withdrawal({3}, is_forced=True)


def test_a_gateway_that_knows_of_no_rollout_is_believed_about_two_pinned_versions():
    known = guard(None, 1, 2)

    known.before_return()
    known.before_deletion({1})
    known.before_withdrawal({2}, is_forced=False)
    known.before_withdrawal({2}, is_forced=True)
    with pytest.raises(ExportError, match="nothing left to serve"):
        known.before_deletion({1, 2})


@pytest.mark.parametrize("error", [GatewayAwayError("it is away"), GatewayRefusedError("it says 403")], ids=["away", "refused"])
def test_a_gateway_that_cannot_be_asked_is_told_and_the_file_counts(error):
    warned: list[str] = []
    held = Guard("m", Known(error), pin(1, 2), warned.append)

    assert warned == [f"{error}; so only the model config file tells whether a rollout runs"]
    with pytest.raises(ExportError, match="as a rollout does"):
        held.before_withdrawal({2}, is_forced=False)


def test_where_nothing_is_pinned_and_nobody_can_be_asked_all_is_as_ever():
    free = file_only()

    free.before_return()
    free.before_deletion({1, 2})
    free.before_withdrawal({2}, is_forced=False)
