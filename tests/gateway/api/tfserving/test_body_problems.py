"""Documents that do not fit: TensorFlow Serving's text for the first problem, and the place of every problem."""
# ruff: noqa: E501  a row of these tables is read across

import pytest

from gateway.api.tfserving.body import load_predict_body as load
from gateway.codec.json_text import parse_json
from gateway.codec.problems import MAX_PROBLEMS
from gateway.errors import InvalidArgument
from gateway.inference.dtypes import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT8,
    INT32,
    INT64,
    STRING,
    UINT8,
    UINT32,
    UINT64,
)
from gateway.inference.signature import Signature, TensorSpec
from tests.gateway.api.signatures import signature


def x(dtype):
    return signature(x=(dtype, None))


AGES = signature(age=(INT64, (None,)), name=(STRING, (None,)))


ODD = Signature("s", "tensorflow/serving/predict", (TensorSpec("a/b~c", INT32, (None,)), TensorSpec("d", INT32, (None,))), ())


def wrong(value, kind, dtype):
    return f"JSON Value: {value} Type: {kind} is not of expected type: {dtype}"


def in_row(row, text, key=""):
    return f"Failed to process element: {row}{key and f' key: {key}'} of 'instances' list. Error: INVALID_ARGUMENT: {text}"


# model, body, upstream's text for the first problem, "pointer: expected ..., got ..." of every problem
COLUMNAR = [
    (x(FLOAT), '{"inputs": [true]}', wrong("true", "True", "float"), ["/inputs/0: expected float32 number, got true"]),
    (x(FLOAT), '{"inputs": [1, null]}', wrong("null", "Null", "float"), ["/inputs/1: expected float32 number, got null"]),
    (x(FLOAT), '{"inputs": null}', wrong("null", "Null", "float"), ["/inputs: expected float32 number, got null"]),
    (x(FLOAT), '{"inputs": ["1.0"]}', wrong('"1.0"', "String", "float"), ['/inputs/0: expected float32 number, got string "1.0"']),
    (x(FLOAT), '{"inputs": "abc"}', wrong('"abc"', "String", "float"), ['/inputs: expected float32 number, got string "abc"']),
    (x(FLOAT), '{"inputs": [false, 1, {"a": 1}]}', wrong("false", "False", "float"), ["/inputs/0: expected float32 number, got false", "/inputs/2: expected float32 number, got an object"]),
    (x(FLOAT), '{"inputs": [{"b64": "AA=="}]}', wrong('{\n    "b64": "AA=="\n}', "Object", "float"), ['/inputs/0: expected float32 number, got {"b64": "AA=="}']),
    (x(FLOAT), '{"inputs": {"b64": "AA=="}}', wrong('{\n    "b64": "AA=="\n}', "Object", "float"), ['/inputs: expected float32 number, got {"b64": "AA=="}']),
    (x(DOUBLE), '{"inputs": [{}]}', wrong("{}", "Object", "double"), ["/inputs/0: expected float64 number, got an empty object"]),
    (x(INT32), '{"inputs": [1.0]}', wrong("1.0", "Number", "int32"), ["/inputs/0: expected int32, got 1.0"]),
    (x(INT32), '{"inputs": [1e2, 2]}', wrong("100.0", "Number", "int32"), ["/inputs/0: expected int32, got 100.0"]),
    (x(INT32), '{"inputs": [2147483648]}', wrong("2147483648", "Number", "int32"), ["/inputs/0: expected int32 (-2147483648 to 2147483647), got 2147483648"]),
    (x(INT32), '{"inputs": [-2147483649]}', wrong("-2147483649", "Number", "int32"), ["/inputs/0: expected int32 (-2147483648 to 2147483647), got -2147483649"]),
    (x(INT8), '{"inputs": [300, 2147483648]}', wrong("2147483648", "Number", "int8"), ["/inputs/1: expected int8 (-2147483648 to 2147483647), got 2147483648"]),
    (x(UINT8), '{"inputs": ["1"]}', wrong('"1"', "String", "uint8"), ['/inputs/0: expected uint8, got string "1"']),
    (x(INT64), '{"inputs": [9223372036854775808]}', wrong("9223372036854775808", "Number", "int64"), ["/inputs/0: expected int64 (-9223372036854775808 to 9223372036854775807), got 9223372036854775808"]),
    (x(INT64), '{"inputs": [NaN]}', wrong("", "Number", "int64"), ["/inputs/0: expected int64, got NaN"]),
    (x(UINT32), '{"inputs": [-1, 4294967296]}', wrong("-1", "Number", "uint32"), ["/inputs/0: expected uint32 (0 to 4294967295), got -1", "/inputs/1: expected uint32 (0 to 4294967295), got 4294967296"]),
    (x(UINT64), '{"inputs": [-1]}', wrong("-1", "Number", "uint64"), ["/inputs/0: expected uint64 (0 to 18446744073709551615), got -1"]),
    (x(UINT64), '{"inputs": [18446744073709551616]}', wrong("1.8446744073709552e19", "Number", "uint64"), ["/inputs/0: expected uint64, got 1.8446744073709552e+19"]),
    (x(BOOL), '{"inputs": [1, "true", null]}', wrong("1", "Number", "bool"), ["/inputs/0: expected true or false, got 1", '/inputs/1: expected true or false, got string "true"', "/inputs/2: expected true or false, got null"]),
    (x(STRING), '{"inputs": [1, true]}', wrong("1", "Number", "string"), ["/inputs/0: expected string, got 1", "/inputs/1: expected string, got true"]),
    (x(STRING), '{"inputs": [{"b64": "_-8="}]}', "Unable to base64 decode", ['/inputs/0: expected string or {"b64": base64 text}, got {"b64": "_-8="}']),
    (x(STRING), '{"inputs": [{"b64": "aGVsbG8=="}, {"b64": "a"}, {"b64": "\u00e9"}]}', "Unable to base64 decode", ['/inputs/0: expected string or {"b64": base64 text}, got {"b64": "aGVsbG8=="}', '/inputs/1: expected string or {"b64": base64 text}, got {"b64": "a"}', '/inputs/2: expected string or {"b64": base64 text}, got {"b64": "\u00e9"}']),
    (x(STRING), '{"inputs": [{"b64": 5}]}', 'JSON Value: {\n    "b64": 5\n} not formatted correctly for base64 data', ['/inputs/0: expected string or {"b64": base64 text}, got an object']),
    (x(FLOAT), '{"inputs": [[1, 2], [3]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 2", ["/inputs/1: expected list of 2 numbers, got list of 1"]),
    (x(FLOAT), '{"inputs": [[1, 2], [3, null, true]]}', "Encountered list at unexpected size: 3 at level: 1 expected size: 2", ["/inputs/1: expected list of 2 numbers, got list of 3", "/inputs/1/1: expected float32 number, got null", "/inputs/1/2: expected float32 number, got true"]),
    (x(FLOAT), '{"inputs": [1, [2]]}', "Encountered list at unexpected level: 1 expected < 1", ["/inputs/1: expected float32 number, got list of 1"]),
    (x(FLOAT), '{"inputs": [[1], 2]}', "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2", ["/inputs/1: expected list of 1 number, got 2"]),
    (x(FLOAT), '{"inputs": [[], [[]]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 0", ["/inputs/1: expected list of 0 numbers, got list of 1", "/inputs/1/0: expected float32 number, got an empty list"]),
    (x(FLOAT), '{"inputs": [[["a"], [1]], [[2], ["b"]]]}', wrong('"a"', "String", "float"), ['/inputs/0/0/0: expected float32 number, got string "a"', '/inputs/1/1/0: expected float32 number, got string "b"']),
    (x(FLOAT), '{"inputs": {"z": 1}}', "Missing named input: x in 'inputs' object.", ["/inputs/x: expected float32 number, got nothing"]),
    (AGES, '{"inputs": {}}', "Missing named input: age in 'inputs' object.", ["/inputs/age: expected int64, got nothing", "/inputs/name: expected string, got nothing"]),
    (AGES, '{"inputs": {"name": [1], "age": ["x", 2]}}', wrong('"x"', "String", "int64"), ['/inputs/age/0: expected int64, got string "x"', "/inputs/name/0: expected string, got 1"]),
    (AGES, '{"inputs": {"name": [1]}}', "Missing named input: age in 'inputs' object.", ["/inputs/age: expected int64, got nothing", "/inputs/name/0: expected string, got 1"]),
    (signature(x=(FLOAT, (None,), True)), '{"inputs": {}}', "Missing named input: x in 'inputs' object.", ["/inputs/x: expected float32 number, got nothing"]),
    (ODD, '{"inputs": {"a/b~c": ["x"], "d": 1}}', wrong('"x"', "String", "int32"), ['/inputs/a~1b~0c/0: expected int32, got string "x"']),
]  # fmt: skip


ROW = [
    (x(FLOAT), '{"instances": ["x", 1]}', in_row(0, wrong('"x"', "String", "float")), ['/instances/0: expected float32 number, got string "x"']),
    (x(FLOAT), '{"instances": [1, null, 2, true]}', in_row(1, wrong("null", "Null", "float")), ["/instances/1: expected float32 number, got null", "/instances/3: expected float32 number, got true"]),
    (x(INT32), '{"instances": [[1, 2], [3, 4], [5, 6, 7]]}', in_row(2, "Expecting tensor size: 2 but got: 3"), ["/instances/2: expected list of 2 integers, got list of 3"]),
    (x(INT32), '{"instances": [[1, 2], [3, 4], [[5, 6]]]}', in_row(2, "Expecting shape [2] but got: [1,2]"), ["/instances/2: expected list of 2 integers, got list of 1", "/instances/2/0: expected int32, got list of 2"]),
    (x(INT32), '{"instances": [1, [2]]}', in_row(1, "Expecting shape [] but got: [1]"), ["/instances/1: expected int32, got list of 1"]),
    (x(FLOAT), '{"instances": [[1], []]}', in_row(1, "Expecting tensor size: 1 but got: 0"), ["/instances/1: expected list of 1 number, got an empty list"]),
    (x(FLOAT), '{"instances": [[1, [2]]]}', in_row(0, "Encountered list at unexpected level: 1 expected < 1"), ["/instances/0/1: expected float32 number, got list of 1"]),
    (x(FLOAT), '{"instances": [[[1, 2], 3]]}', in_row(0, "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"), ["/instances/0/1: expected list of 2 numbers, got 3"]),
    (x(FLOAT), '{"instances": [{"b64": "AA=="}]}', in_row(0, wrong('{\n    "b64": "AA=="\n}', "Object", "float")), ['/instances/0: expected float32 number, got {"b64": "AA=="}']),
    (x(STRING), '{"instances": ["a", {"b64": "a"}]}', in_row(1, "Unable to base64 decode"), ['/instances/1: expected string or {"b64": base64 text}, got {"b64": "a"}']),
    (x(STRING), '{"instances": [["a", {"c": 1}]]}', in_row(0, 'JSON Value: {\n    "c": 1\n} not formatted correctly for base64 data'), ['/instances/0/1: expected string or {"b64": base64 text}, got an object']),
    (x(STRING), '{"instances": ["a", {"x": "b"}]}', "Expecting value/list but got object at item 1 of input list", ['/instances/1: expected string or {"b64": base64 text}, got an object']),
    (x(STRING), '{"instances": [{"b64": 5}]}', in_row(0, "JSON object: does not have named input: b64", "b64"), ["/instances/0/x: expected string (every instance needs it), got nothing", "/instances/0/b64: expected only the inputs x, got an unknown name"]),
    (x(FLOAT), '{"instances": [{"z": 1}]}', in_row(0, "JSON object: does not have named input: z", "z"), ["/instances/0/x: expected float32 number (every instance needs it), got nothing", "/instances/0/z: expected only the inputs x, got an unknown name"]),
    (AGES, '{"instances": [{"age": 1, "name": "a"}, [1], {"b64": "AA=="}]}', "Expecting object but got list at item 1 of input list", ["/instances/1: expected an object with age, name, got list of 1", '/instances/2: expected an object with age, name, got {"b64": "AA=="}']),
    (AGES, '{"instances": [{"age": 2.7, "name": "a"}, {"age": 1, "name": null}]}', in_row(0, wrong("2.7", "Number", "int64"), "age"), ["/instances/0/age: expected int64, got 2.7", "/instances/1/name: expected string, got null"]),
    (AGES, '{"instances": [{"name": "a", "age": 1}, {"age": 1}, {"name": 3}]}', "Failed to process element: 1 of 'instances' list. JSON object: {\n    \"age\": 1\n} keys must be equal to: age,name", ["/instances/1/name: expected string (every instance needs it), got nothing", "/instances/2/age: expected int64 (every instance needs it), got nothing", "/instances/2/name: expected string, got 3"]),
    (AGES, '{"instances": [{"age": 1, "name": 5}, {"age": "x", "name": "a"}]}', in_row(0, wrong("5", "Number", "string"), "name"), ["/instances/0/name: expected string, got 5", '/instances/1/age: expected int64, got string "x"']),
    (AGES, '{"instances": [{}]}', "Failed to process element: 0 of 'instances' list. JSON object: {} keys must be equal to: age,name", ["/instances/0/age: expected int64 (every instance needs it), got nothing", "/instances/0/name: expected string (every instance needs it), got nothing"]),
    (AGES, '{"instances": [{"age": 1, "name": "a"}, {"name": 3, "age": "y"}]}', in_row(1, wrong("3", "Number", "string"), "name"), ['/instances/1/age: expected int64, got string "y"', "/instances/1/name: expected string, got 3"]),
    (AGES, '{"instances": [{"age": [1], "name": "a"}, {"age": [1, 2], "name": "b"}]}', in_row(1, "Expecting tensor size: 1 but got: 2", "age"), ["/instances/1/age: expected list of 1 integer, got list of 2"]),
    (AGES, '{"instances": [{"age": [[1, 2]], "name": "a"}, {"age": [1, 2], "name": "b"}]}', in_row(1, "Expecting shape [1,2] but got: [2]", "age"), ["/instances/1/age: expected list of 1 list, got list of 2", "/instances/1/age/0: expected list of 2 integers, got 1", "/instances/1/age/1: expected list of 2 integers, got 2"]),
    (ODD, '{"instances": [{"a/b~c": 1, "d": 1}, {"a/b~c": [], "d": 1, "/": 2}]}', in_row(1, "Expecting tensor size: 1 but got: 0", "a/b~c"), ["/instances/1/~1: expected only the inputs a/b~c, d, got an unknown name", "/instances/1/a~1b~0c: expected int32, got an empty list"]),
]  # fmt: skip


def refused(model, body):
    with pytest.raises(InvalidArgument) as refusal:
        load(parse_json(body.encode()), model)
    return refusal.value


@pytest.mark.parametrize(("model", "body", "text", "problems"), COLUMNAR + ROW, ids=[body for _, body, _, _ in COLUMNAR + ROW])
def test_predict_tells_upstreams_first_problem_and_then_every_problem(model, body, text, problems):
    refusal = refused(model, body)
    assert refusal.message == "\n".join([text, *problems])
    assert [str(problem) for problem in refusal.problems] == problems
    assert refusal.omitted == 0


def test_the_tables_are_as_long_as_they_were_meant_to_be():
    assert len(COLUMNAR) + len(ROW) >= 50


def test_a_message_tells_twenty_problems_and_how_many_there_are_besides():
    lines = refused(x(INT32), '{"instances": [' + "null, " * 49 + "null]}").message.split("\n")
    assert len(lines) == 1 + MAX_PROBLEMS + 1
    assert lines[-1] == "… and 30 more"


def test_the_first_problem_is_found_behind_more_than_are_kept():
    rows = '{"age": 1, "name": 5}, ' + '{"age": null, "name": "a"}, ' * 500 + '{"age": 1, "name": "a"}'
    refusal = refused(AGES, f'{{"instances": [{rows}]}}')
    assert refusal.message.startswith(in_row(0, wrong("5", "Number", "string"), "name"))
    assert refusal.problems[0].pointer == "/instances/0/name"
    assert len(refusal.problems) + refusal.omitted == 501


def test_rank_beyond_what_an_array_can_have_is_refused():
    refusal = refused(x(INT32), '{"inputs": ' + "[" * 65 + "]" * 65 + "}")
    assert refusal.message.split("\n")[1] == "/inputs: expected at most 64 nested lists, got 65 of them"
    refusal = refused(x(INT32), '{"instances": ' + "[" * 65 + "]" * 65 + "}")
    assert refusal.message.split("\n")[1] == "/instances: expected at most 64 nested lists, got 65 of them"
    refusal = refused(x(INT32), '{"instances": [{"x": ' + "[" * 64 + "]" * 64 + "}]}")
    assert refusal.problems
