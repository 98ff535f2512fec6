"""Classify and Regress over a real socket: every check of a signature and of its results."""

import re
from pathlib import Path
from typing import Any

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, regression_pb2

from tests.model_server.serving import Client, fill_spec, refused, serving

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def example(**features: float) -> tf.train.Example:
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def asked(request: Any, model: str, signature: str = "", xs: tuple[float, ...] = (2.0, 4.0), **spec: Any) -> Any:
    fill_spec(request.model_spec, model, signature=signature, **spec)
    request.input.example_list.SetInParent()
    request.input.example_list.examples.extend(example(x=x) for x in xs)
    return request


def classify(client: Client, model: str, signature: str = "", **more: Any) -> Any:
    return client.prediction.Classify(asked(classification_pb2.ClassificationRequest(), model, signature, **more), timeout=30)


def regress(client: Client, model: str, signature: str = "", **more: Any) -> Any:
    return client.prediction.Regress(asked(regression_pb2.RegressionRequest(), model, signature, **more), timeout=30)


def test_classify_answers_scores_and_says_who_answered(client: Client):
    reply = classify(client, "half", "classify_x_to_y")
    rows = [[(c.label, c.score) for c in row.classes] for row in reply.result.classifications]
    assert rows == [[("", 3.0)], [("", 4.0)]]
    spec = reply.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half", 123, "classify_x_to_y")


def test_classify_joins_labels_and_scores(client: Client):
    reply = classify(client, "odd", "classify")
    rows = [[(c.label, c.score) for c in row.classes] for row in reply.result.classifications]
    assert rows == [[("cat", 0.25), ("dog", 0.75)]] * 2


def test_classify_without_scores(client: Client):
    reply = classify(client, "odd", "classify_labels", xs=(1.0,))
    assert [(c.label, c.score) for c in reply.result.classifications[0].classes] == [("cat", 0.0), ("dog", 0.0)]


@pytest.mark.parametrize("signature", ["regress", "regress_column"])
def test_regress_answers_one_value_for_each_example(client: Client, signature: str):
    assert [row.value for row in regress(client, "odd", signature).result.regressions] == [1.5, 1.5]


def test_regress_says_who_answered(client: Client):
    reply = regress(client, "half", "regress_x_to_y")
    assert [row.value for row in reply.result.regressions] == [3.0, 4.0]
    spec = reply.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half", 123, "regress_x_to_y")


def test_a_context_is_merged_into_every_example_and_the_example_wins(client: Client):
    request = asked(regression_pb2.RegressionRequest(), "half", "regress_x2_to_y3", xs=())
    with_context = request.input.example_list_with_context
    with_context.context.CopyFrom(example(x=0, x2=10))
    with_context.examples.extend([example(), example(x2=20)])
    reply = client.prediction.Regress(request, timeout=30)
    assert [row.value for row in reply.result.regressions] == [8.0, 13.0]


def test_empty_input(client: Client):
    with refused(INVALID, "Input is empty."):
        regress(client, "half", "regress_x_to_y", xs=())


def test_input_that_was_not_set(client: Client):
    request = asked(regression_pb2.RegressionRequest(), "half", "regress_x_to_y")
    request.ClearField("input")
    with refused(INVALID, "Input is empty."):
        client.prediction.Regress(request, timeout=30)


@pytest.mark.parametrize("call", [classify, regress])
def test_unknown_signature(client: Client, call: Any):
    with refused(INVALID, "No signature was found with the name: nope"):
        call(client, "half", "nope")


@pytest.mark.parametrize("call", [classify, regress])
def test_the_default_signature_is_named_in_errors(client: Client, call: Any):
    with refused(INVALID, "No signature was found with the name: serving_default"):
        call(client, "odd")


@pytest.mark.parametrize("call", [classify, regress])
def test_unknown_model(client: Client, call: Any):
    with refused(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(nope)"):
        call(client, "nope")


REFUSED = {
    "classify_two_inputs": "Expected one input Tensor.",
    "classify_three_outputs": "Expected one or two output Tensors, found 3",
    "classify_rank": "Expected Tensor shape: [batch_size num_classes] but got [2]",
    "classify_label_dtype": "Expected classes Tensor of DT_STRING. Got: DT_FLOAT",
    "classify_score_dtype": "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE",
    "classify_label_rows": "Expected classes output batch size of 2. Got: 1",
    "classify_score_rows": "Expected scores output batch size of 2. Got: 1",
    "classify_columns": "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
    "regress_two_inputs": "Expected one input Tensor.",
    "regress_two_outputs": "Expected one output Tensor.",
    "regress_shape": "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
    "regress_rows": "Input batch size did not match output batch size: 2 vs. 1",
    "regress_dtype": "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE",
}
REFUSED_WITH_SIGNATURE = {
    "classify_input_key": "No classification inputs found in SignatureDef: inputs {",
    "classify_output_keys": (
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: inputs {'
    ),
    "regress_input_key": "No regression inputs found in SignatureDef: inputs {",
    "regress_output_key": "No regression outputs found in SignatureDef: inputs {",
}


@pytest.mark.parametrize(("signature", "text"), REFUSED.items(), ids=REFUSED.keys())
def test_signature_or_result_that_does_not_fit(client: Client, signature: str, text: str):
    with refused(INVALID, text):
        (classify if signature.startswith("classify") else regress)(client, "odd", signature)


@pytest.mark.parametrize(("signature", "start"), REFUSED_WITH_SIGNATURE.items(), ids=REFUSED_WITH_SIGNATURE.keys())
def test_signature_that_lacks_the_expected_names_is_shown(client: Client, signature: str, start: str):
    with pytest.raises(grpc.RpcError, match=re.escape(start.split("\n", maxsplit=1)[0])) as caught:
        (classify if signature.startswith("classify") else regress)(client, "odd", signature)
    assert caught.value.code() is INVALID
    assert caught.value.details().startswith(start)


@pytest.mark.parametrize(
    ("call", "signature", "kind", "method"),
    [
        (classify, "classify_method", "classification", "tensorflow/serving/classify"),
        (regress, "regress_method", "regression", "tensorflow/serving/regress"),
    ],
)
def test_method_names_are_checked_only_where_asked_for(
    models: Path, client: Client, *, call: Any, signature: str, kind: str, method: str
):
    call(client, "odd", signature)
    flags = {"model_name": "odd", "model_base_path": str(models / "odd"), "enable_signature_method_name_check": True}
    text = f"Expected {kind} signature method_name to be {method}. Was: tensorflow/serving/predict"
    with serving(**flags) as strict, refused(INVALID, text):
        call(strict, "odd", signature)
