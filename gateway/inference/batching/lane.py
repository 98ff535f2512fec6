"""The requests of one kind that may share a call: who waits for one, and how many calls are under way.

Plain state; the batcher's lock guards it.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.hub import Hub
from gateway.inference.signature import Prediction, Tensors
from gateway.waiting import Signal


class State(Enum):
    """Where a member is."""

    WAITING = auto()
    ABOARD = auto()  # of a batch
    DONE = auto()
    GONE = auto()  # gave up


@dataclass(slots=True, eq=False)
class Member:
    """One request. ``outcome`` is set before ``done`` is, and never changes then."""

    inputs: Tensors
    rows: int
    deadline: Deadline
    arrived_s: float = field(default_factory=time.perf_counter)
    state: State = State.WAITING
    done: Signal = field(default_factory=Signal)
    outcome: "Prediction | GatewayError | None" = None  # None when done: to be called alone


@dataclass(slots=True)
class Lane:
    """The requests of one key.

    ``is_called_for``: a batch is to be sent as soon as the hub, to which the requests belong, has nothing else to do.
    """

    hub: Hub | None = None
    in_flight: int = 0
    is_called_for: bool = False
    most_rows: int = 1  # that may share a call: as many as were compared
    limited: "list[Member]" = field(default_factory=list)  # of the last batch, when more were waiting than it could take
    queued_rows: int = 0
    is_shared: bool = False  # whether the last batch had several members
    enough_rows: int = 1  # as many as the last batch had: under a steady load no more come
    waiting: "deque[Member]" = field(default_factory=deque)
    has_enough: threading.Event = field(default_factory=threading.Event)
