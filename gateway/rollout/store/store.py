"""The database of rollouts: what workers tell each other by, and the only place where a plan is changed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select

from gateway.database.address import url_at
from gateway.database.engine import Database, now_us
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import Event, Plan
from gateway.rollout.store import reading, writing
from gateway.rollout.store.away import StoreAway
from gateway.rollout.store.documents import json_of
from gateway.rollout.store.faults import row_faults
from gateway.rollout.store.reporting import Reporting
from gateway.rollout.store.tables import PLANS, SAMPLES, SCHEMA
from gateway.rollout.store.view import Report, View, Worker

__all__ = ["Report", "Store", "StoreAway", "View", "Worker"]

# One for the worker's own reports, and one for the orders of people.
_CONNECTIONS: Final = 2
# A second gateway, or the prediction log, may write into the same SQLite file.
_LOCK_WAIT_S: Final = 5.0


class Store:
    """The rollouts in the SQL database at ``address``.

    All calls block, for some ten seconds at the most, and raise StoreAway when the database cannot be used, or holds what this
    gateway cannot read. They may be made in any thread, ``sync`` in one at a time. Missing tables are made by ``sync``,
    ``create`` and ``make_ready``. ``now``: seconds by a clock that never goes back.

    Raises:
        ValueError: ``address`` is none of a SQL database. The message does not repeat it.
    """

    def __init__(self, address: str, now: Callable[[], float] = time.monotonic) -> None:
        url = url_at(address)
        self._database = Database(url, SCHEMA, StoreAway, connections=_CONNECTIONS, lock_wait_s=_LOCK_WAIT_S, is_durable=True)
        self.name = self._database.name
        self._reporting = Reporting(self._database, now)

    def sync(self, report: Report) -> View:
        """Write what is new in ``report``, and read what all workers have told, in one transaction.

        With no open plan and nothing to write it only reads. The worker's own row is written every 2 s while a plan is open,
        and at once when ``seen`` is another than before. When it raises, the report's samples are not kept, or it is not known
        whether they are.
        """
        return self._reporting.sync(report)

    def make_ready(self) -> None:
        """Make the file and the tables that are missing."""
        with row_faults(), self._database.making():
            pass

    def create(self, plan: Plan, event: Event) -> bool:
        """Add a new plan of its model, and ``event`` to the history; False if the newest plan of the model has not ended.

        A plan before it that has ended and is open is closed: the new one says from now on where requests go.
        """
        with row_faults(), self._database.making() as connection:
            self._database.lock(connection)
            writing.clean(connection, now_us(connection))
            return writing.create(connection, plan, event)

    def change(self, before: Plan, after: Plan, event: Event) -> bool:
        """Put ``after`` in the place of ``before``, and ``event`` in the history; False if somebody else was first.

        Raises ValueError unless ``after`` is the next revision of ``before``, and ``event`` tells of it.
        """
        next_one = (before.id, before.revision + 1)
        if (after.id, after.revision) != next_one or (event.plan, event.revision) != next_one:
            raise ValueError(f"expected revision {next_one} as the plan's and the event's, got {after} and {event}")
        with row_faults(), self._database.writing() as connection:
            return writing.change(connection, before, after, event)

    def now_us(self) -> int:
        """The database's time in microseconds since 1970, by which orders are dated as the gateways' own decisions are."""
        with self._reading() as connection:
            return now_us(connection)

    def newest(self, model: str) -> Plan | None:
        """The newest plan of a model."""
        return self._first(reading.IS_CURRENT, PLANS.c.model == model)

    def newest_of_all(self) -> tuple[Plan, ...]:
        """The newest plan of each model, by the models' names."""
        with self._reading() as connection:
            return reading.plans(connection, reading.IS_CURRENT)

    def plan(self, plan_id: str) -> Plan | None:
        """The plan with this id, as it is now."""
        return self._first(PLANS.c.id == plan_id)

    def history(self, model: str | None = None, most: int = 100) -> tuple[Event, ...]:
        """The last events of a model, or of all models, the newest first."""
        with self._reading() as connection:
            return reading.history(connection, model, most)

    def failed_versions(self, model: str) -> dict[int, Plan]:
        """The versions that were taken back when they were the canary last, each with the plan of that."""
        with self._reading() as connection:
            return reading.failed(connection, model)

    def samples(self, plan_id: str) -> tuple[dict[str, Any], ...]:
        """The first answers of a plan that differed, at most 20, as ``samples.py`` tells of them."""
        query = select(SAMPLES.c.document).where(SAMPLES.c.plan == plan_id).order_by(SAMPLES.c.n)
        with self._reading() as connection:
            return tuple(map(json_of, connection.execute(query).scalars()))

    def totals(self, plan_id: str) -> dict[int, Totals]:
        """The sums of a plan over all workers, by step; steps without any are not there."""
        with self._reading() as connection:
            return reading.totals(connection, [plan_id]).get(plan_id, {})

    def workers(self) -> dict[str, Worker]:
        """The workers that were heard of in the last 10 seconds. They tell of themselves only while a plan is open."""
        with self._reading() as connection:
            return reading.workers(connection, now_us(connection))

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _first(self, *conditions: ColumnElement[bool]) -> Plan | None:
        with self._reading() as connection:
            return next(iter(reading.plans(connection, *conditions)), None)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with row_faults(), self._database.reading(is_short=True) as connection:
            yield connection
