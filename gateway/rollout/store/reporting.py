"""The reports of one run of a worker: only what the database does not have yet is written."""

from collections.abc import Callable
from typing import Final

from gateway.database.engine import Database, now_us
from gateway.rollout.store import reading, writing
from gateway.rollout.store.away import StoreAway
from gateway.rollout.store.documents import text_of
from gateway.rollout.store.faults import row_faults
from gateway.rollout.store.view import Report, View

_TELL_S: Final = 2.0
_CLEAN_S: Final = 3600.0


class Reporting:
    """Writes reports into ``database``, one at a time. ``now``: seconds by a clock that never goes back."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._cleaned_s: float | None = None
        self._has_open = False
        self._boot = ""
        self._forget()

    def sync(self, report: Report) -> View:
        """See ``Store.sync``."""
        if report.boot != self._boot:
            self._forget()  # what another run has told
        try:
            view = self._synced(report)
        except StoreAway:
            self._forget()  # it may be another database when it comes back
            raise
        self._boot = report.boot
        self._has_open = bool(view.plans)
        return view

    def _forget(self) -> None:
        self._is_made = False
        self._written: dict[tuple[str, int], str] = {}
        self._told: tuple[dict[str, int], float] | None = None

    def _synced(self, report: Report) -> View:
        self._make()
        texts = {key: text_of(totals) for key, totals in report.evidence.items()}
        changed = {key: text for key, text in texts.items() if self._written.get(key) != text}
        is_due = self._is_due(report)
        if not (changed or report.samples or (is_due and self._has_open)):
            with row_faults(), self._database.reading(is_short=True) as connection:
                view = reading.view(connection)
            if not (is_due and view.plans):
                return view
        view = self._write(report, changed)
        self._written = texts
        return view

    def _make(self) -> None:
        if not self._is_made:
            with self._database.making():
                pass
            self._is_made = True

    def _is_due(self, report: Report) -> bool:
        return self._told is None or self._told[0] != report.seen or self._now() - self._told[1] >= _TELL_S

    def _write(self, report: Report, changed: dict[tuple[str, int], str]) -> View:
        started_s = self._now()
        cleans = self._cleaned_s is None or started_s - self._cleaned_s >= _CLEAN_S
        with row_faults(), self._database.writing() as connection:
            if cleans or report.samples:
                self._database.lock(connection)
            at_us = now_us(connection)
            if cleans:
                writing.clean(connection, at_us)
            writing.evidence(connection, report.boot, changed, at_us)
            writing.samples(connection, report.samples)
            tells = self._is_due(report) and bool(reading.plans(connection, reading.IS_OPEN))
            if tells:
                writing.worker(connection, report, at_us)
            view = reading.view(connection)
        self._cleaned_s = started_s if cleans else self._cleaned_s
        self._told = (dict(report.seen), started_s) if tells else self._told
        return view
