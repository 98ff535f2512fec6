"""How a body is read: what plain JSON is, what TensorFlow Serving takes beyond it, and every refusal."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec.json_text import dump_json, parse_json
from gateway.codec.problems import Repeating
from gateway.codec.raw_text import bytes_of_raw_text
from gateway.errors import InvalidArgument

ACCEPTED = {
    "object": (b'{"a": [1, 2.5, "x", true, false, null]}', {"a": [1, 2.5, "x", True, False, None]}),
    "white space around": (b' \t\r\n{"a": 1}\n', {"a": 1}),
    "bytes after the document": (b'{"a": 1} and then [', {"a": 1}),
    "bytes after the document that are not UTF-8": (b'{"a": 1} \xff\xfe', {"a": 1}),
    "NUL after the document": (b'{"a": 1}\x00', {"a": 1}),
    "byte order mark": (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    "repeated key": (b'{"a": 1, "b": 2, "a": 3}', {"a": 1, "b": 2}),
    "repeated key in a list": (b'{"instances": [{"a": 1, "a": 2}]}', {"instances": [{"a": 1}]}),
    "repeated key deep inside": (b'{"x": [[{"a": 1, "a": 2}]]}', {"x": [[{"a": 1}]]}),
    "repeated key spelled otherwise": (b'{"a": 1, "\\u0061": 2}', {"a": 1}),
    "infinities": (b"[Infinity, -Infinity, Inf, -Inf]", [math.inf, -math.inf, math.inf, -math.inf]),
    "tokens inside strings": (b'["Inf", "-NaN \\" Inf", Inf]', ["Inf", '-NaN " Inf', math.inf]),
    "minus zero as an integer": (b"[-0]", [0]),
    "largest uint64": (b"[18446744073709551615]", [18446744073709551615]),
    "smallest int64": (b"[-9223372036854775808]", [-9223372036854775808]),
    "beyond uint64": (b"[18446744073709551616]", [18446744073709551616.0]),
    "beyond int64": (b"[-9223372036854775809]", [-9223372036854775808.0]),
    "beyond uint64 beside a token": (b"[18446744073709551616, Infinity]", [18446744073709551616.0, math.inf]),
    "300 digits": (b"[" + b"1" * 300 + b", Infinity]", [float("1" * 300), math.inf]),
    "underflow": (b"[1e-400]", [0.0]),
    "exponents": (b"[1e3, 1E-2, -2.5e+1]", [1000.0, 0.01, -25.0]),
    "escapes": (b'["\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041"]', ['"\\/\b\f\n\r\tA']),
    "surrogate pair": (b'["\\ud83d\\ude00"]', ["\U0001f600"]),
    "surrogate pair beside a token": (b'["\\ud83d\\ude00", Infinity]', ["\U0001f600", math.inf]),
    "escaped backslash before u": (b'["\\\\ud83d", Infinity]', ["\\ud83d", math.inf]),
    "NUL in a string": (b'["a\\u0000b"]', ["a\x00b"]),
    "colons in a string": (b'{"a": "::::"}', {"a": "::::"}),
}

REFUSED = {
    "Invalid value.": [
        (b"nan", 0),
        (b"[Nan]", 1),
        (b"[nan]", 1),
        (b"[infinity]", 1),
        (b"[1,]", 3),
        (b"[,1]", 1),
        (b"[+1]", 1),
        (b"[.5]", 1),
        (b"[-]", 1),
        (b"[tru]", 1),
        (b"['a']", 1),
        (b"[", 1),
        (b'{"a": }', 6),
        (b'{"a":', 5),
        (b"/* no */ {}", 0),
        (b"instances = [1, 2]", 0),
        (b"\x00", 0),
        ("[\u00e9]".encode(), 1),
    ],
    "The document is empty.": [(b"   ", 3), (b"\xef\xbb\xbf", 3)],
    "Missing a name for object member.": [(b'{"a": 1,}', 8), (b"{'a': 1}", 1), (b"{bad", 1), (b"{", 1), (b"{1: 2}", 1)],
    "Missing a colon after a name of object member.": [(b'{"a" 1}', 5), (b'{"a"}', 4), (b'{"a"', 4)],
    "Missing a comma or '}' after an object member.": [
        (b'{"a": 1', 7),
        (b'{"a": [1]]', 9),
        (b'{"a": 1 "b": 2}', 8),
        (b'{"a": "]", "b": [[]] x', 21),
    ],
    "Missing a comma or ']' after an array element.": [
        (b"[1 2]", 3),
        (b"[1", 2),
        (b'["{", 1 2]', 8),
        (b"[01]", 2),
        (b"[1}", 2),
    ],
    "Miss fraction part in number.": [(b"[1.]", 2), (b"[1.e5]", 2), (b'{"a": -1.}', 8)],
    "Miss exponent in number.": [(b"[1e]", 2), (b"[1.5e+]", 4), (b"[1E]", 2)],
    "Number too big to be stored in double.": [
        (b"[1e400]", 1),
        (b"[-1e400]", 1),
        (b"[" + b"9" * 400 + b"]", 1),
        (b"[" + b"9" * 5000 + b"]", 1),
    ],
    "Missing a closing quotation mark in string.": [(b'["a]', 1), (b'["a\\"]', 1)],
    "Invalid escape character in string.": [(b'["a\nb"]', 3), (b'["\\x41"]', 2), (b'["\x01"]', 2)],
    "Incorrect hex digit after \\u escape in string.": [(b'["\\u00zz"]', 3), (b'["\\u12"]', 3)],
    "The surrogate pair in string is invalid.": [
        (b'["\\ud83d"]', 2),
        (b'["\\ud83d\\n"]', 2),
        (b'["\\ud83d \\ude00"]', 2),
        (b'["\\ud83d\\ud83d\\ude00"]', 2),
        (b'["\\ude00"]', 2),
        (b'{"\\ud83d": 1}', 2),
    ],
    "Invalid encoding in string.": [(b'["\xff"]', 2), (b'\xef\xbb\xbf["\xff"]', 5), (b'{"a": "b\xc3', 8)],
}
REFUSALS = [(body, reason, offset) for reason, bodies in REFUSED.items() for body, offset in bodies]


@pytest.mark.parametrize(("body", "value"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_body_is_read(body, value):
    read = parse_json(body)
    assert read == value
    assert repr(read) == repr(value), "integers and floats stay apart"


def test_an_object_with_a_repeated_name_is_told_where_reading_is_strict():
    body = b'{"b": [{"a": 1}], "a": {"c": 2, "c": 3, "d": 4}, "b": 5, "e": ":", "b": 6}'
    told = parse_json(body, strict=True)
    assert told == parse_json(body) == {"b": [{"a": 1}], "a": {"c": 2, "d": 4}, "e": ":"}
    assert [(type(value), value.repeated) for value in (told, told["a"])] == [(Repeating, ("b",)), (Repeating, ("c",))]
    assert type(told["b"][0]) is type(parse_json(body)) is type(parse_json(b'{"a": ":"}', strict=True)) is dict


NOT_ONE_DOCUMENT = {
    "a word": (b'{"a": 1} and', 'nothing after the JSON document, got "and"'),
    "a second document": (b'{"a": 1}\n{"a": 2}', 'nothing after the JSON document, got "{\\"a\\": 2}"'),
    "a bracket": (b'{"a": 1}}', 'nothing after the JSON document, got "}"'),
    "NUL": (b'{"a": 1}\x00', 'nothing after the JSON document, got "\\u0000"'),
    "bytes that are not UTF-8": (b'{"a": 1} x\xff', 'nothing after the JSON document, got "x\ufffd"'),
    "bytes after NaN": (b'{"a": -NaN} x', 'nothing after the JSON document, got "x"'),
    "many bytes": (b"1 " + b"y" * 10**6, f'nothing after the JSON document, got "{"y" * 40}…"'),
    "a byte order mark": (b'\xef\xbb\xbf{"a": 1}', "JSON without a byte order mark, got a byte order mark"),
}


@pytest.mark.parametrize(("body", "words"), NOT_ONE_DOCUMENT.values(), ids=NOT_ONE_DOCUMENT.keys())
def test_strictly_a_body_is_one_document_and_what_else_there_is_is_told(body, words):
    with pytest.raises(InvalidArgument) as refusal:
        parse_json(body, strict=True)
    (problem,) = refusal.value.problems
    assert refusal.value.message == f"JSON Parse error: {problem}"
    assert str(problem) == f"(body): expected {words}"
    parse_json(body)


@pytest.mark.parametrize("body", [b' {"a": 1}\r\n\t ', b"[NaN] ", b'["\xc3\xa9"] '])
def test_white_space_around_a_document_is_no_part_of_it(body):
    assert repr(parse_json(body, strict=True)) == repr(parse_json(body))


@given(st.binary(max_size=60) | st.text('[]{}",:0123456789.-+eEINnaftyrlus\\ \n', max_size=40).map(str.encode))
def test_what_is_read_strictly_is_read_otherwise_too(body):
    try:
        read = parse_json(body, strict=True)
    except InvalidArgument:
        return
    assert repr(read) == repr(parse_json(body))


@pytest.mark.parametrize("token", [b"NaN", b"-NaN"])
def test_nan_is_read(token):
    (value,) = parse_json(b"[" + token + b"]")
    assert math.isnan(value)


@pytest.mark.parametrize(("body", "reason", "offset"), REFUSALS)
def test_body_is_refused_in_the_words_of_rapidjson(body, reason, offset):
    with pytest.raises(InvalidArgument) as refusal:
        parse_json(body)
    assert refusal.value.message.startswith(f"JSON Parse error: {reason} at offset: ")
    assert abs(int(refusal.value.message.rsplit(" ", 1)[1]) - offset) <= 2, refusal.value.message


def test_empty_body_is_refused():
    with pytest.raises(InvalidArgument, match=r"^JSON Parse error: The document is empty$"):
        parse_json(b"")


@pytest.mark.parametrize(
    "body",
    [b"[" * 500_000, b"[" * 500_000 + b"]" * 500_000, b'{"a":' * 200_000 + b"1" + b"}" * 200_000],
    ids=["open lists", "closed lists", "objects"],
)
def test_absurd_nesting_is_refused_cleanly(body):
    with pytest.raises(InvalidArgument, match="nested too deeply"):
        parse_json(body)


@pytest.mark.parametrize("depth", [900, 1000, 1020, 1024, 1100])
def test_nesting_near_the_limits_of_the_decoders_is_read_or_refused(depth):
    value, message = outcome(b"[" * depth + b"]" * depth)
    assert dump_json(value) == "[" * 256 if message is None else "nested too deeply" in message


def outcome(body):
    try:
        return parse_json(body), None
    except InvalidArgument as refusal:
        return None, refusal.message


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_everything_that_python_writes_is_read_back(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=1)):
        assert repr(parse_json(text.encode())) == repr(value)


@given(st.binary(max_size=60) | st.text('[]{}",:0123456789.-+eEINnaftyrlus\\ \n', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(body):
    value, message = outcome(body)
    assert message is None or message.startswith("JSON Parse error: ")
    dump_json(value)


@given(JSON)
def test_both_decoders_read_the_same(value):
    """A body that takes the long way, for the bytes after it, gives what the short way gives."""
    body = json.dumps(value).encode()
    assert repr(parse_json(body + b" !")) == repr(parse_json(body))


DUMPS = {
    "scalars": ([1, 1.0, -0.5, True, False, None, "x"], '[1, 1.0, -0.5, true, false, null, "x"]'),
    "exponent": (1e300, "1e300"),
    "object": (
        {"instances": [[1, 2], [3]], "inputs": {}},
        '{\n    "instances": [[1, 2], [3]],\n    "inputs": {}\n}',
    ),
    "object in a list": ([{"b64": "AA=="}], '[{\n        "b64": "AA=="\n    }]'),
    "empty list": ([], "[]"),
    "escapes": ('a"\n\u00e9', '"a\\"\\n\u00e9"'),
    "NaN": (math.nan, ""),
    "NaN in a list": ([1, math.nan, 2], "[1, "),
}


@pytest.mark.parametrize(("value", "text"), DUMPS.values(), ids=DUMPS.keys())
def test_dump_is_indented_with_lists_on_one_line(value, text):
    assert dump_json(value) == text


@pytest.mark.parametrize("value", ["x" * 10**6, ["\u00e9" * 10**6], list(range(10**6)), {"k" * 10**6: 1}, [[[1] * 500] * 500]])
def test_dump_is_cut_at_256_bytes(value):
    assert 250 < len(dump_json(value).encode()) <= 256


@pytest.mark.parametrize(
    ("body", "strings"),
    [
        (b'["\xff", "ok"]', [b"\xff", b"ok"]),
        (b'["\xc3\xa9\xe9\\n"]', [b"\xc3\xa9\xe9\n"]),
        (b'["\\ude00"]', [b"\xed\xb8\x80"]),
        (b'["\\ud83d\\ude00\\udc80"]', ["\U0001f600".encode() + b"\xed\xb2\x80"]),
        (b'["\\\\ude00", "\xff"]', [b"\\ude00", b"\xff"]),
        (b'["a"]\xff', [b"a"]),
        (b'[Inf, "\xff"]', None),
    ],
)
def test_raw_strings_hold_any_bytes(body, strings):
    document = parse_json(body, raw_strings=True)
    assert strings is None or [bytes_of_raw_text(text) for text in document] == strings


@pytest.mark.parametrize("body", [b'{"\xff": 1}', b'{"\\ude00": 1}', b'[{"a": {"\xc3": "\xc3"}}]'])
def test_names_are_text_even_among_raw_strings(body):
    with pytest.raises(InvalidArgument, match=r"Invalid encoding in string\. at offset:"):
        parse_json(body, raw_strings=True)


def test_a_quoted_raw_string_is_legible():
    assert dump_json(parse_json(b'{"a": "\xff"}', raw_strings=True)) == '{\n    "a": "\ufffd"\n}'


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_raw_strings_too(body):
    try:
        document = parse_json(b"[" + body, raw_strings=True)
    except InvalidArgument as error:
        error.message.encode()
    else:
        dump_json(document).encode()
