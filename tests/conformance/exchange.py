"""The http kind: one request to the fixture, and the answer held against what the case expects."""

import json
from typing import Any

from tests.conformance import case as values
from tests.conformance.comparison import assert_same_json
from tests.conformance.fixture import Answer, Fixture

DEFAULT_SIGNATURE = "serving_default"
_UNDERSTOOD = {
    "as_path",
    "body",
    "body_contains",
    "code",
    "compare",
    "content_type",
    "content_type_prefix",
    "error_contains",
    "error_message",
    "error_message_note",
    "headers",
    "http",
    "json_text",
    "note",
}


def http(case: dict, fixture: Fixture) -> None:
    request, expect = case["request"], case["expect"]
    assert set(expect) <= _UNDERSTOOD, f"expectations that are not understood: {set(expect) - _UNDERSTOOD}"
    answer = _ask(fixture, request)
    if "as_path" in expect:
        assert _content(answer) == _content(_ask(fixture, request | {"path": expect["as_path"]}))
        return
    assert answer.status == expect["http"], answer.body[:500]
    _assert_headers(expect, answer)
    _assert_body(expect, answer)
    if "json_text" in expect:
        assert_same_json(expect["json_text"], answer.body, _dtypes(request, fixture))


def _ask(fixture: Fixture, request: dict) -> Answer:
    return fixture.ask(request["method"], request["path"], request.get("headers", {}), values.body(request))


def _content(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


def _assert_headers(expect: dict, answer: Answer) -> None:
    content_type = answer.headers.get("Content-Type", "")
    assert content_type == expect.get("content_type", content_type)
    assert content_type.startswith(expect.get("content_type_prefix", ""))
    for name, value in expect.get("headers", {}).items():
        assert answer.headers.get(name) == value, name


def _assert_body(expect: dict, answer: Answer) -> None:
    if "body" in expect:
        assert answer.body.decode() == expect["body"]
    for substring in expect.get("body_contains", ()):
        assert substring in answer.body.decode()
    if "error_contains" in expect:
        error = json.loads(answer.body)
        assert list(error) == ["error"]
        for substring in expect["error_contains"]:
            assert substring in error["error"]


def _dtypes(request: dict, fixture: Fixture) -> dict[str, str]:
    """The dtypes of the numbers in the answer: those of the signature's outputs, float for examples, none elsewhere."""
    _, _, verb = request["path"].partition("?")[0].rpartition(":")
    if request["method"] != "POST":
        return {}
    if verb in ("classify", "regress"):
        return {"results": "DT_FLOAT"}
    signature = _signature(request)
    return fixture.output_dtypes(request["path"].partition("?")[0], signature)


def _signature(request: dict) -> str:
    try:
        document: Any = json.loads(values.body(request))
    except ValueError:
        return DEFAULT_SIGNATURE
    return document.get("signature_name") or DEFAULT_SIGNATURE
