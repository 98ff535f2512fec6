"""Counts what one worker sees in one step of a rollout, and weighs it whenever 10 s are over.

Each window is one segment of the e-process: the canary's part of the bad cells is compared with its part of all cells in that
window. A window that the step's end cuts off is not weighed.
"""

import time
from collections.abc import Callable
from typing import Final, Self

from gateway.rollout.evidence import eprocess
from gateway.rollout.evidence.cells import Cells, weighed
from gateway.rollout.evidence.moments import Moments
from gateway.rollout.evidence.slowness import Slowness
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import PER_REQUEST, WHOLE, Arm, Plan

WINDOW_S: Final = 10.0
_MOST_UNCHECKED: Final = 0.05
_LEAST_SHARE: Final = 1 / 1024
# Of a step's callers, the first are enough to see how they are split, and few enough that two seldom have the same bucket.
_MOST_CALLERS: Final = 2048
_MOST_TIMED: Final = WHOLE // 2


class Windows:
    """The counts of one worker and one step. Every call takes the same short time, but for the one that ends a window.

    - Each request is ``routed``. What its version says to it is reported once: ``answered``, ``failed``, ``both_failed``,
      ``unchecked`` or ``skipped``. ``bucket`` is the caller's, under 65,536; None: the request is a cell of its own.
    - The first timed request of a cell says whether the cell is slow: of a caller that asks twenty times, nearly always one is.
      Of an arm's answers within 50 ms only one is timed: they may have waited for the same call, and prove no more than one.
    - For the same reason only one of the canary's faults within 50 ms is weighed, and one of the baseline's; all are counted.
      Stable's are all weighed: its calls hold more requests, so one fault for each call would make it look too good.
    - What callers show who stay on their arm is about callers too: one that always sends large requests is always slow. So a
      bucket is slow at most once, and is not at risk afterwards. The same holds for errors, unless a second opinion has shown
      that the other version answers the very same request (``is_paired``).
    - Pairs have cells too, which their first comparison in the window decides, and a bucket differs at most once: an input that
      is sent again, and a caller whose inputs are alike, are no further trials.
    - ``is_sticky``: a request without a bucket was not assigned by chance, and is no cell.
    - ``is_timed``: whether slow answers are looked for. Over half of the weight the baseline is smaller than the canary, whose
      batches would be larger and slower: its callers would wait longer for a version that is no slower.
    - ``before``: the same worker's windows of the plan's step before, whose limits and buckets are carried on.

    For one event loop: nothing here is locked.
    """

    def __init__(
        self,
        error_ratio: float,
        slow_ratio: float,
        most_disagreement: float,
        now: Callable[[], float] = time.monotonic,
        *,
        is_sticky: bool = False,
        is_paired: bool = True,
        is_timed: bool = True,
        before: "Windows | None" = None,
    ) -> None:
        self._error_ratio, self._slow_ratio, self._most_disagreement = error_ratio, slow_ratio, most_disagreement
        self._now, self._is_sticky, self._is_paired, self._is_timed = now, is_sticky, is_paired, is_timed
        self.checked_share: float = before.checked_share if before else 1.0
        self._slowness: Slowness = Slowness(before._slowness.limit_s if before else None)
        self._spent_errors: set[int] = set(before._spent_errors) if before else set()
        self._spent_slow: set[int] = set(before._spent_slow) if before else set()
        self._spent_pairs: set[int] = set(before._spent_pairs) if before else set()
        self._pairs = Cells()
        self._sums = Totals()
        self._requests = dict.fromkeys(Arm, 0)
        self._cells = {arm: Cells() for arm in Arm}
        self._timed = {arm: Cells() for arm in (Arm.CANARY, Arm.BASELINE)}
        self._slow_moments, self._bad_moments = Moments(), Moments()
        self._callers: tuple[set[int], set[int]] = (set(), set())
        self._begin(now())

    @classmethod
    def of(cls, plan: Plan, now: Callable[[], float] = time.monotonic, before: Self | None = None) -> Self:
        """The windows of the plan's current step."""
        return cls(
            plan.error_ratio,
            plan.slow_ratio,
            plan.most_disagreement,
            now,
            is_sticky=plan.mode != PER_REQUEST,
            is_paired=plan.has_second_opinion,
            is_timed=plan.current.weight <= _MOST_TIMED,
            before=before,
        )

    @property
    def usual_s(self) -> float | None:
        """The time in which stable answers 95 % of its requests, in seconds of the window before; None: not known yet."""
        return self._slowness.limit_s

    def routed(self, arm: Arm, bucket: int | None) -> None:
        """Count a request that is sent to its arm, before anybody knows what will come of it or whether a cache answers it."""
        if arm is Arm.CANARY:
            self._sums.canary_routed += 1
        else:
            self._sums.other_routed += 1
        if bucket is not None and sum(map(len, self._callers)) < _MOST_CALLERS:
            self._callers[arm is not Arm.CANARY].add(bucket)

    def answered(self, arm: Arm, bucket: int | None, backend_s: float | None = None) -> None:
        """Count a request that its arm has answered, in ``backend_s`` of the model server's time if that is known."""
        self._enter(arm, bucket)
        self._time(arm, bucket, backend_s)

    def failed(self, arm: Arm, bucket: int | None) -> None:
        """Count a request that failed on its own arm, and not on the other one."""
        if self._enter(arm, bucket):
            self._faults += 1
            is_weighed = arm is Arm.STABLE or self._bad_moments.begins(arm, self._now())
            self._cells[arm].spoil(bucket, is_weighed=is_weighed)

    def both_failed(self, arm: Arm, bucket: int | None) -> None:
        """Count a request that failed on both arms: that speaks against neither."""
        if self._enter(arm, bucket):
            self._faults += 1

    def unchecked(self, arm: Arm, bucket: int | None) -> None:
        """Count a request that failed on its own arm, and could not be asked of the other one."""
        if self._enter(arm, bucket):
            self._faults += 1
            self._unchecked += 1
            self._sums.unchecked += 1
            self._sums.canary_unchecked += arm is Arm.CANARY

    def skipped(self, arm: Arm, bucket: int | None, backend_s: float | None = None) -> None:
        """Count a request outside of the sample whose faults are checked: nothing is said about errors."""
        self.turn()
        self._requests[arm] += 1
        self._time(arm, bucket, backend_s)

    def pair(self, differs: bool, bucket: int | None = None) -> None:
        """Count an answer of stable that was compared with the canary's. ``bucket``: of the caller, or of the inputs."""
        self.turn()
        if self._pairs.expose(bucket) and differs:
            self._pairs.spoil(bucket)

    def alone(self, *, has_failed: bool) -> None:
        """Count a request after the promotion; ``has_failed``: stable has answered it, since the canary failed."""
        self._sums.alone_asked += 1
        self._sums.alone_failed += has_failed

    def is_checked(self, u: float) -> bool:
        """Whether the request with the hash ``u``, in [0, 1), is in the sample whose faults are checked; ask this first."""
        self.turn()
        return u < self.checked_share

    def turn(self) -> None:
        """End the window if 10 s are over: it is weighed."""
        now = self._now()
        if now - self._began < WINDOW_S:
            return
        self._weigh_errors()
        self._weigh("slow", weighed(self._timed[Arm.CANARY], [self._timed[Arm.BASELINE]], self._slow_ratio, self._spent_slow))
        pairs, differing = self._pairs.at_risk(self._spent_pairs)
        self._weigh("disagree", eprocess.rate_weights(differing, pairs, self._most_disagreement))
        self._spent_pairs.update(self._pairs.bad_buckets)
        self._spent_slow.update(*(cells.bad_buckets for cells in self._timed.values()))
        self._slowness.turn()
        self._begin(now)

    def totals(self) -> Totals:
        """A copy of all sums: the counts with the open window, the weights without it."""
        self.turn()
        copy = self._sums + Totals()
        for arm in Arm:
            setattr(copy, f"{arm}_requests", self._requests[arm])
            setattr(copy, f"{arm}_cells", self._cells[arm].exposed)
        for arm, timed in self._timed.items():
            setattr(copy, f"{arm}_timed", timed.exposed)
            setattr(copy, f"{arm}_slow", timed.bad)
        copy.pairs, copy.disagreements = self._pairs.exposed, self._pairs.bad
        copy.canary_errors = self._cells[Arm.CANARY].bad
        copy.stable_errors = self._cells[Arm.STABLE].bad + self._cells[Arm.BASELINE].bad
        copy.canary_callers, copy.other_callers = map(len, self._callers)
        copy.workers = int(any(self._callers))
        return copy

    def _begin(self, now: float) -> None:
        self._began = now
        self._faults = self._unchecked = 0
        for cells in (*self._cells.values(), *self._timed.values(), self._pairs):
            cells.clear()

    def _enter(self, arm: Arm, bucket: int | None) -> bool:
        """Count a request, and its cell as exposed; whether it has a cell."""
        self.turn()
        self._requests[arm] += 1
        if not self._has_cell(bucket):
            return False
        self._cells[arm].expose(bucket)
        return True

    def _has_cell(self, bucket: int | None) -> bool:
        return bucket is not None or not self._is_sticky

    def _time(self, arm: Arm, bucket: int | None, backend_s: float | None) -> None:
        if backend_s is None:
            return
        if arm is not Arm.CANARY:
            self._slowness.add(backend_s)
        limit_s, timed = self._slowness.limit_s, self._timed.get(arm)
        if not self._is_timed or limit_s is None or timed is None or not self._has_cell(bucket):
            return
        if timed.knows(bucket) or not self._slow_moments.begins(arm, self._now()):
            return
        timed.expose(bucket)
        if backend_s > limit_s:
            timed.spoil(bucket)

    def _weigh_errors(self) -> None:
        """A window in which too many faults could not be checked says nothing, and fewer are checked in the next one."""
        canary, others = self._cells[Arm.CANARY], [self._cells[Arm.STABLE], self._cells[Arm.BASELINE]]
        if self._unchecked > _MOST_UNCHECKED * self._faults:
            self._sums.left_out += 1
            self.checked_share = max(_LEAST_SHARE, self.checked_share / 2)
            return
        if self._unchecked == 0:
            self.checked_share = min(1.0, self.checked_share * 2)
        self._weigh("error", weighed(canary, others, self._error_ratio, self._spent_errors))
        if not self._is_paired:
            self._spent_errors.update(*(cells.bad_buckets for cells in self._cells.values()))

    def _weigh(self, metric: str, weights: list[float]) -> None:
        setattr(self._sums, metric, eprocess.added(getattr(self._sums, metric), weights))
