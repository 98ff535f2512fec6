"""The functions of the view Try, called in the browser: tensors from what people type, pictures, summaries, code."""

import ast
import subprocess

import pytest

X = {"name": "x", "dtype": "float", "shape": [-1, 2]}


@pytest.fixture(scope="module")
def run(browser, console_stack):
    """Calls a function of one of the page's modules with values; an error that is thrown is its text."""
    from tests.console.page import Page

    page = Page(browser, console_stack.address, console_stack.keys["admin"])
    page.open("about")

    def call(module: str, name: str, *arguments: object):
        script = """
        const found = (await import(given[0]))[given[1]];
        try { return found(...given[2]); } catch (error) { if (error.field) return error.message; throw error; }
        """
        return page.asynchronous(script, page.module(module), name, list(arguments))

    return call


@pytest.mark.parametrize(
    ("value", "dtype", "shape", "expected"),
    [
        (["0.10", "1e-7", " 5 "], "float", [-1], ["0.10", "1e-7", "5"]),
        ([".5", "1.", "+3", "0x10"], "float", [-1], ["0.5", "1", "3", "16"]),
        (["NaN", "-Infinity"], "double", [-1], ["NaN", "-Infinity"]),
        (["9007199254740993", "-9223372036854775808"], "int64", [-1], ["9007199254740993", "-9223372036854775808"]),
        (["18446744073709551615"], "uint64", [-1], ["18446744073709551615"]),
        (["+007"], "int8", [-1], ["7"]),
        (["TRUE", "false"], "bool", [-1], ["true", "false"]),
        (['a"b', {"b64": "/w=="}], "string", [-1], ['"a\\"b"', '{"b64":"/w=="}']),
        ([["1", "2"], ["3", "4"]], "int32", None, [["1", "2"], ["3", "4"]]),
        ("1", "int32", [], "1"),
        (["9223372036854775808"], "int64", [-1], 'x[0]: expected a number that int64 holds, got "9223372036854775808"'),
        (["-1"], "uint8", [-1], 'x[0]: expected a number that uint8 holds, got "-1"'),
        (["1.0"], "int32", [-1], 'x[0]: expected a whole number (int32), got "1.0"'),
        (["1,5"], "float", [-1], 'x[0]: expected a number (float), got "1,5"'),
        (["65520"], "half", [-1], 'x[0]: expected a number (half), got "65520"'),
        ([{"b64": "AA=="}], "float", [-1], 'x[0]: expected a number (float), got "[object Object]"'),
        (["1"], "complex64", [-1], "x[0]: expected a dtype that JSON has, got complex64"),
        ([["1", "2"], ["3"]], "float", [-1, -1], "x[1]: expected 2 elements, got 1"),
        ([["1", "2", "3"]], "float", [-1, 2], "x[0]: expected 2 elements, got 3"),
        (["1"], "float", [-1, 2], "x[0]: expected a list, as the shape is [-1,2], got 1"),
        ([[["1"]]], "float", [-1, 1], "x[0][0]: expected one float, got a list of 1"),
        ([["1"], "2"], "float", None, "x[1]: expected a list, as the shape is [?], got 2"),
    ],
    ids=str,
)
def test_elements_are_checked_and_keep_their_digits(run, value, dtype, shape, expected):
    assert run("tensor.js", "tokens", value, {"name": "x", "dtype": dtype, "shape": shape}) == expected


@pytest.mark.parametrize(
    ("text", "dtype", "expected"),
    [
        ("[[1.50, -2e3],\n [9007199254740993, NaN]]", "float", [["1.50", "-2e3"], ["9007199254740993", "NaN"]]),
        ('["a\\n\\"b", { "b64" : "AA==" }, "[1]"]', "string", ['a\n"b', {"b64": "AA=="}, "[1]"]),
        ("[]", "float", []),
        ("7", "int32", "7"),
        ("[1,]", "float", 'x: expected float at character 4, got "]"'),
        ("[1 2]", "float", 'x: expected "," or "]" at character 3, got " 2]"'),
        ("[1", "float", 'x: expected "," or "]" at character 3, got ""'),
        ("[1]]", "float", 'x: expected the end at character 4, got "]"'),
        ('["1"]', "float", 'x: expected float at character 2, got "\\"1\\"]"'),
        ("[1]", "string", 'x: expected a text in quotes or {"b64": ".."} at character 2, got "1]"'),
    ],
)
def test_json_is_read_as_it_is_written(run, text, dtype, expected):
    assert run("tensor.js", "readJson", text, {"name": "x", "dtype": dtype}) == expected


