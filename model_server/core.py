"""The server without its network: which models are configured, what serves them, and changing that while it runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from grpc import StatusCode

from model_server import config
from model_server.config import Models, ModelSettings
from model_server.session.servable import Servable
from model_server.status import ServingError, invalid_argument
from model_server.versions.harness import Load, LoadSettings
from model_server.versions.history import History, State
from model_server.versions.labels import Labels
from model_server.versions.manager import Manager
from model_server.versions.serving_map import ServingMap
from model_server.versions.source import FileSystemSource, fingerprint

log = structlog.get_logger()

GiveUp = Callable[[], bool]

_TURN_CHECK_S = 0.2


@dataclass(frozen=True)
class CoreSettings:
    """How base paths are followed, versions loaded and labels checked."""

    poll_wait_s: float = 1.0
    loading: LoadSettings = field(default_factory=LoadSettings)
    allow_unavailable_labels: bool = False


class Core:
    """Owns the source, the manager and what they fill. Thread-safe; reloads take turns."""

    def __init__(self, load: Load[Servable], settings: CoreSettings) -> None:
        self.history = History()
        self._serving: ServingMap[Servable] = ServingMap()
        self._labels = Labels(allow_unavailable=settings.allow_unavailable_labels)
        self._manager = Manager(load, fingerprint, self._serving, self.history, settings.loading)
        self._source = FileSystemSource(settings.poll_wait_s, self._manager.aspire)
        self._models: Models = {}
        # Models that a configuration added or changed, and that no reload has found to serve what they ask for since.
        self._unconfirmed: set[str] = set()
        self._reloading = threading.Lock()

    @property
    def models(self) -> Models:
        """The configured models, by name."""
        return self._models

    def serves(self, model: str) -> bool:
        """Whether some version of a model answers requests."""
        return any(entry.state is State.AVAILABLE for entry in self.history.versions(model))

    def use(self, spec: Any) -> AbstractContextManager[Servable]:
        """Hold the servable that a ModelSpec names, for one request; None is refused. Raises ServingError."""
        if spec is None:
            raise invalid_argument("Missing ModelSpec")
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            return self._serving.use(spec.name, self._labels.resolve(spec.name, spec.version_label))
        return self._serving.use(spec.name, spec.version.value if choice else None)

    def start(self, models: Models, give_up: GiveUp) -> None:
        """Serve ``models`` and wait until each that has a version serves one or has failed with all.

        Raises ServingError if the configuration is refused; failing versions are logged and leave the rest alone.
        """
        present = self._apply(models)
        _check_logging(models)
        self.history.wait_for(lambda: all(map(self._is_decided, present)), give_up)

    def replace(self, models: Models, give_up: GiveUp) -> None:
        """Replace the configuration without waiting for what it asks for. Raises ServingError if it is refused."""
        with self._turn(give_up):
            config.check_transition(self._models, models)
            self._apply(models)
            _check_logging(models)

    def reload(self, models: Models, give_up: GiveUp) -> None:
        """Replace the configuration, and return once every version of the models that it changes is AVAILABLE.

        A model that an earlier configuration changed counts too until a reload has found its versions AVAILABLE; what
        comes of one that has been found so, such as a newer version that is broken, does not. Versions that failed are
        tried again. Raises ServingError: a refused configuration changes nothing; one that asks for versions that are
        missing or fail stays in force, and every other version of it serves by then.
        """
        with self._turn(give_up):
            config.check_transition(self._models, models)
            present = self._apply(models)
            self._manager.retry_failed()
            waited_for = present & self._unconfirmed
            if not self.history.wait_for(lambda: all(map(self._is_settled, waited_for)), give_up):
                raise ServingError(StatusCode.CANCELLED, "The configuration is in force; its versions are not waited for")
            asked = [model for model in models.values() if model.name in self._unconfirmed]
            _check_serving([self._failures(model, is_present=model.name in present) for model in asked])
            self._unconfirmed.clear()
            _check_logging(models)

    def stop(self) -> None:
        """Stop following the file system and free every servable that no request is in."""
        self._source.stop()
        self._manager.stop()

    @contextmanager
    def _turn(self, give_up: GiveUp) -> Iterator[None]:
        """Hold the configuration alone. CANCELLED if a caller gives up before its turn comes; nothing changes then."""
        while not self._reloading.acquire(timeout=_TURN_CHECK_S):
            _check_wanted(give_up)
        try:
            _check_wanted(give_up)
            yield
        finally:
            self._reloading.release()

    def _apply(self, models: Models) -> set[str]:
        """Install a configuration; returns the names of the models that have a version."""
        config.check_platforms(models)
        self._labels.replace(models, self._is_available)
        removed = self._models.keys() - models.keys()
        changed = {name for name, settings in models.items() if self._models.get(name) != settings}
        self._unconfirmed = (self._unconfirmed | changed) & models.keys()
        self._models = models
        present = self._source.watch(models)
        for name in removed:
            self._manager.aspire(name, {})
            log.info("model.removed", model=name)
        return present

    def _is_available(self, model: str, version: int) -> bool:
        entry = self.history.get(model, version)
        return entry is not None and entry.state is State.AVAILABLE

    def _is_decided(self, model: str) -> bool:
        """Whether a model serves a wanted version, or none of them can be served any more."""
        states = [entry.state for entry in self._manager.wished(model)]
        return State.AVAILABLE in states or all(state is State.END for state in states)

    def _is_settled(self, model: str) -> bool:
        """Whether every wanted version of a model is AVAILABLE or has failed, and requests reach no other one any more.

        While none of the wanted ones is AVAILABLE, an older version goes on serving.
        """
        wished = {entry.version: entry.state for entry in self._manager.wished(model)}
        if any(state not in (State.AVAILABLE, State.END) for state in wished.values()):
            return False
        others = [entry.version for entry in self.history.versions(model) if entry.version not in wished]
        return State.AVAILABLE not in wished.values() or not any(self._serving.has(model, other) for other in others)

    def _failures(self, model: ModelSettings, *, is_present: bool) -> list[str]:
        """Which of the versions that a settled model's settings ask for are not AVAILABLE, and why.

        What is wished for of a model that is not present is still what an earlier configuration asked for.
        """
        wished = self._manager.wished(model.name) if is_present else []
        absent = sorted(set(model.policy.specific or ()) - {entry.version for entry in wished})
        if not wished and not absent:
            return [f"{{name: {model.name}}} due to error: NOT_FOUND: no version under {model.base_path}"]
        errors = {number: f"NOT_FOUND: no version {number} under {model.base_path}" for number in absent}
        errors |= {entry.version: str(entry.error) for entry in wished if entry.error}
        return [f"{{name: {model.name} version: {number}}} due to error: {text}" for number, text in errors.items()]


def _check_wanted(give_up: GiveUp) -> None:
    if give_up():
        raise ServingError(StatusCode.CANCELLED, "The caller gave up; the configuration was not changed")


def _check_serving(failures: list[list[str]]) -> None:
    """Raise the failures of all models, if there are any, in the words of upstream's server_core.cc."""
    failed = [texts for texts in failures if texts]
    if failed:
        listed = "".join(f"{text}, " for texts in failed for text in texts)
        raise ServingError(StatusCode.UNKNOWN, f"{len(failed)} model(s) did not become available: {{{listed}}}")


def _check_logging(models: Models) -> None:
    if any(model.wants_logging for model in models.values()):
        raise invalid_argument("No request-logger-creator provided.")
