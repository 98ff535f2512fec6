"""The cache through the whole application: the header, the log, the metrics, every dialect, and versions of a real catalog."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from tests.gateway.fake_serving import END, Version
from tests.waiting import wait_for

BODY = {"instances": [[1, 2]]}
PREDICT = "/v1/models/m:predict"


@pytest.fixture
def cached(make_client, config_file):
    return make_client(model_config_file=config_file, cache="m:100:60s")


def triple(inputs):
    return {"y": inputs["x"] * 3}


def calls(client):
    return client.fake.calls.count("Predict")


def ask(client, path=PREDICT, body=BODY, **kwargs):
    """How the request was answered, and what with."""
    response = client.post(path, body, **kwargs)
    assert response.status_code == 200, response.text
    return response.headers.get("X-Cache"), response.json


def counted(client, outcome):
    pattern = rf'^gateway_cache_requests_total\{{model="m",outcome="{outcome}"\}} (\S+)$'
    return float(re.search(pattern, client.get("/metrics").text, re.MULTILINE)[1])


def test_nothing_is_kept_unless_the_model_is_named(client):
    assert ask(client) == ask(client) == (None, {"predictions": [[2.0, 4.0]]})
    assert calls(client) == 2


def test_a_repeated_request_is_answered_alike_and_marked(cached):
    assert ask(cached) == ("miss", {"predictions": [[2.0, 4.0]]})
    assert ask(cached) == ("hit", {"predictions": [[2.0, 4.0]]})
    assert calls(cached) == 1


def test_every_dialect_finds_what_another_one_asked(cached):
    assert ask(cached)[0] == "miss"
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    assert ask(cached, "/predict/m", {"x": [1, 2]}) == (
        "hit",
        {"ok": True, "status": "success", "prediction": [2.0, 4.0], "model": "m", "model_version": "1"},
    )
    how, answer = ask(cached, "/v2/models/m/infer", {"inputs": [tensor]})
    assert (how, answer["outputs"][0]["data"]) == ("hit", [2.0, 4.0])
    assert ask(cached, "/v1/models/m/versions/1:predict", {"inputs": [[1.0, 2.0]]})[0] == "hit"
    assert ask(cached, "/predict/m", {"x": [1, 2]})[0] == "hit"
    # And one call that told /predict which outputs hold a row for each example.
    assert calls(cached) == 2


def test_wanted_outputs_are_kept_apart(cached):
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    ask(cached, "/v2/models/m/infer", body)
    assert ask(cached, "/v2/models/m/infer", body | {"outputs": [{"name": "y"}]})[0] == "miss"


def test_zero_and_minus_zero_are_two_questions(cached):
    cached.fake.models["m"][1] = Version(run=lambda inputs: {"y": np.copysign(np.float32(1), inputs["x"])})
    assert ask(cached, body={"instances": [[0.0, 0.0]]}) == ("miss", {"predictions": [[1.0, 1.0]]})
    assert ask(cached, body={"instances": [[-0.0, 0.0]]}) == ("miss", {"predictions": [[-1.0, 1.0]]})


def test_an_error_is_not_kept(cached):
    for status, code in ((400, grpc.StatusCode.INVALID_ARGUMENT), (500, grpc.StatusCode.INTERNAL)):
        cached.fake.failures = [(code, "why")]
        assert cached.post(PREDICT, BODY).status_code == status
    assert ask(cached)[0] == "miss"
    assert ask(cached)[0] == "hit"


def test_what_is_refused_before_any_question_has_no_mark(cached):
    response = cached.post(PREDICT, {"instances": ["x"]})
    assert response.status_code == 400
    assert "X-Cache" not in response.headers


def test_requests_that_come_together_share_a_call_and_all_are_counted(cached):
    before = {outcome: counted(cached, outcome) for outcome in ("hit", "miss", "shared")}
    cached.fake.release.clear()
    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(cached.http.application.test_client().post, PREDICT, data=json.dumps(BODY)) for _ in range(6)]
        wait_for(lambda: calls(cached) == 1)
        cached.fake.release.set()
        answers = [future.result(10) for future in futures]
    assert {answer.text for answer in answers} == {'{"predictions":[[2.0,4.0]]}'}
    assert calls(cached) == 1
    ways = [answer.headers["X-Cache"] for answer in answers]
    assert ways.count("miss") == 1
    assert {outcome: counted(cached, outcome) - before[outcome] for outcome in before} == {
        outcome: ways.count(outcome) for outcome in before
    }


def test_the_log_tells_how_it_was_answered(cached, capsys):
    ask(cached, headers={"X-Request-Id": "first"})
    ask(cached, headers={"X-Request-Id": "second"})
    cached.get("/v1/models/m", headers={"X-Request-Id": "third"})
    written = capsys.readouterr()
    lines = (written.out + written.err).splitlines()
    told = {name: next(line for line in lines if name in line) for name in ("first", "second", "third")}
    assert "miss" in told["first"]
    assert "hit" in told["second"]
    assert "cache" not in told["third"]


def test_a_new_version_answers_for_itself_at_once_and_the_old_one_when_it_is_named(cached):
    ask(cached)
    cached.fake.models["m"][2] = Version(run=triple)
    new = {"predictions": [[3.0, 6.0]]}
    wait_for(lambda: ask(cached)[1] == new)
    for _ in range(3):
        assert ask(cached)[1] == new
    wait_for(lambda: ask(cached) == ("hit", new))
    assert ask(cached, "/v1/models/m/versions/1:predict") == ("hit", {"predictions": [[2.0, 4.0]]})


def test_a_version_that_answered_anything_ends_the_answers_of_the_one_before(make_client, config_file):
    """The catalog looks once a minute here: only the replies tell."""
    client = make_client(model_config_file=config_file, cache="m:100:60s", catalog_poll_ms=60_000)
    ask(client)
    client.fake.models["m"][2] = Version(run=triple)
    assert ask(client)[0] == "hit"
    assert ask(client, body={"instances": [[5, 5]]}) == ("miss", {"predictions": [[15.0, 15.0]]})
    assert ask(client) == ("miss", {"predictions": [[3.0, 6.0]]})


def test_after_a_rollback_the_older_version_answers(cached):
    cached.fake.models["m"][2] = Version(run=triple)
    wait_for(lambda: ask(cached) == ("hit", {"predictions": [[3.0, 6.0]]}))
    cached.fake.models["m"][2].state = END
    wait_for(lambda: ask(cached) == ("hit", {"predictions": [[2.0, 4.0]]}))


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/m/versions/1:predict", "/v1/models/m/labels/stable:predict"])
def test_a_version_that_returns_as_another_model_answers_for_itself(cached, path):
    cached.fake.labels["m", "stable"] = 1
    assert ask(cached, path)[0] == "miss"
    assert ask(cached, path)[0] == "hit"
    cached.fake.models["m"][1].state = END
    wait_for(lambda: cached.get("/readyz").status_code == 503)
    cached.fake.models["m"][1] = Version(run=triple)
    wait_for(lambda: cached.get("/readyz").status_code == 200)
    assert ask(cached, path) == ("miss", {"predictions": [[3.0, 6.0]]})


def test_a_bad_request_does_not_empty_the_cache(cached):
    """It makes the catalog look again, which finds the same version."""
    ask(cached)
    cached.fake.failures = [(grpc.StatusCode.INVALID_ARGUMENT, "why")]
    assert cached.post(PREDICT, {"instances": [[7, 7]]}).status_code == 400
    assert ask(cached)[0] == "hit"


def test_a_label_is_looked_up_again_and_again_and_keeps_its_answers(cached):
    cached.fake.labels["m", "stable"] = 1
    path = "/v1/models/m/labels/stable:predict"
    ask(cached, path)
    before = cached.fake.calls.count("GetModelMetadata")
    wait_for(lambda: ask(cached, path)[0] == "hit" and cached.fake.calls.count("GetModelMetadata") >= before + 3)
    assert calls(cached) == 1


def test_the_openapi_document_tells_of_the_header(cached):
    document = cached.get("/openapi.json").json
    predicts = [path for path in document["paths"] if path.endswith((":predict", "/infer")) or path.startswith("/predict")]
    assert len(predicts) >= 6
    for path in predicts:
        assert "X-Cache" in document["paths"][path]["post"]["responses"]["200"]["headers"], path
    assert document["components"]["headers"]["X-Cache"]["schema"]["enum"] == ["hit", "miss", "shared"]
