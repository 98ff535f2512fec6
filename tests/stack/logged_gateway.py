"""A gateway with a prediction log, before a model server of the tests' own making that doubles."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from gateway.prediction_log.row import FeedbackRow, PredictionRow
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import Filter, SinkAway
from tests.gateway.fake_serving import FakeServing, serving
from tests.json_lines import documents
from tests.stack.conftest import Process
from tests.waiting import free_port, wait_for

_SAMPLE = re.compile(r'gateway_prediction_log_(rows_total|queued_rows)\{(?:outcome="(\w+)",)?table="(\w+)"\} (\S+)')


class LoggedGateway:
    """``python -m gateway`` with the log at ``address``; ``fake`` is the model server."""

    def __init__(self, folder: Path, fake: FakeServing, serving_port: int, address: str, **settings: object) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.fake = fake
        self.address = address
        self.log = folder / "gateway.log"
        values = {
            "port": self.port,
            "serving_target": f"127.0.0.1:{serving_port}",
            "workers": 2,
            "prediction_log": address,
            "predict_timeout_ms": 20_000,
        }
        environment = {f"GATEWAY_{name.upper()}": str(value) for name, value in (values | settings).items()}
        self.process = Process(self.log, ["gateway"], environment)

    @property
    def workers(self) -> list[int]:
        pid = self.process.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def is_ready(self) -> bool:
        assert self.process.process.poll() is None, self.log.read_text()
        try:
            return requests.get(f"{self.url}/readyz", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def post(self, path: str, document: object, **kwargs) -> requests.Response:
        body = document if isinstance(document, str | bytes) else json.dumps(document)
        return requests.post(self.url + path, data=body, timeout=60, **kwargs)

    def counts(self, table: str = "predictions") -> dict[str, int]:
        """The rows of a table by their outcome, over all workers, as ``/metrics`` has them."""
        text = requests.get(f"{self.url}/metrics", timeout=30).text
        return {outcome or "queued": int(float(value)) for _, outcome, of, value in _SAMPLE.findall(text) if of == table}

    def is_settled(self, offered: int) -> bool:
        """Whether the metrics have so many rows, and none of them is queued any more."""
        counts = self.counts()
        return (counts.get("offered"), counts.get("queued")) == (offered, 0)

    def predictions(self) -> list[PredictionRow]:
        return read(self.address, PredictionRow)

    def feedback(self) -> list[FeedbackRow]:
        return read(self.address, FeedbackRow)

    def events(self) -> list[dict]:
        return documents(self.log)


def read(address, kind):
    """The rows of a table; none while it is not there."""
    sink = sink_at(address)
    try:
        return list(sink.read(kind, Filter()))
    except SinkAway:
        return []
    finally:
        sink.close()


def is_exact(counts: dict[str, int]) -> bool:
    """Whether every row is accounted for."""
    dropped = sum(count for outcome, count in counts.items() if outcome.startswith("dropped_"))
    return (
        counts["offered"] == counts["kept"] + counts["unsampled"]
        and counts["kept"] == counts["written"] + dropped + counts["queued"]
    )


@contextmanager
def logged_gateway(folder: Path, address: str, **settings: object) -> Iterator[LoggedGateway]:
    fake = FakeServing()
    with serving(fake) as serving_port:
        running = LoggedGateway(folder, fake, serving_port, address, **settings)
        try:
            wait_for(running.is_ready, 30)
            yield running
        finally:
            fake.release.set()
            running.process.stop()
