"""The document of the ring: the figures of the last ten minutes in columns, of the models that its reader may see."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.api.console.recent.counts import FAILED, FIRST_BUCKET, REFUSED, REQUESTS, ROWS, WIDTH, Matrix
from gateway.api.console.recent.figures import quantiles_ms, rates, rounded
from gateway.api.console.recent.ring import Numbers, Places, Ring
from gateway.api.console.recent.trail import Trail
from gateway.telemetry.reading.numbers import Values

RECENT_S: Final = 10.0
MOST_RECENT: Final = 500
"""So many versions have recent figures, the most active ones."""

MOST_VERSIONS: Final = 8
_FEW: Final = {"requests": REQUESTS, "failed": FAILED, "refused": REFUSED}

MaySee = Callable[[str], bool]
Flags = npt.NDArray[np.bool_]


def document(ring: Ring, trail: Trail | None, *, since_s: float, model: str, may_see: MaySee) -> dict[str, Any]:
    """The document for JSON, whose arrays are NumPy's. ``model``: whose versions it tells of; empty: none's.

    ``now`` is the time of the newest tick. The ticks are those after ``since_s``, in Unix time. They are all that there are if
    it is later than the newest, as after a change of the clock. A reader that may see only some models gets the totals of
    these, and is not told how many requests are in flight, because they are of all models.
    """
    times = ring.times()
    first = int(np.searchsorted(times, since_s, "right")) if len(times) and since_s <= times[-1] else 0
    sees_all = may_see("")
    is_seen = np.array([bool(name) and may_see(name) for name, _ in ring.versions], bool)
    return {
        "now": times[-1] if len(times) else None,
        "grain_s": ring.ticks[-1].grain_s if ring.ticks else 1.0,
        "since": times[0] if len(times) else None,
        "t": times[first:],
        "total": _total(ring, first) if sees_all else _total_of(ring, first, is_seen, may_see),
        "recent": _recent(ring, is_seen),
        "model": _versions(ring, first, model) if model else None,
        "rollout": trail.columns(ring.clock_s) if trail is not None else None,
    }


def _total(ring: Ring, first: int) -> dict[str, Any]:
    ticks = ring.ticks[first:]
    counted = np.array([tick.total for tick in ticks], np.float64).reshape(len(ticks), WIDTH)
    return {
        **_columns(counted, ring.spans_s(first)),
        "in_flight": [tick.in_flight for tick in ticks],
        "queue_rows": [sum(tick.queue_rows.values()) for tick in ticks],
    }


def _total_of(ring: Ring, first: int, is_seen: Flags, may_see: MaySee) -> dict[str, Any]:
    tick, version, numbers = ring.rows(first)
    chosen = is_seen[version]
    ticks = ring.ticks[first:]
    counted = _by_tick(ring, first, tick[chosen], numbers[chosen])
    return {
        **_columns(counted, ring.spans_s(first)),
        "in_flight": [None] * len(ticks),
        "queue_rows": [sum(rows for name, rows in tick.queue_rows.items() if may_see(name)) for tick in ticks],
    }


def _versions(ring: Ring, first: int, model: str) -> dict[str, Any]:
    """The columns of the versions of ``model`` that had requests in the last ten minutes, the most active ones."""
    tick, version, numbers = ring.rows(first)
    _, every_version, every_number = ring.rows(0)
    places = [place for place, (name, _) in enumerate(ring.versions) if name == model]
    active = {place: float(every_number[every_version == place, REQUESTS].sum()) for place in places}
    chosen = sorted((place for place in places if active[place]), key=lambda place: -active[place])[:MOST_VERSIONS]
    spans = ring.spans_s(first)
    of_each = {
        ring.versions[place][1]: _columns(_by_tick(ring, first, tick[version == place], numbers[version == place]), spans)
        for place in chosen
    }
    return {"name": model, "versions": of_each}


def _recent(ring: Ring, is_seen: Flags) -> dict[str, dict[str, Any]]:
    """Each version's figures of the last seconds."""
    if not ring.ticks:
        return {}
    newest_s = ring.ticks[-1].at_s
    begin = next(place for place, tick in enumerate(ring.ticks) if tick.at_s > newest_s - RECENT_S)
    span_s = sum(tick.span_s for tick in ring.ticks[begin:] if tick.rows is not None)
    _, version, numbers = ring.rows(begin)
    chosen = is_seen[version]
    places, of_place = np.unique(version[chosen], return_inverse=True)
    if not len(places):
        return {}
    counted = np.zeros((len(places), WIDTH))
    np.add.at(counted, of_place, numbers[chosen])
    order = np.argsort(-counted[:, REQUESTS], kind="stable")[:MOST_RECENT]
    counted, places = counted[order], places[order]
    per_second = rounded(counted[:, : ROWS + 1] / span_s)
    p50_ms, p95_ms = (quantiles_ms(counted[:, FIRST_BUCKET:], part) for part in (0.5, 0.95))
    found: dict[str, dict[str, Any]] = {}
    for row, place in enumerate(places.tolist()):
        model, name = ring.versions[place]
        found.setdefault(model, {})[name] = {
            "requests_s": per_second[row, REQUESTS],
            "failed_s": per_second[row, FAILED],
            "refused_s": per_second[row, REFUSED],
            "rows_s": per_second[row, ROWS],
            "p50_ms": p50_ms[row],
            "p95_ms": p95_ms[row],
        }
    return found


def _by_tick(ring: Ring, first: int, tick: Places, numbers: Numbers) -> Matrix:
    """``numbers`` added up by their ``tick``: NaN where it is not known whose requests they were."""
    counted = np.zeros((len(ring.ticks) - first, WIDTH))
    np.add.at(counted, tick, numbers)
    counted[[known.rows is None for known in ring.ticks[first:]]] = np.nan
    return counted


def _columns(counted: Matrix, spans_s: Values) -> dict[str, Any]:
    few = {name: rates(counted[:, column], spans_s) for name, column in _FEW.items()}
    buckets = counted[:, FIRST_BUCKET:]
    return {**few, "p50_ms": quantiles_ms(buckets, 0.5), "p95_ms": quantiles_ms(buckets, 0.95)}
