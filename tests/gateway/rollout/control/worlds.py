"""A small world for the follower: model servers that obey a file, as the real ones do, and a database that can be away."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.backend.version_policy import policy_of
from gateway.errors import GatewayError, Unavailable
from gateway.inference.status import ModelStatus, VersionStatus
from gateway.rollout.evidence.eprocess import ratio_weights
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.live.rollouts import Rollouts
from gateway.rollout.plan import Event, Plan, Step
from gateway.rollout.store.away import StoreAway

NOW = 1_700_000_000_000_000
STEPS = (Step(100_000, 600), Step(500_000, 600))
PLAIN = """model_config_list {
  config {
    name: "digits"  # ours
    base_path: "/m"
    model_platform: "tensorflow"
  }
}
"""


def a_plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {"id": "digits-3-f4a1", "model": "digits", "canary": 3, "steps": STEPS, "salt": "5a17"}
    values |= {"author": "anna", "created_us": NOW, "state_us": NOW, "step_us": NOW}
    return Plan(**values | changes)


def started(plan: Plan) -> Event:
    return Event(
        plan=plan.id,
        model=plan.model,
        revision=plan.revision,
        ts_us=plan.state_us,
        by="anna",
        what="start",
        before="",
        after="draft",
    )


def status(*available: int, **others: str) -> ModelStatus:
    """Versions that are AVAILABLE, and others by their state: ``v3="LOADING"`` or ``v3="END: why it failed"``."""
    states = {int(name[1:]): state for name, state in others.items()}
    versions = [VersionStatus(version, "AVAILABLE", "OK", "") for version in available]
    for version, state in states.items():
        word, _, why = state.partition(": ")
        versions.append(VersionStatus(version, word, "UNKNOWN" if why else "OK", why))
    return ModelStatus("digits", tuple(sorted(versions, key=lambda one: one.version, reverse=True)))


class Client:
    """Answers predictions of one server, which are noted."""

    def __init__(self) -> None:
        self.asked: list[tuple[int | None, str]] = []
        self.error: GatewayError | None = None

    async def predict(self, model, signature, inputs, outputs, deadline):
        self.asked.append((model.version, signature.name))
        if self.error is not None:
            raise self.error


class Servers:
    """Model servers that have ``versions`` in their folder, and load what ``file`` asks for when they are told or look.

    ``broken``: the versions that an address does not get loaded. ``away``: addresses that do not answer.
    """

    def __init__(self, file: Path, *addresses: str, versions: tuple[int, ...] = (2, 3), is_told: bool = True) -> None:
        self.file = file
        self.versions = versions
        self.is_told = is_told
        self.broken: dict[str, set[int]] = {}
        self.away: set[str] = set()
        self.reloads: list[str] = []
        self.by_address = {address: Client() for address in addresses or ("one:8500",)}
        self._loaded: dict[str, tuple[int, ...]] = {}
        self.look()

    def look(self) -> None:
        """The servers read the file, as they do by themselves now and then."""
        wanted = policy_of(self.file.read_text(), "digits").specific or self.versions[-1:]
        for address in self.by_address:
            self._loaded[address] = tuple(sorted(set(wanted) & set(self.versions), reverse=True))

    def loaded(self, address: str = "one:8500") -> tuple[int, ...]:
        return tuple(version for version in self._loaded[address] if version not in self.broken.get(address, ()))

    async def statuses(self, model: str, within_s: float) -> dict[str, ModelStatus | GatewayError]:
        return {
            address: Unavailable("gone") if address in self.away else status(*self.loaded(address))
            for address in self.by_address
        }

    async def reload(self, config: str, within_s: float) -> dict[str, str]:
        self.reloads.append(config)
        if self.is_told:
            self.look()
        return dict.fromkeys(self.by_address, "" if self.is_told else "UNIMPLEMENTED: ")

    async def clients(self):
        return self.by_address


class Counted(Rollouts):
    """What requests of one worker look at; a test says what they have counted."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: dict[tuple[str, int], Totals] = {}
        self.weights: list[float] = []

    def use(self, plans) -> None:
        plans = tuple(plans)
        super().use(plans)
        self.weights += [plan.canary_weight for plan in plans if not self.weights or self.weights[-1] != plan.canary_weight]

    def report(self):
        return super().report() | self.sums


class Away:
    """A database that is away while ``is_away``. ``syncs``: how often a worker has followed it."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.is_away = False
        self.syncs = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*arguments: Any) -> Any:
            if self.is_away and name != "close":
                raise StoreAway("it is being restarted")
            self.syncs += name == "sync"
            return method(*arguments)

        return call


def sound(cells: int = 400) -> Totals:
    """A good canary with a tenth of the cells."""
    return Totals(canary_cells=cells, baseline_cells=cells, stable_cells=8 * cells, canary_requests=cells,
                  baseline_requests=cells, stable_requests=8 * cells)  # fmt: skip


def bad(k: int, n: int) -> Totals:
    """``k`` of ``n`` bad cells are the canary's, which has a tenth of them all."""
    totals = sound()
    totals.canary_errors, totals.stable_errors = k, n - k
    totals.error = ratio_weights(k, n, 0.1, 1.5)
    return totals
