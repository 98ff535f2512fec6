"""What became of each request of an open-loop run: when it was due, how long it took from then, and its outcome."""

from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt


class Outcome(IntEnum):
    """How a request ended."""

    RIGHT = 0  # status 200 and the model's own predictions
    WRONG = 1  # status 200 and others
    REFUSED = 2  # 503 with Retry-After
    FAILED = 3  # any other status
    BROKEN = 4  # the connection failed, or what came is no answer
    LATE = 5  # no answer within the client's time limit
    SAVED = 6  # right, and answered by stable because a rollout's canary had failed


@dataclass(frozen=True)
class Records:
    """One element for each request, in no certain order. ``due_s`` is on the clock of time.monotonic, ``latency_s`` from then.

    ``version`` is that of the answer's X-Model-Version, 0 without one.
    """

    due_s: npt.NDArray[np.float64]
    latency_s: npt.NDArray[np.float64]
    outcome: npt.NDArray[np.int8]
    version: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.due_s)

    def between(self, from_s: float, until_s: float) -> "Records":
        """Return the requests that were due in this time."""
        return self._where((self.due_s >= from_s) & (self.due_s < until_s))

    def of(self, *outcomes: Outcome) -> "Records":
        """Return the requests with one of these outcomes."""
        return self._where(np.isin(self.outcome, outcomes))

    def answered_by(self, version: int) -> "Records":
        """Return the requests that this version has answered."""
        return self._where(self.version == version)

    def within(self, latency_s: float) -> "Records":
        """Return the requests that took at most so long."""
        return self._where(self.latency_s <= latency_s)

    def finished(self) -> "Records":
        """Return the same requests, with the time of their end in the place of the time at which they were due."""
        return replace(self, due_s=self.due_s + self.latency_s)

    def latency_ms(self, percent: float) -> float:
        """Return a percentile of the latencies; not a number when there are none."""
        return float(np.percentile(self.latency_s, percent) * 1e3) if len(self) else float("nan")

    def counts(self) -> dict[str, int]:
        """Return how many requests had each outcome."""
        return {outcome.name.lower(): int((self.outcome == outcome).sum()) for outcome in Outcome}

    def timeline(self, bin_s: float) -> list[dict[str, float]]:
        """Return the run in pieces of time: requests due a second, those of each outcome, and p99 of the right ones."""
        start_s, end_s = float(self.due_s.min()), float(self.due_s.max())
        pieces = [(at, self.between(at, at + bin_s)) for at in np.arange(start_s, end_s, bin_s)]
        return [{"at_s": round(float(at) - start_s, 3), **piece.summary(bin_s)} for at, piece in pieces]

    def summary(self, seconds: float) -> dict[str, float]:
        """Rates, when these were due in so many seconds, and p99 of those that were right, if any were."""
        right = self.of(Outcome.RIGHT)
        p99_ms = {"p99_ms": round(right.latency_ms(99), 3)} if len(right) else {}
        rates = {name: round(count / seconds, 1) for name, count in self.counts().items()}
        return {"due": round(len(self) / seconds, 1), **rates, **p99_ms}

    def _where(self, chosen: npt.NDArray[np.bool_]) -> "Records":
        return Records(self.due_s[chosen], self.latency_s[chosen], self.outcome[chosen], self.version[chosen])


def joined(*parts: Records) -> Records:
    """Return all of these requests."""
    columns = [(one.due_s, one.latency_s, one.outcome, one.version) for one in parts]
    return Records(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def read(file: Path) -> Records:
    """Read what `write` wrote."""
    with np.load(file) as stored:
        return Records(stored["due_s"], stored["latency_s"], stored["outcome"], stored["version"])


def write(file: Path, rows: list[tuple[float, float, int, int]]) -> None:
    """Write rows of due_s, latency_s, outcome, version."""
    table = np.array(rows, np.float64).reshape(-1, 4)
    np.savez(
        file,
        due_s=table[:, 0],
        latency_s=table[:, 1],
        outcome=table[:, 2].astype(np.int8),
        version=table[:, 3].astype(np.int64),
    )
