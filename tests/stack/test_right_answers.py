"""Whatever a model does with the rows of a call, each of many clients gets the answer that its request gives alone.

RIGHT_ANSWERS_REQUESTS=2000 for a long run; in CI each case sends fewer.
"""

import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests

from tests.stack.conftest import ROOT, Stack

CLIENTS = 16
REQUESTS = int(os.environ.get("RIGHT_ANSWERS_REQUESTS", "240"))
DEPENDENT = ("labelled", "found", "distinct", "cumulative", "normalising", "constant")
NAMES = ("plain", *DEPENDENT, "dropout")


def v1(name, x):
    return f"/v1/models/{name}:predict", {"inputs": x}


def v2(name, x):
    return f"/v2/models/{name}/infer", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(x), 2], "data": x}]}


def simple(name, x):
    return f"/predict/{name}", {"x": x[0]}


DIALECTS = (v1, v2, simple)
NUMBERS = {
    v1: lambda answer: answer["outputs"],
    v2: lambda answer: answer["outputs"][0]["data"],
    simple: lambda answer: answer["prediction"],
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("row_models")
    subprocess.run([sys.executable, "-m", "tests.stack.row_models", str(folder)], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module", params=["", ",".join(f"{name}:10000:60s" for name in NAMES)], ids=["no cache", "cache"])
def right(request, saved, tmp_path_factory):
    """Two workers, with and without the cache; and the address of a gateway that calls every request alone."""
    folders = [tmp_path_factory.mktemp("stack") for _ in range(2)]
    joining = Stack(folders[0], saved, NAMES, cache=request.param, predict_timeout_ms=20_000)
    alone = Stack(folders[1], saved, NAMES, batch_max_rows=0, predict_timeout_ms=20_000)
    try:
        yield joining.start(), alone.start()
    finally:
        joining.stop()
        alone.stop()


def bodies(seed):
    """Random rows, some of them in several requests."""
    dice = random.Random(seed)
    known = [[[round(dice.random(), 4), round(dice.random(), 4)] for _ in range(dice.choice([1, 1, 2, 3]))] for _ in range(50)]
    return [dice.choice(known) for _ in range(REQUESTS)]


def ask_all(stack, asked):
    """The answers to (path, document) from many clients at a time, in the order of the requests."""
    local = threading.local()

    def ask(question):
        if not hasattr(local, "session"):
            local.session = requests.Session()
        path, document = question
        response = local.session.post(stack.address + path, json=document, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(ask, asked))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.__name__)
@pytest.mark.parametrize("name", ["plain", *DEPENDENT])
def test_every_answer_is_the_one_that_the_request_gives_alone(right, name, dialect):
    joining, alone = right
    asked = [dialect(name, x) for x in bodies(7)]
    expected = {str(question): answer for question, answer in zip(asked, ask_all(alone, asked), strict=True)}
    for question, answer in zip(asked, ask_all(joining, asked), strict=True):
        assert answer == expected[str(question)], question


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.__name__)
def test_a_model_that_is_random_by_itself_stays_within_its_own_range(right, dialect):
    """Dropout at prediction time: a number is 0, or twice what it was."""
    joining, _ = right
    sent = bodies(8)
    for x, answer in zip(sent, ask_all(joining, [dialect("dropout", x) for x in sent]), strict=True):
        rows = np.array(x[:1] if dialect is simple else x, np.float32) + 1
        numbers = np.reshape(NUMBERS[dialect](answer), rows.shape)
        assert (np.isclose(numbers, rows * 2, rtol=1e-5) | (numbers == 0)).all()


def test_the_gateway_says_what_it_joins_and_what_it_does_not(right):
    joining, alone = right
    for name in NAMES:
        ask_all(joining, [v1(name, x) for x in bodies(9)])
    listed = {model["name"]: model["not_joined"] for model in joining.get("/v1/models").json()["models"]}
    assert listed["plain"] == []
    assert all(len(listed[name]) == 1 for name in (*DEPENDENT, "dropout")), listed
    assert "output labels: dimension 0 of string[2] is not free" in listed["labelled"][0]
    assert "output found: not one row for each input row" in listed["found"][0]
    assert alone.get("/v1/models").json()["models"][0]["not_joined"]
    events = [event for event in joining.log_events() if event["event"] == "batch.not_joined"]
    assert {event["model"] for event in events} == {*DEPENDENT, "dropout"} - {"labelled"}
    assert (
        'gateway_batch_not_joined_total{model="found",signature="serving_default",version="1"}' in joining.get("/metrics").text
    )
