"""The plots: SVG files that are the same, byte for byte, for the same results."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks import ours

mpl.use("svg")

Results = Mapping[str, Any]
_STYLE: Final = {
    # Without a fixed salt the names inside of the file are random.
    "svg.hashsalt": "benchmarks",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "figure.facecolor": "white",
    "legend.frameon": False,
}
_OURS: Final = "#c2410c"
_OTHERS: Final = ("#475569", "#0e7490", "#7c3aed", "#4d7c0f", "#b45309", "#94a3b8")


def write(results: Results, folder: Path) -> list[Path]:
    """Write a plot for each group that is there; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        return [_write(name, draw, results[name], folder) for name, draw in _PLOTS.items() if name in results]


def _write(name: str, draw: "Draw", told: Results, folder: Path) -> Path:
    file = folder / f"{name}.svg"
    figure = draw(told)
    figure.tight_layout()
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return file


def rows(told: Results) -> Any:
    """Requests a second and processor time for each, by clients."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    points = [point for point in told["points"] if "encoding" not in point["case"]]
    _lines(left, points, "rps", "requests/s")
    _lines(right, points, "front_cpu_us", "processor time a request, µs")
    figure.legend(*left.get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=3, fontsize=8)
    return figure


def _lines(axes: Axes, points: Sequence[Results], field: str, title: str) -> None:
    for number, name in enumerate(dict.fromkeys(point["contender"] for point in points)):
        mine = sorted((p["case"]["clients"], p["median"][field]) for p in points if p["contender"] == name)
        axes.plot(*zip(*mine, strict=True), marker="o", markersize=3, label=name, color=_color(name, number))
    _clients_axis(axes, sorted({point["case"]["clients"] for point in points}))
    axes.set_yscale("log")
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("clients")


def _clients_axis(axes: Axes, values: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(values, labels=[str(value) for value in values])
    axes.minorticks_off()


def image(told: Results) -> Any:
    """Milliseconds for a picture, by encoding."""
    names = [f"{p['contender']}, {p['case']['encoding']}" for p in told["points"]]
    return _bars(names, [p["median"]["p50_ms"] for p in told["points"]], "a picture, one client: p50, ms", "{:.1f}")


def peers(told: Results) -> Any:
    """Requests a second at 32 clients."""
    points = sorted((p for p in told["rows"] if p["case"]["clients"] == 32), key=lambda p: -float(p["median"]["rps"]))
    values = [p["median"]["rps"] for p in points]
    return _bars([p["contender"] for p in points], values, "one row, 32 clients: requests/s", "{:,.0f}")


def _bars(names: Sequence[str], values: Sequence[float], title: str, text: str) -> Any:
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.35 * len(names)))
    colors = [_OURS if name.startswith(ours.NAME) else _OTHERS[0] for name in names]
    drawn = axes.barh(range(len(names)), values, color=colors, height=0.6)
    axes.bar_label(drawn, labels=[text.format(value) for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), labels=list(names))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_title(title, fontsize=9)
    return figure


def growth(told: Results) -> Any:
    """Three panels: rows, models, clients; processor time a request."""
    figure, panels = plt.subplots(1, 3, figsize=(9, 2.8))
    for axes, kind in zip(panels, ("rows", "models", "clients"), strict=True):
        mine = [(p["case"][kind], p["median"]["front_cpu_us"]) for p in told["points"] if kind in p["case"]]
        axes.plot(*zip(*mine, strict=True), marker="o", markersize=3, color=_OURS)
        axes.set_title(f"processor time a request, µs, by {kind}", fontsize=8)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xticks([value for value, _ in mine][:: 2 if len(mine) > 6 else 1])
        axes.get_xaxis().set_major_formatter(mpl.ticker.FormatStrFormatter("%d"))
        axes.minorticks_off()
    return figure


def swap(told: Results) -> Any:
    """p99 over the time of the last swap."""
    figure, axes = plt.subplots(figsize=(8, 2.4))
    _timeline(axes, told["last"]["timeline"], "p99_ms", "p99, ms", _OURS)
    axes.axvline(told["last"]["swapped_at_s"], color=_OTHERS[0], linestyle="--", label="published")
    axes.set_ylim(bottom=0)
    axes.set_title(f"a version swap at {told['rate']:.0f} requests/s: p99 in ms", fontsize=9)
    axes.legend()
    return figure


def overload(told: Results) -> Any:
    """Requests offered, answered and refused over the time of the last round."""
    figure, axes = plt.subplots(figsize=(8, 2.6))
    timeline = told["last"]["timeline"]
    _timeline(axes, timeline, "due", "offered", _OTHERS[5])
    _timeline(axes, timeline, "in_time", "answered in time", _OURS)
    _timeline(axes, timeline, "refused", "refused, 503", _OTHERS[1])
    axes.set_ylim(bottom=0)
    axes.set_title("overload: requests/s", fontsize=9)
    axes.legend(fontsize=7)
    return figure


def _timeline(axes: Axes, pieces: Sequence[Mapping[str, float]], field: str, name: str, color: str) -> None:
    shown = [(piece["at_s"], piece[field]) for piece in pieces if field in piece]
    axes.plot(*zip(*shown, strict=True), label=name, color=color, linewidth=1.3)
    axes.set_xlabel("seconds")


def _color(name: str, number: int) -> str:
    return _OURS if name == ours.NAME else _OTHERS[number % len(_OTHERS)]


Draw = Callable[[Results], Any]
_PLOTS: Final[dict[str, Draw]] = {
    "rows": rows,
    "image": image,
    "growth": growth,
    "swap": swap,
    "overload": overload,
    "peers": peers,
}
