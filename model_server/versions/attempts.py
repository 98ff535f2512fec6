"""The attempts to load one version: a failed load is repeated a few times, until nobody wishes for the version any more."""

from dataclasses import dataclass
from typing import Generic

import structlog

from model_server.status import ServingError
from model_server.versions.harness import Fingerprint, Harness, Load, LoadSettings, S

log = structlog.get_logger()


@dataclass(frozen=True)
class Attempts(Generic[S]):
    """Loads versions with ``load``, ``settings.max_retries`` times more than once. Thread-safe."""

    load_servable: Load[S]
    fingerprint: Fingerprint
    settings: LoadSettings

    def load(self, model: str, harness: Harness[S]) -> S:
        """Load a version, and keep in ``harness.tried`` which files the last attempt saw; raises its ServingError."""
        for attempt in range(1, self.settings.max_retries + 1):
            try:
                return self._try(model, harness)
            except ServingError as error:
                log.warning("version.load_retried", model=model, version=harness.version, attempt=attempt, error=error.message)
                if harness.unwished.wait(self.settings.retry_interval_s):
                    raise
        return self._try(model, harness)

    def _try(self, model: str, harness: Harness[S]) -> S:
        harness.tried = self.fingerprint(harness.path)
        return self.load_servable(model, harness.version, harness.path)
