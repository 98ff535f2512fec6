"""Examples -> tensorflow.serving.Input, and the results of Classify and Regress -> values."""

from typing import Final

import numpy as np

from gateway.backend.stubs import ClassificationResponse, ExampleProto, Input, RegressionResponse
from gateway.inference.examples import Classifications, Example, Examples, Regressions

_LISTS: Final = {"bytes": "bytes_list", "float": "float_list", "int64": "int64_list"}


def encode(examples: Examples) -> Input:
    """The Input of a request. With a context, even one without features, it is the form that has one."""
    made = Input()
    if examples.context is None:
        target = made.example_list.examples
    else:
        _fill(made.example_list_with_context.context, examples.context)
        made.example_list_with_context.context.SetInParent()
        target = made.example_list_with_context.examples
    for example in examples.examples:
        _fill(target.add(), example)
    return made


def classifications(model: str, response: ClassificationResponse) -> Classifications:
    """What a Classify call answered."""
    rows = [[(entry.label, entry.score) for entry in row.classes] for row in response.result.classifications]
    return Classifications(model, response.model_spec.version.value, rows)


def regressions(model: str, response: RegressionResponse) -> Regressions:
    """What a Regress call answered."""
    values = np.array([entry.value for entry in response.result.regressions], dtype=np.float32)
    return Regressions(model, response.model_spec.version.value, values)


def _fill(proto: ExampleProto, example: Example) -> None:
    for name, feature in example.items():
        made = proto.features.feature[name]
        if feature.kind is not None:
            getattr(made, _LISTS[feature.kind]).value.extend(feature.values)