COLUMNS = [{"label": "sku", "dtype": "string"}, {"label": "x[0]", "dtype": "float"}]
NUMBERS = [{"label": "a", "dtype": "float"}, {"label": "b", "dtype": "int32"}]


@pytest.mark.parametrize(
    ("pasted", "columns", "expected"),
    [
        ("a\t1\nb\t2", COLUMNS, [["a", "1"], ["b", "2"]]),
        ("X[0]\tSKU \r\n1\ta\r\n", COLUMNS, [["a", "1"]]),
        ("sku\nmug", COLUMNS, [["mug", None]]),
        ('"a\tb ""c""\nd"\t1', COLUMNS, [['a\tb "c"\nd', "1"]]),
        ("a;1,5", COLUMNS, [["a", "1,5"]]),
        ("a,1\nb,", COLUMNS, [["a", "1"], ["b", ""]]),
        ("first,second\n1,2", NUMBERS, [["1", "2"]]),
        ("1,2\n3,4", NUMBERS, [["1", "2"], ["3", "4"]]),
        ("1,5\t2,5", NUMBERS, [["1,5", "2,5"]]),
        ("1,5\n2,5", NUMBERS[:1], [["1,5"], ["2,5"]]),
        ("One, two\nthree; four", COLUMNS[:1], [["One, two"], ["three; four"]]),
        ('a\t"b', COLUMNS, "line 1 of the table: expected cells, got a quote that is not closed"),
    ],
)
def test_tables_are_read_with_and_without_a_header(run, pasted, columns, expected):
    assert run("tensor.js", "table", pasted, columns) == expected


@pytest.mark.parametrize("dtype", ["float", "double", "half", "int8", "uint8", "int64", "uint64", "bool", "string"])
@pytest.mark.parametrize("shape", [[-1], [-1, 2, 3], [], [4], None])
def test_blank_tensors_fit_their_input(run, dtype, shape):
    tensor = {"name": "x", "dtype": dtype, "shape": shape}
    assert "expected" not in str(run("tensor.js", "tokens", run("tensor.js", "filled", tensor, 3), tensor))
    assert isinstance(run("tensor.js", "tokens", run("tensor.js", "random", dtype), tensor | {"shape": []}), str)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([8, 8], {"height": 8, "width": 8, "channels": 1, "kind": "plane"}),
        ([28, 28, 1], {"height": 28, "width": 28, "channels": 1, "kind": "pixels"}),
        ([-1, -1, 3], {"height": 224, "width": 224, "channels": 3, "kind": "pixels"}),
        ([784], {"height": 28, "width": 28, "channels": 1, "kind": "flat"}),
        ([10], None),
        ([63], None),
        ([8, 7], None),
        ([28, 28, 2], None),
        ([2, 28, 28, 3], None),
        ([], None),
    ],
)
def test_shapes_of_pictures_are_told(run, shape, expected):
    assert run("image.js", "imageShape", shape) == expected


def pixels(values: list[int]) -> dict:
    side = int(len(values) ** 0.5)
    return {"data": [part for value in values for part in (value, value, value, 255)], "width": side, "height": side}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"min": 0, "max": 16}, [["16", "0"], ["0", "4"]]),
        ({"min": 0, "max": 255, "whole": True}, [["255", "0"], ["0", "64"]]),
        ({"min": -1, "max": 1}, [["1", "-1"], ["-1", "-0.5"]]),
        ({"min": 0, "max": 1, "invert": True}, [["0", "1"], ["1", "0.75"]]),
    ],
)
def test_pixels_are_the_means_of_what_is_under_them(run, options, expected):
    picture = pixels([255, 255, 0, 0, 255, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0])
    shape = {"height": 2, "width": 2, "channels": 1, "kind": "plane"}
    assert run("image.js", "toRow", picture, shape, options) == expected


