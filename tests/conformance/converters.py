"""The kinds of cases that need no server: what the gateway makes of a body, a path, an answer or an error."""

import json

import grpc
import numpy as np

from gateway.api import errors as api_errors
from gateway.api.tfserving import body
from gateway.api.tfserving import examples as example_bodies
from gateway.api.tfserving import path as tfserving_path
from gateway.api.tfserving.answer import classify_answer, predict_answer, regress_answer
from gateway.backend.statuses import ERROR_OF_STATUS
from gateway.codec.json_text import parse_json
from gateway.errors import GatewayError, InvalidArgument
from gateway.inference.examples import Classifications, Example, Regressions
from gateway.inference.signature import DEFAULT_SIGNATURE
from tests.conformance import case as values
from tests.conformance.comparison import assert_same_json, same_array

MALFORMED = {"code": "INVALID_ARGUMENT", "http": 400, "contains": ["Malformed request"]}


def parse_predict(case: dict) -> None:
    signature = values.signature(case["signature"]["inputs"])

    def load():
        document = parse_json(values.body(case["request"]), raw_strings=True)
        return body.signature_name(document), body.load_predict_body(document, signature)

    loaded = _unless_refused(load, case["expect"])
    if loaded is None:
        return
    name, predict_body = loaded
    expect = case["expect"]
    assert name == (expect["signature_name"] or DEFAULT_SIGNATURE)
    assert predict_body.row == (expect["format"] == "row")
    assert predict_body.tensors.keys() == expect["tensors"].keys()
    for tensor_name, tensor in expect["tensors"].items():
        expected, got = values.array(tensor), predict_body.tensors[tensor_name]
        assert same_array(expected, got), f"{tensor_name}: expected {expected!r}, got {got!r}"


def format_predict(case: dict) -> None:
    outputs = {name: values.array(tensor) for name, tensor in case["outputs"].items()}
    text = _unless_refused(lambda: predict_answer(outputs, case["format"] == "row"), case["expect"])
    if text is not None:
        dtypes = {name: tensor["dtype"] for name, tensor in case["outputs"].items()}
        assert_same_json(case["expect"]["text"], text, dtypes)


def parse_examples(case: dict) -> None:
    def load():
        document = parse_json(values.body(case["request"]), raw_strings=True)
        return body.signature_name(document), example_bodies.load_examples(document)

    loaded = _unless_refused(load, case["expect"])
    if loaded is None:
        return
    name, examples = loaded
    expect = case["expect"]
    assert name == (expect["signature_name"] or DEFAULT_SIGNATURE)
    assert (examples.context is None) == (expect["context"] is None)
    if expect["context"] is not None:
        _assert_features(expect["context"], examples.context)
    assert len(examples.examples) == len(expect["examples"])
    for expected, got in zip(expect["examples"], examples.examples, strict=True):
        _assert_features(expected, got)


def format_classify(case: dict) -> None:
    rows = [[(label, values.number(score)) for label, score in row] for row in case["result"]]
    answer = Classifications("m", 1, rows)
    text = _unless_refused(lambda: classify_answer(answer, "tokens"), case["expect"])
    if text is not None:
        assert_same_json(case["expect"]["text"], text, {"scores": "DT_FLOAT"})


def format_regress(case: dict) -> None:
    answer = Regressions("m", 1, np.array(list(map(values.number, case["result"])), dtype=np.float32))
    text = _unless_refused(lambda: regress_answer(answer, "tokens"), case["expect"])
    if text is not None:
        assert_same_json(case["expect"]["text"], text, {"outputs": "DT_FLOAT"})


def error_body(case: dict) -> None:
    text = "" if case["message"] is None else api_errors.error_body(InvalidArgument(case["message"]), "/v1/answer").decode()
    if "json" in case["expect"]:
        assert json.loads(text) == case["expect"]["json"]
    else:
        assert text == case["expect"]["text"]


def status_map(case: dict) -> None:
    code = grpc.StatusCode.__members__.get(case["code"], grpc.StatusCode.UNKNOWN)
    status = 200 if code is grpc.StatusCode.OK else ERROR_OF_STATUS[code]("text").http_status
    assert status == case["expect"]["http"]


def path_parse(case: dict) -> None:
    expect = case["expect"]
    refusal = expect if expect["match"] else {"error": MALFORMED}
    target = _unless_refused(lambda: tfserving_path.parse_path(case["method"], case["path"]), refusal)
    if target is None:
        return
    assert (target.model.name, target.model.version, target.model.label) == (
        expect["model_name"],
        expect["version"],
        expect["label"],
    )
    assert target.verb == expect.get("verb", "")
    assert target.subresource.lower() == (expect.get("subresource") or "").lower()


CHECKS = {
    check.__name__: check
    for check in (
        parse_predict,
        format_predict,
        parse_examples,
        format_classify,
        format_regress,
        error_body,
        status_map,
        path_parse,
    )
}


def _assert_features(expected: dict, got: Example) -> None:
    assert got.keys() == expected.keys()
    for name, feature in expected.items():
        # A feature without values is of no kind, which a case file writes as null.
        kind = feature["kind"] if feature and feature["kind"] != "null" else None
        assert got[name].kind == kind, name
        wanted = list(feature["values"]) if feature else []
        if kind == "bytes":
            assert list(got[name].values) == [values.raw_bytes(value) for value in wanted], name
        else:
            dtype = np.float32 if kind == "float" else np.int64
            expected_values = np.array([values.number(value) for value in wanted]).astype(dtype)
            assert same_array(expected_values, np.array(got[name].values, dtype=dtype)), name


def _unless_refused(work, expect: dict):
    """What ``work`` gives, or None when it is refused as ``expect`` says."""
    try:
        result = work()
    except GatewayError as error:
        _assert_refusal(error, expect.get("error"))
        return None
    assert "error" not in expect, f"expected {expect['error']}, got {result!r:.500}"
    return result


def _assert_refusal(error: GatewayError, expected: dict | None) -> None:
    assert expected is not None, f"refused: {error.message}"
    assert (error.code, error.http_status) == (expected["code"], expected["http"]), error.message
    for substring in expected.get("contains", ()):
        assert substring in error.message
