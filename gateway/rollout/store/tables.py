"""The SQL tables of rollouts. What they hold is JSON; only what is searched for has a column of its own."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

from gateway.database.schema import Schema, versions_table

VERSION: Final = 1
"""A change of the columns needs the next version, and a step here that alters the tables of the one before."""

_METADATA: Final = MetaData()

PLANS: Final = Table(
    "rollout_plans",
    _METADATA,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("state_us", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    Index("rollout_plans_model", "model", "created_us"),
)
"""The plans as they are now. ``is_current``: the newest one of its model."""

for _name in ("is_open", "is_current"):
    # The database itself refuses a second one of a model.
    _is_so = PLANS.c[_name]
    Index(f"rollout_plans_{_name}", PLANS.c.model, unique=True, sqlite_where=_is_so, postgresql_where=_is_so)

EVENTS: Final = Table(
    "rollout_events",
    _METADATA,
    # SQLite counts only an INTEGER by itself.
    Column("n", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("plan", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("plan", "revision"),
    Index("rollout_events_model", "model", "n"),
)
"""The history: rows are added, and never changed or deleted."""

EVIDENCE: Final = Table(
    "rollout_evidence",
    _METADATA,
    Column("plan", Text, primary_key=True),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("boot", Text, primary_key=True),
    Column("ts_us", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
"""The sums of each run of a worker in each step, which that run alone writes."""

WORKERS: Final = Table(
    "rollout_workers",
    _METADATA,
    Column("boot", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("seen", Text, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
)
"""The workers that follow the plans, by the database's time."""

SAMPLES: Final = Table(
    "rollout_samples",
    _METADATA,
    Column("plan", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
)
"""The first answers of each plan that differed."""

SCHEMA: Final = Schema(
    holds="state of rollouts",
    metadata=_METADATA,
    versions=versions_table("rollout_schema", _METADATA),
    version=VERSION,
    lock=7022331140562,
)
