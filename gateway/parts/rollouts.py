"""The rollouts of one process, made from the settings: what requests pass, what follows the plans, and what an operator asks.

SQLAlchemy is imported only where there is a database.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.backend.servers.each import Each
from gateway.inference.backend import Backend, ExampleBackend
from gateway.inference.catalog import Catalog
from gateway.inference.predictors import AnyExamplePredictor, AnyPredictor
from gateway.prediction_log.sinks.address import sink_at
from gateway.rollout.control.follower import Follower
from gateway.rollout.control.pinning import Pinning
from gateway.rollout.control.pins import FILE, Pins
from gateway.rollout.live.examples import RolloutExamplePredictor
from gateway.rollout.live.predictor import RolloutPredictor
from gateway.rollout.live.rollouts import Rollouts
from gateway.rollout.live.router import Router
from gateway.rollout.live.second_opinion import SecondOpinions, most_of
from gateway.rollout.live.shadow import Shadow
from gateway.settings import Settings, SettingsError

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store


@dataclass(frozen=True, slots=True)
class Way:
    """The way of requests to the model server: what predicts, what knows and calls the models beneath it, and
    each server by itself."""

    predictor: AnyPredictor
    examples: AnyExamplePredictor
    catalog: Catalog
    backend: Backend
    example_backend: ExampleBackend
    servers: Each


class RunningRollouts:
    """The rollouts of one worker, on ``store``, which it closes.

    ``predictor`` and ``examples`` are those of ``way`` behind the rollouts. ``pin`` is that of ``Pinning``, ``problem`` that of
    ``Follower``; ``plan_of`` and ``plan_ids`` are those of ``Rollouts``.
    """

    def __init__(self, settings: Settings, store: "Store", way: Way) -> None:
        self._rollouts = rollouts = Rollouts(settings.trusted_proxies)
        self.plan_of = rollouts.plan_of
        self.plan_ids = rollouts.plan_ids
        self._opinions = opinions = SecondOpinions(most_of(settings.max_in_flight))
        self._shadow = shadow = Shadow(way.backend, way.catalog, rollouts.keep_sample)
        router = Router(opinions, rollouts.keep_sample, way.catalog)
        self.predictor: AnyPredictor = RolloutPredictor(
            way.predictor, rollouts, router, shadow, catalog=way.catalog, backend=way.backend
        )
        self.examples: AnyExamplePredictor = RolloutExamplePredictor(
            way.examples, rollouts, router, backend=way.example_backend
        )

        config_file = settings.model_config_file
        self.pin = Pinning(way.servers, config_file).pin
        sink = None if settings.prediction_log == "off" else sink_at(settings.prediction_log)
        pins = Pins(None if settings.state_dir is None else settings.state_dir / FILE)
        self._follower = Follower(store, rollouts, way.servers, config_file, sink, pins=pins)
        self.problem = self._follower.problem

    async def start(self) -> None:
        """Follow the plans, on the event loop that runs here."""
        await self._follower.start()

    async def close(self) -> None:
        """Write what was counted, and stop. No request may be in flight any more."""
        await self._shadow.close()
        await self._opinions.close()
        await self._follower.close()


def check_rollouts(settings: Settings) -> None:
    """Look once, before there are workers, whether the plans can have a place. A database may be away at the start.

    Raises:
        SettingsError: the folder cannot be used, or the address is none.
    """
    made = store(settings)
    if made is not None:
        made.close()


def store(settings: Settings) -> "Store | None":
    """The database of rollouts, which is not opened yet; None when there is none. Raises as ``check_rollouts``."""
    address = settings.state_database()
    if address is None:
        return None
    from gateway.rollout.store.store import Store  # noqa: PLC0415

    try:
        if settings.state_dir is not None:
            settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Store(address)
    except OSError as error:
        raise SettingsError(f"GATEWAY_STATE_DIR: expected a folder that can be used: {error}") from error
    except ValueError as error:
        raise SettingsError(f"DATABASE_URL: {error}") from error
