"""The file system as a source of versions: which directories there are, and which of them are wanted.

A child of a base path is a version if its whole name is a number (upstream's
file_system_storage_path_source.cc). A base path that is missing or has no version changes nothing that is aspired.
"""

import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from model_server.config import Models, ModelSettings, VersionPolicy

log = structlog.get_logger()

Versions = Mapping[int, str]
OnAspired = Callable[[str, Versions], None]


def versions_under(base_path: str) -> Versions:
    """Version number -> directory for every child that is named as a number; OSError if the base path is missing.

    Of two names with the same number (``1`` and ``01``) the last in alphabetical order counts.
    """
    found: dict[int, str] = {}
    for name in sorted(os.listdir(base_path)):
        number = _number(name)
        if number is not None:
            found[number] = os.path.join(base_path, name)
    return found


def aspired(versions: Versions, policy: VersionPolicy) -> Versions:
    """The part of ``versions`` that ``policy`` wants."""
    if policy.all:
        return dict(versions)
    if policy.specific is not None:
        return {number: path for number, path in versions.items() if number in policy.specific}
    newest = sorted(versions, reverse=True)[: policy.latest]
    return {number: versions[number] for number in newest}


def fingerprint(directory: str) -> object:
    """A value that changes when files below ``directory`` come, go or grow."""
    found = []
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            with suppress(OSError):
                status = os.stat(path)
                found.append((path, status.st_size, status.st_mtime_ns))
    return sorted(found)


def _number(name: str) -> int | None:
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", name, re.ASCII):
        return None
    number = int(name)
    return number if -(2**63) <= number < 2**63 else None


class FileSystemSource:
    """Looks at every model's base path again and again and tells ``on_aspired`` which versions it wants.

    Thread-safe. ``on_aspired`` is called from the polling thread and from callers of ``watch``, one call at a time.
    """

    def __init__(self, poll_wait_s: float, on_aspired: OnAspired) -> None:
        self._poll_wait_s = poll_wait_s
        self._on_aspired = on_aspired
        self._models: Models = {}
        self._problems: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll_forever, name="source", daemon=True)

    def watch(self, models: Models) -> set[str]:
        """Replace the watched models, look once, and return the names of those that have a wanted version.

        Polling starts with the first call, unless the wait is 0 (look once). A negative wait never looks.
        """
        with self._lock:
            self._models = models
            self._problems = {name: text for name, text in self._problems.items() if name in models}
            present = self._look() if self._poll_wait_s >= 0 else set()
        if self._poll_wait_s > 0 and not self._thread.is_alive() and not self._stop.is_set():
            self._thread.start()
        return present

    def stop(self) -> None:
        """End the polling."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _poll_forever(self) -> None:
        while not self._stop.wait(self._poll_wait_s):
            try:
                with self._lock:
                    self._look()
            except Exception:  # a bug with one model must not end the polling of all
                log.exception("source.crashed")

    def _look(self) -> set[str]:
        return {model.name for model in self._models.values() if self._look_at(model)}

    def _look_at(self, model: ModelSettings) -> bool:
        try:
            versions = versions_under(model.base_path)
        except OSError as error:
            self._report(model, "base_path.missing", error.strerror or str(error))
            return False
        if not versions:
            self._report(model, "base_path.empty", "no child is named as a number, such as 1/")
            return False
        wanted = aspired(versions, model.policy)
        self._report_absent(model, versions)
        self._on_aspired(model.name, wanted)
        return bool(wanted)

    def _report_absent(self, model: ModelSettings, versions: Versions) -> None:
        absent = sorted(set(model.policy.specific or ()) - versions.keys())
        if absent:
            self._report(model, "version.missing", f"the policy names versions that do not exist: {absent}")
        else:
            self._report(model, "base_path.ready", None)

    def _report(self, model: ModelSettings, event: str, problem: str | None) -> None:
        """Log a problem when it appears or changes, and its end, but not at every look."""
        if self._problems.get(model.name) == problem:
            return
        self._problems[model.name] = problem
        if problem:
            log.warning(event, model=model.name, base_path=model.base_path, problem=problem)
        else:
            log.info(event, model=model.name, base_path=model.base_path)
