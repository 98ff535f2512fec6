"""Four canaries, each under a steady load: how soon each is taken back or promoted, and what the callers notice."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.rollouts import versions
from benchmarks.rollouts.figures import Moments, Watched, watched
from benchmarks.rollouts.stack import Stack, at_s
from gateway.rollout.plan import ENDED, State

WARM_S: Final = 3.0
"""Of load before anything is measured."""
AFTER_S: Final = 4.0
"""Of load after a decision, which is to be followed within 2 s."""
_MOST_S: Final = 240.0
_DECIDED: Final = ENDED | {State.ROLLING_BACK, State.PROMOTING, State.BAKE_AFTER}
_LONG: Final = "10%:10m"


@dataclass(frozen=True)
class Case:
    """A canary, the options of its rollout, and what should become of it: promoted, or taken back for ``reason``."""

    name: str
    canary: int
    options: Sequence[str] = ()
    reason: str = ""

    @property
    def is_promoted(self) -> bool:
        """Whether it should be promoted."""
        return not self.reason

    def steps(self, seconds: int) -> str:
        """The steps of its rollout; one that is taken back must not be promoted before."""
        return f"10%:{seconds}s" if self.is_promoted else _LONG


CASES: Final = (
    Case("fails 30 %", versions.FAILS, reason="errors"),
    Case("50 ms slower", versions.SLOW, reason="slow"),
    Case("differs by 1e-3", versions.DIFFERS, ("--shadow", "20%", "--tolerance", "1e-6,1e-6"), reason="disagree"),
    Case("equal", versions.EQUAL, ("--shadow", "20%")),
)


def model_of(case: Case, round_number: int) -> str:
    """The name of the model that this case has in a round."""
    return f"canary-{case.canary}-{round_number}"


def measure(stack: Stack, case: Case, model: str, rate: float, seconds: int) -> Watched:
    """One rollout of ``model`` under load, which was steady for so many seconds before. Raises BenchError without an end."""
    load = stack.load(model, rate)
    try:
        time.sleep(WARM_S)
        steady_s = time.monotonic()
        time.sleep(seconds)
        asked_s = time.monotonic()
        steps = ("--steps", case.steps(seconds))
        stack.order("start", model, "--canary", str(case.canary), "--no-watch", *steps, *case.options)
        plan = stack.wait_for(model, _DECIDED, _MOST_S)
        if plan.state not in _DECIDED:
            raise BenchError(f"the version that {case.name} was not decided in {_MOST_S:g} s: {stack.order('explain', model)}")
        decided_s = at_s(stack.event(model, "rollback", "promote", "refuse"))
        time.sleep(AFTER_S)
        records = load.finish()
    finally:
        load.end()
    return watched(records, Moments(steady_s, asked_s, decided_s), versions.STABLE, case.canary, plan)
