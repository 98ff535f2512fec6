"""Examples are serialized one after the other: the same Input as its message would be, without the messages of all at once."""

import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backend import wire
from gateway.backend.examples import encode_examples, encode_input
from gateway.backend.stubs import ClassificationRequest, Input, ModelSpec
from gateway.backend.wire import delimited_field
from gateway.inference.examples import Example, Examples, Feature
from tests.event_loop import on_loop

FEATURES = st.one_of(
    st.builds(Feature, st.just("bytes"), st.lists(st.binary(max_size=200), min_size=1, max_size=3)),
    st.builds(Feature, st.just("float"), st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=3)),
    st.builds(Feature, st.just("int64"), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3)),
    st.just(Feature(None, ())),
)
EXAMPLE = st.dictionaries(st.text(max_size=3), FEATURES, max_size=3)


def read(example) -> Example:
    """An Example message, as the value that it was made of."""
    features = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else ()
        features[name] = Feature(kind.removesuffix("_list") if kind else None, values)
    return features


@given(st.lists(EXAMPLE, min_size=1, max_size=4), st.none() | EXAMPLE)
def test_what_is_encoded_is_the_input_of_these_examples(examples, context):
    made = Input.FromString(encode_examples(Examples(examples, context)))
    assert made.WhichOneof("kind") == ("example_list" if context is None else "example_list_with_context")
    of_kind = getattr(made, made.WhichOneof("kind"))
    assert [read(example) for example in of_kind.examples] == examples
    assert context is None or read(of_kind.context) == context


@given(st.integers(0, 300_000), st.integers(1, 2**29 - 1))
def test_a_delimited_field_has_protobuf_s_own_form(size, number):
    spec = ModelSpec(name="m" * size)
    assert ClassificationRequest.FromString(delimited_field(1, spec.SerializeToString())).model_spec == spec
    key, at = wire._varint(delimited_field(number, b"x" * size), 0)
    length, at = wire._varint(delimited_field(number, b"x" * size), at)
    assert (key, length, delimited_field(number, b"x" * size)[at:]) == (number << 3 | 2, size, b"x" * size)


def test_many_small_examples_take_little_more_than_their_bytes():
    examples = Examples([{"x": Feature("int64", [1])}] * 20_000)
    tracemalloc.start()
    encoded = encode_examples(examples)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * len(encoded)


@pytest.mark.parametrize(
    ("examples", "values", "is_long"),
    [(1, 1, False), (20_000, 1, True), (1, 20_000, True)],
    ids=["one", "many examples", "many values"],
)
@on_loop
async def test_many_examples_are_encoded_beside_the_event_loop(examples, values, is_long):
    threads = set()

    class Noted(dict):
        def items(self):
            threads.add(threading.current_thread())
            return super().items()

    made = Examples([Noted(x=Feature("int64", [1] * values))] * examples)
    assert await encode_input(made) == encode_examples(Examples([dict(one) for one in made.examples]))
    assert (threading.current_thread() in threads) == (not is_long)
