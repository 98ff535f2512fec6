"""Every case of upstream's tensorflow_model_server_test.py, but for those that ask for what this server leaves out."""

import os
import tempfile
import unittest
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.upstream import checkout

# Each case that is not run, and why. Nothing else may be left out.
EXCLUDED = {
    "testPredictOnTfLite": "TF Lite",
    "testPredictWithSignatureDefOnTfLite": "TF Lite",
    "test_profiler_service_with_valid_trace_request": "the profiler",
    "test_tf_text": "TF Text",
    "testPrometheusEndpoint": "metrics on the REST port, which is the gateway's and has its own at /metrics",
}
# tf.test.TestCase has a method of this name, which is no test.
NOT_A_CASE = {"test_session"}

FOLDER = tempfile.TemporaryDirectory(prefix="upstream-")
MODULE, BASE = checkout.load(Path(os.environ["UPSTREAM_SERVING"]), Path(FOLDER.name))
CASES = set(unittest.TestLoader().getTestCaseNames(MODULE.TensorflowModelServerTest)) - NOT_A_CASE

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def servers() -> Iterator[None]:
    """Ends the servers of a case after it: they share a socket, on which only the one that was started last answers."""
    yield
    running = BASE.TensorflowModelServerTestBase.model_servers_dict
    for process, *_ in running.values():
        process.kill()
        process.wait()
    running.clear()


@pytest.fixture
def keras_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """``tf.keras`` is Keras 2, whose exports call inputs and outputs what the cases do; Keras 3 has names of its own."""
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")


@pytest.mark.parametrize("case", sorted(CASES - EXCLUDED.keys()))
@pytest.mark.usefixtures("servers", "keras_2")
def test_case(case: str):
    assert "keras" not in case or find_spec("tf_keras"), "tf-keras is not installed: `make upstream-test` does that"
    result = unittest.TestResult()
    unittest.TestSuite([MODULE.TensorflowModelServerTest(case)]).run(result)
    assert result.testsRun == 1
    assert not result.skipped
    assert not result.failures + result.errors, "".join(text for _, text in result.failures + result.errors)


def test_what_is_excluded_are_cases_of_upstreams():
    assert EXCLUDED.keys() <= CASES
