"""What the evidence and the facts make of a plan: the one place where a rollout goes on, holds, or is taken back by itself.

Pure. Every worker asks it each second and gets the same; the store lets one of them win. It never leads from an ended plan back
into a rollout, and only from a running one, whose gate was passed, to a larger weight.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.rollout.afterwards import baked
from gateway.rollout.changes import Change, change
from gateway.rollout.evidence.eprocess import SUSPICIOUS, alone_at, rollback_at
from gateway.rollout.evidence.gate import Gate, gate
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.figures import known, log_e_of
from gateway.rollout.orders import next_step, way_back
from gateway.rollout.plan import Hold, OnBad, Plan, State
from gateway.rollout.sentences import passed, proof, so_far

ALL_KNOW_US: Final = 5_000_000
"""After this time a change counts as known to every worker: one that has not heard of it cannot be waited for."""

_NO_DATA_AFTER: Final = 3  # bake times
_LEAST_WAIT_S: Final = 60
_BY_GATE: Final = frozenset({Hold.NONE, Hold.NO_DATA, Hold.SUSPICIOUS, Hold.SPLIT})
_OUTER: Final = frozenset({Hold.NOT_LOADED, Hold.FROZEN, Hold.FILE_CHANGED})
_FOLLOWING: Final = {State.PROMOTING: State.BAKE_AFTER, State.ROLLING_BACK: State.ROLLED_BACK}

_RELEASED: Final = {
    Hold.NOT_LOADED: "both versions are loaded on every model server again",
    Hold.FILE_CHANGED: "the model config file says again what the gateway wrote",
}


class FileState(StrEnum):
    """What the model config file says of the model."""

    AGREES = "agrees"  # exactly the plan's ``versions``
    BEHIND = "behind"  # what a gateway wrote for this plan before, and has to write anew
    CHANGED = "changed"  # somebody else has changed the entry
    UNKNOWN = "unknown"  # it cannot be read, or there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a worker knows of the world besides the evidence.

    - ``is_loaded``: every model server serves the plan's ``versions``, and, if the plan ``drops_other``, not the other one. A
      server that could not be asked is no reason to say no.
    - ``missing``: where what is missing, for a person; empty if nothing is.
    - ``entry``: which entry of which file that is, for a person, and what it does not name.
    - ``workers_seen``: every worker that was heard of lately follows this revision.
    """

    is_loaded: bool
    missing: str = ""
    file: FileState = FileState.AGREES
    entry: str = ""
    workers_seen: bool = False


def decide(plan: Plan, by_step: Mapping[int, Totals], facts: Facts, now_us: int) -> Change | None:
    """The change that the plan needs now, and its row of the history; None if it stays as it is.

    ``by_step``: the sums over all workers, by step. A draft, and a plan that is loading or warming, is not decided here. After
    the promotion the evidence takes nothing back: there is no stable beside the canary, and ``undo`` is a person's order.
    """
    if plan.is_sharing:
        return (
            _taken_back(plan, by_step, facts, now_us) or _held(plan, by_step, facts, now_us) or _stepped(plan, by_step, now_us)
        )
    if plan.is_ended:
        return _closed(plan, facts, now_us)
    if plan.state is State.BAKE_AFTER:
        missing = "" if facts.is_loaded else _missing(facts)
        return baked(plan, by_step, missing, now_us)
    return _completed(plan, facts, now_us)


def alone(plan: Plan, own: Mapping[int, Totals], workers: int) -> bool:
    """Whether a worker takes the canary back by its ``own`` sums, by step, while the database is away.

    ``workers``: how many may decide so. It sends nobody to the canary then, and writes it when the database is back.
    """
    return (
        _may_be_taken_back(plan)
        and plan.on_bad is OnBad.ROLLBACK
        and log_e_of(plan, own) >= alone_at(plan.alpha, max(1, workers))
    )


def taken_back_alone(plan: Plan, own: Mapping[int, Totals], now_us: int) -> Change | None:
    """What a worker that was ``alone`` writes when the database is back; None if others have decided meanwhile."""
    if not _may_be_taken_back(plan) or log_e_of(plan, own) < rollback_at(plan.alpha):
        return None
    reason = f"{proof(plan, own)}; one worker knew this alone, while the database was away"
    return change(plan, now_us, "rollback", evidence=known(plan, own), **way_back(reason))


def _may_be_taken_back(plan: Plan) -> bool:
    return plan.is_sharing and not plan.is_frozen


def _taken_back(plan: Plan, by_step: Mapping[int, Totals], facts: Facts, now_us: int) -> Change | None:
    """Also of a plan that is paused or holds: waiting is no reason to hurt more callers."""
    if not _may_be_taken_back(plan) or log_e_of(plan, by_step) < rollback_at(plan.alpha):
        return None
    reason, evidence = proof(plan, by_step), known(plan, by_step)
    if plan.on_bad is OnBad.ROLLBACK:
        return change(plan, now_us, "rollback", evidence=evidence, **way_back(reason))
    hold = Hold.FROZEN if facts.is_loaded else Hold.NOT_LOADED
    return change(plan, now_us, "freeze", evidence=evidence, state=State.HOLDING, hold=hold, reason=reason, is_frozen=True)


