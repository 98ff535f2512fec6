"""Where the requests of a gateway with a prediction log in SQLite went: into the database, or counted as something else."""

import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.errors import BenchError

_TIMEOUT_S: Final = 10
_PAUSE_S: Final = 0.1
_REQUESTS: Final = "gateway_requests_total"
_ROWS: Final = "gateway_prediction_log_rows_total"


@dataclass(frozen=True)
class LoggedRows:
    """``requests`` as the gateway counts them, ``rows`` as the database does; the log counts the other two itself."""

    requests: int
    rows: int
    dropped: int
    unsampled: int

    @property
    def is_whole(self) -> bool:
        """Whether every request is accounted for."""
        return self.requests == self.rows + self.dropped + self.unsampled


def settled(name: str, port: int, database: Path, within_s: float = 60.0) -> LoggedRows:
    """Wait until the log of the gateway ``name`` accounts for each of its requests, and return how.

    Raises BenchError when it does not within ``within_s`` seconds.
    """
    until_s = time.monotonic() + within_s
    while not (found := _read(port, database)).is_whole:
        if time.monotonic() > until_s:
            raise BenchError(f"the log of {name} does not account for all requests: {asdict(found)}")
        time.sleep(_PAUSE_S)
    return found


def _read(port: int, database: Path) -> LoggedRows:
    counts = _counts(port)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM predictions").fetchone()
    dropped = sum(count for outcome, count in counts.items() if outcome.startswith("dropped_"))
    return LoggedRows(counts[_REQUESTS], rows, dropped, counts["unsampled"])


def _counts(port: int) -> Counter[str]:
    """All requests for predictions, and the rows of the log by their outcome."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_TIMEOUT_S) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    counts: Counter[str] = Counter()
    for sample in (sample for family in families for sample in family.samples):
        if sample.name == _REQUESTS:
            counts[_REQUESTS] += int(sample.value)
        elif sample.name == _ROWS and sample.labels["table"] == "predictions":
            counts[sample.labels["outcome"]] += int(sample.value)
    return counts
