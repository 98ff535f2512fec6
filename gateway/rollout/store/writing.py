"""What is written into the tables, on a connection that is in a transaction."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.rollout.plan import ENDED, Event, Plan
from gateway.rollout.store.documents import plan_of, text_of
from gateway.rollout.store.tables import EVENTS, EVIDENCE, PLANS, SAMPLES, WORKERS
from gateway.rollout.store.view import Report

MOST_SAMPLES: Final = 20
_HOUR_US: Final = 3_600_000_000
_KEPT_US: Final = 30 * 24 * _HOUR_US
_KEPT_PLANS: Final = 100
_INSERT: Final[dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


def create(connection: Connection, plan: Plan, event: Event) -> bool:
    """Add a plan, and close the one before; False if that has not ended. Nobody else may create one at the same time."""
    query = select(PLANS.c.document).where(PLANS.c.model == plan.model, PLANS.c.is_current).with_for_update()
    text = connection.execute(query).scalar()
    before = plan_of(text) if text is not None else None
    if before is not None:
        if not before.is_ended:
            return False
        _supersede(connection, before, plan, event)
    connection.execute(insert(PLANS).values(id=plan.id, is_current=True, **_columns(plan)))
    _add(connection, event)
    return True


def change(connection: Connection, before: Plan, after: Plan, event: Event) -> bool:
    """Replace ``before``; False if it is not the plan's revision any more."""
    is_same = (PLANS.c.id == before.id) & (PLANS.c.revision == before.revision)
    if connection.execute(update(PLANS).where(is_same).values(_columns(after))).rowcount != 1:
        return False
    _add(connection, event)
    return True


def evidence(connection: Connection, boot: str, texts: Mapping[tuple[str, int], str], at_us: int) -> None:
    """Write a run's sums in place of those before."""
    for (plan, step), text in sorted(texts.items()):
        _upsert(connection, EVIDENCE, plan=plan, step=step, boot=boot, ts_us=at_us, document=text)


def worker(connection: Connection, report: Report, at_us: int) -> None:
    """Write what a run tells of itself in place of what it did before."""
    seen = text_of(dict(report.seen))
    _upsert(connection, WORKERS, boot=report.boot, host=report.host, pid=report.pid, seen=seen, ts_us=at_us)


def samples(connection: Connection, given: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Add samples of plans that have not enough. Nobody else may add some at the same time."""
    for plan, document in given:
        count = connection.execute(select(func.count()).where(SAMPLES.c.plan == plan)).scalar_one()
        if count < MOST_SAMPLES:
            connection.execute(insert(SAMPLES).values(plan=plan, n=count + 1, document=text_of(document)))


def clean(connection: Connection, at_us: int) -> None:
    """Delete what nobody asks for any more: workers of an hour ago, and what old plans were decided by."""
    connection.execute(delete(WORKERS).where(WORKERS.c.ts_us < at_us - _HOUR_US))
    number = func.row_number().over(partition_by=PLANS.c.model, order_by=PLANS.c.created_us.desc()).label("number")
    ended = select(PLANS.c.id, PLANS.c.state_us, number).where(PLANS.c.state.in_(list(ENDED))).subquery()
    is_old = or_(ended.c.state_us < at_us - _KEPT_US, ended.c.number > _KEPT_PLANS)
    for table in (EVIDENCE, SAMPLES):
        connection.execute(delete(table).where(table.c.plan.in_(select(ended.c.id).where(is_old))))


def _supersede(connection: Connection, before: Plan, plan: Plan, event: Event) -> None:
    row = PLANS.c.id == before.id
    connection.execute(update(PLANS).where(row).values(is_current=False))
    if before.is_open:
        closed = before.changed(event.ts_us, is_open=False)
        connection.execute(update(PLANS).where(row).values(_columns(closed)))
        _add(connection, _closing(closed, plan, event))


def _closing(closed: Plan, plan: Plan, event: Event) -> Event:
    return Event(
        plan=closed.id,
        model=closed.model,
        revision=closed.revision,
        ts_us=event.ts_us,
        by=event.by,
        what="close",
        before=closed.state,
        after=closed.state,
        reason=f"{plan.id} says from now on where requests go",
    )


def _columns(plan: Plan) -> dict[str, Any]:
    """The columns that each revision has anew; the state's name is a plain string for the driver."""
    return {
        "model": plan.model,
        "revision": plan.revision,
        "is_open": plan.is_open,
        "state": str(plan.state),
        "created_us": plan.created_us,
        "state_us": plan.state_us,
        "document": text_of(plan),
    }


def _add(connection: Connection, event: Event) -> None:
    values = {"plan": event.plan, "revision": event.revision, "model": event.model, "ts_us": event.ts_us}
    connection.execute(insert(EVENTS).values(values | {"document": text_of(event)}))


def _upsert(connection: Connection, table: Table, **values: Any) -> None:
    key = [column.name for column in table.primary_key]
    statement = _INSERT[connection.dialect.name](table).values(values)
    others = {name: statement.excluded[name] for name in values if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=others))
