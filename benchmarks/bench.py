"""What every group of measurements is given."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.progress import Progress
from benchmarks.rounds import Plan


@dataclass(frozen=True)
class Bench:
    """How to measure, where the SavedModels are, and whom to tell. ``plan.scratch`` is a folder for everything that is made."""

    plan: Plan
    models_dir: Path
    progress: Progress

    @property
    def logs_dir(self) -> Path:
        """Where the programs log."""
        return self.plan.scratch / "logs"
