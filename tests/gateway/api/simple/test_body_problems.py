"""Documents that do not fit /predict: the place of every problem."""
# ruff: noqa: E501  a row of these tables is read across

import pytest

from gateway.api.simple.body import load_example
from gateway.codec.json_text import parse_json
from gateway.errors import InvalidArgument
from gateway.inference.dtypes import (
    BFLOAT16,
    BOOL,
    DOUBLE,
    FLOAT,
    HALF,
    INT8,
    INT32,
    INT64,
    STRING,
    UINT8,
    UINT16,
    UINT64,
)
from gateway.inference.signature import Signature, TensorSpec
from tests.gateway.api.signatures import signature

AGES = signature(age=(INT64, (None,)), name=(STRING, (None,)))


ODD = Signature("s", "tensorflow/serving/predict", (TensorSpec("a/b~c", INT32, (None,)), TensorSpec("d", INT32, (None,))), ())


VECTOR = signature(features=(FLOAT, (None, 3)))


IMAGE = signature(image=(FLOAT, (None, 2, 2)))


def strict(dtype):
    return signature(x=(dtype, (None,)))


SIMPLE = [
    (VECTOR, "[1, 2, 3]", ["(body): expected an object with features, got list of 3"]),
    (VECTOR, "null", ["(body): expected an object with features, got null"]),
    (VECTOR, '"text"', ['(body): expected an object with features, got string "text"']),
    (VECTOR, "{}", ["/features: expected list of 3 numbers, got nothing"]),
    (VECTOR, '{"features": null}', ["/features: expected list of 3 numbers, got null"]),
    (VECTOR, '{"features": 5}', ["/features: expected list of 3 numbers, got 5"]),
    (VECTOR, '{"features": [1, 2]}', ["/features: expected list of 3 numbers, got list of 2"]),
    (VECTOR, '{"features": []}', ["/features: expected list of 3 numbers, got an empty list"]),
    (VECTOR, '{"features": [1, "2", null, 4]}', ["/features: expected list of 3 numbers, got list of 4", '/features/1: expected float32 number, got string "2"', "/features/2: expected float32 number, got null"]),
    (VECTOR, '{"features": [[1, 2, 3]]}', ["/features: expected numbers of shape [3], got shape [1, 3]"]),
    (VECTOR, '{"features": [1, [2], 3]}', ["/features/1: expected float32 number, got list of 1"]),
    (VECTOR, '{"features": [1, NaN, Infinity]}', ["/features/1: expected finite float32 number, got NaN", "/features/2: expected finite float32 number, got Infinity"]),
    (VECTOR, '{"features": [1e39, -3.5e38, 1]}', ["/features/0: expected finite float32 number, got 1e+39", "/features/1: expected finite float32 number, got -3.5e+38"]),
    (VECTOR, '{"features": [true, 1, 2], "x": 1}', ["/features/0: expected float32 number, got true", "/x: expected only the inputs features, got an unknown name"]),
    (VECTOR, '{"data": [1, 2, "a"]}', ['/data/2: expected float32 number, got string "a"']),
    (VECTOR, '{"data": [1, 2], "user": 7}', ["/data: expected list of 3 numbers, got list of 2", "/user: expected only the inputs features, got an unknown name"]),
    (VECTOR, '{"data": [1, 2, 3], "features": [1, 2, 3]}', ["/data: expected only the inputs features, got an unknown name"]),
    (VECTOR, '{"instances": [[1, 2, 3]]}', ["/features: expected list of 3 numbers, got nothing", "/instances: expected only the inputs features, got an unknown name"]),
    (VECTOR, '{"features2": [1, 2, 3], "featuresX/Y": 1}', ["/features: expected list of 3 numbers, got nothing", "/features2: expected only the inputs features, got an unknown name", "/featuresX~1Y: expected only the inputs features, got an unknown name"]),
    (IMAGE, '{"data": [[1, 2], [3]]}', ["/data/1: expected list of 2 numbers, got list of 1"]),
    (IMAGE, '{"data": [[1, 2, 3], [4, 5, 6]]}', ["/data: expected numbers of shape [2, 2], got shape [2, 3]"]),
    (IMAGE, '{"data": [[1, 2, "x"], [4, 5, 6]]}', ["/data: expected numbers of shape [2, 2], got shape [2, 3]", '/data/0/2: expected float32 number, got string "x"']),
    (IMAGE, '{"data": [1, 2, 3, 4]}', ["/data: expected numbers of shape [2, 2], got shape [4]"]),
    (IMAGE, '{"data": [[1, 2], 3]}', ["/data/1: expected list of 2 numbers, got 3"]),
    (signature(s=(INT32, (None, None, 2))), '{"s": [[1, 2], [3, 4, 5]]}', ["/s/1: expected list of 2 integers, got list of 3"]),
    (signature(s=(INT32, (None, None, None))), '{"s": [[1, 2], [3, 4, 5]]}', ["/s/1: expected list of 2 integers, got list of 3"]),
    (signature(s=(INT32, (None, None))), '{"s": 3}', ["/s: expected list of integers, got 3"]),
    (signature(s=(INT32, (None, None, 2))), '{"s": [1]}', ["/s: expected integers of shape [any, 2], got shape [1]"]),
    (signature(s=(INT32, ())), '{"s": [3]}', ["/s: expected int32, got list of 1"]),
    (signature(s=(INT32, (2,))), '{"s": [3]}', ["/s: expected list of 2 integers, got list of 1"]),
    (signature(s=(INT32, None)), '{"s": [[1], [2, 3]]}', ["/s/1: expected list of 1 integer, got list of 2"]),
    (strict(INT32), '{"x": 3.0}', ["/x: expected int32, got 3.0"]),
    (strict(INT32), '{"x": true}', ["/x: expected int32, got true"]),
    (strict(INT8), '{"x": 300}', ["/x: expected int8 (-128 to 127), got 300"]),
    (strict(UINT8), '{"x": -1}', ["/x: expected uint8 (0 to 255), got -1"]),
    (strict(UINT16), '{"x": 65536}', ["/x: expected uint16 (0 to 65535), got 65536"]),
    (strict(INT64), '{"x": 9223372036854775808}', ["/x: expected int64 (-9223372036854775808 to 9223372036854775807), got 9223372036854775808"]),
    (strict(UINT64), '{"x": -1}', ["/x: expected uint64 (0 to 18446744073709551615), got -1"]),
    (strict(HALF), '{"x": 65520}', ["/x: expected finite float16 number, got 65520"]),
    (strict(BFLOAT16), '{"x": 3.4e38}', ["/x: expected finite bfloat16 number, got 3.4e+38"]),
    (strict(DOUBLE), '{"x": -Infinity}', ["/x: expected finite float64 number, got -Infinity"]),
    (strict(BOOL), '{"x": 1}', ["/x: expected true or false, got 1"]),
    (strict(STRING), '{"x": 1}', ["/x: expected string, got 1"]),
    (strict(STRING), '{"data": {"b64": "*"}}', ['/data: expected string or {"b64": base64 text}, got {"b64": "*"}']),
    (AGES, '{"age": "x", "nmae": "a"}', ['/age: expected int64, got string "x"', "/name: expected string, got nothing", "/nmae: expected only the inputs age, name, got an unknown name"]),
    (AGES, '{"data": 1}', ["/age: expected int64, got nothing", "/name: expected string, got nothing", "/data: expected only the inputs age, name, got an unknown name"]),
    (signature(a=(INT32, (None,), True), b=(INT32, (None,))), "{}", ["/b: expected int32, got nothing"]),
    (signature(a=(INT32, (None,), True)), '{"a": null}', ["/a: expected int32, got null"]),
    (VECTOR, '{"features": [1, 2, 3], "features": [1, 2, 3]}', ["/features: expected each input once, got a repeated name"]),
    (VECTOR, '{"data": [1, 2, 3], "d\\u0061ta": [4, 5, 6], "data": 7}', ["/data: expected each input once, got a repeated name"]),
    (AGES, '{"age": "x", "name": "a", "age": 1, "name": "b"}', ["/age: expected each input once, got a repeated name", "/name: expected each input once, got a repeated name", '/age: expected int64, got string "x"']),
    (AGES, '{"age": 1, "name": {"b64": "AA==", "b64": "AQ=="}}', ['/name: expected string, got an object with "b64" more than once']),
    (VECTOR, '{"features": [1, {"a": 1, "b": 2, "a": 3}, 3]}', ['/features/1: expected float32 number, got an object with "a" more than once']),
]  # fmt: skip


