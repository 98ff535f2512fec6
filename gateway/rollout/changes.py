"""The changes of a plan that no person orders and no evidence decides: how a draft becomes a rollout, or is refused.

A change is always the next revision of the plan and its row of the history, which belong into one transaction.
"""

from typing import Any

from gateway.rollout.plan import GATEWAY, Event, Plan, State

Change = tuple[Plan, Event]


def change(
    plan: Plan,
    now_us: int,
    what: str,
    *,
    by: str = GATEWAY,
    note: str | None = None,
    evidence: dict[str, Any] | None = None,
    **values: Any,
) -> Change:
    """The plan with ``values``, and the row of its history. ``note``: what the row says, if not the plan's reason."""
    after = plan.changed(now_us, **values)
    event = Event(
        plan=plan.id,
        model=plan.model,
        revision=after.revision,
        ts_us=now_us,
        by=by,
        what=what,
        before=_standing(plan),
        after=_standing(after),
        reason=after.reason if note is None else note,
        evidence=evidence or {},
    )
    return after, event


def pinned(plan: Plan, values: dict[str, Any], now_us: int) -> Change:
    """A draft that was checked, and has found its stable version: every request goes there from now on.

    Both versions may be loaded only once every worker knows that: to the model server, the latest one answers.
    """
    return change(plan, now_us, "pin", reason="", **values)


def kept(plan: Plan, others: tuple[int, ...], now_us: int) -> Change:
    """A draft that has found ``others`` on a gateway's model servers, which clients may name: they stay loaded."""
    return change(plan, now_us, "keep", others=others)


def accepted(plan: Plan, values: dict[str, Any], now_us: int) -> Change:
    """A draft that was checked (``checking.check_draft`` gives the values): both versions are to be loaded now."""
    return change(plan, now_us, "load", state=State.LOADING, reason="", **values)


def refused(plan: Plan, reason: str, now_us: int) -> Change:
    """A rollout that cannot begin, and why. It stays open only where stable was pinned before."""
    return change(plan, now_us, "refuse", state=State.REFUSED, reason=reason, weight=0, is_open=plan.stays_open)


def loaded(plan: Plan, now_us: int) -> Change:
    """Both versions are AVAILABLE on every model server: the canary is warmed up now."""
    return change(plan, now_us, "warm", state=State.WARMING, reason="")


def warmed(plan: Plan, now_us: int, note: str = "") -> Change:
    """The canary gets its first callers now. ``note``: what the warm-up was."""
    return change(plan, now_us, "run", note=note, state=State.RUNNING, reason="", weight=plan.current.weight)


def waits(plan: Plan, reason: str, now_us: int) -> Change:
    """A plan that stays where it is, and now says why: what an operator must do before it can go on.

    Of one that ended, only the history says so: its reason is why it ended.
    """
    return change(plan, now_us, "wait", note=reason, reason=plan.reason if plan.is_ended else reason, told_us=now_us)


def _standing(plan: Plan) -> str:
    """The state, and why it holds."""
    hold = f" ({plan.hold})" if plan.hold else ""
    return f"{plan.state}{hold}"
