"""The requests of one kind and layout that may share a call: those that wait, and how many calls are under way."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.inference.batching.record import Kind
from gateway.inference.signature import Prediction, Tensors
from gateway.telemetry.spans import Spans

Outcome: TypeAlias = Prediction | GatewayError | None
"""What a request that waited is told: its answer, its error, or None: it is to be called alone."""


@dataclass(slots=True, eq=False)
class Entry:
    """One request of ``rows`` rows. ``outcome`` is settled once, unless its waiter was cancelled before.

    - ``spans``: the one of the request; none without traces.
    - ``answer``: None when the request has none yet, got an error or was given up.
    - ``is_waiting`` in its queue; ``is_alone``: it was told to be called alone, and that call has not ended.
    - ``trial``: the entries that are called alone and will be compared together, itself included.
    - ``was_returned``: another version answered its batch than was meant, and it waits once more.
    """

    inputs: Tensors
    rows: int
    deadline: Deadline
    outcome: asyncio.Future[Outcome]
    spans: Spans = ()
    answer: Prediction | None = None
    trial: "list[Entry] | None" = None
    is_waiting: bool = False
    is_alone: bool = False
    was_returned: bool = False
    arrived_s: float = field(default_factory=time.perf_counter)
    sent_s: float = 0.0

    def settle(self, outcome: Outcome) -> None:
        """Tell the waiter, unless it was told or cancelled before."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)
            if isinstance(outcome, Prediction):
                self.answer = outcome


@dataclass(slots=True, eq=False)
class Queue:
    """The entries of one key that wait, in their order, and what is under way for those that were taken out.

    - ``rows`` waiting; ``in_flight`` batches; ``alone`` calls of entries that are called alone.
    - ``is_scheduled``: the event loop will look at the queue in its next turns.
    - ``limited``: the last batch, when more waited than it could take.
    - ``hold`` ends the time for which all but a few lone calls wait for a proof.
    - ``trials`` that are not over; ``open_trial``: the one that further lone calls take part in.
    """

    kind: Kind
    key: object
    waiting: deque[Entry] = field(default_factory=deque)
    rows: int = 0
    in_flight: int = 0
    alone: int = 0
    is_scheduled: bool = False
    limited: list[Entry] = field(default_factory=list)
    hold: asyncio.TimerHandle | None = None
    trials: int = 0
    open_trial: list[Entry] | None = None

    @property
    def is_unused(self) -> bool:
        """Whether nothing waits, is under way, or is to be looked at."""
        return not (self.waiting or self.in_flight or self.alone or self.is_scheduled or self.trials)

    def add(self, entry: Entry) -> None:
        """Put an entry behind the others."""
        entry.is_waiting = True
        self.waiting.append(entry)
        self.rows += entry.rows

    def add_first(self, entries: Sequence[Entry]) -> None:
        """Put entries that waited before in front of the others."""
        for entry in entries:
            entry.is_waiting = True
            self.rows += entry.rows
        self.waiting.extendleft(reversed(entries))

    def remove(self, entry: Entry) -> None:
        """Take out one entry that waits."""
        self.waiting.remove(entry)
        entry.is_waiting = False
        self.rows -= entry.rows

    def take(self, most_rows: int) -> tuple[list[Entry], list[Entry]]:
        """Take out the first entries, as far as they have ``most_rows`` together; beside them, those that have more each."""
        batch: list[Entry] = []
        too_large: list[Entry] = []
        room, now_s = most_rows, time.perf_counter()
        while self.waiting and (self.waiting[0].rows <= room or self.waiting[0].rows > most_rows):
            entry = self.waiting.popleft()
            entry.is_waiting = False
            self.rows -= entry.rows
            if entry.rows > most_rows:
                too_large.append(entry)
            else:
                entry.sent_s = now_s
                room -= entry.rows
                batch.append(entry)
        return batch, too_large

    def end_hold(self) -> None:
        """No entry waits for a proof any more."""
        if self.hold is not None:
            self.hold.cancel()
            self.hold = None
