"""What is known about the requests of one kind: whether they may share a call, and how far that is proven."""

import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.inference.signature import ModelRef, Signature
from gateway.telemetry.logs import logger

log = logger("batching")

# After a comparison without a verdict: how long until the next, doubled each time up to the longest, so that a model that
# refuses each shared call is not called in vain for ever.
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 60.0


class ServedSignature(NamedTuple):
    """One signature of one version of a model."""

    model: str
    version: int
    signature: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What requests that may share a call have in common, besides the shapes of their rows."""

    model: ModelRef
    signature: Signature
    outputs: tuple[str, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Each request looks it up several times.
        object.__setattr__(self, "_hash", hash((self.model, self.signature, self.outputs)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(slots=True, eq=False)
class Record:
    """What is known about the requests of one kind that one version answers.

    - ``is_joined``: they may share a call, of at most ``most_rows`` rows: as many as were compared and equal.
    - ``is_refused``: there is a verdict against it.
    - ``proofs_left``: equal comparisons that are still missing before they may.
    - ``may_hold``: until then all but a few of them may have to wait, for a short time, for these comparisons.
    """

    key: ServedSignature
    proofs_left: int
    is_joined: bool
    is_refused: bool
    most_rows: int
    may_hold: bool = True
    failed_trials: int = 0
    next_trial_s: float = 0.0  # in seconds of time.monotonic

    @property
    def most_trials(self) -> int:
        """How many comparisons may be made at a time: as many as are needed, and none during a pause."""
        return max(1, self.proofs_left) if time.monotonic() >= self.next_trial_s else 0

    def knows(self, rows: int) -> bool:
        """Whether it is settled how a request of ``rows`` rows is called: in a batch, or always alone."""
        return self.is_refused or (self.is_joined and rows <= self.most_rows)

    def count_proof(self, rows: int) -> None:
        """A shared call of ``rows`` rows was equal to its members' own."""
        self.failed_trials = 0
        if self.is_refused:
            return
        self.most_rows = max(self.most_rows, rows)
        self.proofs_left -= 1
        if not self.is_joined and self.proofs_left <= 0:
            self.is_joined = True
            log.info("batch.proven", **self.key._asdict())

    def pause_trials(self) -> None:
        """A comparison has failed: the next one waits, twice as long as after the last."""
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self.failed_trials)
        self.next_trial_s = time.monotonic() + pause_s
        self.failed_trials += pause_s < _LONGEST_PAUSE_S
