"""Results as Markdown: the bars, and a table for each group. Figures are medians over the rounds."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median, quantiles
from typing import Any, Final

from benchmarks import ours
from benchmarks.contender import B64, BINARY, JSON, NPY
from benchmarks.reporting.bars import BARS

Results = Mapping[str, Any]
_ENCODINGS: Final = {JSON: "JSON", B64: "base64 in JSON", NPY: "npy", BINARY: "v2 binary"}
_SPREAD_HEAD: Final = ("median", "lower quartile", "upper quartile", "smallest", "largest")
_FIELDS: Final = {"front_cpu_us": "CPU", "rps": "requests/s", "p50_ms": "p50", "p99_ms": "p99"}
_LOG_FIELDS: Final = {"requests": "requests", "rows": "rows in the database", "dropped": "dropped", "unsampled": "left out"}
_TRACES_FIELDS: Final = {"kept": "traced", "exported": "exported", "full": "found the queue full", "failed": "failed"}
_LOAD_HEAD: Final = ("requests/s", "p50 ms", "p99 ms", "CPU µs", "CPU µs, model server", "failed")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: float | None) -> str:
    """Three significant digits, and thousands with a comma."""
    if value is None or math.isnan(value):
        return "-"
    if value and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"


def bars(results: Results) -> str:
    """What is to be reached, and what is."""
    rows = []
    for bar in BARS:
        value = bar.measured(results)
        figure = number(value) + (bar.unit if value is not None else "")
        rows.append([bar.what, figure, bar.bound(bar.enough), bar.bound(bar.aim), bar.verdict(value)])
    return table(("what", "measured", "at least", "aim", ""), rows)


def machine(told: Mapping[str, Any]) -> str:
    """The machine in one sentence."""
    return (
        f"{told['cpu']}, {told['cores']} cores, {number(told['memory_gb'])} GB, {told['kernel']}, Python {told['python']}; "
        f"load average at the start {told['load_average'][0]:g}; {told['time'][:10]}, commit {told['commit'] or 'unknown'}."
    )


def load_table(points: Sequence[Results], first: Sequence[str], label: Callable[[Results], list[str]]) -> str:
    """Points of `rounds`, each with its labels in the first columns."""
    return table((*first, *_LOAD_HEAD), [[*label(point), *_load(point["median"])] for point in points])


def _load(middle: Mapping[str, float]) -> list[str]:
    figures = [number(middle[name]) for name in ("rps", "p50_ms", "p99_ms", "front_cpu_us", "backend_cpu_us")]
    return [*figures, number(middle["refused"] + middle["broken"])]


def rows(told: Results) -> str:
    """One row, by clients."""
    points = sorted(told["points"], key=lambda point: int(point["case"]["clients"]))
    calls = told["grpc"]["median"]
    head = ("clients", "")
    alone = f"The gRPC call alone, one client: p50 {number(calls['p50_ms'])} ms, p99 {number(calls['p99_ms'])} ms.\n"
    return load_table(points, head, lambda point: [str(point["case"]["clients"]), _told(point)]) + "\n" + alone


def _told(point: Results) -> str:
    """The contender, and how the row was sent unless as JSON."""
    encoding = point["case"].get("encoding", JSON)
    return str(point["contender"]) if encoding == JSON else f"{point['contender']}, {_ENCODINGS[encoding]}"


def image(told: Results) -> str:
    """One picture, by encoding, in milliseconds and in nanoseconds for each number."""
    lines = []
    for point in told["points"]:
        middle = point["median"]
        mean_ms = 1e3 / middle["rps"]
        each_ns = number(mean_ms * 1e6 / told["numbers"])
        percentiles = [number(middle["p50_ms"]), number(middle["p99_ms"])]
        figures = [number(mean_ms), each_ns, *percentiles, number(middle["front_cpu_us"] / 1e3)]
        lines.append([point["contender"], _ENCODINGS[point["case"]["encoding"]], *figures])
    return table(("", "sent as", "mean ms", "ns for each number", "p50 ms", "p99 ms", "CPU ms"), lines)


def growth(told: Results) -> str:
    """Three tables: by rows, models, clients."""
    notes = {
        "rows": f"rows a request, {told['rows_clients']} clients",
        "models": f"models, {told['models_clients']} clients",
        "clients": "clients",
    }
    return "\n".join(
        load_table([p for p in told["points"] if kind in p["case"]], [note], lambda point: [str(*point["case"].values())])
        for kind, note in notes.items()
    )


def cache(told: Results) -> str:
    """Hit, miss and no cache."""
    return load_table(told["points"], ("clients", ""), lambda point: [str(point["case"]["clients"]), point["contender"]])


def proofs(told: Results) -> str:
    """Both gateways, and how their processor time compares."""
    return load_table(told["points"], ("32 clients",), lambda point: [str(point["contender"])]) + "\n" + figures(told)


def guarded(told: Results) -> str:
    """Each gateway, its ratios to the plain one over the rounds, and the rows of the prediction logs."""
    logs = [[name, *(number(log[field]) for field in _LOG_FIELDS)] for name, log in told["logs"].items()]
    return _beside_the_plain_one(told) + "\n" + table(("all rounds", *_LOG_FIELDS.values()), logs)


def traces(told: Results) -> str:
    """Each gateway, its ratios to the one without traces over the rounds, and what became of the traces."""
    kept = [[name, *(number(counts[field]) for field in _TRACES_FIELDS)] for name, counts in told["traces"].items()]
    return _beside_the_plain_one(told) + "\n" + table(("requests of all rounds", *_TRACES_FIELDS.values()), kept)


def _beside_the_plain_one(told: Results) -> str:
    points = sorted(told["points"], key=lambda point: int(point["case"]["clients"]))
    ratios = sorted(told["ratios"], key=lambda ratio: int(ratio["case"]["clients"]))
    spreads = [
        [*_guard(ratio), title, *_spread(ratio[name])] for ratio in ratios for name, title in _FIELDS.items() if name in ratio
    ]
    return "\n".join(
        (
            load_table(points, ("clients", ""), _guard),
            table(("clients", "", "÷ the plain gateway's", *_SPREAD_HEAD), spreads),
        )
    )


def _guard(told: Results) -> list[str]:
    return [str(told["case"]["clients"]), str(told["contender"])]


def _spread(ratios: Sequence[float]) -> list[str]:
    lower, _, upper = quantiles(ratios, n=4)
    return [f"{value:.3f}" for value in (median(ratios), lower, upper, min(ratios), max(ratios))]


def workers(told: Results) -> str:
    """The ways to run the application, the cheapest first."""
    points = sorted(told["points"], key=lambda point: float(point["median"]["front_cpu_us"]))
    return load_table(points, ("32 clients",), lambda point: [str(point["contender"])])


def figures(told: Results) -> str:
    """The medians of a group that is no load of points."""
    return table(("", "median"), [[name, number(value)] for name, value in told["median"].items()])


def instructions(told: Results) -> str:
    """Each kind of request."""
    return table(("", "instructions for each request"), [[name, number(count)] for name, count in told["requests"].items()])


def peers(told: Results) -> str:
    """The peers' rows, their picture, and the peers that failed."""
    by_clients = sorted(told["rows"], key=lambda point: (int(point["case"]["clients"]), -point["median"]["rps"]))
    head = ("clients", "")
    text = load_table(by_clients, head, lambda point: [str(point["case"]["clients"]), point["contender"]])
    pictures = sorted(told["image"], key=lambda point: float(point["median"]["p50_ms"]))
    text += "\n" + load_table(pictures, ("a picture as JSON, one client",), lambda point: [str(point["contender"])])
    return text + "".join(f"\n{name} is left out: {why}\n" for name, why in told["failures"].items())


_SECTIONS: Final[dict[str, tuple[str, Callable[[Results], str]]]] = {
    "rows": ("One row of ten floats", rows),
    "image": ("A picture of 224 x 224 x 3 floats", image),
    "growth": (f"How the cost of {ours.NAME} grows", growth),
    "swap": ("A version swap under load", figures),
    "start": ("Start and memory", figures),
    "cache": ("The cache", cache),
    "proofs": ("Batches that are earned", proofs),
    "guarded": ("Keys, limits and the prediction log", guarded),
    "traces": ("Traces", traces),
    "overload": ("Overload", figures),
    "workers": ("Workers", workers),
    "peers": ("Other servers", peers),
    "instructions": ("Instructions", instructions),
}


def full(results: Results, machines: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole report."""
    parts = ["# Results", *(f"{file}: {machine(told)}" for file, told in machines.items())]
    parts.append("## Bars\n\n" + bars(results).rstrip())
    for name, (title, section) in _SECTIONS.items():
        if name in results:
            parts.append(f"## {title}\n\n{section(results[name]).rstrip()}")
    return "\n\n".join(parts) + "\n"
