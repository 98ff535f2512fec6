"""The requests of one kind and layout that may share a call: those that wait, and how many calls are under way."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import TypeAlias

from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.inference.batching.record import Kind
from gateway.inference.signature import Prediction, Tensors

Outcome: TypeAlias = Prediction | GatewayError | None
"""What a request that waited is told: its answer, its error, or None: it is to be called alone."""


class State(Enum):
    """What became of an entry."""

    WAITING = auto()
    SENT = auto()  # in a batch
    ALONE = auto()  # told that it is to be called alone
    DONE = auto()


class Entry:
    """One request of ``rows`` rows. ``outcome`` is settled once, unless its waiter was cancelled before.

    ``was_returned``: another version answered its batch than was meant, and it waits once more.
    """

    __slots__ = ("arrived_s", "deadline", "inputs", "outcome", "rows", "sent_s", "state", "was_returned")

    def __init__(self, inputs: Tensors, rows: int, deadline: Deadline, outcome: "asyncio.Future[Outcome]") -> None:
        self.inputs = inputs
        self.rows = rows
        self.deadline = deadline
        self.outcome = outcome
        self.state = State.WAITING
        self.was_returned = False
        self.arrived_s = self.sent_s = time.perf_counter()

    @property
    def answer(self) -> Prediction | None:
        """The answer that the request got; None when it has none yet, got an error or was given up."""
        if not self.outcome.done() or self.outcome.cancelled():
            return None
        outcome = self.outcome.result()
        return outcome if isinstance(outcome, Prediction) else None

    def settle(self, outcome: Outcome, state: State = State.DONE) -> None:
        """Tell the waiter, unless it was told or cancelled before."""
        if not self.outcome.done():
            self.state = state
            self.outcome.set_result(outcome)


class Queue:
    """The entries of one key that wait, in their order, and what is under way for those that were taken out.

    - ``rows`` waiting; ``in_flight`` batches; ``alone`` calls of entries that are called alone.
    - ``is_scheduled``: the event loop will look at the queue in its next turns.
    - ``most_rows`` may share a call: as many as were compared.
    - ``limited``: the last batch, when more waited than it could take.
    - ``hold`` ends the time for which all but a few lone calls wait for a proof; ``was_held``: it has ended.
    """

    __slots__ = (
        "alone",
        "hold",
        "in_flight",
        "is_scheduled",
        "key",
        "kind",
        "limited",
        "most_rows",
        "rows",
        "waiting",
        "was_held",
    )

    def __init__(self, kind: Kind, key: object) -> None:
        self.kind = kind
        self.key = key
        self.waiting: deque[Entry] = deque()
        self.rows = 0
        self.in_flight = 0
        self.alone = 0
        self.is_scheduled = False
        self.most_rows = 1
        self.limited: list[Entry] = []
        self.hold: asyncio.TimerHandle | None = None
        self.was_held = False

    @property
    def is_unused(self) -> bool:
        """Whether nothing waits, is under way, or is to be looked at."""
        return not (self.waiting or self.in_flight or self.alone or self.is_scheduled)

    def add(self, entry: Entry) -> None:
        """Put an entry behind the others."""
        self.waiting.append(entry)
        self.rows += entry.rows

    def add_first(self, entries: Iterable[Entry]) -> None:
        """Put entries that waited before in front of the others."""
        for entry in reversed(list(entries)):
            entry.state = State.WAITING
            self.waiting.appendleft(entry)
            self.rows += entry.rows

    def remove(self, entry: Entry) -> None:
        """Take out one entry that waits."""
        self.waiting.remove(entry)
        self.rows -= entry.rows

    def pop(self) -> Entry:
        """Take out the first entry."""
        entry = self.waiting.popleft()
        self.rows -= entry.rows
        return entry

    def end_hold(self) -> None:
        """No entry waits for a proof any more."""
        self.was_held = False
        if self.hold is not None:
            self.hold.cancel()
            self.hold = None