def refused(model, body):
    with pytest.raises(InvalidArgument) as refusal:
        load_example(parse_json(body.encode(), strict=True), model)
    return refusal.value


@pytest.mark.parametrize(("model", "body", "problems"), SIMPLE, ids=[body for _, body, _ in SIMPLE])
def test_simple_tells_every_problem_in_one_line(model, body, problems):
    refusal = refused(model, body)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    assert refusal.message == f"{count}: " + "; ".join(problems)
    assert [str(problem) for problem in refusal.problems] == problems
    assert refusal.omitted == 0


def test_the_tables_are_as_long_as_they_were_meant_to_be():
    assert len(SIMPLE) >= 40


def test_simple_message_tells_twenty_problems_and_how_many_there_are_besides():
    refusal = refused(signature(x=(INT32, (None, None))), '{"x": [' + "null, " * 49 + "null]}")
    assert refusal.message.startswith("50 problems: ")
    assert refusal.message.endswith("; … and 30 more")
    assert (len(refusal.problems), refusal.omitted) == (20, 30)


def test_long_values_and_names_are_cut():
    refusal = refused(strict(INT32), '{"x": "' + "a" * 1000 + '", "' + "k" * 1000 + '": 1}')
    assert refusal.problems[0].got == 'string "' + "a" * 40 + '…"'
    assert refusal.problems[1].pointer == "/" + "k" * 200 + "…"
