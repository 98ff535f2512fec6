"""Brings the loaded versions in line with the aspired ones: loads, retries, unloads, and publishes every state.

One thread takes decisions, at most one for each model every tick; loads and unloads run in pools, so that a slow
or broken model holds up nobody.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Generic

import structlog

from model_server.status import ServingError
from model_server.versions.attempts import Attempts
from model_server.versions.harness import Fingerprint, Harness, Load, LoadSettings, S
from model_server.versions.history import History, State, VersionState
from model_server.versions.policy import Action, Verb, VersionView, next_action
from model_server.versions.serving_map import ServingMap
from model_server.versions.source import Versions

log = structlog.get_logger()


class Manager(Generic[S]):
    """The state machine of all versions. Thread-safe.

    ``load`` makes a servable or raises ServingError. ``fingerprint`` tells whether the files of a directory changed:
    a version that failed, perhaps because it was still being copied, is tried again when they do.
    """

    def __init__(
        self, load: Load[S], fingerprint: Fingerprint, serving: ServingMap[S], history: History, settings: LoadSettings
    ) -> None:
        self._attempts = Attempts(load, fingerprint, settings)
        self._fingerprint = fingerprint
        self._serving = serving
        self._history = history
        self._settings = settings
        self._wishes: dict[str, Versions] = {}
        self._models: dict[str, dict[int, Harness[S]]] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._loads = ThreadPoolExecutor(settings.load_threads, "load")
        self._unloads = ThreadPoolExecutor(settings.unload_threads, "unload")
        self._next_recheck_s = 0.0
        self._thread = threading.Thread(target=self._tick_forever, name="manager", daemon=True)
        self._thread.start()

    def aspire(self, model: str, versions: Versions) -> None:
        """Wish for exactly these versions (number -> directory) of a model.

        A version that is wished for from another directory than before is unloaded first, and then loaded from there.
        """
        with self._lock:
            self._wishes[model] = versions
            for harness in self._models.get(model, {}).values():
                if harness.aspired and versions.get(harness.version) != harness.path:
                    harness.aspired = False
                    harness.unwished.set()
            self._admit(model)
        self._wake.set()

    def retry_failed(self) -> None:
        """Try every version again that is wished for and has failed, whether or not its files have changed."""
        with self._lock:
            for model, harness in self._failed():
                self._publish(model, harness, State.START)
        self._wake.set()

    def wished(self, model: str) -> list[VersionState]:
        """Where the versions that are wished for stand now, newest first."""
        with self._lock:
            managed = self._models.get(model, {})
            wishes = sorted(self._wishes.get(model, {}), reverse=True)
            return [self._state_of(model, version, managed.get(version)) for version in wishes]

    def _state_of(self, model: str, version: int, harness: Harness[S] | None) -> VersionState:
        known = self._history.get(model, version) if harness and harness.aspired else None
        return known or VersionState(version, State.START)

    def stop(self) -> None:
        """Give up loads that wait for a retry, end the decisions, and free everything that is idle."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        with self._lock:
            harnesses = [(model, h) for model, versions in self._models.items() for h in versions.values()]
        for _, harness in harnesses:
            harness.unwished.set()
        self._loads.shutdown(wait=True)
        for model, harness in harnesses:
            if harness.state is State.AVAILABLE:
                self._unloads.submit(self._unload, model, harness)
        self._unloads.shutdown(wait=True)

    def _tick_forever(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._tick()
            except Exception:  # a bug with one model must not end the care for all
                log.exception("manager.crashed")
            self._wake.wait(self._settings.tick_s)

    def _tick(self) -> None:
        self._recheck_failed()
        with self._lock:
            for model, versions in self._models.items():
                self._forget_ended(model, versions)
                self._admit(model)
                action = next_action(self._views(model, versions))
                if action:
                    self._start(model, versions[action.version], action)

    def _views(self, model: str, versions: dict[int, Harness[S]]) -> list[VersionView]:
        """What the policy sees, with the versions that have to go before they can come again as wanted ones."""
        wishes = self._wishes.get(model, {})
        views = [harness.view(wished=harness.version in wishes) for harness in versions.values()]
        return views + [VersionView(view.version, aspired=True) for view in views if view.returning and not view.ready]

    def _recheck_failed(self) -> None:
        """Make versions new again that failed with files that are not there any more. Looks at disk without the lock."""
        if time.monotonic() < self._next_recheck_s:
            return
        self._next_recheck_s = time.monotonic() + self._settings.recheck_s
        with self._lock:
            failed = self._failed()
        for model, harness in failed:
            if self._fingerprint(harness.path) != harness.tried:
                self._renew(model, harness)

    def _failed(self) -> list[tuple[str, Harness[S]]]:
        """The versions that are wished for and could not be loaded. Needs the lock."""
        return [(m, h) for m, hs in self._models.items() for h in hs.values() if h.state is State.END and h.aspired]

    def _renew(self, model: str, harness: Harness[S]) -> None:
        with self._lock:
            if harness.aspired and harness.state is State.END:
                log.info("version.changed", model=model, version=harness.version, path=harness.path)
                self._publish(model, harness, State.START)

    def _forget_ended(self, model: str, versions: dict[int, Harness[S]]) -> None:
        """Drop what is over. A failed version stays, so that it is not tried again and again, until it is un-wished."""
        for harness in list(versions.values()):
            if harness.aspired:
                continue
            if harness.state is State.START:
                self._publish(model, harness, State.END)
            if harness.state is State.END:
                del versions[harness.version]

    def _admit(self, model: str) -> None:
        """Create what is wished for and not managed. A version that is wished for again goes on serving if its files
        are still those that were loaded; otherwise it first has to be gone.
        """
        managed = self._models.setdefault(model, {})
        for version, path in self._wishes.get(model, {}).items():
            harness = managed.get(version)
            if harness is None:
                managed[version] = Harness(version, path)
                self._publish(model, managed[version], State.START)
            elif not harness.aspired and harness.state is State.AVAILABLE:
                harness.aspired = path == harness.path and self._fingerprint(path) == harness.tried

    def _start(self, model: str, harness: Harness[S], action: Action) -> None:
        if action.verb is Verb.LOAD:
            self._publish(model, harness, State.LOADING)
            self._loads.submit(self._load, model, harness)
        else:
            self._publish(model, harness, State.UNLOADING)
            self._unloads.submit(self._unload, model, harness)

    def _load(self, model: str, harness: Harness[S]) -> None:
        log.info("version.loading", model=model, version=harness.version, path=harness.path)
        started = time.monotonic()
        try:
            servable = self._attempts.load(model, harness)
        except ServingError as error:
            log.error("version.failed", model=model, version=harness.version, code=error.code.name, error=error.message)  # noqa: TRY400
            self._publish(model, harness, State.END, error)
            return
        harness.servable = servable
        self._serving.publish(model, harness.version, servable)
        self._publish(model, harness, State.AVAILABLE)
        seconds = round(time.monotonic() - started, 3)
        log.info("version.available", model=model, version=harness.version, seconds=seconds)

    def _unload(self, model: str, harness: Harness[S]) -> None:
        self._serving.withdraw(model, harness.version)
        if harness.servable is not None:
            harness.servable.close()
            harness.servable = None
        self._publish(model, harness, State.END)
        log.info("version.unloaded", model=model, version=harness.version)

    def _publish(self, model: str, harness: Harness[S], state: State, error: ServingError | None = None) -> None:
        harness.state = state
        self._history.publish(model, VersionState(harness.version, state, error))
