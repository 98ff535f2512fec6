"""The answers of a Prometheus to queries."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

_TIMEOUT_S: Final = 30.0


class PrometheusError(Exception):
    """Raised when Prometheus does not answer, or refuses a query; the message is one line."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: its labels, and its points as Unix times and numbers. NaN is no point."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


def query(address: str, expr: str) -> list[Series]:
    """What ``expr`` is now, with one point each. Raises PrometheusError."""
    found = ask(address, "query", query=expr)["result"]
    return [_series(one["metric"], [one["value"]] if "value" in one else one["values"]) for one in found]


def query_range(address: str, expr: str, start_s: float, end_s: float, step_s: float) -> list[Series]:
    """What ``expr`` was, every ``step_s`` seconds. Raises PrometheusError."""
    found = ask(address, "query_range", query=expr, start=f"{start_s:.3f}", end=f"{end_s:.3f}", step=f"{step_s:.3f}")["result"]
    return [_series(one["metric"], one["values"]) for one in found]


def ask(address: str, route: str, **parameters: str) -> Any:
    """The data of an answer of ``/api/v1``. Raises PrometheusError."""
    url = f"{address}/api/v1/{route}?{urlencode(parameters)}"
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 (the address is the operator's)
            return json.load(answer)["data"]
    except HTTPError as error:
        raise PrometheusError(f"{address} answered {error.code}: {_reason(error)}") from error
    except (OSError, ValueError) as error:
        raise PrometheusError(f"{address} does not answer as Prometheus does: {error}") from error


def _reason(error: HTTPError) -> str:
    return " ".join(error.read(1000).decode("utf-8", "replace").split())


def _series(labels: Mapping[str, str], values: list[tuple[float, str]]) -> Series:
    points = ((time_s, float(value)) for time_s, value in values)
    return Series(labels, tuple(point for point in points if not math.isnan(point[1])))
