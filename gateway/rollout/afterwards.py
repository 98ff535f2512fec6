"""After the promotion: how long the old version stays loaded beside the canary, which gets every request.

The old one answers what the canary fails. That must not hide a canary that all requests are too much for: nobody would notice
before the old version is gone, and with it the way back.
"""

from collections.abc import Mapping
from typing import Final

from gateway.rollout.changes import Change, change
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import Hold, Look, Plan, State

LOOK_US: Final = 300_000_000
"""How far back failures matter, while there are any."""


def baked(plan: Plan, by_step: Mapping[int, Totals], missing: str, now_us: int) -> Change | None:
    """The change of a plan in ``bake_after``; None while its old version stays. ``missing``: what is not loaded, and where.

    The old version goes when its time is over, every server has the canary and the canary does not fail requests that the old
    one answers; or when a person says so.
    """
    if plan.drops_other:
        return _done(plan, now_us)
    if missing:
        # The old version is what a server without the new one can answer with.
        return None if plan.hold is Hold.NOT_LOADED else _held(plan, Hold.NOT_LOADED, missing, now_us)
    if plan.hold is Hold.NOT_LOADED:
        return _released(plan, "both versions are loaded on every model server again", now_us)
    return _looked(plan, _since(plan, by_step, now_us), now_us)


def _since(plan: Plan, by_step: Mapping[int, Totals], now_us: int) -> Look:
    """The requests since the last look."""
    asked, failed = (sum(getattr(totals, name) for totals in by_step.values()) for name in ("alone_asked", "alone_failed"))
    return Look(now_us, asked - plan.last_look.asked, failed - plan.last_look.failed)


def _looked(plan: Plan, since: Look, now_us: int) -> Change | None:
    """A look is only noted when something has failed, so that quiet hours before it do not hide the next minutes."""
    length_us = now_us - max(plan.last_look.at_us, plan.state_us)
    is_failing, is_due = since.failed > plan.most_bad * since.asked, length_us >= LOOK_US
    if plan.hold is Hold.FAILING:
        if not is_due or not since.asked:
            return None
        note = f"{since.failed:,} of the last {since.asked:,} requests failed"
        return _failing(plan, since, now_us) if is_failing else _released(plan, note, now_us, since)
    if is_failing:
        return _failing(plan, since, now_us)
    is_over = now_us - plan.state_us >= plan.keep_old_s * 1_000_000
    if is_over and (not since.failed or LOOK_US <= length_us < 2 * LOOK_US):
        return _done(plan, now_us)
    return change(plan, now_us, "look", last_look=_noted(plan, since)) if since.failed and is_due else None


def _failing(plan: Plan, since: Look, now_us: int) -> Change:
    told = f"{since.failed:,} of the last {since.asked:,} requests failed on version {plan.canary}"
    ways = "`undo` leads back to it, and `clean` lets it go all the same"
    reason = f"{told}, and version {plan.stable} has answered them: {ways}"
    return _held(plan, Hold.FAILING, reason, now_us, since)


def _held(plan: Plan, hold: Hold, reason: str, now_us: int, since: Look | None = None) -> Change:
    return change(plan, now_us, "hold", hold=hold, reason=reason, last_look=_noted(plan, since))


def _released(plan: Plan, note: str, now_us: int, since: Look | None = None) -> Change:
    return change(plan, now_us, "release", note=note, hold=Hold.NONE, reason="", last_look=_noted(plan, since))


def _done(plan: Plan, now_us: int) -> Change:
    return change(plan, now_us, "done", state=State.DONE, hold=Hold.NONE, reason=_kept(plan), drops_other=True)


def _kept(plan: Plan) -> str:
    """Why it was promoted; not why it was not done yet."""
    return "" if plan.hold else plan.reason


def _noted(plan: Plan, since: Look | None) -> Look:
    before = plan.last_look
    return before if since is None else Look(since.at_us, before.asked + since.asked, before.failed + since.failed)
