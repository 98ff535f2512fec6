"""An open plan as requests see it: to which arm a caller belongs, and which version answers it there."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

from gateway.access.limits.addresses import Network, client_of, network_of
from gateway.inference.signature import ModelRef
from gateway.rollout import routing
from gateway.rollout.evidence.windows import Windows
from gateway.rollout.mode import BY_ADDRESS, BY_KEY, header_of
from gateway.rollout.plan import PER_REQUEST, WHOLE, Arm, Hold, Plan, State
from gateway.telemetry.trace import Sender

_BASELINE_LANE: Final = "baseline"
_CANARY_LANE: Final = "canary"
_CHECK_LANE: Final = "shadow"

KeyOf: TypeAlias = Callable[[Sender], str | None]
"""By what a caller is known; None: this one is not."""


class Place(NamedTuple):
    """Where a request goes, and the cell of the evidence that it counts in; None: it is one of its own."""

    arm: Arm
    cell: int | None = None


_STABLE: Final = Place(Arm.STABLE)
_CANARY: Final = Place(Arm.CANARY)


class Running:
    """One open plan, which says by now where requests go. It is never changed: a new revision makes another one.

    - ``windows``: what this worker counts in the plan's step. ``proxies`` may say for whom they ask; ``draw`` gives a number in
      [0, 1) for what chance decides.
    - ``is_counted``: both arms get requests, which chance or the callers' places divide.
    - ``is_alone``: the canary gets every request, and what stable answers instead of it is counted.
    - ``asks_other``: a fault is asked again of the other version, which is loaded then.
    - ``shadow``: the part of stable's requests that the canary is asked too, from 0 to 1.
    """

    def __init__(
        self, plan: Plan, windows: Windows, proxies: Sequence[Network] = (), draw: Callable[[], float] = random.random
    ) -> None:
        self.plan = plan
        self.windows = windows
        self.draw = draw
        self._weight = plan.canary_weight
        self.is_counted = plan.is_sharing and 0 < self._weight < WHOLE
        self.asks_other = plan.has_second_opinion and not plan.is_ended and not plan.drops_other
        self.is_alone = self.asks_other and plan.state in (State.PROMOTING, State.BAKE_AFTER)
        is_shadowed = plan.is_sharing and plan.hold is not Hold.NOT_LOADED
        self.shadow = plan.shadow / WHOLE if is_shadowed else 0.0
        self._key_of = None if plan.mode == PER_REQUEST else _key_of(plan.mode, proxies)
        self._refs = {
            Arm.STABLE: ModelRef(plan.model, plan.stable),
            Arm.BASELINE: ModelRef(plan.model, plan.stable, lane=_BASELINE_LANE),
            Arm.CANARY: ModelRef(plan.model, plan.canary, lane=_CANARY_LANE),
        }

    def place(self, sender: Sender | None) -> Place:
        """Where the request of ``sender`` goes. A caller that cannot be told from others is never sent to the canary alone."""
        weight = self._weight
        if not 0 < weight < WHOLE:
            return _CANARY if weight else _STABLE
        if self._key_of is None:
            return Place(routing.arm_of(self.draw(), weight))
        key = None if sender is None else self._key_of(sender)
        if not key:
            return _STABLE
        spot = routing.bucket(self.plan.salt, key)
        return Place(routing.arm_of(routing.position(spot), weight), routing.cell_of(spot))

    def caller(self, sender: Sender | None) -> int | None:
        """The cell of the caller, whatever the weight is; None: the caller is not known, or not asked for by this rollout."""
        key = self._key_of(sender) if self._key_of is not None and sender is not None else None
        return routing.cell_of(routing.bucket(self.plan.salt, key)) if key else None

    def ref(self, arm: Arm) -> ModelRef:
        """The version that answers the requests of ``arm``, in a lane of the arm's own."""
        return self._refs[arm]

    def check_ref(self, arm: Arm) -> ModelRef:
        """The version of ``arm`` for a call that no caller waits for."""
        return ModelRef(self.plan.model, self._refs[arm].version, lane=_CHECK_LANE)

    def without_stable(self, available: Iterable[int]) -> ModelRef:
        """What answers while stable is not loaded, where the model server has the versions that are ``available``.

        To the server the newest one answers, which may be the canary: unwarmed, and without a gate. So any other version comes
        before it, and last of these what the rollout before has left, which may have been taken back.
        """
        plan = self.plan
        others = (version for version in available if version not in (plan.stable, plan.canary))
        return ModelRef(plan.model, max(others, key=lambda version: (version not in plan.leaves, version), default=None))


def _key_of(mode: str, proxies: Sequence[Network]) -> KeyOf:
    if mode == BY_KEY:
        return lambda sender: sender.key
    if mode == BY_ADDRESS:
        return lambda sender: network_of(client_of(sender.client, sender.headers.get("x-forwarded-for", ""), proxies))
    header = header_of(mode) or ""
    return lambda sender: sender.headers.get(header)
