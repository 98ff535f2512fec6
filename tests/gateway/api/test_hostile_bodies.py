"""Bodies made to hurt: each gets one clear answer of bounded size, after work in proportion to its length."""

import pytest

from gateway.api.simple.body import load_example
from gateway.api.tfserving.body import load_predict_body as load_predict
from gateway.codec.json_text import parse_json
from gateway.codec.problems import MAX_COUNTED, MAX_PROBLEMS
from gateway.errors import InvalidArgument
from gateway.inference.dtypes import FLOAT, INT32, STRING
from tests.gateway.api.signatures import signature

MANY = 200_000
X = signature(x=(FLOAT, (None, None)))
S = signature(s=(STRING, (None,)))
AB = signature(a=(INT32, (None,)), b=(STRING, (None,)))


def repeated(item, last):
    return b'{"instances": [' + item * MANY + last + b"]}"


HOSTILE = {
    "bad elements": (load_predict, X, repeated(b'"x", ', b'"x"')),
    "numbers out of range": (load_predict, signature(x=(INT32, None)), repeated(b"3000000000, ", b"1")),
    "NaN in the strict dialect": (load_example, X, b'{"data": [' + b"NaN, " * MANY + b"1]}"),
    "ragged lists": (load_predict, X, repeated(b"[1], [1, 2], ", b"[1]")),
    "lists where numbers belong": (load_predict, X, repeated(b"[[]], [], ", b"1")),
    "bad base64": (load_predict, S, repeated(b'{"b64": "_"}, ', b'"x"')),
    "objects with wrong names": (load_predict, AB, repeated(b'{"a": 1, "c": 2}, ', b"{}")),
    "no objects": (load_predict, AB, b'{"instances": [{"a": 1, "b": "x"}' + b", 1" * MANY + b"]}"),
    "one object with many names": (
        load_predict,
        AB,
        b'{"instances": [{' + b", ".join(b'"k%d": 1' % key for key in range(MANY)) + b"}]}",
    ),
    "many inputs": (load_example, AB, b"{" + b", ".join(b'"k%d": 1' % key for key in range(MANY)) + b"}"),
    "many repeated inputs": (
        load_example,
        AB,
        b"{" + b", ".join(b'"k%d": 1' % key for key in [*range(MAX_COUNTED), *range(MAX_COUNTED)]) + b"}",
    ),
}
LARGE_BUT_FEW = {
    "one bad element at the end": (load_predict, X, repeated(b"1, ", b'"x"'), "/instances/200000"),
    "one list too long at the end": (load_predict, X, repeated(b"[1], ", b"[1, 2]"), "/instances/200000"),
    "long string": (load_predict, X, b'{"instances": ["' + b"a" * 5_000_000 + b'"]}', "/instances/0"),
    "long quotes": (load_predict, X, b'{"instances": ["' + b'\\"' * 2_000_000 + b'"]}', "/instances/0"),
    "long base64": (load_predict, S, b'{"instances": [{"b64": "' + b"a" * 4_000_001 + b'"}]}', "/instances/0"),
    "nested as deep as JSON is read": (load_predict, X, b'{"instances": ' + b"[" * 800 + b"]" * 800 + b"}", "/instances"),
    "objects as deep as JSON is read": (
        load_predict,
        S,
        b'{"inputs": ' + b'{"s": ' * 400 + b"1" + b"}" * 400 + b"}",
        "/inputs/s",
    ),
    "integer of 300 digits": (
        load_predict,
        signature(x=(INT32, None)),
        b'{"instances": [' + b"1" * 300 + b"]}",
        "/instances/0",
    ),
}
UNREADABLE = {
    "integer of five million digits": b"[" + b"1" * 5_000_000 + b"]",
    "open lists": b"[" * 5_000_000,
    "open objects": b'{"a":' * 1_000_000,
    "open string of quotes": b'["' + b'\\"' * 2_000_000,
    "open string of quotes after a token": b'[Inf, "' + b'\\"' * 2_000_000,
    "error after many strings": b"[" + b'"", ' * 1_000_000 + b"x",
    "error after many lists": b"[" + b"[1], " * 500_000 + b"1 1]",
    "lone surrogate after many pairs": b'["' + b"\\ud83d\\ude00" * 200_000 + b'\\ud83d"]',
    "bad UTF-8 at the end": b'["' + b"a" * 5_000_000 + b'\xff"]',
}


@pytest.mark.parametrize(("load", "model", "body"), HOSTILE.values(), ids=HOSTILE.keys())
def test_of_endless_problems_some_are_told_and_some_more_counted(load, model, body):
    with pytest.raises(InvalidArgument) as refusal:
        load(parse_json(body, strict=load is load_example), model)
    assert len(refusal.value.problems) == MAX_PROBLEMS
    assert MAX_PROBLEMS + refusal.value.omitted >= MAX_COUNTED
    assert "at least" in refusal.value.message
    assert len(refusal.value.message) < 5_000


@pytest.mark.parametrize(("load", "model", "body", "place"), LARGE_BUT_FEW.values(), ids=LARGE_BUT_FEW.keys())
def test_a_problem_in_a_large_body_is_found(load, model, body, place):
    with pytest.raises(InvalidArgument) as refusal:
        load(parse_json(body), model)
    assert refusal.value.problems[0].pointer == place
    assert len(refusal.value.message) < 2_000


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_body_is_refused_in_one_short_line(body):
    with pytest.raises(InvalidArgument) as refusal:
        parse_json(body)
    assert refusal.value.message.startswith("JSON Parse error: ")
    assert len(refusal.value.message) < 100


def test_a_number_of_five_million_decimals_is_read():
    assert parse_json(b"[1." + b"1" * 5_000_000 + b"]") == [1.1111111111111112]


def test_many_repeated_keys_are_read():
    assert parse_json(b"{" + b'"a": 1, ' * MANY + b'"a": 2}') == {"a": 1}
