"""What the server last said about its models, and which of their versions are known without asking it again.

Nothing in here asks the server. For one event loop.
"""

import math
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from gateway.backend.model_config import ModelConfigFile
from gateway.backend.statuses import AWAY
from gateway.inference.signature import ModelRef, ServedModel
from gateway.inference.status import ModelStatus, VersionStatus
from gateway.telemetry.logs import logger
from gateway.telemetry.metrics import MODEL_READY, begin_signature

log = logger("catalog")

_NOT_ASKED_YET = "the model server has not been asked yet"


class KnownModels:
    """The models that are followed: always those of ``config_file``, and others while they are served.

    What the server answered to a request counts for ``remember_s`` seconds even if no status report has it yet. Each of
    ``on_gone`` is called with the names and numbers of versions that are no longer served; it must not wait.
    """

    def __init__(
        self,
        config_file: ModelConfigFile | None,
        remember_s: float,
        on_gone: Collection[Callable[[Collection[tuple[str, int]]], None]],
    ) -> None:
        self._config_file = config_file
        self._remember_s = remember_s
        self._on_gone = on_gone
        self._statuses: dict[str, ModelStatus] = {}
        self._served: dict[str, dict[int, ServedModel]] = {}  # by name and number
        self._answered: dict[ModelRef, tuple[float, ServedModel]] = {}  # until when the answer counts
        self.follow_configured()

    def statuses(self) -> tuple[ModelStatus, ...]:
        """What is known of every model that is followed, by name."""
        return tuple(self._statuses[name] for name in sorted(self._statuses))

    def status(self, name: str) -> ModelStatus:
        """What is known of one model."""
        return self._statuses.get(name) or ModelStatus(name, problem=_NOT_ASKED_YET)

    def versions(self, name: str) -> tuple[ServedModel, ...]:
        """The versions of a model that answer and whose signatures are known, newest first."""
        found = self._served.get(name)
        return () if found is None else tuple(found[number] for number in sorted(found, reverse=True))

    def served(self, model: ModelRef) -> ServedModel | None:
        """The version that ``model`` means, as far as the server has said."""
        status = self._statuses.get(model.name)
        if model.label is None and status is not None and status.available:
            version = status.available[0] if model.version is None else model.version
            found = self._served.get(model.name)
            served = found.get(version) if found is not None and version in status.available else None
            if served is not None:
                return served
        until_s, answered = self._answered.get(model, (0.0, None))
        return answered if time.monotonic() < until_s else None

    def follow(self, name: str) -> None:
        """Follow a model from now on, if it is not followed yet."""
        if name not in self._statuses:
            self._statuses[name] = self.status(name)
            MODEL_READY.labels(name).set(False)

    def follow_configured(self) -> None:
        """Follow the models that the config file names by now."""
        if self._config_file is not None:
            self._config_file.refresh()
            for name in self._config_file.names:
                self.follow(name)

    def note_answer(self, model: ModelRef, served: ServedModel) -> ServedModel:
        """The server has answered that ``model`` means ``served`` now. From now on the model is followed.

        Returns the one value of that version for as long as it is served: another value is another model under the same number.
        """
        versions = self._served.setdefault(served.name, {})
        known = versions.get(served.version)
        if known != served:
            versions[served.version] = known = served
            for signature in served.called_signatures:
                begin_signature(served.name, served.version, signature.name)
        until_s = time.monotonic() + self._remember_s
        for means_it in (model, ModelRef(served.name, served.version)):
            self._answered[means_it] = (until_s, known)
        if served.name not in self._statuses and model == ModelRef(served.name):
            # It is the latest version, and it answers: the model is ready. The next poll finds its other versions.
            self._set(ModelStatus(served.name, (VersionStatus(served.version, "AVAILABLE"),)))
        self.follow(served.name)
        return known

    def note_status(self, status: ModelStatus) -> None:
        """The server has reported ``status``. A model that has no version stays followed only if the config file names it."""
        self._set(status)
        self._drop_unavailable(status)
        if not status.is_ready and (self._config_file is None or status.name not in self._config_file.names):
            del self._statuses[status.name]
            # A gauge of several workers cannot be taken back. As 0 it would say for ever that the model should be ready.
            MODEL_READY.labels(status.name).set(math.nan)

    def note_problem(self, name: str, problem: str) -> None:
        """The server could not be asked about a model, for a reason of that model alone: its versions stay known."""
        if name in self._statuses:
            self._set(replace(self._statuses[name], problem=problem))

    def note_away(self) -> None:
        """The server cannot be reached: it may come back with other models under the same names and numbers."""
        for status in list(self._statuses.values()):
            # Each look that was under way tells of it: what is known already costs nothing once more.
            if status.versions or status.problem != AWAY:
                self._set(ModelStatus(status.name, problem=AWAY))
        self._drop({(name, version) for name, versions in self._served.items() for version in versions})

    def note_missing(self, model: ModelRef) -> bool:
        """A call has found that ``model`` is not served: forget what is known of it. Returns whether anything was."""
        gone = {
            version for version in self._served.get(model.name, ()) if model.label is None and model.version in (None, version)
        }
        self._drop({(model.name, version) for version in gone})
        return bool(gone)

    def _set(self, status: ModelStatus) -> None:
        before = self.status(status.name)
        if (before.available, before.problems) != (status.available, status.problems):
            log.info("model.changed", model=status.name, available=status.available, problems=status.problems)
        self._statuses[status.name] = status
        MODEL_READY.labels(status.name).set(status.is_ready)

    def _drop_unavailable(self, status: ModelStatus) -> None:
        """A version that is not available any more may come back as another model under the same number."""
        known = self._served.get(status.name, ())
        self._drop({(status.name, version) for version in known if version not in status.available})

    def _drop(self, gone: set[tuple[str, int]]) -> None:
        """Forget versions, by name and number. All at once: each time looks through all that is remembered."""
        if not gone:
            return
        for name, version in gone:
            del self._served[name][version]
            if not self._served[name]:
                del self._served[name]
        for forget in self._on_gone:
            forget(gone)
        self._answered = {
            model: (until_s, served)
            for model, (until_s, served) in self._answered.items()
            if (served.name, served.version) not in gone
        }
