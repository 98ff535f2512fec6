"""The instructions of each case: the program run under callgrind, and its parts read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.instructions import callgrind
from benchmarks.instructions.cases import CASES, Case

# Parts of a case: before the first mark, warm-up, between, N requests, between, 2 N requests.
_PARTS: Final = 6
_ONCE: Final = 3
_TWICE: Final = 5


def run(scratch: Path) -> dict[str, Any]:
    """Return the instructions of one request of each case, by its name. Raises BenchError."""
    metrics_dir = scratch / "instructions-metrics"
    metrics_dir.mkdir(parents=True, exist_ok=True)
    parts = callgrind.count(("-m", "benchmarks.instructions.program", str(metrics_dir)), scratch / "instructions")
    return {"requests": {case.name: of_request(case, number, parts) for number, case in enumerate(CASES)}}


def of_request(case: Case, number: int, parts: Sequence[int]) -> int:
    """Return the instructions of one request of the case of this number, from those of all parts of the program."""
    of_case = parts[number * _PARTS : (number + 1) * _PARTS]
    return round((of_case[_TWICE] - of_case[_ONCE]) / case.requests)
