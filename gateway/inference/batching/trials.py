"""Gathers requests that are called alone and would have shared a call, so that both can be compared.

A trial takes the requests of one queue that come while another of them is at the model server, until the first of its own is
answered. It is whole when all of them are answered. A model under light load has no trials, and so no further calls.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.inference.batching.comparisons import MOST_BYTES, Comparisons
from gateway.inference.batching.queue import Entry, Queue
from gateway.inference.batching.record import Record

# Trials that one worker holds at a time, and requests that take part in one. A new version is proven sooner with several small
# ones at a time: under load its first requests are called alone for as long as that takes.
_MOST_TRIALS: Final = 16
_MOST_REQUESTS: Final = 4


class Trials:
    """The trials, of at most ``max_rows`` rows. ``on_end`` is called whenever one is over."""

    def __init__(self, comparisons: Comparisons, max_rows: int, on_end: Callable[[], None]) -> None:
        self._comparisons = comparisons
        self._max_rows = max_rows
        self._on_end = on_end
        self._held = 0

    def enter(self, queue: Queue, entry: Entry, record: Record) -> None:
        """A lone call begins, which is counted in ``queue.alone``: it takes part in a trial if there is a place for it."""
        if queue.alone < 2 or record.knows(entry.rows):
            return
        trial = queue.open_trial
        if trial is None or not self._may_be_a_trial([*trial, entry]):
            may_begin = queue.trials < record.most_trials and self._held < _MOST_TRIALS
            if not may_begin or not self._may_be_a_trial([entry]):
                return
            trial = queue.open_trial = []
            queue.trials += 1
            self._held += 1
        trial.append(entry)
        entry.trial = trial

    def leave(self, queue: Queue, entry: Entry) -> None:
        """A lone call has ended, and ``is_alone`` no more. If this makes its trial whole, that is compared."""
        trial, entry.trial = entry.trial, None
        if trial is None:
            return
        if queue.open_trial is trial:
            queue.open_trial = None
        if not any(other.is_alone for other in trial):
            self._comparisons.compare_trial(queue.kind, trial, partial(self._end, queue))

    def _may_be_a_trial(self, entries: list[Entry]) -> bool:
        if len(entries) > _MOST_REQUESTS or sum(entry.rows for entry in entries) > self._max_rows:
            return False
        return sum(array.nbytes for entry in entries for array in entry.inputs.values()) <= MOST_BYTES

    def _end(self, queue: Queue) -> None:
        queue.trials -= 1
        self._held -= 1
        self._on_end()
