"""Examples -> a serialized tensorflow.serving.Input, and the results of Classify and Regress -> values."""

import asyncio
from itertools import chain
from typing import Final

import numpy as np

from gateway.backend.stubs import ClassificationResponse, ExampleProto, RegressionResponse
from gateway.backend.wire import delimited_field
from gateway.inference.dtypes import STRING
from gateway.inference.examples import Classifications, Example, Examples, Regressions
from gateway.inference.signature import Tensors

_LISTS: Final = {"bytes": "bytes_list", "float": "float_list", "int64": "int64_list"}
# The numbers of the fields in apis/input.proto: of Input, and of its two lists.
_EXAMPLE_LIST: Final = 1
_EXAMPLE_LIST_WITH_CONTEXT: Final = 2
_EXAMPLES: Final = 1
_CONTEXT: Final = 2
# Features and values that are encoded at once, in a few milliseconds.
_MOST_AT_ONCE: Final = 1000


async def encode_input(examples: Examples) -> bytes:
    """As ``encode_examples``, in a thread if they are many: a large body has millions, which take some ten seconds.

    It ends when the thread does, and not before, because the request holds its share of the memory until it is answered.
    """
    if _are_many(examples):
        return await asyncio.to_thread(encode_examples, examples)
    return encode_examples(examples)


def encode_examples(examples: Examples) -> bytes:
    """The serialized Input of a request; in its form with a context when there is one, even one without features.

    It is made one example after the other: the messages of all of them would take a hundred times their size.
    """
    encoded = bytearray()
    for example in examples.examples:
        encoded += delimited_field(_EXAMPLES, _serialized(example))
    if examples.context is None:
        return delimited_field(_EXAMPLE_LIST, encoded)
    encoded += delimited_field(_CONTEXT, _serialized(examples.context))
    return delimited_field(_EXAMPLE_LIST_WITH_CONTEXT, encoded)


def example_tensors(examples: Examples) -> Tensors:
    """The examples as ``inputs`` string[examples], each a serialized tf.Example with the features of the context in it."""
    context = examples.context or {}
    serialized = np.empty(len(examples.examples), STRING.numpy)
    serialized[:] = [_serialized({**context, **example}) for example in examples.examples]
    return {"inputs": serialized}


def read_classifications(model: str, response: ClassificationResponse) -> Classifications:
    """What a Classify call answered."""
    rows = [[(entry.label, entry.score) for entry in row.classes] for row in response.result.classifications]
    return Classifications(model, response.model_spec.version.value, rows)


def read_regressions(model: str, response: RegressionResponse) -> Regressions:
    """What a Regress call answered."""
    values = np.array([entry.value for entry in response.result.regressions], dtype=np.float32)
    return Regressions(model, response.model_spec.version.value, values)


def _are_many(examples: Examples) -> bool:
    count = 0
    for example in chain(examples.examples, [examples.context or {}]):
        count += 1 + sum([1 + len(feature.values) for feature in example.values()])
        if count > _MOST_AT_ONCE:
            return True
    return False


def _serialized(example: Example) -> bytes:
    proto = ExampleProto()
    for name, feature in example.items():
        made = proto.features.feature[name]
        if feature.kind is not None:
            getattr(made, _LISTS[feature.kind]).value.extend(feature.values)
    serialized: bytes = proto.SerializeToString()
    return serialized
