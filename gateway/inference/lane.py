"""The requests of one kind that may share a call: who waits, who is under way, and what became of each.

Plain state; the batcher's lock guards it.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from gateway.errors import GatewayError
from gateway.inference.deadline import Deadline
from gateway.inference.signature import Prediction, Tensors


class Role(Enum):
    """What a member does now."""

    WAITING = auto()
    LEADING = auto()  # sees to the call of its batch
    RIDING = auto()  # is in a call that several share
    DONE = auto()
    GONE = auto()  # gave up


@dataclass(slots=True, eq=False)
class Member:
    """One request. Its fields are the lock's, but for those that are set before ``woken`` is."""

    inputs: Tensors
    rows: int
    deadline: Deadline
    arrived_s: float = field(default_factory=time.perf_counter)
    role: Role = Role.WAITING
    woken: threading.Event = field(default_factory=threading.Event)
    outcome: "Prediction | GatewayError | None" = None  # None when done: to be called alone


@dataclass(slots=True)
class Lane:
    """The requests of one key."""

    in_flight: int = 0
    queued_rows: int = 0
    is_shared: bool = False  # whether the last batch had several members
    waiting: "deque[Member]" = field(default_factory=deque)
    full: threading.Event = field(default_factory=threading.Event)