def _held(plan: Plan, by_step: Mapping[int, Totals], facts: Facts, now_us: int) -> Change | None:
    """What lies outside of the evidence holds, and lets go, by itself. A paused plan stays paused, and tells of it."""
    hold = _outer_hold(plan, facts)
    if hold is plan.hold or (hold is Hold.NONE and plan.hold not in _OUTER):
        return None
    if hold is Hold.NONE:
        state, note = State.PAUSED if plan.state is State.PAUSED else State.RUNNING, _RELEASED[plan.hold]
        return change(plan, now_us, "release", note=note, state=state, hold=hold, reason="")
    state = State.PAUSED if plan.state is State.PAUSED else State.HOLDING
    return change(plan, now_us, "hold", state=state, hold=hold, reason=_outer_reason(hold, plan, by_step, facts))


def _outer_reason(hold: Hold, plan: Plan, by_step: Mapping[int, Totals], facts: Facts) -> str:
    if hold is Hold.FROZEN:
        return f"it was frozen; now {so_far(plan, by_step)}"
    said = _missing(facts) if hold is Hold.NOT_LOADED else _changed(facts)
    is_changed = hold is Hold.FILE_CHANGED or facts.file is FileState.CHANGED
    return f"{said}: `resume` writes it again" if is_changed else said


def _missing(facts: Facts) -> str:
    missing = facts.missing or "not every version is loaded"
    return f"{missing}; {_changed(facts)}" if facts.file is FileState.CHANGED else missing


def _changed(facts: Facts) -> str:
    return f"somebody else has changed {facts.entry or 'the entry of the model in the model config file'}"


def _outer_hold(plan: Plan, facts: Facts) -> Hold:
    """The most urgent one: nobody may be sent to a version that is not there."""
    if not facts.is_loaded:
        return Hold.NOT_LOADED
    if plan.is_frozen:
        return Hold.FROZEN
    stays = plan.hold is Hold.FILE_CHANGED and facts.file is not FileState.AGREES
    return Hold.FILE_CHANGED if stays or facts.file is FileState.CHANGED else Hold.NONE


def _stepped(plan: Plan, by_step: Mapping[int, Totals], now_us: int) -> Change | None:
    """The gate, after the bake time; also while it holds, until it is passed. What did not pass at n cells is looked at at 2 n.

    A gate that is asked every second until it says yes would say yes to a worse version sooner or later. E may be looked at as
    often as one likes, and how much data there is says nothing about the canary.
    """
    here, baked_us = by_step.get(plan.step, Totals()), now_us - plan.step_us
    seen = here.canary_cells if plan.weight else here.pairs
    is_due = baked_us >= plan.current.bake_s * 1_000_000 and seen >= plan.next_look
    if plan.state is State.PAUSED or plan.hold not in _BY_GATE or not is_due:
        return None
    log_e = log_e_of(plan, by_step)
    verdict = gate(here, log_e, plan)
    if verdict.hold is Hold.NONE:
        return _passed(plan, by_step, now_us)
    if verdict.hold is Hold.NO_DATA and plan.state is State.RUNNING and baked_us < _patience_us(plan):
        return None
    was_no_look = verdict.hold is Hold.NO_DATA or log_e >= SUSPICIOUS
    return _gate_held(plan, by_step, verdict, plan.next_look if was_no_look else 2 * seen, now_us)


def _gate_held(plan: Plan, by_step: Mapping[int, Totals], verdict: Gate, next_look: int, now_us: int) -> Change | None:
    if (verdict.hold, next_look) == (plan.hold, plan.next_look):
        return None
    reason = f"{verdict.reason}; it is looked at again at {next_look:,}" if next_look > plan.next_look else verdict.reason
    evidence = known(plan, by_step)
    return change(
        plan, now_us, "hold", evidence=evidence, state=State.HOLDING, hold=verdict.hold, reason=reason, next_look=next_look
    )


def _patience_us(plan: Plan) -> int:
    return max(_LEAST_WAIT_S, _NO_DATA_AFTER * plan.current.bake_s) * 1_000_000


def _passed(plan: Plan, by_step: Mapping[int, Totals], now_us: int) -> Change:
    note, evidence = passed(plan, by_step), known(plan, by_step)
    if plan.current.is_manual:
        reason = f"the step is over and waits for `rollout step {plan.model}`: {note}"
        return change(plan, now_us, "hold", evidence=evidence, state=State.HOLDING, hold=Hold.GATE, reason=reason)
    values = next_step(plan, note)
    what = "promote" if values["state"] is State.PROMOTING else "step"
    return change(plan, now_us, what, note=note, evidence=evidence, **values)


def _completed(plan: Plan, facts: Facts, now_us: int) -> Change | None:
    """What was decided is done once every worker follows it, or could have."""
    following = _FOLLOWING.get(plan.state)
    if following is None or not (facts.workers_seen or now_us - plan.state_us >= ALL_KNOW_US):
        return None
    return change(plan, now_us, following.value, state=following)


def _closed(plan: Plan, facts: Facts, now_us: int) -> Change | None:
    """Requests are pinned until the one version that is loaded is the one that should answer."""
    is_over = plan.is_open and plan.drops_other and facts.is_loaded and facts.file is FileState.AGREES
    return change(plan, now_us, "close", is_open=False) if is_over else None
