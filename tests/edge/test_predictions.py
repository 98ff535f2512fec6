"""Predictions through nginx, by HTTP/1.1 and HTTP/2, with one id and one trace from end to end."""

import io
import json
import re
import sqlite3

import numpy as np
import pytest

from tests.edge.nginx import edge_before
from tests.waiting import wait_for

V1 = "/v1/models/half_plus_two:predict"
DIALECTS = {
    V1: ({"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}),
    "/v2/models/half_plus_two/infer": (
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [1.0, 2.0]}]},
        [2.5, 3.0],
    ),
    "/predict/half_plus_two": ({"x": [1.0]}, [2.5]),
}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def result(path, document):
    """What the model gave, taken out of the dialect's answer."""
    if path.startswith("/v2"):
        return document["outputs"][0]["data"]
    return document if path.startswith("/v1") else document["prediction"]


@pytest.mark.parametrize("path", DIALECTS)
def test_every_dialect_predicts(edge, path):
    document, expected = DIALECTS[path]
    answer = edge.post(path, document)
    assert answer.status_code == 200, answer.text
    assert result(path, answer.json()) == expected
    assert answer.headers["X-Model-Version"] == "1"


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_clients_choose_the_version_of_http(edge, path, option, version):
    document, expected = DIALECTS[path]
    spoken, status, body = edge.curl(path, option, "--data", json.dumps(document))
    assert (spoken, status) == (version, 200)
    assert result(path, json.loads(body)) == expected


@pytest.mark.parametrize("given", ["client-7", "x" * 128, "!~"])
def test_the_clients_id_is_that_of_the_answer_and_of_both_logs(edge, edge_stack, given):
    answer = edge.post(V1, {"instances": [1.0]}, headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == given
    line = edge.logged(given)
    assert (line["status"], line["gateway_status"], line["method"], line["path"]) == (200, 200, "POST", V1)
    assert wait_for(lambda: gateway_line(edge_stack, given))["path"] == V1


@pytest.mark.parametrize("given", [None, "", "x" * 129, "two words", "id-sgk_00000000_secret"])
def test_an_id_that_is_missing_or_unfit_is_made_by_nginx_and_taken_over_by_the_gateway(edge, edge_stack, given):
    answer = edge.post(V1, {"instances": [1.0]}, headers={} if given is None else {"X-Request-Id": given})
    made = answer.headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert edge.logged(made)["status"] == 200
    assert wait_for(lambda: gateway_line(edge_stack, made))["path"] == V1


def test_the_gateway_gets_the_clients_trace_and_nginx_logs_its_id(edge, edge_stack):
    parent = f"00-{TRACE}-00f067aa0ba902b7-01"
    answer = edge.post(V1, {"instances": [3.0]}, headers={"traceparent": parent, "tracestate": "a=1", "X-Request-Id": "traced"})
    assert answer.status_code == 200
    assert edge.logged("traced")["trace_id"] == TRACE
    path = edge_stack.folder / "predictions.db"

    def traces():
        with sqlite3.connect(path) as log:
            return log.execute("SELECT trace_id FROM predictions WHERE request_id = 'traced'").fetchall()

    assert wait_for(traces) == [(TRACE,)]


def test_a_trace_that_is_malformed_is_not_logged(edge):
    edge.get("/v1/models", headers={"traceparent": "sgk_secret", "X-Request-Id": "no-trace"})
    assert edge.logged("no-trace")["trace_id"] == ""


@pytest.mark.parametrize("option", ["--http2", "--http1.1"])
def test_a_body_of_32_mib_goes_through_and_one_byte_more_does_not(edge, tmp_path, option):
    body = io.BytesIO()
    np.save(body, np.zeros((33554432 - 128) // 4, np.float32))
    assert len(body.getvalue()) == 33554432
    sent, got = tmp_path / "sent.npy", tmp_path / "got.npy"
    sent.write_bytes(body.getvalue())
    npy = ["--header", "Content-Type: application/x-npy", "--header", "Accept: application/x-npy", "--data-binary", f"@{sent}"]
    _, status, answer = edge.curl(V1, option, *npy)
    assert status == 200
    got.write_bytes(answer)
    np.testing.assert_array_equal(np.load(got), np.full((33554432 - 128) // 4, 2, np.float32))
    with sent.open("ab") as file:
        file.write(b"x")
    _, status, answer = edge.curl(V1, option, *npy)
    assert (status, json.loads(answer)) == (413, {"error": "the body is over the limit of 33554432 bytes"})
    # The file of the first one is gone, and the second one never had one.
    assert not [path for path in (edge.folder / "run" / "nginx-bodies").rglob("*") if path.is_file()]


def test_a_body_in_chunks_goes_through(edge):
    answer = edge.post(V1, iter([b'{"instances": ', b"[1.0, 2.0, 5.0]}"]))
    assert answer.json() == {"predictions": [2.5, 3.0, 4.5]}


def test_the_metrics_are_for_the_inside_unless_a_setting_says_otherwise(edge, edge_stack):
    for path in ("/metrics", "//metrics", "/%6detrics", "/metrics/", "/v1/../metrics"):
        assert edge.curl(path, "--path-as-is")[1] == 404, path
    assert b"gateway_" not in edge.curl("/metrics?x", "--path-as-is")[2]
    with edge_before(edge_stack.gateway_port, metrics="on") as other:
        answer = other.get("/metrics")
    assert (answer.status_code, "# TYPE gateway_" in answer.text) == (200, True)


def test_the_gateways_own_errors_are_passed_on_as_they_are(edge, edge_stack):
    for path in ("/v1/models/none:predict", "/v2/models/none/infer", "/predict/none", "/none"):
        through, direct = edge.post(path, {}), edge_stack.post(path, {})
        assert (through.status_code, through.json()) == (direct.status_code, direct.json())


def gateway_line(stack, request_id):
    return next((event for event in stack.log_events() if event.get("id") == request_id), None)
