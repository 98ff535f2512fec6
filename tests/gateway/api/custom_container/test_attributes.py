"""X-Amzn-SageMaker-Custom-Attributes says which model, version and method; what else is in it belongs to the caller."""

import pytest

from gateway.api.custom_container.attributes import Attributes, read_attributes
from gateway.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("", Attributes()),
        ("tfs-model-name=m", Attributes("m")),
        ("tfs-method=regress", Attributes(method="regress")),
        (" tfs-model-name = m , tfs-model-version=07,tfs-method=classify", Attributes("m", "07", "classify")),
        ("trace=1,tfs-model-name=m,c000b4f9-df62", Attributes("m")),
    ],
)
def test_attributes_are_read_in_any_order_between_others(text, attributes):
    assert read_attributes(text) == attributes


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tfs-metod=regress", "expected tfs-model-name, tfs-model-version, tfs-method, got tfs-metod"),
        ("tfs-method=explain", "tfs-method: expected predict, classify or regress, got explain"),
        ("tfs-model-version=two", "tfs-model-version: expected a number, got two"),
        ("tfs-model-name=", "tfs-model-name: expected a model's name, got nothing"),
        ("tfs-model-name=a/b", "tfs-model-name: expected a model's name, got a/b"),
        ("tfs-model-name=a,tfs-model-name=b", "tfs-model-name: expected a model's name, got a second one"),
    ],
)
def test_what_is_misspelled_is_refused_by_name(text, problem):
    with pytest.raises(InvalidArgument) as caught:
        read_attributes(text)
    assert str(caught.value) == f"X-Amzn-SageMaker-Custom-Attributes: {problem}"
