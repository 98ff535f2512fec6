"""JSON bodies for random signatures, well formed and not: what the fast ways of reading are held against the schemas with."""

import json
import math
import re

import numpy as np
import orjson
from hypothesis import strategies as st

from gateway.api.simple.answer import prediction_value
from gateway.codec.datatypes import datatype_of
from gateway.codec.json_output import OPTIONS
from gateway.inference import dtypes
from gateway.inference.signature import Signature, TensorSpec

NO_FORM = (dtypes.COMPLEX64, dtypes.COMPLEX128)
WITH_FORM = [dtype for dtype in dtypes.DTYPES if dtype not in NO_FORM]
NAMES = st.sampled_from(
    ["x", "y", "a", "b", "x", "y", "b64", "data", "instances", "signature_name", "caf\u00e9", "a.b", 'q"', ""]
)
# So much white space that a list which has it is a large one.
WIDE = " " * 2100

FLOATS = [
    "0",
    "-0",
    "-0.0",
    "1",
    "2.5",
    "-1e-3",
    "1E+2",
    "16777217",
    "9007199254740993",
    "18446744073709551615",
    "5e-324",
    "1e-60",
]
FLOATS += [
    "65519.99",
    "65520",
    "3.4028234e38",
    "3.4028235677973362e38",
    "3.4028235677973366e38",
    "1e308",
    "-3.3961775292304601e38",
]
INTEGERS = ["0", "-0", "1", "-1", "127", "128", "255", "256", "-129", "65536", "2147483647", "2147483648", "4294967295"]
INTEGERS += ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615"]
STRINGS = [
    '""',
    '"a"',
    '"caf\u00e9"',
    '"\\n\\u0041"',
    '"\\ud83d\\ude00"',
    '{"b64": "aGk="}',
    '{"b64": "aGk"}',
    '{"b64": "_"}',
    '":"',
]
ODD = [
    *INTEGERS,
    "null",
    "true",
    '"1"',
    "1.0",
    "1e400",
    "-1e400",
    "1e-400",
    "18446744073709551616",
    "1" * 400,
    "[1]",
    "[]",
    "{}",
    "NaN",
    "-Inf",
]
ODD += [
    "Infinity",
    "1.",
    "01",
    "+1",
    "1e",
    "0x1",
    "3.4028236e38",
    "",
    "1 1",
    '{"b64": "x", "b64": "aGk="}',
    '"\\ud800"',
    "[[]]",
    "-",
]
TRAILS = ["", " ", "\n", "x", "]", "}", " [1, 2]", "\0", ', "instances": [1]}', "null"]


@st.composite
def signatures(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    return Signature("serving_default", "tensorflow/serving/predict", tuple(draw(specs(name)) for name in sorted(names)), ())


@st.composite
def specs(draw, name):
    dims = draw(st.lists(st.none() | st.integers(1, 3), max_size=3).map(lambda inner: (None, *inner)))
    if rarely(draw):
        dims = draw(st.none() | st.lists(st.none() | st.integers(0, 3), max_size=4).map(tuple))
    return TensorSpec(name, draw(st.sampled_from(WITH_FORM)), dims, draw(st.booleans()))


def rarely(draw):
    """Whether this is one of the odd cases; what is plain is what a failure shrinks to."""
    return draw(st.integers(0, 9)) == 9


def elements(dtype):
    if dtype == dtypes.STRING:
        return st.sampled_from(STRINGS)
    if dtype == dtypes.BOOL:
        return st.sampled_from(["true", "false"])
    if dtype.numpy.kind in "iu":
        bounds = np.iinfo(dtype.numpy)
        inside = [text for text in INTEGERS if bounds.min <= int(text) <= bounds.max]
        return st.integers(int(bounds.min), int(bounds.max)).map(str) | st.sampled_from(inside)
    return st.floats(-1e4, 1e4, width=16).map(repr) | st.sampled_from(FLOATS)


@st.composite
def lists(draw, dtype, shape, comma):
    """The JSON text of a tensor."""
    if not shape:
        return draw(elements(dtype))
    return "[" + comma.join(draw(lists(dtype, shape[1:], comma)) for _ in range(shape[0])) + "]"


@st.composite
def shapes(draw, dims, batch):
    """A shape as declared, mostly; ``batch`` is its dimension 0 if that is free."""
    if dims is None or rarely(draw):
        return tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    sizes = [draw(st.integers(0, 2) if rarely(draw) else st.just(2)) if size is None else size for size in dims]
    return (batch, *sizes[1:]) if dims and dims[0] is None else tuple(sizes)


@st.composite
def tensors(draw, spec, batch, comma):
    return draw(lists(spec.dtype, draw(shapes(spec.shape, batch)), comma))


COMMAS = st.sampled_from([",", ", ", ",\n\t", "," + WIDE, "," + WIDE])


@st.composite
def predict_bodies(draw, signature):
    """A :predict body for ``signature`` that is mostly one that it takes."""
    comma, batch = draw(COMMAS), draw(st.integers(1, 3))
    values = {spec.name: draw(tensors(spec, batch, comma)) for spec in signature.inputs}
    forms = ["named instances", "named inputs", *(["instances", "inputs"] if len(values) == 1 or rarely(draw) else [])]
    form = draw(st.sampled_from(forms))
    if form == "named instances":
        rows = [{spec.name: draw(tensors(row_of(spec), 1, comma)) for spec in signature.inputs} for _ in range(batch)]
        value = "[" + ", ".join(objects(row) for row in rows) + "]"
    else:
        value = objects(values) if form == "named inputs" else next(iter(values.values()))
    extra = draw(
        st.sampled_from(['"signature_name": "serving_default", ', '"extra": {"a": [1, {}]}, ', '"signature_name": 1, '])
    )
    return "{" + extra * rarely(draw) + json.dumps(form.split()[-1]) + ": " + value + "}"


def row_of(spec):
    return TensorSpec(spec.name, spec.dtype, spec.shape[1:] if spec.shape else spec.shape)


def objects(members):
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in members.items()) + "}"


