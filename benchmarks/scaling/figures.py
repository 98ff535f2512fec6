"""Figures of a load that a change of the servers has come into: pure functions of its records."""

from typing import Final

import numpy as np

from benchmarks.load.records import Outcome, Records

PIECE_S: Final = 1.0
_TIMES: Final = 2.0


def rate(records: Records, from_s: float, until_s: float) -> float:
    """Right answers a second that were given in this time."""
    return len(records.of(Outcome.RIGHT).finished().between(from_s, until_s)) / (until_s - from_s)


def p99_ms(records: Records, from_s: float, until_s: float) -> float:
    """p99 of the requests that were sent in this time, whatever became of them; not a number when there are none."""
    return records.between(from_s, until_s).latency_ms(99)


def back_after_s(records: Records, at_s: float, until_s: float, before_ms: float) -> float:
    """How long after ``at_s`` p99 is at most twice ``before_ms`` for good, in whole pieces of a second; infinity for never.

    A piece in which nothing is sent is a bad one: every client waits.
    """
    pieces = int((until_s - at_s) // PIECE_S)
    found = [p99_ms(records, at_s + number * PIECE_S, at_s + (number + 1) * PIECE_S) for number in range(pieces)]
    bad = [number for number, value in enumerate(found) if not value <= _TIMES * before_ms]
    if not bad:
        return 0.0
    return (bad[-1] + 1) * PIECE_S if bad[-1] + 1 < pieces else float("inf")


def late(records: Records, at_s: float, before_ms: float) -> int:
    """How many of the requests that were under way at ``at_s`` or sent later took more than twice ``before_ms``, or failed."""
    after = records.finished()
    chosen = after.due_s >= at_s
    is_late = (records.latency_s * 1e3 > _TIMES * before_ms) | (records.outcome != Outcome.RIGHT)
    return int(np.count_nonzero(chosen & is_late))


def outcomes(records: Records) -> str:
    """What became of the requests, those that occurred only: ``12 right, 3 refused``."""
    return ", ".join(f"{count:,} {name}" for name, count in records.counts().items() if count)
