"""What a person reads of a rollout: one sentence that explains it, and a few lines that show where it stands."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.rollout.evidence.eprocess import rollback_at
from gateway.rollout.evidence.gate import gate, upper_bound, wilson
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.figures import DISAGREEMENT, ERRORS, SLOW, Figure, counted, figures, leading, log_e_of
from gateway.rollout.orders import UNDONE, orders_of
from gateway.rollout.plan import GATEWAY, PER_REQUEST, Event, Hold, Plan, State, standing
from gateway.rollout.steps import share_text

_MOST_EXP: Final = 700.0
_TIMES: Final = "\N{MULTIPLICATION SIGN}"

FAULTS: Final = {ERRORS: "failed requests", SLOW: "was too slow", DISAGREEMENT: "gave other answers"}
"""What a canary did that was found to be worse, by the metric."""


def explain(plan: Plan, by_step: Mapping[int, Totals], event: Event | None = None) -> str:
    """One sentence: where the rollout stands, since when, and why. ``event``: the newest row of its history, if known."""
    since = plan.standing_since_us if event is None or event.plan != plan.id else event.ts_us
    head = f"{_HEADS[plan.state].format(**_words(plan))} {clock(since)}"
    why = plan.reason or (_evidence(plan, by_step) if plan.state in _TOLD_BY_EVIDENCE else "")
    return f"{head}: {why}" if why else head


def told(event: Event) -> str:
    """One sentence about a row of the history: who has done what, and why."""
    who = "the gateway" if event.by == GATEWAY else event.by
    change = "" if event.before == event.after else f" ({stood(event.before) or 'new'} to {stood(event.after)})"
    return f"{who} {_DID.get(event.what, event.what)}{change}" + (f": {event.reason}" if event.reason else "")


def found_worse(plan: Plan) -> str:
    """What a canary that was found to be worse did, what became of it, and where to go on; empty for any other."""
    # A reason begins as ``proof`` does, where the evidence has led to it.
    fault = next((did for metric, did in FAULTS.items() if plan.reason.startswith(metric)), "was found to be worse")
    if plan.state in (State.ROLLING_BACK, State.ROLLED_BACK):
        if plan.reason.startswith(UNDONE):
            return "its promotion was undone; Rollouts says by whom"
        return f"{fault} and was taken back; Rollouts shows the evidence"
    if plan.hold is Hold.FROZEN:
        share = share_text(plan.canary_weight)
        return f"{fault} and keeps {share} of the requests until somebody decides; Rollouts has the evidence and the orders"
    if plan.hold is Hold.FAILING:
        return f"was promoted, and fails requests that version {plan.stable} answers; an order in Rollouts leads back to that"
    return ""


def proof(plan: Plan, by_step: Mapping[int, Totals]) -> str:
    """Why the canary is taken back: the metric that says most, E, and how seldom that would happen to a good version."""
    figure = leading(counted(plan, by_step))
    bound = f"E = {_e_text(log_e_of(plan, by_step))} ≥ {_e_text(rollback_at(plan.alpha))}"
    return f"{_counted(figure)}; {bound}; {_no_worse(plan, figure)} would do this in at most {_percent(plan.alpha)} of rollouts"


def passed(plan: Plan, by_step: Mapping[int, Totals]) -> str:
    """Why the gate let the canary through."""
    totals = by_step.get(plan.step, Totals())
    if plan.weight == 0:
        return f"{totals.disagreements} of {totals.pairs:,} compared answers differ; {so_far(plan, by_step)}"
    bound = _percent(upper_bound(totals.canary_errors, totals.canary_cells))
    cells = f"{totals.canary_errors} of the canary's {totals.canary_cells:,} cells"
    return f"errors in {cells}, at most {bound}; {so_far(plan, by_step)}"


def so_far(plan: Plan, by_step: Mapping[int, Totals]) -> str:
    """How far the evidence is from taking the canary back."""
    return f"E = {_e_text(log_e_of(plan, by_step))}{_limit(plan)}"


def status_lines(plan: Plan, by_step: Mapping[int, Totals], now_us: int) -> list[str]:
    """Where the rollout stands, for a terminal: the plan, the evidence, what it waits for, and the orders that can be given."""
    lines = [_title(plan, now_us)]
    if plan.reason:
        lines.append(f"  {plan.reason}")
    if any(sums.canary_requests + sums.baseline_requests + sums.stable_requests + sums.pairs for sums in by_step.values()):
        lines += [f"  {line}" for line in _evidence_lines(plan, by_step)]
    if plan.state is State.RUNNING:
        lines.append(f"  next: {_next(plan, by_step, now_us)}")
    orders = ", ".join(orders_of(plan))
    return [*lines, f"  orders: {orders}"] if orders else lines


_HEADS: Final[dict[State, str]] = {
    State.DRAFT: "{canary} was asked for at",
    State.LOADING: "{versions} are being loaded since",
    State.WARMING: "{canary} is being warmed up since",
    State.RUNNING: "{canary} gets {share} of the requests since",
    State.HOLDING: "{canary} holds at {share} since",
    State.PAUSED: "{canary} is paused at {share} since",
    State.PROMOTING: "promoted at",
    State.BAKE_AFTER: "promoted, with {stable} still loaded, at",
    State.DONE: "promoted, and {stable} let go, at",
    State.ROLLING_BACK: "rolled back at",
    State.ROLLED_BACK: "rolled back at",
    State.ABORTED: "aborted at",
    State.REFUSED: "refused at",
}
_DID: Final = {
    "start": "asked for the rollout",
    "step": "went on to the next step",
    "weight": "set the weight",
    "pause": "paused it",
    "resume": "resumed it",
    "promote": "promoted the new version",
    "abort": "aborted it",
    "undo": "undid the promotion",
    "clean": "let go of the version without requests",
    "pin": "sent every request to the old version by its number",
    "keep": "found other versions that stay loaded",
    "load": "had the versions loaded",
    "warm": "began to warm the new version up",
    "run": "gave the new version its first requests",
    "wait": "waits",
    "hold": "held it",
    "release": "let it go on",
    "look": "counted failures after the promotion",
    "rollback": "took the new version back",
    "freeze": "froze it",
    "refuse": "refused it",
    "bake_after": "saw that every worker has promoted it",
    "rolled_back": "saw that every worker has taken it back",
    "done": "ended it",
    "close": "closed it",
}
_TOLD_BY_EVIDENCE: Final = frozenset(
    {State.RUNNING, State.HOLDING, State.PAUSED, State.PROMOTING, State.BAKE_AFTER, State.DONE}
)


def stood(kept: str) -> str:
    """What the history keeps of where a plan stood, such as ``holding (no_data)``, for a person."""
    state, _, hold = kept.removesuffix(")").partition(" (")
    try:
        return standing(State(state), Hold(hold))
    except ValueError:
        return kept  # of a newer gateway, or nothing


def _words(plan: Plan) -> dict[str, str]:
    return {
        "canary": f"version {plan.canary}",
        "stable": "the old version" if plan.stable is None else f"version {plan.stable}",
        "versions": "versions " + " and ".join(map(str, plan.needed)),
        "share": share_text(plan.canary_weight),
    }


def _evidence(plan: Plan, by_step: Mapping[int, Totals]) -> str:
    return f"{_counted(leading(counted(plan, by_step)))}; {so_far(plan, by_step)}"


def _counted(figure: Figure) -> str:
    if figure.metric == DISAGREEMENT:
        return f"{DISAGREEMENT} {figure.bad} of {figure.n} compared answers"
    if not figure.n:
        return f"no {figure.metric} so far"
    what = "bad" if figure.metric == ERRORS else "slow"
    return (
        f"{figure.metric} {figure.bad} of {figure.n} {what} cells on the canary with {_percent(figure.share)} of the exposure"
    )


def _no_worse(plan: Plan, figure: Figure) -> str:
    if figure.metric == DISAGREEMENT:
        return f"a canary that differs in at most {_percent(plan.most_disagreement)} of the answers"
    return f"a canary no worse than {plan.error_ratio if figure.metric == ERRORS else plan.slow_ratio:g}{_TIMES}"


def _title(plan: Plan, now_us: int) -> str:
    beside = "" if plan.stable is None else f" beside {plan.stable}"
    where, length = standing(plan.state, plan.hold), _length(now_us - plan.standing_since_us)
    title = f"{plan.model}: version {plan.canary}{beside}, {where} for {length}"
    if not plan.is_sharing:
        return title
    who = "requests" if plan.mode == PER_REQUEST else f"callers, by {plan.mode}"
    return f"{title}, step {plan.step + 1} of {len(plan.steps)} at {share_text(plan.canary_weight)} of the {who}"


def _evidence_lines(plan: Plan, by_step: Mapping[int, Totals]) -> Iterator[str]:
    here, total = by_step.get(plan.step, Totals()), counted(plan, by_step)
    low, high = wilson(here.canary_errors, here.canary_cells)
    interval = f", {_percent(low)} to {_percent(high)}" if here.canary_cells else ""
    cells = f"canary {here.canary_cells:,} ({here.canary_errors:,} with errors{interval})"
    others = f"baseline {here.baseline_cells:,}, stable {here.stable_cells:,} (both {here.stable_errors:,} with errors)"
    yield f"cells of this step: {cells}, {others}"
    if total.pairs:
        yield f"compared answers: {total.pairs:,}, of which {total.disagreements:,} differ"
    if total.unchecked:
        yield f"faults without a second opinion: {total.unchecked:,}; windows left out because of that: {total.left_out:,}"
    by_metric = ", ".join(f"{figure.metric} {_e_text(figure.log_e)}" for figure in figures(total))
    yield f"E = {_e_text(log_e_of(plan, by_step))} ({by_metric}){_limit(plan)}"


def _limit(plan: Plan) -> str:
    return f"; {_e_text(rollback_at(plan.alpha))} takes it back"


def _next(plan: Plan, by_step: Mapping[int, Totals], now_us: int) -> str:
    left_us = plan.step_us + plan.current.bake_s * 1_000_000 - now_us
    after = "promotion" if plan.step + 1 == len(plan.steps) else share_text(plan.steps[plan.step + 1].weight)
    after = f"the order to go on to {after}" if plan.current.is_manual else after
    if left_us > 0:
        return f"{after} in {_length(left_us)}"
    verdict = gate(by_step.get(plan.step, Totals()), log_e_of(plan, by_step), plan)
    return f"{after}, when there is enough to tell: {verdict.reason}" if verdict.reason else f"{after} now"


def _e_text(log_e: float) -> str:
    e = math.exp(max(-_MOST_EXP, min(_MOST_EXP, log_e)))
    return f"{e:,.0f}" if 100 <= e < 1e7 else f"{e:.3g}" if e >= 0.001 else "0"


def _percent(part: float) -> str:
    return f"{part * 100:.3g} %"


def clock(time_us: int) -> str:
    """The time of day, in UTC, with the date: a reader may come days later."""
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _length(us: int) -> str:
    """A length of time in its two largest units: ``4m10s``."""
    days, rest = divmod(max(0, us // 1_000_000), 86_400)
    hours, rest = divmod(rest, 3600)
    parts = ((days, "d"), (hours, "h"), (rest // 60, "m"), (rest % 60, "s"))
    told = [f"{number}{unit}" for number, unit in parts if number]
    return "".join(told[:2]) or "0s"
