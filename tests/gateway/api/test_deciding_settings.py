"""Where a setting decided a refusal, the operator's log line names it and its value; the client is told what it always was."""

import gzip
import re

import numpy as np
import pytest

from gateway import settings

PREDICT = "/v1/models/m:predict"


def logged(capsys) -> str:
    written = capsys.readouterr()
    [line] = [line for line in (written.out + written.err).splitlines() if "request " in line and "status=" in line]
    return line


def names(line: str, variable: str, value: object) -> bool:
    assert variable in {row.variable for row in settings.setting_rows()}
    return f"setting={variable} " in line and re.search(rf"setting_value={value}( |$)", line) is not None


@pytest.mark.parametrize("path", [PREDICT, "/predict/m", "/v2/models/m/infer"])
def test_a_model_that_takes_too_long(make_client, config_file, capsys, path):
    client = make_client(model_config_file=config_file, predict_timeout_ms=300)
    client.fake.release.clear()
    infer = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    capsys.readouterr()
    response = client.post(path, {PREDICT: {"inputs": [[1, 2]]}, "/predict/m": {"x": [1, 2]}}.get(path, infer))
    text = response.json.get("message") or response.json["error"]
    assert (response.status_code, text) == (504, "Timed out waiting for notification: no answer within 300 ms")
    assert names(logged(capsys), "GATEWAY_PREDICT_TIMEOUT_MS", 300)


def test_a_body_over_the_limit(make_client, config_file, capsys):
    client = make_client(model_config_file=config_file, max_body_bytes=100)
    capsys.readouterr()
    assert client.post(PREDICT, {"instances": [[1, 2]] * 100}).status_code == 413
    assert names(logged(capsys), "GATEWAY_MAX_BODY_BYTES", 100)


def test_a_body_that_inflates_beyond_the_limit(make_client, config_file, capsys):
    client = make_client(model_config_file=config_file, max_body_bytes=100)
    capsys.readouterr()
    response = client.post(PREDICT, gzip.compress(b" " * 1000), headers={"Content-Encoding": "gzip"})
    assert response.status_code == 413
    assert names(logged(capsys), "GATEWAY_MAX_BODY_BYTES", 100)


@pytest.mark.parametrize(
    ("of", "setting"),
    [
        ("large", ("GATEWAY_MAX_BODY_BYTES", 2 << 20)),
        ("medium", ("GATEWAY_PREDICT_TIMEOUT_MS", 300)),
    ],
)
def test_a_large_body_that_waits_for_others(make_client, config_file, capsys, of, setting):
    client = make_client(model_config_file=config_file, predict_timeout_ms=300, max_body_bytes=2 << 20)
    memory = client.http.application.extensions["gateway"].memory
    (memory._large if of == "large" else memory._medium)._free = 0
    capsys.readouterr()
    padding = " " * (100_000 if of == "medium" else (1 << 20) + 1)
    assert client.post(PREDICT, '{"instances": [[1, 2]]}' + padding).status_code == 503
    assert names(logged(capsys), *setting)


def test_a_number_that_is_not_finite(make_client, config_file, capsys):
    client = make_client(model_config_file=config_file, non_finite="error")
    client.fake.models["m"][1].run = lambda inputs: {"y": np.full_like(inputs["x"], np.inf)}
    capsys.readouterr()
    assert client.post(PREDICT, {"instances": [[1, 2]]}).status_code == 400
    assert names(logged(capsys), "GATEWAY_NON_FINITE", "error")


def test_what_no_setting_decided_names_none(client, capsys):
    capsys.readouterr()
    assert client.post(PREDICT, {}).status_code == 400
    assert "setting" not in logged(capsys)
    assert client.post(PREDICT, {"instances": [[1, 2]]}).status_code == 200
    assert "setting" not in logged(capsys)
