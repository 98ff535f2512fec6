"""The metrics of several workers are read while one of them begins: its file is there before anything is in it."""

import threading
from pathlib import Path

import pytest

from gateway.telemetry import exposition
from gateway.telemetry.exposition import Exposition

# As long as prometheus_client makes its files at first.
FILLED_BYTES = 1 << 16


@pytest.mark.parametrize(
    ("read", "nothing"),
    [(Exposition.models_not_ready, frozenset()), (Exposition.text, b""), (Exposition.openmetrics, b"# EOF\n")],
    ids=["readiness", "text", "openmetrics"],
)
def test_a_file_that_is_still_empty_is_waited_for(tmp_path: Path, read, nothing, monkeypatch):
    file = tmp_path / "gauge_livemin_1.db"
    file.touch()
    # The worker fills it while the first look has failed and the next has not begun.
    filling = threading.Event()

    def fill(seconds: float) -> None:
        file.write_bytes(bytes(FILLED_BYTES))
        filling.set()

    monkeypatch.setattr(exposition.time, "sleep", fill)
    assert read(Exposition(str(tmp_path))) == nothing
    assert filling.is_set()
