"""A rollout's plan as a value: which versions, how requests move from one to the other, and what takes it back.

A plan is never changed in place: an order or a decision makes another one of it, with the next revision (``changed``).
Weights are whole millionths of the requests; times are microseconds since 1970 (UTC).
"""

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

WHOLE: Final = 1_000_000
"""The weight of all requests."""

PER_REQUEST: Final = "per-request"

# Another batch size sums floats in another order: that must not take an equal version back.
RTOL: Final = 1e-4
ATOL: Final = 1e-5


class State(StrEnum):
    """Where a rollout stands."""

    DRAFT = "draft"  # asked for, and not looked at yet
    LOADING = "loading"  # until both versions are AVAILABLE on every model server
    WARMING = "warming"  # the canary answers requests that no caller waits for
    RUNNING = "running"
    HOLDING = "holding"  # the weight stays as it is, or is 0 while the canary is not loaded; ``hold`` says why
    PAUSED = "paused"  # as holding, by somebody's order
    PROMOTING = "promoting"  # every request goes to the canary, as soon as every worker knows
    BAKE_AFTER = "bake_after"  # the old version stays loaded, and ``undo`` leads back
    DONE = "done"
    ROLLING_BACK = "rolling_back"  # every request goes to stable, as soon as every worker knows
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"  # somebody has ended it; the version did not fail
    REFUSED = "refused"  # it could not begin

    @property
    def words(self) -> str:
        """The state for a person."""
        return "promoted (the old version is still loaded)" if self is State.BAKE_AFTER else self.replace("_", " ")


ENDED: Final = frozenset({State.DONE, State.ROLLED_BACK, State.ABORTED, State.REFUSED})
"""A new rollout of the model may begin."""

SHARING: Final = frozenset({State.RUNNING, State.HOLDING, State.PAUSED})
"""The canary may get requests beside stable."""

_CANARY_ALONE: Final = frozenset({State.PROMOTING, State.BAKE_AFTER, State.DONE})


class Hold(StrEnum):
    """Why a rollout holds."""

    NONE = ""
    GATE = "gate"  # the step is manual, and waits for ``rollout step``
    NO_DATA = "no_data"
    SUSPICIOUS = "suspicious"
    SPLIT = "split"  # the callers were not split as the weight says
    NOT_LOADED = "not_loaded"  # a model server does not serve both versions: nobody is sent to the canary
    FILE_CHANGED = "file_changed"  # somebody else has changed the model's entry in the model config file
    FROZEN = "frozen"  # it would have been rolled back, and ``on_bad`` is freeze
    FAILING = "failing"  # promoted, it fails requests that the old version answers: that stays loaded

    @property
    def words(self) -> str:
        """Why it holds, for a person; empty if it does not."""
        return _HOLD_WORDS[self]


_HOLD_WORDS: Final = {
    Hold.NONE: "",
    Hold.GATE: "a manual step is over",
    Hold.NO_DATA: "too few requests",
    Hold.SUSPICIOUS: "the evidence is suspicious, and no proof",
    Hold.SPLIT: "callers were not split as the weight says",
    Hold.NOT_LOADED: "a version is not loaded",
    Hold.FILE_CHANGED: "the model config file was changed",
    Hold.FROZEN: "frozen",
    Hold.FAILING: "the new version fails requests",
}


def standing(state: State, hold: Hold) -> str:
    """Where a plan stands and why it holds, for a person."""
    if not hold:
        return state.words
    return f"{state.words}, while {hold.words}" if state is State.BAKE_AFTER else f"{state.words} ({hold.words})"


class Arm(StrEnum):
    """Which part of the callers a request belongs to."""

    STABLE = "stable"
    BASELINE = "baseline"  # a part of stable of the canary's size, which is batched apart
    CANARY = "canary"


class OnBad(StrEnum):
    """What is done with a canary that is worse."""

    ROLLBACK = "rollback"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class Step:
    """The canary's ``weight`` for at least ``bake_s`` seconds; ``is_manual``: until somebody says ``rollout step``."""

    weight: int
    bake_s: int = 0
    is_manual: bool = False


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much a float may differ from stable's: ``|canary - stable| <= atol + rtol * |stable|``."""

    rtol: float = RTOL
    atol: float = ATOL


@dataclass(frozen=True, slots=True)
class Look:
    """How many requests the canary was ``asked`` alone, after the promotion, and how many ``failed``, at a time."""

    at_us: int = 0
    asked: int = 0
    failed: int = 0


