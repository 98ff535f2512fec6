"""One run of the whole for all tests that look at what Prometheus saw of it."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.observability import picture
from tests.observability.load import Load
from tests.observability.monitored import Monitored, build_models
from tests.observability.programs import Prometheus
from tests.waiting import wait_for

WINDOW = "10s"
SECONDS = 75


class Run(NamedTuple):
    """A run that is over: its stack still runs, the load ended at ``end_s``, and ``last`` is /metrics after it."""

    stack: Monitored
    prometheus: Prometheus
    load: Load
    end_s: float
    last: str
    picture: Path


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("observability")
    build_models(folder / "models")
    stack = Monitored(folder, folder / "models")
    (folder / "prometheus").mkdir()
    try:
        stack.start()
        wait_for(lambda: 'gateway_model_ready{model="dense"} 1.0' in stack.metrics())
        stack.start_prometheus()
        load = Load(stack)
        load.run()
        end_s = time.time()
        # Drawn at once: the stats are those of the load.
        drawn = folder / "dashboard.png"
        picture.draw(picture.Source(stack.prometheus.address, SECONDS, WINDOW), drawn)
        if os.environ.get("DASHBOARD_PICTURE"):
            shutil.copy(drawn, os.environ["DASHBOARD_PICTURE"])
        yield Run(stack, stack.prometheus, load, end_s, stack.metrics(), drawn)
    finally:
        stack.stop()
