"""Bodies of :classify and :regress: what is read, and how every problem of a bad one is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.tfserving.examples import load_examples
from gateway.errors import InvalidArgument, Problem
from gateway.inference.examples import Examples, Feature

GOOD = {"x": [1.0], "name": "a"}


def refusal(document) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        load_examples(document)
    return caught.value


def test_a_scalar_is_a_list_of_one():
    loaded = load_examples({"examples": [{"x": 1.5}]})
    assert Examples(list(loaded.examples), loaded.context) == Examples([{"x": Feature("float", [1.5])}])


def test_integers_and_floats_stay_apart():
    (example,) = load_examples({"examples": [{"a": 2, "b": 2.0, "c": 2**64 * 1.0}]}).examples
    assert [example[name].kind for name in "abc"] == ["int64", "float", "float"]


def test_floats_are_rounded_to_float32():
    (example,) = load_examples({"examples": [{"x": [0.1, 1e300]}]}).examples
    assert example["x"].values == [0.10000000149011612, float("inf")]


def test_every_problem_is_told_with_its_place_behind_upstreams_text_for_the_first():
    error = refusal(
        {
            "context": {"q": None},
            "examples": [GOOD, {"x": [8.0, 9], "y": [[1]]}, 5, {"z": {"b64": "!"}}, {"a/b": [1, 2**63, "c"]}],
        }
    )
    assert error.message.splitlines()[0] == "Feature: q has element with unexpected JSON type: Null"
    assert [(problem.pointer, problem.expected, problem.got) for problem in error.problems] == [
        ("/context/q", "string, b64 object, number, true or false", "null"),
        ("/examples/1/x/1", "float, written with a decimal point, as the first value", "9"),
        ("/examples/1/y/0", "string, b64 object, number, true or false", "list of 1"),
        ("/examples/2", "an object of features", "5"),
        ("/examples/3/z", '{"b64": base64 text}', '{"b64": "!"}'),
        ("/examples/4/a~1b/1", "integer up to 9223372036854775807", "9223372036854775808"),
        ("/examples/4/a~1b/2", "integer, true or false, as the first value", 'string "c"'),
    ]
    assert len(error.message.splitlines()) == 1 + len(error.problems)


def test_a_hostile_body_gets_a_bounded_answer():
    error = refusal({"examples": [{"x" * 10_000: [1.0] + [2] * 50_000}] * 3})
    assert len(error.message) < 10_000
    assert "and at least" in error.message
    assert len(error.problems) <= 100


def test_one_bad_value_in_a_large_body_is_found():
    features = {"x": [1.5] * 100_000}
    error = refusal({"examples": [features] * 5 + [{"x": [1.5] * 99_999 + [True]}]})
    assert [problem.pointer for problem in error.problems] == ["/examples/5/x/99999"]


def test_a_quoted_document_is_cut():
    assert len(refusal({"more": ["x"] * 10_000}).message) < 400


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=3)
b64_objects = st.fixed_dictionaries({"b64": st.sampled_from(["", "YQ==", "YQ", "!", "Y"]) | st.integers()})
values = scalars | b64_objects | st.just({}) | st.just([])
features = values | st.lists(values, max_size=4)
documents = st.fixed_dictionaries(
    {"examples": st.lists(st.dictionaries(st.text(max_size=2), features, max_size=3) | values, min_size=1, max_size=3)},
    optional={"context": st.dictionaries(st.text(max_size=2), features, max_size=2) | values},
)


@given(documents)
def test_a_body_is_either_read_or_refused_with_a_problem_that_points_into_it(document):
    problems: tuple[Problem, ...] = ()
    try:
        loaded = load_examples(document)
    except InvalidArgument as error:
        problems, loaded = error.problems, None
    assert (loaded is None) == bool(problems)
    for problem in problems:
        assert at(document, problem.pointer) is not document
    assert loaded is None or len(loaded.examples) == len(document["examples"])


def at(document, pointer: str):
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def test_the_order_is_upstreams():
    assert refusal({"context": 1}).message.startswith("Example must be JSON object but got JSON Number")
    assert "key 'examples' is expected" in refusal({"context": {}}).message
    assert json.loads(refusal({}).message.split(": ", 1)[1].split(" When")[0]) == {}
