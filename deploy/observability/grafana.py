"""The dashboard as Grafana's JSON (version 41 of its schema: Grafana 11.6 and later)."""

from typing import Any, Final

from deploy.observability.panels import ROWS
from deploy.observability.rows.panel import WINDOW, Panel, Row

_COLUMNS: Final = 24  # of Grafana's grid
_ACROSS: Final = 4
_HEIGHT: Final = {"timeseries": 8, "stat": 4}
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
# Grafana knows no rows a second, and shows a unit that it does not know behind the number.
_UNITS: Final = {"rowsps": "suffix: rows/s", "bool": "short"}
_MORE: Final[dict[str, dict[str, Any]]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "graphMode": "area",
        "colorMode": "value",
        "justifyMode": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False, "fields": ""},
    },
}


def dashboard(rows: tuple[Row, ...] = ROWS) -> dict[str, Any]:
    """The whole dashboard."""
    return {
        "uid": "serving-gateway",
        "title": "serving-gateway",
        "description": "Made by `python -m deploy.observability dashboard` from deploy/observability/panels.py.",
        "tags": ["serving-gateway"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_source_choice()]},
        "annotations": {"list": []},
        "panels": _panels(rows),
    }


def _source_choice() -> dict[str, Any]:
    return {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "hide": 0}


def _panels(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"h": 1, "w": _COLUMNS, "x": 0, "y": y}
        made.append(
            {"type": "row", "id": len(made) + 1, "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        )
        y += 1
        for first in range(0, len(row.panels), _ACROSS):
            line = row.panels[first : first + _ACROSS]
            height = max(_HEIGHT[panel.kind] for panel in line)
            for column, panel in enumerate(line):
                width = _COLUMNS // _ACROSS
                place = {"h": height, "w": width, "x": column * width, "y": y}
                made.append(_panel(panel, len(made) + 1, place))
            y += height
    return made


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": _UNITS.get(panel.unit, panel.unit), "min": 0}
    if panel.most is not None:
        defaults["max"] = panel.most
    if panel.kind == "timeseries":
        defaults["custom"] = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": False}
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [
            {
                "datasource": _SOURCE,
                "refId": chr(ord("A") + index),
                "expr": query.expr.replace(WINDOW, "$__rate_interval"),
                "legendFormat": query.legend,
                "range": True,
                **({"exemplar": True} if query.exemplars else {}),
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _MORE[panel.kind],
    }
