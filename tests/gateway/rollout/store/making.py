"""Plans, events and reports for the tests of the database of rollouts."""

from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import Event, Plan, State, Step
from gateway.rollout.store.view import Report

MINUTE_US = 60_000_000


def a_plan(id_="digits-3-f4a1", **changes):
    values = {"model": "digits", "stable": 2, "canary": 3, "steps": (Step(10_000, 600), Step(100_000, 600, is_manual=True))}
    values |= {"salt": "5a17", "author": "anna", "created_us": 1, "state_us": 1, "step_us": 1}
    return Plan(id=id_, **(values | changes))


def an_event(plan, what="start", by="anna", **changes):
    values = {"plan": plan.id, "model": plan.model, "revision": plan.revision, "ts_us": plan.state_us}
    return Event(**(values | {"by": by, "what": what, "before": "", "after": plan.state} | changes))


def advance(store, plan, what="step", **values):
    """The next revision of a plan, which is in the database."""
    after = plan.changed(plan.state_us + MINUTE_US, **values)
    assert store.change(plan, after, an_event(after, what))
    return after


def ended(store, plan, state=State.DONE, **values):
    """A new plan that has ended at once."""
    assert store.create(plan, an_event(plan))
    return advance(store, plan, state=state, **values)


def some_totals(n):
    """Sums that are all multiples of ``n``, so that the sums of several show whether one is missing."""
    weights = [n * float(j) for j in range(8)]
    return Totals(canary_cells=n, stable_cells=9 * n, canary_errors=2 * n, pairs=3 * n, error=weights, slow=weights[::-1])


def a_report(boot="w1", **changes):
    return Report(**({"boot": boot, "host": "one", "pid": 11} | changes))
