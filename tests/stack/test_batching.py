"""Concurrent requests share calls of the model server, and every one gets the answer that it gets alone."""

import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

CLIENTS = 24
CALLS = 240


def metric(stack, name: str) -> float:
    return float(re.search(rf'^{name}\{{model="dense"\}} (\S+)$', stack.get("/metrics").text, re.MULTILINE)[1])


def test_concurrent_requests_share_calls_and_nobody_can_tell(stack):
    dice = random.Random(5)
    bodies = [
        {"instances": [[dice.random() for _ in range(10)] for _ in range(dice.choice([1, 1, 2, 3]))]} for _ in range(CALLS)
    ]
    bad = {"instances": [[1.0] * 9]}

    def call(body):
        return stack.post("/v1/models/dense:predict", body)

    alone = [call(body).json()["predictions"] for body in bodies]
    before = metric(stack, "gateway_batch_requests_sum"), metric(stack, "gateway_batch_requests_count")
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(call, [body for pair in zip(bodies, [bad] * CALLS, strict=True) for body in pair]))
    for body, answer, expected in zip(bodies, answers[::2], alone, strict=True):
        assert answer.status_code == 200
        assert len(answer.json()["predictions"]) == len(body["instances"])
        assert answer.json()["predictions"] == pytest.approx(expected, rel=1e-5)
    assert {answer.status_code for answer in answers[1::2]} == {400}
    requests = metric(stack, "gateway_batch_requests_sum") - before[0]
    calls = metric(stack, "gateway_batch_requests_count") - before[1]
    assert requests == CALLS
    assert calls < requests


def test_every_dialect_is_batched_alike(stack):
    row = [0.5] * 10
    before = metric(stack, "gateway_batch_requests_sum")
    v1 = stack.post("/v1/models/dense:predict", {"instances": [row]}).json()["predictions"][0]
    simple = stack.post("/predict/dense", {"features": row}).json()["prediction"]
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 10], "data": row}
    v2 = stack.post("/v2/models/dense/infer", {"inputs": [tensor]}).json()["outputs"][0]["data"][0]
    assert v1 == simple == v2
    assert metric(stack, "gateway_batch_requests_sum") - before == 3
