"""What a measured rollout says: from what became of each request, the moments of the decision, and the gateways' logs.

Moments are on the clock of time.monotonic, as those of `Records`; but those of the logs are seconds since 1970.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.load.records import Outcome, Records, joined
from gateway.rollout.plan import Plan

_FOLLOWED: Final = "rollout.followed"


@dataclass(frozen=True)
class Moments:
    """When the load was steady, when the rollout was asked for, and when it was decided."""

    steady_s: float
    asked_s: float
    decided_s: float


@dataclass(frozen=True)
class Watched:
    """One rollout. ``state`` and ``reason``: how it ended. Times are in seconds, percentiles in milliseconds.

    - ``decided_after_s``: from the first request to the canary to the decision.
    - ``followed_after_s``: from the decision until the last answer of the version that should not answer any more; 0 without.
    - ``before_ms`` and ``during_ms``: p99 of stable's callers before the rollout was asked for, and from the first request to
      the canary to the decision. ``loading_ms``: in between, while the canary is loaded and warmed up.
    - ``middle_before_ms`` and ``middle_during_ms``: the median of the same callers in the same times.
    - ``saved_ms``: p99 of those whom stable answered because the canary had failed; not a number without any.
    """

    state: str
    reason: str
    decided_after_s: float
    followed_after_s: float
    requests: int
    failed: int
    before_ms: float
    during_ms: float
    loading_ms: float
    saved_ms: float
    middle_before_ms: float
    middle_during_ms: float

    @property
    def ratio(self) -> float:
        """p99 of stable's callers during the rollout, in parts of that before it."""
        return self.during_ms / self.before_ms

    @property
    def middle_ratio(self) -> float:
        """The median of stable's callers during the rollout, in parts of that before it."""
        return self.middle_during_ms / self.middle_before_ms


def watched(records: Records, at: Moments, stable: int, canary: int, plan: Plan) -> Watched:
    """The figures of one rollout, whose load went on for a while after the decision. Raises BenchError without a canary."""
    by_stable, to_canary = records.answered_by(stable).of(Outcome.RIGHT), sent_to(records, canary)
    if not len(to_canary):
        raise BenchError(f"version {canary} was asked by nobody: the rollout is {plan.state}, {plan.reason}")
    begun_s = float(to_canary.due_s.min())
    before, during = by_stable.between(at.steady_s, at.asked_s), by_stable.between(begun_s, at.decided_s)
    return Watched(
        str(plan.state),
        plan.reason,
        decided_after_s=at.decided_s - begun_s,
        followed_after_s=followed_after_s(by_stable if plan.kept == canary else to_canary, at.decided_s),
        requests=len(records),
        failed=failed(records),
        before_ms=before.latency_ms(99),
        during_ms=during.latency_ms(99),
        loading_ms=by_stable.between(at.asked_s, begun_s).latency_ms(99),
        saved_ms=to_canary.of(Outcome.SAVED).latency_ms(99),
        middle_before_ms=before.latency_ms(50),
        middle_during_ms=during.latency_ms(50),
    )


def sent_to(records: Records, canary: int) -> Records:
    """The requests that the canary has answered, and those that stable has answered because it failed."""
    return joined(records.answered_by(canary), records.of(Outcome.SAVED))


def followed_after_s(records: Records, since_s: float) -> float:
    """How long after a moment the last of these answers was given; 0 if none was."""
    ends_s = records.finished().due_s
    return max(0.0, float(ends_s.max()) - since_s) if len(ends_s) else 0.0


def failed(records: Records) -> int:
    """How many requests had no right answer."""
    return len(records) - len(records.of(Outcome.RIGHT, Outcome.SAVED))


@dataclass(frozen=True)
class Followed:
    """When a worker has begun to follow a revision of a plan, in seconds since 1970."""

    worker: str
    plan: str
    revision: int
    at_s: float


def followed(worker: str, log: Iterable[str]) -> list[Followed]:
    """What the log of a gateway says of it; ``worker`` stands before the process ids, which say which worker it was."""
    lines = (line for line in log if _FOLLOWED in line)
    return [_followed(worker, json.loads(line)) for line in lines]


def _followed(worker: str, event: Mapping[str, object]) -> Followed:
    at_s = datetime.fromisoformat(str(event["time"])).timestamp()
    return Followed(f"{worker} {event['pid']}", str(event["rollout"]), int(str(event["revision"])), at_s)


def spread_s(events: Sequence[Followed], plan: str, count: int) -> float:
    """By how much the times differ at which ``count`` workers follow a revision of a plan: the most, of all revisions.

    A worker that has not seen a revision has followed it when it follows a later one. Raises BenchError for other workers.
    """
    mine = [one for one in events if one.plan == plan]
    workers = {one.worker for one in mine}
    if len(workers) != count:
        raise BenchError(f"plan {plan} should be followed by {count} workers, and was by {sorted(workers)}")
    last = min(max(one.revision for one in mine if one.worker == worker) for worker in workers)
    revisions = {one.revision for one in mine if one.revision <= last}
    return max(_spread_s(mine, workers, revision) for revision in revisions)


def _spread_s(events: Sequence[Followed], workers: Iterable[str], revision: int) -> float:
    known = [one for one in events if one.revision >= revision]
    times = [min(one.at_s for one in known if one.worker == worker) for worker in workers]
    return max(times) - min(times)
