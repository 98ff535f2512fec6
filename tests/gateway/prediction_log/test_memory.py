"""Rows that wait for a sink that is away take no more memory than the queue may, and ten MiB."""

import subprocess
import sys

import pytest

_WORKER = """
import os, sys
import numpy as np
from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.rules import ByModel, Rules
from gateway.prediction_log.sinks.address import sink_at
from tests.gateway.prediction_log.making import FEATURES, offer

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def inputs(number):
    if sys.argv[1] == "small":
        return FEATURES
    if sys.argv[1] == "strings":
        text = np.empty((1, 3000), object)
        text[:] = [[b"%d" % (number * 3000 + n) for n in range(3000)]]
        return {"text": text}
    # A row of a shared call, whose memory must not be kept.
    return {"image": np.random.default_rng(number).random((4, 150_000), np.float32)[1:2]}

log = PredictionLog(sink_at("sqlite:////no/such/folder/log.db"), Rules(values=ByModel(sys.argv[2])), max_bytes=32 * 2**20)
log.start()
for number in range(5):
    offer(log, inputs=inputs(number))
before = resident()
most, number = 0, 0
while log.predictions.full < 200:
    offer(log, inputs=inputs(number))
    number += 1
    if number % 50 == 0:
        most = max(most, resident())
print(max(most, resident()) - before, log.predictions.queued)
os._exit(0)
"""


@pytest.mark.parametrize("values", ["small", "all"])
@pytest.mark.parametrize("kind", ["small", "large", "strings"])
def test_rows_that_wait_stay_within_the_bound(kind, values):
    command = [sys.executable, "-c", _WORKER, kind, values]
    more, queued = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1].split())
    print(f"{kind} {values}: {more / 2**20:.1f} MiB more for {queued} rows")
    assert queued > 40
    assert more <= 42 * 2**20
