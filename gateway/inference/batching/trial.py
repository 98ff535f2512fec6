"""Requests that are called alone and would have shared a call, gathered so that both can be compared.

A trial takes the requests of one kind and layout that come while another of them is at the model server, until the first of
its own is answered. It is whole when all of them are answered.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.inference.batching import rows
from gateway.inference.batching.record import Kind
from gateway.inference.signature import Prediction, Tensors

# Trials that one worker holds at a time, and requests that take part in one. A new version is proven sooner with several small
# ones at a time: under load its first requests are called alone for as long as that takes.
_MOST_TRIALS: Final = 16
_MOST_REQUESTS: Final = 4

# What one trial may hold of inputs. Larger requests prove nothing, and are called alone until others did.
MOST_BYTES: Final = 32 * 2**20

_Key: TypeAlias = tuple[Kind, rows.Layout]


@dataclass(slots=True, eq=False)
class Request:
    """A request of ``rows`` rows, and what it was answered: None when it has no answer yet or got an error."""

    inputs: Tensors
    rows: int
    budget_s: float
    answer: Prediction | None = None


@dataclass(slots=True, eq=False)
class Trial:
    """Requests that would have shared a call, in their order."""

    kind: Kind
    requests: list[Request] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    unanswered: int = 0
    is_open: bool = True


@dataclass(slots=True, eq=False)
class _Group:
    """The lone calls of one kind and layout that are under way, and the trials that hold some of them."""

    in_flight: int = 0
    trials: int = 0
    open_trial: Trial | None = None


class Gathering:
    """The lone calls under way, and their trials of at most ``max_rows`` rows."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._groups: dict[_Key, _Group] = {}
        self._held = 0

    @property
    def is_idle(self) -> bool:
        """Whether no lone call is under way and no trial is held."""
        return not self._groups

    def enter(self, kind: Kind, request: Request, most_trials: int) -> Trial | None:
        """A lone call begins: the trial that it takes part in, if one has a place; its kind may have ``most_trials``."""
        size = sum(array.nbytes for array in request.inputs.values())
        group = self._groups.setdefault(_key(kind, request), _Group())
        group.in_flight += 1
        if size > MOST_BYTES or request.rows > self._max_rows or group.in_flight < 2:
            return None
        trial = group.open_trial
        if trial is None or not self._has_place(trial, request, size):
            if group.trials >= most_trials or self._held >= _MOST_TRIALS:
                return None
            trial = group.open_trial = Trial(kind)
            group.trials += 1
            self._held += 1
        trial.requests.append(request)
        trial.rows += request.rows
        trial.bytes += size
        trial.unanswered += 1
        return trial

    def leave(self, kind: Kind, request: Request, trial: Trial | None) -> bool:
        """A lone call has ended; whether this makes its trial whole, which is held until ``end``."""
        key = _key(kind, request)
        group = self._groups[key]
        group.in_flight -= 1
        if trial is not None:
            trial.is_open = False
            trial.unanswered -= 1
            if group.open_trial is trial:
                group.open_trial = None
        self._forget_if_unused(key, group)
        return trial is not None and trial.unanswered == 0

    def end(self, trial: Trial) -> None:
        """A whole trial is over."""
        key = _key(trial.kind, trial.requests[0])
        group = self._groups[key]
        group.trials -= 1
        self._held -= 1
        self._forget_if_unused(key, group)

    def _has_place(self, trial: Trial, request: Request, size: int) -> bool:
        is_small = trial.rows + request.rows <= self._max_rows and trial.bytes + size <= MOST_BYTES
        return trial.is_open and is_small and len(trial.requests) < _MOST_REQUESTS

    def _forget_if_unused(self, key: _Key, group: _Group) -> None:
        if not (group.in_flight or group.trials):
            self._groups.pop(key, None)


def _key(kind: Kind, request: Request) -> _Key:
    return kind, rows.layout(request.inputs)