@st.composite
def simple_bodies(draw, signature):
    """A ``/predict`` body for ``signature`` that is mostly one that it takes."""
    comma = draw(COMMAS)
    values = {}
    for spec in signature.inputs:
        dims = spec.shape[1:] if spec.has_free_batch else spec.shape
        values[spec.name] = draw(lists(spec.dtype, draw(shapes(dims, draw(st.integers(0, 2)))), comma))
    if len(values) == 1 and draw(st.booleans()):
        values = {"data": next(iter(values.values()))}
    if rarely(draw):
        values.pop(next(iter(values)))
    return objects(values)


@st.composite
def infer_inputs(draw, spec, comma):
    """One of the inputs of an inference request, flat or nested, mostly as ``spec`` has it."""
    shape = draw(shapes(spec.shape, draw(st.integers(1, 3))))
    sent = draw(lists(spec.dtype, draw(st.sampled_from([shape, (math.prod(shape),)])), comma))
    datatype = "FP32" if rarely(draw) else datatype_of(spec.dtype)
    members = {"name": json.dumps(spec.name), "datatype": json.dumps(datatype), "shape": str(list(shape)), "data": sent}
    return objects(members | ({"parameters": '{"binary_data_size": 4}'} if rarely(draw) else {}))


TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:"\s]+')


@st.composite
def damaged(draw, text):
    """``text`` with up to three changes, or none."""
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        tokens = list(TOKENS.finditer(text))
        if not tokens:
            return text
        token = draw(st.sampled_from(tokens))
        change = draw(st.sampled_from(["odd", "odd", "drop", "double", "bracket", "cut", "trail", "escape", "swap"]))
        head, word, tail = text[: token.start()], token[0], text[token.end() :]
        if change == "odd":
            text = head + draw(st.sampled_from(ODD)) + tail
        elif change == "drop":
            text = head + tail
        elif change == "double":
            text = head + word + draw(st.sampled_from([" ", ", "])) + word + tail
        elif change == "bracket":
            text = head + draw(st.sampled_from(["[", "]", ",", "{", "}", ":"])) + word + tail
        elif change == "cut":
            text = head + word
        elif change == "trail":
            text = text + draw(st.sampled_from(TRAILS))
        elif change == "escape":
            text = head + word.replace("a", "\\u0061") + tail
        else:
            text = repeated(text, draw(st.booleans()))
    return text


def repeated(text, first):
    """``text`` with one more of its first member, before or after the others."""
    name = re.search(r'"(?:[^"\\]|\\.)*":', text)
    if not name or not text.endswith("}"):
        return text
    return "{" + f"{name[0]} [1], " + text[1:] if first else text[:-1] + f", {name[0]} [[1]]" + "}"


@st.composite
def as_bytes(draw, text):
    """The bytes of ``text``, rarely with a byte order mark or bytes that are not UTF-8."""
    data = text.encode()
    if not rarely(draw):
        return data
    if draw(st.booleans()):
        return b"\xef\xbb\xbf" + data
    place = draw(st.integers(0, len(data)))
    return data[:place] + draw(st.sampled_from([b"\xff", b"\xc3", b"\0"])) + data[place:]


def dump_simple(outputs) -> bytes:
    """The value of ``prediction`` in a /predict answer, as it stands there."""
    return orjson.dumps(prediction_value(outputs), option=OPTIONS)
