"""Rollouts as JSON, the same for ``rollout status --json`` and /admin/rollouts. Parts of the requests are from 0 to 1."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

from gateway.rollout.evidence.eprocess import rollback_at
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.figures import counted, leading, log_e_of
from gateway.rollout.orders import UNDONE, orders_of
from gateway.rollout.plan import WHOLE, Event, Plan, State
from gateway.rollout.samples import Sample, differences, unused_tolerances
from gateway.rollout.sentences import FAULTS, explain, told

_TIMES: Final = {"created_us": "created", "state_us": "state_since", "step_us": "step_since"}
_PARTS: Final = ("weight", "shadow")


class Follower(Protocol):
    """A gateway's worker that was heard of: ``seen`` has the revision that it acts on, by plan."""

    @property
    def host(self) -> str:
        """Where it runs."""

    @property
    def pid(self) -> int:
        """Its process."""

    @property
    def seen(self) -> Mapping[str, int]:
        """By the plan's id."""

    @property
    def age_s(self) -> float:
        """How long ago it was heard of."""


def plan_document(plan: Plan) -> dict[str, Any]:
    """What the plan says, and which orders can be given now.

    Its salt is left out, which would let a caller choose where its requests go.
    """
    made: dict[str, Any] = msgspec.to_builtins(plan)
    del made["salt"]
    for name in _PARTS:
        made[name] /= WHOLE
    for step in made["steps"]:
        step["weight"] /= WHOLE
    made["hold_since"] = time_text(plan.standing_since_us) if plan.hold else None
    del made["hold_us"]
    for name, new in _TIMES.items():
        made[new] = time_text(made.pop(name))
    orders = [str(order) for order in orders_of(plan)]
    return made | {"canary_weight": plan.canary_weight / WHOLE, "is_ended": plan.is_ended, "orders": orders}


def status_document(
    plan: Plan, by_step: Mapping[int, Totals], workers: Sequence[Follower], samples: Sequence[Sample] | None
) -> dict[str, Any]:
    """The plan, what is known about it, what came of it in plain words, one sentence of the evidence, samples of requests that
    the canary failed or answered differently, and which workers follow it.

    ``samples``: None for a reader who may not see any; the document's ``samples`` is null then.
    """
    return plan_document(plan) | {
        "summary": _summary(plan, by_step, samples or ()),
        "explained": explain(plan, by_step, None),
        "log_e": log_e_of(plan, by_step),
        "rollback_at_log_e": rollback_at(plan.alpha),
        "evidence": {str(step): msgspec.to_builtins(totals) for step, totals in sorted(by_step.items())},
        **_samples_document(samples),
        "workers": [
            {"host": worker.host, "pid": worker.pid, "revision": worker.seen.get(plan.id), "age_s": round(worker.age_s, 1)}
            for worker in workers
        ],
    }


def _summary(plan: Plan, by_step: Mapping[int, Totals], samples: Sequence[Sample]) -> str:
    """What a person wants to know first of a canary that was taken back; empty for other plans."""
    if plan.state not in (State.ROLLING_BACK, State.ROLLED_BACK):
        return ""
    if plan.reason.startswith(UNDONE):
        return f"The promotion of version {plan.canary} was undone: every request goes to version {plan.stable} again."
    what = FAULTS[leading(counted(plan, by_step)).metric]
    failed = next((sample for sample in samples if "error" in sample), None)
    said = f", such as {failed['error']}: {failed['message']}" if failed else ""
    told = f"Version {plan.canary} {what} and was taken back{said}. Every request goes to version {plan.stable} again."
    if plan.has_second_opinion:
        told += f" Version {plan.stable} answered the requests that version {plan.canary} failed, as far as there was time."
    return f"{told} Nothing has to be done now. The order clean unloads version {plan.canary} when nobody needs it any more."


def explained_document(plan: Plan, sentence: str, samples: Sequence[Sample] | None) -> dict[str, Any]:
    """Why the rollout is where it is, and samples of answers that differed, as in ``status_document``."""
    about = {"id": plan.id, "model": plan.model, "state": plan.state, "explained": sentence}
    return about | _samples_document(samples)


def _samples_document(samples: Sequence[Sample] | None) -> dict[str, Any]:
    if samples is None:
        return {"samples": None, "unused_tolerances": []}
    shown = [sample_document(sample) for sample in differences(samples)]
    return {"samples": shown, "unused_tolerances": unused_tolerances(samples)}


def sample_document(sample: Sample) -> dict[str, Any]:
    """A request that was answered differently. Those that older gateways have kept have no ``time``."""
    made = dict(sample)
    return {"time": time_text(made.pop("ts_us"))} | made if "ts_us" in made else made


def event_document(event: Event) -> dict[str, Any]:
    """One row of the history, and a sentence of it."""
    made: dict[str, Any] = msgspec.to_builtins(event)
    return {"time": time_text(made.pop("ts_us"))} | made | {"told": told(event)}


def time_text(time_us: int) -> str:
    """A time in microseconds since 1970 in ISO 8601, UTC."""
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
