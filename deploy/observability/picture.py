"""Draws the panels as one picture: what Prometheus answers to their queries, on a page of ours, in a Chromium without a window.

It stands in for Grafana where that cannot be run: the queries are the dashboard's own, the look is not.
"""

import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.observability.panels import ROWS
from deploy.observability.prometheus_api import PrometheusError, Series, query_range
from deploy.observability.rows.panel import Panel

_PAGE: Final = Path(__file__).resolve().parent / "page"
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_POINTS: Final = 240
_WIDTH: Final = 1480
_ROW_HEIGHT: Final = {"timeseries": 270, "stat": 94}
_HEADING_HEIGHT: Final = 26
_DRAWN_WITHIN_S: Final = 60


class PictureError(Exception):
    """Raised when no picture can be made; the message is one line."""


@dataclass(frozen=True, slots=True)
class Source:
    """A Prometheus at ``address``, of which the last ``seconds`` are drawn, with rates over ``window``."""

    address: str
    seconds: float
    window: str


def draw(source: Source, output: Path) -> None:
    """Write the picture to ``output``, a PNG.

    Raises:
        PictureError: there is no Chromium, or Prometheus does not answer.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise PictureError("no chromium here: install it (Debian: apt-get install chromium)")
    try:
        drawn = data(source)
    except PrometheusError as error:
        raise PictureError(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        page = Path(shutil.copytree(_PAGE, Path(folder) / "page"))
        (page / "data.js").write_text(f"window.DASHBOARD = {json.dumps(drawn)};\n", encoding="utf-8")
        _photograph(browser, page / "index.html", output, Path(folder) / "profile")
    _make_small(output)


def data(source: Source) -> dict[str, Any]:
    """What the page draws: every panel with the points of its series, at the same times."""
    end_s = time.time()
    step_s = max(1.0, source.seconds / _POINTS)
    times = [end_s - source.seconds + step_s * index for index in range(int(source.seconds / step_s) + 1)]
    rows = [{"title": row.title, "panels": [_drawn(panel, source, times, step_s) for panel in row.panels]} for row in ROWS]
    return {"times": times, "rows": rows}


def _drawn(panel: Panel, source: Source, times: list[float], step_s: float) -> dict[str, Any]:
    found = [
        (query.legend, one)
        for query in panel.queries
        for one in query_range(source.address, query.over(source.window), times[0], times[-1], step_s)
        if one.points
    ]
    return {
        "title": panel.title,
        "unit": panel.unit,
        "kind": panel.kind,
        "most": panel.most,
        "series": [{"name": _name(legend, one), "values": _aligned(one, times, step_s)} for legend, one in found],
    }


def _name(legend: str, series: Series) -> str:
    for label, value in series.labels.items():
        legend = legend.replace("{{" + label + "}}", value)
    return legend


def _aligned(series: Series, times: list[float], step_s: float) -> list[float | None]:
    """The values at ``times``; None where there are none."""
    by_index = {round((time_s - times[0]) / step_s): value for time_s, value in series.points}
    return [by_index.get(index) for index in range(len(times))]


def _photograph(browser: str, page: Path, output: Path, profile: Path) -> None:
    height = 16 + sum(_HEADING_HEIGHT + _height(row.panels) for row in ROWS)
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}"),
        *(f"--window-size={_WIDTH},{height}", f"--screenshot={output.resolve()}", page.as_uri()),
    ]
    output.unlink(missing_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DRAWN_WITHIN_S, check=False)
    if not output.exists():
        raise PictureError(f"{browser} drew nothing: {' '.join(done.stderr.split())[-300:]}")


def _make_small(output: Path) -> None:
    """Keep 256 colours, which are enough for lines and text: the file is half as large. Without Pillow it stays as it is."""
    try:
        from PIL import Image  # noqa: PLC0415 - only developers have it, and a picture can be drawn without it
    except ImportError:
        return
    with Image.open(output) as drawn:
        few = drawn.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(output, optimize=True)


def _height(panels: tuple[Panel, ...]) -> int:
    lines = [panels[first : first + 4] for first in range(0, len(panels), 4)]
    return sum(max(_ROW_HEIGHT[panel.kind] for panel in line) for line in lines)
