"""The server without its network: which models are configured, what serves them, and changing that while it runs."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import structlog
from grpc import StatusCode

from model_server import config
from model_server.config import Models
from model_server.harness import Load, LoadSettings
from model_server.history import History, State, VersionState
from model_server.labels import Labels
from model_server.manager import Manager
from model_server.servable import Servable
from model_server.serving_map import ServingMap
from model_server.source import FileSystemSource, fingerprint
from model_server.status import ServingError, invalid_argument

log = structlog.get_logger()

GiveUp = Callable[[], bool]


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

    def reload(self, models: Models, give_up: GiveUp) -> None:
        """Replace the configuration, and wait for the models that are new.

        Raises ServingError. A refused configuration changes nothing; one whose new models fail stays in force.
        """
        with self._reloading:
            config.check_transition(self._models, models)
            new = models.keys() - self._models.keys()
            self._apply(models)
            self.history.wait_for(lambda: all(map(self._is_decided, new)), give_up)
            self._check_serving(sorted(new))
            _check_logging(models)

    def stop(self) -> None:
        """Stop following the file system and free every servable that no request is in."""
        self._source.stop()
        self._manager.stop()

    def _apply(self, models: Models) -> set[str]:
        """Install a configuration; returns the names of the models that have a version."""
        config.check_platforms(models)
        self._labels.replace(models, self._is_available)
        removed = self._models.keys() - models.keys()
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

    def _check_serving(self, names: list[str]) -> None:
        failures = [text for name in names if (text := self._failure(name))]
        if failures:
            raise ServingError(
                StatusCode.UNKNOWN,
                f"{len(failures)} model(s) did not become available: {{{''.join(f'{text}, ' for text in failures)}}}",
            )

    def _failure(self, model: str) -> str | None:
        entries = self._manager.wished(model)
        if any(entry.state is State.AVAILABLE for entry in entries):
            return None
        failed: VersionState | None = next((entry for entry in entries if entry.error), None)
        if failed:
            return f"{{name: {model} version: {failed.version}}} due to error: {failed.error}"
        return f"{{name: {model}}} due to error: NOT_FOUND: no version under {self._models[model].base_path}"


def _check_logging(models: Models) -> None:
    if any(model.wants_logging for model in models.values()):
        raise invalid_argument("No request-logger-creator provided.")
