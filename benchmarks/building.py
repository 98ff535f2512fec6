"""Building SavedModels in a process of its own, since TensorFlow stays out of the process that measures."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.contender import ROOT
from benchmarks.errors import BenchError
from benchmarks.progress import Progress

SCRATCH: Final = ROOT / ".bench"
"""Where models, environments and logs go, if nothing else is said."""


def build(module: str, folder: Path, shown: Progress) -> Path:
    """Run ``python -m module folder``, which builds what is missing; return the folder. Raises BenchError."""
    shown.note("building the SavedModels")
    command = [sys.executable, "-m", module, str(folder)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise BenchError(f"the SavedModels could not be built: {finished.stderr.strip().splitlines()[-1:]}")
    return folder
