"""What the gateway recorded warms up the next version of a model, and is played to it before it takes live traffic."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from model_export.publishing import warmup
from tests.stack.conftest import ROOT
from tests.waiting import wait_for

REQUESTS = 40

# Exact sums, which the network of version 1 has only learned.
SUMS = """
import tensorflow as tf

class Sums(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 10], tf.float32, name="features")])
    def __call__(self, features):
        return {"prediction": tf.reduce_sum(features, 1)}

def make():
    sums = Sums()
    return sums, {"serving_default": sums.__call__}
"""


def gateway_log(address, *arguments):
    environ = os.environ | {"GATEWAY_PREDICTION_LOG": address}
    return subprocess.run(
        [sys.executable, "-m", "gateway", "log", *map(str, arguments)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def warm_ups(stack):
    """The versions that the model server has warmed up, with the number of records."""
    lines = (stack.folder / "server.log").read_text().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [(event["version"], event["records"]) for event in events if event["event"] == "version.warmed_up"]


@pytest.mark.timeout(240)
def test_recorded_requests_warm_up_the_next_version_and_compare_it(make_stack, tmp_path):
    address = f"sqlite:///{tmp_path}/log.db"
    stack = make_stack(("dense",), prediction_log=address)
    stack.write_config(("dense",), "model_version_policy { all {} }")
    random = np.random.default_rng(0)
    for n in range(REQUESTS):
        rows = random.normal(size=(1 + n % 3, 10)).round(3).tolist()
        assert stack.post("/v1/models/dense:predict", {"instances": rows}).status_code == 200

    def are_all_written():
        return len(gateway_log(address, "tail", "-n", "100").stdout.splitlines()) == REQUESTS + 1

    wait_for(are_all_written, 30)
    recorded = tmp_path / "recorded"
    done = gateway_log(address, "export", "--format", "predictionlog", "--output", recorded)
    assert (done.returncode, done.stderr) == (0, f"{recorded}: {REQUESTS} records\n")

    (tmp_path / "sums.py").write_text(SUMS)
    publish = ["publish", "sums:make", "--name", "dense", "--sample", recorded, "--models-dir", stack.models_dir]
    subprocess.run(
        [sys.executable, "-m", "model_export", *publish],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert len(warmup.read(stack.models_dir / "dense" / "2")) == REQUESTS

    wait_for(lambda: (2, REQUESTS) in warm_ups(stack), 60)

    target = ["--target", f"127.0.0.1:{stack.serving_port}"]
    replay = ["replay", recorded, "--model", "dense", "--compare", *target]
    same = gateway_log(address, *replay, "--version", "1")
    assert (same.returncode, same.stderr) == (0, "")
    summary, _, line = same.stdout.splitlines()
    assert summary.startswith(f"{REQUESTS} requests answered by version 1: ")
    assert line.split()[1:3] == [str(REQUESTS), str(REQUESTS)]
    wait_for(lambda: gateway_log(address, "replay", recorded, "--version", "2", *target).returncode == 0, 30)
    other = gateway_log(address, *replay, "--version", "2")
    assert other.returncode == 3
    assert int(other.stdout.splitlines()[-1].split()[2]) < REQUESTS
    assert gateway_log(address, *replay, "--version", "2", "--tolerance", "1000").returncode == 0
    assert gateway_log(address, *replay, "--version", "99").returncode == 1
