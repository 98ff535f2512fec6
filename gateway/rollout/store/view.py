"""What a worker tells the database of rollouts, and what it reads there. Values only, which do not load SQLAlchemy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one run of a worker has to tell.

    - ``boot`` names the run, ``host`` and ``pid`` its process.
    - ``seen``: the revision of each open plan, by the plan's id, that its requests follow now.
    - ``evidence``: all that it has counted in a plan's step since it started, by the plan's id and the step. A report may give
      the same sums again.
    - ``samples``: answers that differed, each for JSON, by the plan's id. A sample is given once.
    """

    boot: str
    host: str
    pid: int
    seen: Mapping[str, int] = field(default_factory=dict)
    evidence: Mapping[tuple[str, int], Totals] = field(default_factory=dict)
    samples: Sequence[tuple[str, dict[str, Any]]] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that follows the plans; it was heard of ``age_s`` seconds ago."""

    host: str
    pid: int
    seen: dict[str, int]
    age_s: float


@dataclass(frozen=True, slots=True)
class View:
    """What the database has at one moment.

    - ``plans``: the open ones, by the names of their models.
    - ``totals``: the sums over all workers that ever reported, by the plan's id and the step, of the open plans.
    - ``workers``: those heard of in the last 10 seconds, by their boot. They tell of themselves only while a plan is open.
    - ``at_us``: the database's own time, in microseconds since 1970: the same clock for every host.
    """

    plans: tuple[Plan, ...]
    totals: dict[str, dict[int, Totals]]
    workers: dict[str, Worker]
    at_us: int