def test_ink_is_cut_out_and_put_into_the_middle(run):
    picture = pixels([255 if 60 <= x < 80 and 10 <= y < 50 else 0 for y in range(100) for x in range(100)])
    shape = {"height": 8, "width": 8, "channels": 1, "kind": "plane"}
    rows = run("image.js", "toRow", picture, shape, {"min": 0, "max": 1, "fit": True})
    assert rows == [["0", "0", "1", "1", "1", "1", "0", "0"]] * 8


def test_a_row_of_three_channels_has_them(run):
    red = {"data": [255, 0, 51, 255] * 64, "width": 8, "height": 8}
    rows = run("image.js", "toRow", red, {"height": 8, "width": 8, "channels": 3, "kind": "pixels"}, {"min": 0, "max": 1})
    assert rows == [[["1", "0", "0.2"]] * 8] * 8
    flat = run("image.js", "toRow", red, {"height": 8, "width": 8, "channels": 1, "kind": "flat"}, {"min": 0, "max": 1})
    assert flat == ["0.3218"] * 64


def test_large_tensors_are_summarised(run):
    found = run("answer.js", "brief", [[i / 4 for i in range(1000)]] * 3, "float")
    assert found == "float[3,1000] from 0 to 249.75, mean 124.875: 0, 0.25, 0.5, 0.75, 1, …"
    assert run("answer.js", "brief", [0.1, 0.20000000298023224], "float") == "[0.1, 0.2]"
    assert run("answer.js", "summary", ["a"]) is None


ODD = 'it\'s $HOME `id` "quoted" \\n \\\\ \n\t! é 日 #'


@pytest.mark.parametrize("text", [ODD, "'", "''", "-", "a'b'c", "\\'"])
def test_a_shell_reads_a_quoted_text_as_it_is(run, text):
    word = run("code.js", "quoted", text)
    assert subprocess.run(["sh", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout == text.encode()


def test_bodies_of_all_dialects_have_the_same_digits(run):
    request = {
        "model": "a b/c",
        "version": "2",
        "inputs": [X, X | {"name": 'y"'}],
        "signature": "serving_default",
        "isRows": True,
    }
    found = run("code.js", "requests", request, {"x": [["1.0", "2"], ["3", "4"]], 'y"': [["5", "6"], ["7", "8.50"]]})
    assert found["v1"] == {
        "path": "v1/models/a%20b%2Fc/versions/2:predict",
        "body": '{"instances":[{"x":[1.0,2],"y\\"":[5,6]},{"x":[3,4],"y\\"":[7,8.50]}]}',
    }
    assert found["v2"]["body"] == (
        '{"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[1.0,2,3,4]},'
        '{"name":"y\\"","datatype":"FP32","shape":[2,2],"data":[5,6,7,8.50]}]}'
    )
    assert found["predict"]["body"] == '{"x":[1.0,2],"y\\"":[5,6]}'
    assert found["predict"]["note"] == "it asks the version that clients get; it takes one row, and this is the first"
    columns = run("code.js", "requests", request | {"isRows": False, "signature": "s", "inputs": [X]}, {"x": [["1", "2"]]})
    assert columns["v1"]["body"] == '{"signature_name":"s","inputs":[[1,2]]}'
    assert columns["v2"]["body"].startswith('{"parameters":{"signature_name":"s"},"inputs":')


def test_programs_send_exactly_the_body(run, tmp_path):
    body = '{"instances":["' + ODD.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"]}'
    for wanted in (body, body + " " * 200_000):  # longer than one argument of a program may be
        program = run("code.js", "program", "curl", "http://127.0.0.1:9/x", wanted, True)
        assert 'Authorization: Bearer $GATEWAY_KEY"' in program
        stub = """curl() {
          for one; do
            case "$last" in --data-binary) [ "$one" = "@-" ] && cat || printf %s "$one";; esac
            last=$one
          done
        };"""
        (tmp_path / "program.sh").write_text(f"{stub} {program}")
        assert subprocess.run(["bash", tmp_path / "program.sh"], capture_output=True, check=True).stdout == wanted.encode()
    python = run("code.js", "program", "Python", "http://127.0.0.1:9/x", body, False)
    [line] = [line for line in python.splitlines() if line.startswith("body = ")]
    assert ast.literal_eval(line.removeprefix("body = ")) == body
