"""Plans, sums and facts for the tests of the rules."""

from gateway.rollout.decision import Facts, FileState
from gateway.rollout.evidence.eprocess import ratio_weights
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import ENDED, SHARING, WHOLE, Hold, Plan, State, Step

NOW = 1_700_000_000_000_000
SECOND = 1_000_000
STEPS = (Step(10_000, 60), Step(100_000, 60), Step(500_000, 60))

GOOD = Facts(is_loaded=True, workers_seen=True)
MISSING = Facts(is_loaded=False, missing="127.0.0.1:8500 does not serve version 3")
EDITED = Facts(is_loaded=True, file=FileState.CHANGED)


def plan(state: State = State.RUNNING, step: int = 0, **changes) -> Plan:
    """A plan of version 3 beside 2 that is in ``state`` since NOW."""
    weight = (
        STEPS[step].weight if state in SHARING else WHOLE if state in (State.PROMOTING, State.BAKE_AFTER, State.DONE) else 0
    )
    values = {
        "id": "digits-3-f4a1c2",
        "model": "digits",
        "stable": 2,
        "canary": 3,
        "steps": STEPS,
        "step": step,
        "state": state,
        "weight": weight,
        "drops_other": state is State.DONE,
        "is_open": state not in (State.REFUSED,),
        "salt": "00ff" * 4,
        "author": "ada",
        "created_us": NOW,
        "state_us": NOW,
        "step_us": NOW,
    }
    return Plan(**values | changes)


def held(hold: Hold, state: State = State.HOLDING, **changes) -> Plan:
    """A plan that holds because of ``hold``."""
    return plan(state, hold=hold, reason=str(hold), is_frozen=hold is Hold.FROZEN, **changes)


def sound(cells: int = 400, share: float = 0.01) -> Totals:
    """What a good canary shows with ``share`` of the requests: enough cells, no errors, and the split that there should be."""
    canary = cells
    others = round(cells / share) - cells
    return Totals(
        canary_cells=canary,
        baseline_cells=cells,
        stable_cells=others - cells,
        canary_requests=canary,
        baseline_requests=cells,
        stable_requests=others - cells,
        canary_routed=canary,
        other_routed=others,
    )


def proven(share: float = 0.1, k: int = 7, n: int = 9) -> Totals:
    """Errors that take a canary back: ``k`` of ``n`` bad cells are its own."""
    weights = ratio_weights(k, n, share, 1.5)
    totals = sound(400, share)
    totals.canary_errors, totals.stable_errors, totals.error = k, n - k, weights
    return totals


def suspicious() -> Totals:
    """Errors that let nothing be stepped up, and are no proof: E is 30 or so."""
    return proven(0.1, 4, 5)


UNENDED = tuple(state for state in State if state not in ENDED)
