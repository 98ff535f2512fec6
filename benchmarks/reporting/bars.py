"""Where the gateway is to get to: ratios within one run, each with what is enough and what is aimed at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import ours
from benchmarks.baselines import contenders
from benchmarks.contender import BINARY, JSON
from benchmarks.sample import medians

Results = Mapping[str, Any]
MOSEC: Final = "mosec"
CLIENTS: Final = 32
MANY: Final = 256


@dataclass(frozen=True)
class Bar:
    """One ratio, or figure. ``measured`` takes the groups of all results and gives None for what was not measured."""

    what: str
    measured: Callable[[Results], float | None]
    enough: float
    aim: float
    more_is_better: bool = False
    unit: str = ""

    def verdict(self, value: float | None) -> str:
        """What the value is worth."""
        if value is None:
            return "not measured"
        if self._reaches(value, self.aim):
            return "aim reached"
        return "reached" if self._reaches(value, self.enough) else "**not reached**"

    def bound(self, value: float) -> str:
        """A bound in words."""
        return f"{'≥' if self.more_is_better else '≤'} {value:g}{self.unit}"

    def _reaches(self, value: float, bound: float) -> bool:
        return value >= bound if self.more_is_better else value <= bound


def _points(results: Results, group: str, contender: str, field: str, **case: Any) -> float | None:
    found = medians(results.get(group, {}).get("points", []), contender, **case)
    return found[field] if found else None


def _ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def _row(results: Results, contender: str, field: str, clients: int = CLIENTS, **how: Any) -> float | None:
    return _points(results, "rows", contender, field, clients=clients, **how)


def _image(results: Results, contender: str, encoding: str) -> float | None:
    """The mean time of a request, in seconds, which one client after another of its own makes: 1 ÷ requests/s."""
    return _ratio(1.0, _points(results, "image", contender, "rps", encoding=encoding))


def _peer_rps(results: Results, only: Callable[[str], bool], clients: int) -> float | None:
    points = results.get("peers", {}).get("rows", [])
    found = [p["median"]["rps"] for p in points if p["case"]["clients"] == clients and only(p["contender"])]
    return max(found, default=None)


def _over_peers(results: Results, only: Callable[[str], bool], clients: int = CLIENTS) -> float | None:
    return _ratio(_peer_rps(results, lambda name: name == ours.NAME, clients), _peer_rps(results, only, clients))


def _figure(results: Results, group: str, name: str) -> float | None:
    value = results.get(group, {}).get("median", {}).get(name)
    return None if value is None else float(value)


def _failures(results: Results) -> float | None:
    return float(results["swap"]["failures"]) if "swap" in results else None


BARS: Final = (
    Bar(
        f"processor time of the gateway for each request, {CLIENTS} clients ÷ that of an empty Flask route on gevent",
        lambda r: _ratio(_row(r, ours.NAME, "front_cpu_us"), _row(r, contenders.EMPTY, "front_cpu_us")),
        0.45,
        0.3,
    ),
    Bar(
        f"requests/s, {CLIENTS} clients ÷ the best of MLServer, LitServe, BentoML, Ray Serve",
        lambda r: _over_peers(r, lambda name: name not in (ours.NAME, MOSEC)),
        2.8,
        5,
        more_is_better=True,
    ),
    Bar(
        f"requests/s, {CLIENTS} clients ÷ FastAPI with grpc.aio and no batching",
        lambda r: _ratio(_row(r, ours.NAME, "rps"), _row(r, contenders.FASTAPI, "rps")),
        3,
        6,
        more_is_better=True,
    ),
    Bar(
        f"requests/s, {CLIENTS} clients ÷ mosec",
        lambda r: _over_peers(r, lambda name: name == MOSEC),
        0.5,
        1,
        more_is_better=True,
    ),
    Bar(
        f"requests/s, {MANY} clients ÷ mosec",
        lambda r: _over_peers(r, lambda name: name == MOSEC, MANY),
        0.5,
        1,
        more_is_better=True,
    ),
    Bar(
        f"requests/s, {CLIENTS} clients ÷ Flask with Keras in its process and a thread batcher",
        lambda r: _ratio(_row(r, ours.NAME, "rps"), _row(r, contenders.IN_PROCESS, "rps")),
        15,
        40,
        more_is_better=True,
    ),
    Bar(
        "p50, one client ÷ the gRPC call alone",
        lambda r: _ratio(_row(r, ours.NAME, "p50_ms", 1), _figure(r.get("rows", {}), "grpc", "p50_ms")),
        1.7,
        1.4,
    ),
    Bar(
        f"processor time of the gateway for each request, {CLIENTS} clients: as v2 binary ÷ as v1 JSON",
        lambda r: _ratio(_row(r, ours.NAME, "front_cpu_us", encoding=BINARY), _row(r, ours.NAME, "front_cpu_us")),
        1.1,
        0.9,
    ),
    Bar(
        "picture as JSON, mean time: plain Flask ÷ the gateway",
        lambda r: _ratio(_image(r, contenders.PLAIN_IMAGE, JSON), _image(r, ours.NAME, JSON)),
        9,
        15,
        more_is_better=True,
    ),
    Bar(
        "picture, mean time: as JSON ÷ as v2 binary",
        lambda r: _ratio(_image(r, ours.NAME, JSON), _image(r, ours.NAME, BINARY)),
        4.5,
        6,
        more_is_better=True,
    ),
    Bar("memory of a worker after the start", lambda r: _figure(r, "start", "rss_mb"), 100, 70, unit=" MB"),
    Bar("start to ready, the model server up", lambda r: _figure(r, "start", "start_s"), 2, 1, unit=" s"),
    Bar("failures during version swaps under load", _failures, 0, 0),
    Bar(
        "p99 during a version swap ÷ before",
        lambda r: _ratio(_figure(r, "swap", "p99_during_ms"), _figure(r, "swap", "p99_before_ms")),
        3,
        1.5,
    ),
    Bar(
        "overload, twice the peak: answered in time ÷ the peak",
        lambda r: _figure(r, "overload", "good_share"),
        0.9,
        0.95,
        more_is_better=True,
    ),
    Bar("overload: neither answered nor refused ÷ offered", lambda r: _figure(r, "overload", "failed_share"), 0.01, 0),
    Bar("overload: p99 of refusals", lambda r: _figure(r, "overload", "refused_p99_ms"), 100, 20, unit=" ms"),
    Bar("overload: back to normal after", lambda r: _figure(r, "overload", "recovery_s"), 1, 0.2, unit=" s"),
)