ANY_OUTPUT: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One rollout of one model.

    - ``stable``: the version that answers until then; None until it has been found.
    - ``mode``: by what a caller is known: ``per-request``, ``key``, ``address`` or ``header:NAME`` (in lower case).
    - ``weight``: the canary's part of the requests now; ``shadow``: the part of stable's that the canary is asked too.
    - ``error_ratio``, ``slow_ratio``: how many times stable's rate is tolerated. ``most_disagreement``: the tolerated part of
      compared answers that differ. ``most_bad``: the rate of bad cells that a promotion must rule out.
    - ``alpha``: the most that the probability may be to take back a version that is no worse than tolerated.
    - ``least_cells``: how many cells of each arm a step up needs.
    - ``hold`` and ``reason``: why it holds, was refused, was taken back, or waits.
    - ``told_us``: when it last said why it waits.
    - ``step_us``: when the current step began; ``state_us``: when the state was entered; ``hold_us``: when it last began to
      hold, or to hold for another reason.
    - ``is_open``: whether it still says where requests go. ``drops_other``: the version that gets no requests any more is not
      wanted in the model config file either.
    - ``is_frozen``: the evidence is against the canary, and ``on_bad`` is freeze: only a person leads on.
    - ``evidence_from``: the first step whose evidence counts. That of earlier ones has frozen it, and a person has resumed it.
    - ``next_look``: how many cells the canary must have in this step before the gate, which it did not pass, is asked again.
    - ``last_look``: what was known when it was last asked whether the canary fails after the promotion.
    - ``others``: the other versions that answered when the draft was accepted. Clients may name them, so they stay loaded; they
      are no part of the rollout. ``leaves``: what the rollouts before it left loaded beside ``stable``, which goes with it.
    - ``moves_to``: the version that somebody wants in the place of ``stable``, to which requests are pinned, since no server
      answers with that any more. None: none, or it has taken that place.
    - ``former``: what the model config file ``former_in`` said of the model before; None if that is not known.
    - ``stays_open``: also when it is refused, since requests were pinned to ``stable`` already: by the rollout before it, or by
      itself before its versions had to be loaded once more.
    """

    id: str
    revision: int = 1
    model: str
    stable: int | None = None
    canary: int
    mode: str = PER_REQUEST
    steps: tuple[Step, ...]
    step: int = 0
    weight: int = 0
    shadow: int = 0
    state: State = State.DRAFT
    hold: Hold = Hold.NONE
    reason: str = ""
    alpha: float = 0.01
    error_ratio: float = 1.5
    slow_ratio: float = 2.0
    most_disagreement: float = 0.01
    most_bad: float = 0.05
    tolerances: dict[str, Tolerance] = field(default_factory=lambda: {ANY_OUTPUT: Tolerance()}, hash=False)
    on_bad: OnBad = OnBad.ROLLBACK
    has_second_opinion: bool = True
    least_cells: int = 200
    keep_old_s: int = 600
    is_again: bool = False
    is_back: bool = False
    salt: str
    author: str
    created_us: int
    state_us: int
    step_us: int
    is_open: bool = True
    drops_other: bool = False
    is_frozen: bool = False
    evidence_from: int = 0
    next_look: int = 0
    last_look: Look = Look()
    stays_open: bool = False
    others: tuple[int, ...] = ()
    leaves: tuple[int, ...] = ()
    moves_to: int | None = None
    told_us: int = 0
    former: str | None = None
    former_in: str = ""
    hold_us: int = 0

    @property
    def is_ended(self) -> bool:
        """Whether a new rollout of the model may begin."""
        return self.state in ENDED

    @property
    def is_sharing(self) -> bool:
        """Whether the canary may get requests beside stable."""
        return self.state in SHARING

    @property
    def canary_weight(self) -> int:
        """The canary's part of the requests that name no version, in millionths, as each worker should send them."""
        if self.state in _CANARY_ALONE:
            return WHOLE
        return self.weight if self._is_asked else 0

    @property
    def kept(self) -> int | None:
        """The version that would answer alone if the rollout ended now."""
        return self.canary if self.state in _CANARY_ALONE else self.stable

    @property
    def needed(self) -> tuple[int, ...]:
        """The versions that the rollout itself needs on every model server, lowest first."""
        wanted = {self.kept} if self.drops_other else {self.stable, self.canary}
        return tuple(sorted(version for version in wanted if version is not None))

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that the model servers should have loaded, lowest first: those that are needed, and the others."""
        return tuple(sorted({*self.needed, *self.others})) if self.needed else ()

    @property
    def standing_since_us(self) -> int:
        """Since when it stands where it does, for the same reason."""
        return max(self.state_us, self.hold_us) if self.hold else self.state_us

    @property
    def current(self) -> Step:
        """The current step."""
        return self.steps[self.step]

    def changed(self, now_us: int, **values: Any) -> Self:
        """The plan's next revision. A new state, and a new step, begin at ``now_us``.

        A step also begins when its canary gets requests again after it was not loaded: a bake time is one of answered requests.
        """
        after = dataclasses.replace(self, **values, revision=self.revision + 1)
        return dataclasses.replace(
            after,
            state_us=now_us if after.state is not self.state else self.state_us,
            hold_us=now_us if after.hold and after.hold is not self.hold else self.hold_us,
            step_us=now_us if after.step != self.step or self._begins(after) else self.step_us,
        )

    def _begins(self, after: Self) -> bool:
        return after._is_asked and not self._is_asked

    @property
    def _is_asked(self) -> bool:
        return self.is_sharing and self.hold is not Hold.NOT_LOADED


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the history: who or what has made revision ``revision`` of a plan, and why.

    ``by``: a person's or key's name, or ``gateway``. ``what``: a word, such as ``start``, ``step``, ``rollback``.
    ``evidence``: what was known then, for JSON.
    """

    plan: str
    model: str
    revision: int
    ts_us: int
    by: str
    what: str
    before: str
    after: str
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict, hash=False)


GATEWAY: Final = "gateway"
"""Who has made a change that no person asked for."""
