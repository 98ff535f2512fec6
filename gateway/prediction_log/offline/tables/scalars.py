"""Single values of a table as text: what JSON lines and CSV share."""

import base64
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from gateway.prediction_log.offline.tables.columns import BYTES, TIME

_NOT_FINITE: Final = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
_FLOAT32: Final = ("float", "half", "bfloat16")


def plain(value: Any, kind: str) -> Any:
    """The value as JSON has it: times in ISO 8601, binary as base64, and what is no finite number as protobuf's JSON has it.

    A float32 is the shortest decimal number that reads as the same float32.
    """
    if kind == TIME:
        return time_text(value)
    if kind == BYTES:
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124 - NaN is the only such value
            return "NaN"
        return _NOT_FINITE.get(value) or (float(str(np.float32(value))) if kind in _FLOAT32 else value)
    return value


def time_text(ts: int) -> str:
    """Microseconds since 1970 as ISO 8601 with a Z."""
    time = datetime.fromtimestamp(ts // 1_000_000, UTC).replace(microsecond=ts % 1_000_000)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
