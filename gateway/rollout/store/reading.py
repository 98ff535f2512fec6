"""What is read of the tables, each function with one statement or a few, on a connection that somebody else opened."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from sqlalchemy import ColumnElement, Connection, select

from gateway.database.engine import now_us
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import Event, Plan, State
from gateway.rollout.store.documents import event_of, plan_of, seen_of, totals_of
from gateway.rollout.store.tables import EVENTS, EVIDENCE, PLANS, WORKERS
from gateway.rollout.store.view import View, Worker

_HEARD_OF_US: Final = 10_000_000

IS_OPEN: Final = PLANS.c.is_open
IS_CURRENT: Final = PLANS.c.is_current


def plans(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[Plan, ...]:
    """The plans that meet all conditions, by their models, the oldest first."""
    query = select(PLANS.c.document).where(*conditions).order_by(PLANS.c.model, PLANS.c.created_us)
    return tuple(map(plan_of, connection.execute(query).scalars()))


def failed(connection: Connection, model: str) -> dict[int, Plan]:
    """The last plan of each version that was taken back, and did not succeed as a canary since."""
    ended = PLANS.c.state.in_([State.ROLLED_BACK, State.DONE])
    last = {plan.canary: plan for plan in plans(connection, PLANS.c.model == model, ended)}
    return {version: plan for version, plan in last.items() if plan.state is State.ROLLED_BACK}


def history(connection: Connection, model: str | None, most: int) -> tuple[Event, ...]:
    """The last events, the newest first."""
    query = select(EVENTS.c.document).order_by(EVENTS.c.n.desc()).limit(most)
    if model is not None:
        query = query.where(EVENTS.c.model == model)
    return tuple(map(event_of, connection.execute(query).scalars()))


def totals(connection: Connection, ids: Iterable[str]) -> dict[str, dict[int, Totals]]:
    """The sums over all workers, by plan and step. They are added in one order, so that everybody has the same."""
    sums: defaultdict[str, dict[int, Totals]] = defaultdict(dict)
    columns = EVIDENCE.c
    query = select(columns.plan, columns.step, columns.document).where(columns.plan.in_(list(ids)))
    for plan, step, text in connection.execute(query.order_by(columns.plan, columns.step, columns.boot)):
        steps = sums[plan]
        steps[step] = steps[step] + totals_of(text) if step in steps else totals_of(text)
    return dict(sums)


def workers(connection: Connection, at_us: int) -> dict[str, Worker]:
    """The workers that were heard of in the last 10 seconds."""
    found = connection.execute(select(WORKERS).where(WORKERS.c.ts_us > at_us - _HEARD_OF_US)).mappings()
    return {
        row["boot"]: Worker(row["host"], row["pid"], seen_of(row["seen"]), max(0, at_us - row["ts_us"]) / 1_000_000)
        for row in found
    }


def view(connection: Connection) -> View:
    """What a worker follows. While no plan is open, that takes two short statements."""
    at_us = now_us(connection)
    opened = plans(connection, IS_OPEN)
    if not opened:
        return View((), {}, {}, at_us)
    return View(opened, totals(connection, [plan.id for plan in opened]), workers(connection, at_us), at_us)
