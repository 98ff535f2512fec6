"""Where the gateway departs from TensorFlow Serving on purpose: every exception to the cases, as a rule with its reason.

A case that does not pass and that a rule covers must hold what the rule promises instead; anything else is a failure. The
README tells users the same.
"""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance import case as values

JSON = "application/json"
UPSTREAM_INFLATES_BYTES = 100 * 2**20


@dataclass(frozen=True)
class Deviation:
    """``instead`` gives what a case that the rule covers must expect, in the form of the case file, and None for any other."""

    reason: str
    instead: Callable[[dict, dict], dict | None]


def expectation_instead(case: dict, fixture: dict) -> tuple[str, dict] | None:
    """The reason of the first rule that covers ``case``, which runs on ``fixture``, and what to expect of it."""
    for deviation in DEVIATIONS:
        expect = deviation.instead(case, fixture)
        if expect is not None:
            return deviation.reason, expect
    return None


def _path(case: dict) -> str:
    return case["request"]["path"] if case["kind"] == "http" else ""


def _model_list(case: dict, fixture: dict) -> dict | None:
    is_list = _path(case).lower() == "/v1/models" and case["request"]["method"] == "GET"
    return {"http": 200, "content_type": JSON} if is_list else None


def _query(case: dict, fixture: dict) -> dict | None:
    path = re.split("[?#]", _path(case), maxsplit=1)[0]
    return {"as_path": path} if path != _path(case) and path.lower().startswith("/v1/") else None


def _json_404(case: dict, fixture: dict) -> dict | None:
    path = _path(case).lower()
    is_elsewhere = path.startswith("/") and not path.startswith("/v1/") and case["expect"]["http"] == 404
    return {"http": 404, "content_type": JSON} if is_elsewhere else None


def _error_body(case: dict, fixture: dict) -> dict | None:
    if case["kind"] != "http" or case["request"]["method"] in ("HEAD", "OPTIONS"):
        return None
    is_bare = case["expect"]["http"] >= 400 and case["expect"].get("body") == ""
    return {"http": case["expect"]["http"], "content_type": JSON, "error_contains": [""]} if is_bare else None


def _label_status(case: dict, fixture: dict) -> dict | None:
    match = re.fullmatch(r"/v1/models/([^/:]+)/labels/([^/:]+)", _path(case), re.IGNORECASE)
    if not match or case["request"]["method"] != "GET":
        return None
    labels = next((model.get("version_labels", {}) for model in fixture["models"] if model["name"] == match[1]), {})
    if match[2] not in labels:
        return {"http": 400, "content_type": JSON, "error_contains": [f"Unrecognized servable version label: {match[2]}"]}
    entry = f'{{"version": "{labels[match[2]]}", "state": "AVAILABLE", "status": {{"error_code": "OK", "error_message": ""}}}}'
    return {"http": 200, "content_type": JSON, "json_text": f'{{"model_version_status": [{entry}]}}'}


def _nesting(case: dict, fixture: dict) -> dict | None:
    if case["kind"] not in ("parse_predict", "parse_examples") or _depth(values.body(case["request"])) <= 64:
        return None
    return {"error": {"code": "INVALID_ARGUMENT", "http": 400, "contains": []}}


def _raw_output(case: dict, fixture: dict) -> dict | None:
    if case["kind"] != "format_predict":
        return None
    strings = {name: tensor for name, tensor in case["outputs"].items() if tensor["dtype"] == "DT_STRING"}
    is_raw = any(isinstance(value, dict) for tensor in strings.values() for value in tensor["values"])
    if not is_raw or len(case["outputs"]) > 1 or next(iter(strings)).endswith("_bytes"):
        return None
    key = "predictions" if case["format"] == "row" else "outputs"
    tensor = next(iter(strings.values()))
    return {"text": json.dumps({key: _nested(tensor["values"], tensor["shape"])})}


def _inflated(case: dict, fixture: dict) -> dict | None:
    if case["kind"] != "http" or "gzip" not in case["request"].get("headers", {}).get("Content-Encoding", ""):
        return None
    try:
        size = len(gzip.decompress(values.body(case["request"])))
    except (OSError, EOFError):
        return None
    return {"http": 413, "content_type": JSON, "error_contains": [""]} if size > UPSTREAM_INFLATES_BYTES else None


def _unknown_method(case: dict, fixture: dict) -> dict | None:
    is_unknown = case["kind"] == "http" and case["request"]["method"] == "TRACE" and case["expect"]["http"] == 501
    return {"http": 501, "content_type": JSON, "error_contains": [""]} if is_unknown else None


DEVIATIONS = (
    Deviation("GET /v1/models lists the models, instead of refusing a request that names none", _model_list),
    Deviation("a query string is ignored, instead of being taken for a part of the path", _query),
    Deviation("a route that does not exist is answered in JSON, instead of HTML", _json_404),
    Deviation("every error has a body that says what is wrong, instead of none", _error_body),
    Deviation("a label in a status request is resolved, instead of ignored", _label_status),
    Deviation("tensors of more than 64 dimensions, and bodies nested by the thousand, are refused, instead of read", _nesting),
    Deviation("a string output that is not UTF-8 is a b64 object, instead of bytes that make the answer no JSON", _raw_output),
    Deviation("a gzip body that inflates beyond the limit is told to be too large, instead of empty", _inflated),
    Deviation("a method that HTTP knows and this dialect does not is refused in JSON, instead of HTML", _unknown_method),
)


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for bracket in re.findall(rb'"(?:[^"\\]|\\.)*"|[][{}]', body, re.DOTALL):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(bracket, 0)
        deepest = max(deepest, depth)
    return deepest


def _nested(flat: list, shape: list[int]):
    if not shape:
        return flat[0]
    size = len(flat) // shape[0] if shape[0] else 0
    return [_nested(flat[index * size : (index + 1) * size], shape[1:]) for index in range(shape[0])]
