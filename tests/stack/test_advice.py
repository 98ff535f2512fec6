"""The example of a refusal, sent as it is, is answered by the model server itself."""

import pytest

from tests.stack.conftest import EXAMPLES

REFUSED = ("", "[1]", {}, {"instances": []}, {"inputs": {"nope": 1}}, {"signature_name": "nope", "instances": [1]})


def example(response) -> str:
    """The body after ``For example``, which may have a note in brackets."""
    document = response.json()
    _, _, text = (document.get("message") or document["error"]).rpartition("\nFor example")
    return text[text.index("{") :]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("route", ["/v1/models/{}:predict", "/v2/models/{}/infer", "/predict/{}"])
def test_the_example_of_a_refusal_is_answered(stack, route, name):
    path = route.format(name)
    for body in REFUSED if path.startswith("/v1") else ("", "[1]"):
        refused = stack.post(path, body)
        assert refused.status_code == 400
        answered = stack.post(path, example(refused))
        assert answered.status_code == 200, refused.text + answered.text


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_the_example_of_a_refused_classification_or_regression_is_answered(stack, verb):
    path = f"/v1/models/half_plus_two:{verb}"
    refused = stack.post(path, {"instances": [1.0]})
    assert (refused.status_code, stack.post(path, example(refused)).status_code) == (400, 200)
