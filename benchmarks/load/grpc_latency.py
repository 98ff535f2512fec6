"""The plain gRPC call: one client that sends one row after another to a model server, without a gateway.

``python -m benchmarks.load.grpc_latency TARGET MODEL SECONDS MODELS_DIR`` prints one JSON object. The messages are those of
tensorflow-serving-api, loaded without TensorFlow, so that the client is as light as such a client can be.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import grpc
import numpy as np

from benchmarks import workload
from benchmarks.contender import ROOT, Floats
from benchmarks.errors import BenchError, WrongAnswer
from benchmarks.load import exchange
from gateway.backend.stubs import DataType, PredictRequest, PredictResponse

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_TIMEOUT_S = 10.0
_WARMUP_CALLS = 50


def measure(target: str, model: str, seconds: float, models_dir: Path) -> dict[str, float]:
    """Run the client in a process of its own: requests, p50_ms, p99_ms, cpu_us. Raises BenchError when it fails."""
    command = [sys.executable, "-m", "benchmarks.load.grpc_latency", target, model, str(seconds), str(models_dir)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise BenchError(f"the gRPC client failed: {(finished.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    return dict(json.loads(finished.stdout))


def run(target: str, model: str, seconds: float, models_dir: Path) -> dict[str, float]:
    """Call for some seconds; every answer is checked, after its time is taken."""
    asked = workload.dense(models_dir, model)
    rows = exchange.draw_inputs(asked, 1, 64, seed=1)
    requests, expected = [_request(model, row) for row in rows], [asked.expect(row) for row in rows]
    with grpc.insecure_channel(target) as channel:
        predict = channel.unary_unary(_PREDICT, PredictRequest.SerializeToString, PredictResponse.FromString)
        for request in requests[:_WARMUP_CALLS]:
            predict(request, timeout=_TIMEOUT_S)
        latencies_s: list[float] = []
        until_s, cpu_s = time.perf_counter() + seconds, time.process_time()
        while (began_s := time.perf_counter()) < until_s:
            number = len(latencies_s) % len(requests)
            answer = predict(requests[number], timeout=_TIMEOUT_S)
            latencies_s.append(time.perf_counter() - began_s)
            if not workload.is_right(_values(answer), expected[number]):
                raise WrongAnswer("the model server's answer is not the model's")
        cpu_s = time.process_time() - cpu_s
    p50_s, p99_s = np.percentile(latencies_s, [50, 99])
    count = len(latencies_s)
    return {"requests": count, "p50_ms": p50_s * 1e3, "p99_ms": p99_s * 1e3, "cpu_us": cpu_s / count * 1e6}


def _request(model: str, rows: Floats) -> PredictRequest:
    request = PredictRequest()
    request.model_spec.name = model
    tensor = request.inputs["features"]
    tensor.dtype = DataType.DT_FLOAT
    for size in rows.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = rows.tobytes()
    return request


def _values(answer: PredictResponse) -> Floats:
    tensor = answer.outputs["prediction"]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, np.float32)
    return np.array(tensor.float_val, np.float32)


if __name__ == "__main__":
    target, model, seconds, models_dir = sys.argv[1:]
    print(json.dumps(run(target, model, float(seconds), Path(models_dir))))
