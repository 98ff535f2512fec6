"""What every group of measurements is given."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.progress import Progress
from benchmarks.rounds import Plan


@dataclass(frozen=True)
class Bench:
    """How to measure, where the SavedModels are, and where progress is shown.

    ``plan.scratch`` is the folder of all that is made on the way.
    """

    plan: Plan
    models_dir: Path
    progress: Progress

    @property
    def logs_dir(self) -> Path:
        """The folder of the programs' logs."""
        return self.plan.scratch / "logs"
