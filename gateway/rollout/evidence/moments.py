"""Moments of 50 ms: what an arm shows within one is one proof, because it may all come from one call of the model server."""

from typing import Final

from gateway.rollout.plan import Arm

MOMENT_S: Final = 0.05


class Moments:
    """Those of one metric. For one event loop."""

    def __init__(self) -> None:
        self._began: dict[Arm, float] = {}

    def begins(self, arm: Arm, now: float) -> bool:
        """Whether a moment of the arm begins at ``now``: the one before is over."""
        began = self._began.get(arm)
        if began is not None and now - began < MOMENT_S:
            return False
        self._began[arm] = now
        return True
